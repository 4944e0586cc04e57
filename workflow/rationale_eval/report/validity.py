"""What a flip rate must be read beside: collapse, certainty, references of equal size, and splits of the instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.rationales.budgets import AS_GIVEN, MATCHED
from rationale_eval.report.aggregate import Row, instance_means, with_interval
from rationale_eval.report.layout import PROMPT
from rationale_eval.statistics.intervals import DIFFERENCE
from rationale_eval.statistics.labels import margins

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MARGINS = tuple(f"margin_q{100 * quantile:.0f}" for quantile in QUANTILES)


def is_collapsed(majority_share: float | None, validity: Mapping[str, Any]) -> bool:
    """Whether a cell is too one-sided for its flip rates to say anything, or has no prediction at all.

    The rule: the share of its most frequent predicted label is at least ``max_majority_share``.
    """
    return majority_share is None or bool(majority_share >= validity["max_majority_share"])


def margin_quantiles(predictions: pd.DataFrame) -> Row:
    """Quantiles of the difference of the two highest label probabilities; None without any, as an API may give none."""
    known = predictions["probabilities"].dropna()
    if known.empty:
        return dict.fromkeys(MARGINS)
    found = np.quantile(margins(known.to_list()), QUANTILES)
    return dict(zip(MARGINS, map(float, found), strict=True))


def reference_flips(faithfulness: pd.DataFrame, methods: Mapping[str, Any], interval: Mapping[str, Any]) -> Row:
    """Flip rates of a cell with all words masked and with those that people marked, each with its interval."""
    row: Row = {}
    for kind in ("all_words", "human"):
        names = [name for name, entry in methods.items() if entry["kind"] == kind]
        values = instance_means(faithfulness[faithfulness["method"].isin(names)], "flip", ("flip",))["flip"]
        row[f"flip_{kind}"] = float(values.mean()) if len(values) else None
        row |= with_interval(f"flip_{kind}", values, interval)
    return row


def _equal_budget(method: Mapping[str, Any], name: str, budget: str, budgets: Mapping[str, Any]) -> list[str]:
    """The budgets at which random words may be as many as those of a method at ``budget``."""
    if budget != AS_GIVEN:
        return [budget]
    if method["kind"] == PROMPT:
        return [key for key, entry in budgets.items() if entry["kind"] == MATCHED and entry["to"] == name]
    return [key for key, entry in budgets.items() if entry["kind"] == "top_var"] if method["kind"] == "human" else []


def random_flips(frame: pd.DataFrame, faithfulness: pd.DataFrame, spec: Mapping[str, Any]) -> Row:
    """How often equally many random words flip on the instances of ``frame``, one method at one budget of a cell.

    Only instances in which both have the same number of words count (``n_random``); draws are averaged within an
    instance. ``flip_beyond_random``: the method's flip minus that, paired. Nothing where the study has no such draws.
    """
    name, budget = frame["method"].iloc[0], frame["budget"].iloc[0]
    method = spec["methods"][name]
    drawn = [key for key, entry in spec["methods"].items() if entry["kind"] == "random"]
    if method["kind"] == "random":
        drawn = []
    rows = faithfulness[faithfulness["method"].isin(drawn)]
    rows = rows[rows["budget"].isin(_equal_budget(method, name, budget, spec["budgets"]))]
    rows = rows[rows["flip"].notna()]
    own = instance_means(frame, "flip", ("flip", "selected"))
    by_instance = rows.groupby("id")[["flip", "selected"]].mean().astype(float)
    pairs = own.join(by_instance, how="inner", suffixes=("", "_random"))
    pairs = pairs[pairs["selected"] == pairs["selected_random"]]
    beyond = pairs["flip"] - pairs["flip_random"]
    return {
        "n_random": len(pairs),
        "draws": int(rows.groupby("id").size().max()) if len(rows) else 0,
        "flip_random": float(pairs["flip_random"].mean()) if len(pairs) else None,
        **with_interval("flip_random", pairs["flip_random"], spec["interval"]),
        "flip_beyond_random": float(beyond.mean()) if len(pairs) else None,
        **with_interval("flip_beyond_random", beyond, spec["interval"], DIFFERENCE),
    }


def _tertiles(words: pd.Series) -> pd.Series:
    """For each instance its third by number of words, named by the range; equal numbers stay together."""
    first, second = np.quantile(words, [1 / 3, 2 / 3], method="inverted_cdf")
    place = (words > first).astype(int) + (words > second).astype(int)
    names = {}
    for third, found in words.groupby(place):
        ends = f"{found.min()} words" if found.min() == found.max() else f"{found.min()} to {found.max()} words"
        names[third] = f"{('short', 'medium', 'long')[int(third)]}: {ends}"
    return place.map(names)


def groups(predictions: pd.DataFrame, words: pd.Series) -> Iterator[tuple[str, str, pd.Index]]:
    """The splits of a cell's instances: (split, group, ids), by outcome, gold label and length.

    ``words``: the number of words of each instance, by id.
    """
    known = predictions[predictions["predicted"].notna()].set_index("id")
    right = known["predicted"] == known["gold"]
    for group, chosen in (("right", right), ("wrong", ~right)):
        yield "outcome", group, known.index[chosen]
    by_id = predictions.set_index("id")
    for label, found in by_id.groupby("gold"):
        yield "label", str(label), found.index
    third = _tertiles(words)
    for group in sorted(third.unique(), key=lambda name: words[third == name].min()):
        yield "length", str(group), third.index[third == group]
