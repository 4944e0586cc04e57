"""The values of a cell by instance: what paired comparisons, claims and courses over checkpoints share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.report.aggregate import by_method, correctness, informative
from rationale_eval.report.cell_flags import read_flags, read_usable
from rationale_eval.report.cells import read_alignment, read_faithfulness, read_predictions
from rationale_eval.report.flags import Flags
from rationale_eval.report.layout import BEYOND, Cell, of_cell
from rationale_eval.statistics.labels import majority

# In the tables of a cell, or made of their columns: a value per instance, method, sample and budget.
CHANCE = "f1_chance"
PAIRED = ("f1", "f1_corrected", CHANCE, "flip", BEYOND)


@dataclass(frozen=True)
class Measured:
    """What a comparison by instance needs of one cell.

    ``correct`` is as in ``correctness``; ``values`` holds for each of ``PAIRED`` its values, indexed by method, budget
    and id, samples averaged, where it could be computed; ``majority_share`` is that of the most predicted label,
    ``gold_share`` that of the most frequent gold label among the instances with a prediction; ``unpredicted`` counts
    the instances without a prediction, which are in neither. ``informative`` has for each of ``PAIRED``, by the same
    index, whether the value could have come out otherwise (see ``can_differ``); ``usable`` has for each prompted method
    by id whether its reply names a word of the text (see ``usability``), and ``flags`` are those of the cell's methods.
    """

    correct: pd.Series
    values: Mapping[str, pd.Series]
    majority_share: float | None
    unpredicted: int = 0
    gold_share: float | None = None
    informative: Mapping[str, pd.Series] = field(default_factory=dict)
    usable: Mapping[str, pd.Series] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)


def measured(
    predictions: pd.DataFrame,
    alignment: pd.DataFrame,
    faithfulness: pd.DataFrame,
    usable: Mapping[str, pd.Series] | None = None,
    flags: Flags | None = None,
) -> Measured:
    """The values by instance of the tables of a cell; ``usable`` and ``flags`` as in ``Measured``."""
    masked = faithfulness.assign(**{BEYOND: faithfulness["flip"] - faithfulness["flip_random"]})
    frames = {measure: masked if measure in ("flip", BEYOND) else alignment for measure in PAIRED}
    known = predictions[predictions["predicted"].notna()]
    return Measured(
        correctness(predictions),
        {measure: by_method(frame, measure) for measure, frame in frames.items()},
        majority(known["predicted"].to_list())[1],
        len(predictions) - len(known),
        majority(known["gold"].to_list())[1],
        {measure: informative(frame, measure) for measure, frame in frames.items()},
        usable or {},
        flags or {},
    )


def read_measured(cell: Cell, results: Path, spec: Mapping[str, Any]) -> Measured:
    """The values by instance of one cell, and its flags.

    ``spec`` has the study's ``methods``, those ``unavailable`` by model, and ``validity``. Raises ``UserError`` for
    tables that are missing or lack a method.
    """
    spec = of_cell(spec, cell)
    usable = read_usable(cell, results, spec["methods"])
    return measured(
        read_predictions(cell, results),
        read_alignment(cell, results, spec["methods"]),
        read_faithfulness(cell, results, spec["methods"]),
        usable,
        read_flags(cell, results, spec, usable),
    )
