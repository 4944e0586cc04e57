"""The tables of perturbation scores and of faithfulness."""

from __future__ import annotations

import pyarrow as pa

from rationale_eval.tables import TableSchema

OK = "ok"
MASK, KEEP = "mask", "keep"
# Inputs that no method of the study chose, by what stands for the method (no configured name has parentheses): the text
# as it is, all its words masked, random words (a sample for each seed), and each word by itself.
WHOLE, ALL, RANDOM, LEFT_OUT = "(whole)", "(all)", "(random)", "(left_out)"


def numbered(number: int) -> str:
    """What stands for the budget where none chose: how many words of an order; of ``LEFT_OUT`` which word."""
    return f"({number})"


def is_choice(method: str, budget: str) -> bool:
    """Whether a row of perturbations is that of a rationale under a budget of the study."""
    return not (method.startswith("(") or budget.startswith("("))


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

# `…_random`: the mean over draws of equally many random words; `…_all`: all words masked. `…_normalised` lies between
# these, see `measures.normalised`; its status says why it is null: not_measured (the measure itself is null), no_random
# (no draws), no_range (all words do no more than random ones).
NOT_MEASURED, NO_RANDOM, NO_RANGE = "not_measured", "no_random", "no_range"
NORMALISED = ("flip", "comprehensiveness", "sufficiency")
# A ratio whose denominator is smaller than this is mostly noise.
LEAST_RANGE = 0.01

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
            pa.field("log_odds_drop", pa.float32()),
            pa.field("flip_all", pa.bool_()),
            pa.field("comprehensiveness_all", pa.float32()),
            *(pa.field(f"{name}_random", pa.float32()) for name in NORMALISED),
            *(pa.field(f"{name}_normalised", pa.float32()) for name in NORMALISED),
            *(pa.field(f"{name}_normalised_status", pa.string()) for name in NORMALISED),
        ]
    ),
    key=("id", "method", "sample", "budget"),
    required=("status", "words", *(f"{name}_normalised_status" for name in NORMALISED)),
)

# What belongs to a method's order of words, whatever the budget. `points`: how many numbers of words its curves go
# through, none and all included; `aopc_thresholds`: how many of them the AOPC averages over; `flips`: whether any does.
NO_ORDER = "no_order"
CURVES = TableSchema(
    name="curves",
    columns=pa.schema(
        [
            *_CELL[:3],
            pa.field("status", pa.string()),
            pa.field("words", pa.int32()),
            pa.field("points", pa.int32()),
            pa.field("aopc_thresholds", pa.int32()),
            pa.field("aopc_comprehensiveness", pa.float32()),
            pa.field("aopc_sufficiency", pa.float32()),
            pa.field("deletion_auc", pa.float32()),
            pa.field("insertion_auc", pa.float32()),
            pa.field("flips", pa.bool_()),
            pa.field("words_to_flip", pa.float32()),
            pa.field("leave_one_out_tau", pa.float32()),
        ]
    ),
    key=("id", "method", "sample"),
    required=("status", "words"),
)
