"""Intervals, and measures of predicted labels. Nothing here knows of files or methods."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

# Resampled values held at once: 2 million doubles are 16 MB, whatever the number of instances.
_HELD = 2_000_000

Interval = tuple[float | None, float | None]


def mean_interval(values: Sequence[float], interval: Mapping[str, Any]) -> Interval:
    """The percentile bootstrap interval of the mean of ``values``, one per instance.

    ``interval`` gives ``resamples``, ``seed`` and ``level``; the seed starts anew for each interval, so that none
    depends on which others are computed. Where all values are equal the interval is that value, which says nothing of
    the uncertainty; without values there is none.
    """
    data = np.asarray(values, dtype=float)
    if not len(data):
        return None, None
    if np.ptp(data) == 0:
        return float(data[0]), float(data[0])
    found = stats.bootstrap(
        (data,),
        np.mean,
        n_resamples=interval["resamples"],
        batch=max(1, _HELD // len(data)),
        confidence_level=interval["level"],
        method="percentile",
        rng=np.random.default_rng(interval["seed"]),
    ).confidence_interval
    return float(found.low), float(found.high)


def proportion_interval(successes: int, n: int, level: float) -> Interval:
    """The Wilson score interval of a proportion; none without observations."""
    if not n:
        return None, None
    found = stats.binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return float(found.low), float(found.high)


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float | None:
    """The mean F1 of the labels that occur as gold or as predicted; None without rows."""
    pairs = Counter(zip(gold, predicted, strict=True))
    in_gold, in_predicted = Counter(gold), Counter(predicted)
    labels = set(in_gold) | set(in_predicted)
    if not labels:
        return None
    return sum(2 * pairs[label, label] / (in_gold[label] + in_predicted[label]) for label in labels) / len(labels)


def entropy(labels: Sequence[str]) -> float | None:
    """The Shannon entropy of the frequencies of ``labels`` in bits: 0 if all are equal; None without any."""
    if not labels:
        return None
    shares = [count / len(labels) for count in Counter(labels).values()]
    return sum(-share * math.log2(share) for share in shares)


def majority(labels: Sequence[str]) -> tuple[str | None, float | None]:
    """The most frequent label (of several the first by name) and its share."""
    if not labels:
        return None, None
    counts = Counter(labels)
    label = min(counts, key=lambda name: (-counts[name], name))
    return label, counts[label] / len(labels)
