"""The tables of predictions and evidence."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

# Reductions over the hidden dimension of the gradient g and of its product with the embedding x: every gradient
# method of the literature is one of these, so the vectors themselves need not be kept.
GRADIENT_STATISTICS = ("grad_l1", "grad_l2", "grad_sum", "gxi_l1", "gxi_l2", "gxi_dot")
# Attention from the last prompt position, averaged over heads: of the last layer, of all layers, rolled out.
ATTENTION_STATISTICS = ("last", "mean", "rollout")

# not_available: the model cannot give this evidence. Others are those of ``models.encoding.Prompt.status``.
OK, NOT_AVAILABLE = "ok", "not_available"

PREDICTIONS = TableSchema(
    name="predictions",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("status", pa.string()),
            pa.field("gold", pa.string()),
            pa.field("predicted", pa.string()),
            pa.field("labels", pa.list_(pa.string())),
            pa.field("scores", pa.list_(pa.float32())),
            pa.field("probabilities", pa.list_(pa.float32())),
            pa.field("tokens", pa.int32()),
        ]
    ),
    key=("id",),
    required=("status", "gold", "labels", "tokens"),
)


def _evidence(name: str, statistics: tuple[str, ...]) -> TableSchema:
    places = [
        pa.field("token_field", pa.list_(pa.int16())),
        pa.field("token_start", pa.list_(pa.int32())),
        pa.field("token_end", pa.list_(pa.int32())),
    ]
    values = [pa.field(statistic, pa.list_(pa.float32())) for statistic in statistics]
    return TableSchema(
        name=name,
        columns=pa.schema([pa.field("id", pa.string()), pa.field("status", pa.string()), *places, *values]),
        key=("id",),
        required=("status",),
    )


GRADIENTS = "gradients"
EVIDENCE = {
    GRADIENTS: _evidence(GRADIENTS, GRADIENT_STATISTICS),
    "attention": _evidence("attention", ATTENTION_STATISTICS),
}
