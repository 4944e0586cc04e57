"""From rows per instance to one row per method: what the tables and the paired comparisons of the report share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rationale_eval.evidence.schema import OK
from rationale_eval.report.layout import by_definition
from rationale_eval.statistics.intervals import SHARE, corrected_interval, mean_interval

Row = dict[str, Any]


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


def with_corrected_interval(name: str, values: pd.DataFrame, interval: Mapping[str, Any], kind: str) -> Row:
    """As ``with_interval``, of the mean of the columns ``f1`` minus ``f1_chance``, one row per instance.

    Where the F1 of methods of this ``kind`` is 1 by definition, only the chance varies, and no instance can have
    another F1.
    """
    if by_definition(kind, "f1"):
        return with_interval(name, values["f1"] - values["f1_chance"], interval)
    low, high = corrected_interval(values["f1"].to_list(), values["f1_chance"].to_list(), interval)
    return {f"{name}_low": low, f"{name}_high": high}


def correctness(predictions: pd.DataFrame) -> pd.Series:
    """1.0 where the predicted label is the gold one, else 0.0, by id; only instances with a prediction."""
    predicted = predictions[predictions["predicted"].notna()]
    return (predicted["predicted"] == predicted["gold"]).astype(float).set_axis(predicted["id"])


def can_differ(frame: pd.DataFrame) -> pd.Series:
    """For each row whether its words could have been others: some are chosen, and not all.

    An empty set and a set of all words are what any method would choose at that size: their F1 above chance is 0, and
    they flip as equally many random words do. Where ``frame`` has the number of marked words (``gold``), neither may
    these be all words.
    """
    found = (frame["selected"] > 0) & (frame["selected"] < frame["words"])
    return found & (frame["gold"] < frame["words"]) if "gold" in frame else found


def n_informative(frame: pd.DataFrame, measure: str) -> int:
    """The number of instances that have ``measure`` and in some sample words that could have been others."""
    return int(frame.loc[frame[measure].notna() & can_differ(frame), "id"].nunique())


def by_method(frame: pd.DataFrame, measure: str) -> pd.Series:
    """The values of ``measure`` indexed by method, budget and id, samples averaged."""
    known = frame[frame[measure].notna()]
    return known.groupby(["method", "budget", "id"], sort=False)[measure].mean().astype(float)


def informative(frame: pd.DataFrame, measure: str) -> pd.Series:
    """By the index of ``by_method`` whether, in some sample, the words could have been others (see ``can_differ``)."""
    known = frame[frame[measure].notna()]
    return known.assign(some=can_differ(known)).groupby(["method", "budget", "id"], sort=False)["some"].any()


def of_method(values: pd.Series, method: str, budget: str) -> pd.Series:
    """Of a series by method, budget and id the values of one method at one budget, by id; none if it has none."""
    keys = values.index
    chosen = (keys.get_level_values("method") == method) & (keys.get_level_values("budget") == budget)
    return values[chosen].droplevel(["method", "budget"])
