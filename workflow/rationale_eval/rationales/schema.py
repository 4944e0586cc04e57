"""The table of rationales."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

OK, NO_GOLD = "ok", "no_gold"

# A scored method fills `scores` (one per word), a set of words `selected`; `sample` numbers repeated draws.
RATIONALES = TableSchema(
    name="rationales",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("sample", pa.int16()),
            pa.field("status", pa.string()),
            pa.field("scores", pa.list_(pa.float32())),
            pa.field("selected", pa.list_(pa.bool_())),
        ]
    ),
    key=("id", "sample"),
    required=("status",),
)
