"""The table of replies: what a model was asked about its decision, and what it answered, kept raw."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

OK, NO_GOLD = "ok", "no_gold"

# `request` is the conversation as JSON; `label` the predicted label it names (null before a label is asked for);
# `asked` the number of words it asks for (null where it asks for none), `capped` whether that is fewer than people
# marked; `finish` as in models/generation. `sample` and `seed` say which draw a sampled reply is; seed is null where
# replies are greedy. `answer` is the label that the model gives after its reply, where that is asked for and can be.
REPLIES = TableSchema(
    name="replies",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("sample", pa.int16()),
            pa.field("seed", pa.int64()),
            pa.field("status", pa.string()),
            pa.field("label", pa.string()),
            pa.field("asked", pa.int32()),
            pa.field("capped", pa.bool_()),
            pa.field("request", pa.string()),
            pa.field("reply", pa.string()),
            pa.field("prompt_tokens", pa.int32()),
            pa.field("reply_tokens", pa.int32()),
            pa.field("finish", pa.string()),
            pa.field("answer", pa.string()),
        ]
    ),
    key=("id", "sample"),
    required=("status",),
)
