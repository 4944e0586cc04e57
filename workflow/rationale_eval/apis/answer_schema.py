"""The table of an API's answers to the classification, kept raw."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

# `status` is that of the reply, before a label is read from it; `request` is the conversation as JSON; `logprobs` are
# those of the answer's tokens as JSON, with their alternatives; `served_model` and `fingerprint` as the server says.
ANSWERS = TableSchema(
    name="answers",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("status", pa.string()),
            pa.field("reason", pa.string()),
            pa.field("request", pa.string()),
            pa.field("reply", pa.string()),
            pa.field("finish", pa.string()),
            pa.field("prompt_tokens", pa.int32()),
            pa.field("reply_tokens", pa.int32()),
            pa.field("logprobs", pa.string()),
            pa.field("served_model", pa.string()),
            pa.field("fingerprint", pa.string()),
        ]
    ),
    key=("id",),
    required=("status", "request"),
)
