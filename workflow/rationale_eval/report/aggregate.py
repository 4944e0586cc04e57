"""From rows per instance to one row per method: what the tables and the paired comparisons of the report share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.evidence.schema import OK
from rationale_eval.report.cells import read_alignment, read_faithfulness, read_predictions
from rationale_eval.report.layout import Cell
from rationale_eval.statistics.intervals import SHARE, corrected_interval, mean_interval
from rationale_eval.statistics.labels import majority

Row = dict[str, Any]
# In the tables of a cell: a value per instance, method, sample and budget.
PAIRED = ("f1", "f1_corrected", "flip")


def status_counts(frame: pd.DataFrame) -> Row:
    """``instances`` and ``status_…``: instances by status; one of whose samples any is ok counts as ok."""
    known = frame.loc[frame["status"] == OK, "id"]
    by_instance = frame.drop_duplicates("id").set_index("id")["status"]
    by_instance = by_instance.mask(by_instance.index.isin(known), OK)
    return {"instances": len(by_instance)} | {
        f"status_{status}": int(count) for status, count in by_instance.value_counts().items()
    }


def instance_means(frame: pd.DataFrame, measure: str, columns: Sequence[str]) -> pd.DataFrame:
    """Means over samples of ``columns``, one row per instance that has ``measure``."""
    computed = frame[frame[measure].notna()]
    if computed["id"].is_unique:  # one sample each: grouping takes long, and has nothing to average
        return computed.set_index("id")[list(columns)].astype(float)
    return computed.groupby("id", sort=False)[list(columns)].mean().astype(float)


def means(values: pd.DataFrame) -> Row:
    """The mean of each column, None where it has no value."""
    return {str(name): float(mean) if pd.notna(mean) else None for name, mean in values.mean().items()}


def with_interval(
    name: str, values: pd.Series, interval: Mapping[str, Any], bounds: tuple[float, float] | None = SHARE
) -> Row:
    """The bounds of the interval of the mean of ``values``, which lie in ``bounds``, as ``…_low`` and ``…_high``."""
    low, high = mean_interval(values.dropna().to_list(), interval, bounds)
    return {f"{name}_low": low, f"{name}_high": high}


def with_corrected_interval(name: str, values: pd.DataFrame, interval: Mapping[str, Any]) -> Row:
    """As ``with_interval``, of the mean of the columns ``f1`` minus ``f1_chance``, one row per instance."""
    low, high = corrected_interval(values["f1"].to_list(), values["f1_chance"].to_list(), interval)
    return {f"{name}_low": low, f"{name}_high": high}


def correctness(predictions: pd.DataFrame) -> pd.Series:
    """1.0 where the predicted label is the gold one, else 0.0, by id; only instances with a prediction."""
    predicted = predictions[predictions["predicted"].notna()]
    return (predicted["predicted"] == predicted["gold"]).astype(float).set_axis(predicted["id"])


@dataclass(frozen=True)
class Measured:
    """What a comparison by instance needs of one cell.

    ``correct`` is as in ``correctness``; ``values`` holds for each of ``PAIRED`` its values, indexed by method, budget
    and id, samples averaged, where it could be computed; ``majority_share`` is that of the most predicted label;
    ``unpredicted`` counts the instances without a prediction, which are in neither.
    """

    correct: pd.Series
    values: Mapping[str, pd.Series]
    majority_share: float | None
    unpredicted: int = 0


def measured(predictions: pd.DataFrame, alignment: pd.DataFrame, faithfulness: pd.DataFrame) -> Measured:
    """The values by instance of the three tables of a cell."""
    found = {}
    for measure in PAIRED:
        frame = faithfulness if measure == "flip" else alignment
        known = frame[frame[measure].notna()]
        found[measure] = known.groupby(["method", "budget", "id"], sort=False)[measure].mean().astype(float)
    predicted = predictions["predicted"]
    share = majority(predicted.dropna().to_list())[1]
    return Measured(correctness(predictions), found, share, int(predicted.isna().sum()))


def read_measured(cell: Cell, results: Path, methods: Iterable[str]) -> Measured:
    """The values by instance of one cell. Raises ``UserError`` for tables that are missing or lack a method."""
    methods = list(methods)
    return measured(
        read_predictions(cell, results),
        read_alignment(cell, results, methods),
        read_faithfulness(cell, results, methods),
    )
