"""The tables of perturbation scores and of faithfulness."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

OK = "ok"
MASK, KEEP = "mask", "keep"

_CELL = [
    pa.field("id", pa.string()),
    pa.field("method", pa.string()),
    pa.field("sample", pa.int16()),
    pa.field("budget", pa.string()),
]

# `operation` mask: the rationale's words are masked; keep: all other words are. `scores` is null where a label was read
# from an API's answer.
PERTURBATIONS = TableSchema(
    name="perturbations",
    columns=pa.schema(
        [
            *_CELL,
            pa.field("operation", pa.string()),
            pa.field("status", pa.string()),
            pa.field("words", pa.int32()),
            pa.field("selected", pa.int32()),
            pa.field("predicted", pa.string()),
            pa.field("scores", pa.list_(pa.float32())),
        ]
    ),
    key=("id", "method", "sample", "budget", "operation"),
    required=("status", "words"),
)

FAITHFULNESS = TableSchema(
    name="faithfulness",
    columns=pa.schema(
        [
            *_CELL,
            pa.field("status", pa.string()),
            pa.field("words", pa.int32()),
            pa.field("selected", pa.int32()),
            pa.field("flip", pa.bool_()),
            pa.field("comprehensiveness", pa.float32()),
            pa.field("sufficiency", pa.float32()),
            pa.field("flip_when_kept", pa.bool_()),
        ]
    ),
    key=("id", "method", "sample", "budget"),
    required=("status", "words"),
)
