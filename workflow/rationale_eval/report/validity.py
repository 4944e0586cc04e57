"""What a flip rate must be read beside: collapse, certainty, references of equal size, and splits of the instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.report.aggregate import Row, instance_means, with_interval
from rationale_eval.statistics.comparison import compare
from rationale_eval.statistics.labels import label_mass, majority, margins

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MARGINS = tuple(f"margin_q{100 * quantile:.0f}" for quantile in QUANTILES)
MASS_QUANTILES = (0.1, 0.5, 0.9)
LABEL_MASS = tuple(f"label_mass_q{100 * quantile:.0f}" for quantile in MASS_QUANTILES)


def is_collapsed(majority_share: float | None, validity: Mapping[str, Any]) -> bool:
    """Whether a cell is too one-sided for its flip rates to say anything, or has no prediction at all.

    The rule: the share of its most frequent predicted label is at least ``max_majority_share``.
    """
    return majority_share is None or bool(majority_share >= validity["max_majority_share"])


def has_collapsed(predictions: pd.DataFrame, validity: Mapping[str, Any]) -> bool:
    """Whether the predictions of a cell have collapsed (``is_collapsed``); those without a label do not count."""
    return is_collapsed(majority(predictions["predicted"].dropna().to_list())[1], validity)


def collapse_text(majority_share: float | None) -> str:
    """What a collapsed model does, after its name."""
    return "predicts nothing" if majority_share is None else "gives nearly every text one label"


def _quantiles(values: np.ndarray | None, levels: Sequence[float], names: Sequence[str]) -> Row:
    """The quantiles of ``values`` under ``names``; all None without values."""
    if values is None:
        return dict.fromkeys(names)
    return dict(zip(names, map(float, np.quantile(values, levels)), strict=True))


def margin_quantiles(predictions: pd.DataFrame) -> Row:
    """Quantiles of the difference of the two highest label probabilities; None without any, as an API may give none."""
    known = predictions["probabilities"].dropna().to_list()
    return _quantiles(margins(known) if known else None, QUANTILES, MARGINS)


def label_mass_quantiles(predictions: pd.DataFrame) -> Row:
    """Quantiles of the probability that all verbalisers have together; None without scores, as an API may give none."""
    known = predictions["scores"].dropna().to_list()
    return _quantiles(label_mass(known) if known else None, MASS_QUANTILES, LABEL_MASS)


def has_low_mass(row: Mapping[str, Any], validity: Mapping[str, Any]) -> bool:
    """Whether the median of the label mass is below ``min_label_mass``; ``row`` is one of the table of accuracy."""
    return bool(pd.notna(row["label_mass_q50"]) and row["label_mass_q50"] < validity["min_label_mass"])


def reference_flips(faithfulness: pd.DataFrame, methods: Mapping[str, Any], interval: Mapping[str, Any]) -> Row:
    """Flip rates of a cell with all words masked and with those that people marked, each with its interval."""
    row: Row = {}
    for kind in ("all_words", "human"):
        names = [name for name, entry in methods.items() if entry["kind"] == kind]
        values = instance_means(faithfulness[faithfulness["method"].isin(names)], "flip", ("flip",))["flip"]
        row[f"flip_{kind}"] = float(values.mean()) if len(values) else None
        row |= with_interval(f"flip_{kind}", values, interval)
    return row


def random_flips(frame: pd.DataFrame, spec: Mapping[str, Any]) -> Row:
    """How often equally many random words flip on the instances of ``frame``, one method at one budget of a cell.

    Over the instances that have such draws (``n_random``), which are averaged within an instance.
    ``flip_beyond_random``: the method's flip minus that, paired, with effect size and p. Nothing for random words
    themselves and for all words.
    """
    compared = spec["methods"][frame["method"].iloc[0]]["kind"] not in ("random", "all_words")
    drawn = frame[frame["flip_random"].notna()] if compared else frame.iloc[:0]
    pairs = instance_means(drawn, "flip", ("flip", "flip_random"))
    beyond = pairs["flip"] - pairs["flip_random"]
    paired = compare([beyond.to_numpy(dtype=float)], spec["interval"])
    return {
        "n_random": len(pairs),
        "flip_random": float(pairs["flip_random"].mean()) if len(pairs) else None,
        **with_interval("flip_random", pairs["flip_random"], spec["interval"]),
        "flip_beyond_random": float(beyond.mean()) if len(pairs) else None,
        "flip_beyond_random_low": None if paired is None else paired.low,
        "flip_beyond_random_high": None if paired is None else paired.high,
        "beyond_random_effect": None if paired is None else paired.effect,
        "beyond_random_p": None if paired is None else paired.p,
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
