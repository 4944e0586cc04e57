"""The table of rationales."""

from __future__ import annotations

import math
import struct
from typing import Any

import pyarrow as pa

from rationale_eval.tables import TableSchema

# no_reply: the reply whose size is to be matched gave no rationale; no_vote: of several replies none named a word;
# not_given: rationales made elsewhere lack this one; not_available: the model cannot give what the method needs;
# not_covered: its tokenizer drops a word. ``thoughts.CUT_OFF`` is one too.
OK, NO_GOLD, REFUSAL, NO_REPLY, NOT_GIVEN = "ok", "no_gold", "refusal", "no_reply", "not_given"
NO_VOTE, NOT_AVAILABLE, NOT_COVERED = "no_vote", "not_available", "not_covered"

# A scored method fills `scores` (one per word), a set of words `selected`; `sample` numbers repeated draws. A set that
# a model was asked for also has `order`, the words in the order in which its reply names them, and how that reply was
# read: `outcome`, the number of things it lists, those that are not in the input, and whether it copies the input.
# `named` counts the words that a reply names or gives a number, where the others have a score of 0; `votes` the sampled
# replies behind a share of votes, and `left_out` those that cast none.
RATIONALES = TableSchema(
    name="rationales",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("sample", pa.int16()),
            pa.field("status", pa.string()),
            pa.field("scores", pa.list_(pa.float32())),
            pa.field("selected", pa.list_(pa.bool_())),
            pa.field("order", pa.list_(pa.int32())),
            pa.field("outcome", pa.string()),
            pa.field("listed", pa.int32()),
            pa.field("hallucinated", pa.list_(pa.string())),
            pa.field("copied", pa.bool_()),
            pa.field("named", pa.int32()),
            pa.field("votes", pa.int32()),
            pa.field("left_out", pa.int32()),
        ]
    ),
    key=("id", "sample"),
    required=("status",),
)


def is_score(value: Any) -> bool:
    """Whether ``value`` is a number that the table holds: finite, also in float32, where larger ones are infinite."""
    try:
        struct.pack("<f", value)
    except (OverflowError, struct.error):
        return False
    return not isinstance(value, bool) and math.isfinite(value)


def rationale_row(identifier: str, sample: int = 0, status: str = OK, **columns: Any) -> dict[str, Any]:
    """A row of the table; columns that are not given are null."""
    return {**dict.fromkeys(RATIONALES.columns.names), "id": identifier, "sample": sample, "status": status, **columns}
