"""The tables of attributions that need passes of their own: what is not in the tables of evidence."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

INTEGRATED_STATISTICS = ("ig_dot", "ig_l1", "ig_l2")
INTEGRATED_GRADIENTS, ABLATION = "integrated_gradients", "ablation"
GRADIENT_X_ATTENTION = "gradient_x_attention"
# Of the last layer, the mean over layers, and the layers put together: rows of the last prompt position.
GRADIENT_X_ATTENTION_STATISTICS = ("last", "mean", "relevancy")

_PLACES = [
    pa.field("id", pa.string()),
    pa.field("status", pa.string()),
    pa.field("token_field", pa.list_(pa.int16())),
    pa.field("token_start", pa.list_(pa.int32())),
    pa.field("token_end", pa.list_(pa.int32())),
]

# `difference`: the target of the input minus that of the baseline; `completeness_error`: the sum of all attributions
# minus that; `steps`: nodes of the sum; `within_tolerance`: whether the error is as small as the entry asks.
INTEGRATED = TableSchema(
    name=INTEGRATED_GRADIENTS,
    columns=pa.schema(
        [
            *_PLACES,
            *(pa.field(name, pa.list_(pa.float32())) for name in INTEGRATED_STATISTICS),
            pa.field("difference", pa.float32()),
            pa.field("completeness_error", pa.float32()),
            pa.field("steps", pa.int32()),
            pa.field("within_tolerance", pa.bool_()),
        ]
    ),
    key=("id",),
    required=("status",),
)

WEIGHTED_ATTENTION = TableSchema(
    name=GRADIENT_X_ATTENTION,
    columns=pa.schema(
        [*_PLACES, *(pa.field(name, pa.list_(pa.float32())) for name in GRADIENT_X_ATTENTION_STATISTICS)]
    ),
    key=("id",),
    required=("status",),
)

# `words`: for each word of the instance how much the target falls when it alone is taken away.
ABLATED = TableSchema(
    name=ABLATION,
    columns=pa.schema(
        [pa.field("id", pa.string()), pa.field("status", pa.string()), pa.field("words", pa.list_(pa.float32()))]
    ),
    key=("id",),
    required=("status",),
)
SCHEMAS = {INTEGRATED_GRADIENTS: INTEGRATED, GRADIENT_X_ATTENTION: WEIGHTED_ATTENTION, ABLATION: ABLATED}
