"""Measures of predicted labels and of how sure a model is of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rationale_eval.statistics.resampling import resampled_means


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float | None:
    """The mean F1 of the labels that occur as gold or as predicted; None without rows."""
    pairs = Counter(zip(gold, predicted, strict=True))
    in_gold, in_predicted = Counter(gold), Counter(predicted)
    labels = set(in_gold) | set(in_predicted)
    if not labels:
        return None
    return sum(2 * pairs[label, label] / (in_gold[label] + in_predicted[label]) for label in labels) / len(labels)


def macro_f1_interval(
    gold: Sequence[str], predicted: Sequence[str], interval: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    """The percentile bootstrap interval of ``macro_f1``, instances drawn anew; it is no mean over instances.

    ``interval`` gives ``resamples``, ``seed`` and ``level``. None without rows, and where no resample differs, as with
    a model that is always right.
    """
    labels = sorted(set(gold) | set(predicted))
    if not labels:
        return None, None
    in_gold, in_predicted = (
        np.array([[name == label for name in side] for label in labels]) for side in (gold, predicted)
    )
    both = [resampled_means([mask.astype(float)], interval) for mask in in_gold & in_predicted]
    either = [
        resampled_means([first.astype(float) + second], interval)
        for first, second in zip(in_gold, in_predicted, strict=True)
    ]
    hits, total = 2 * np.array(both), np.array(either)  # (labels, resamples)
    f1 = np.divide(hits, total, out=np.full(hits.shape, np.nan), where=total > 0)
    found = np.nanmean(f1, axis=0)  # a label that a resample lacks does not count in it, as in ``macro_f1``
    if np.ptp(found) == 0:
        return None, None
    tail = (1 - interval["level"]) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


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


def margins(probabilities: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """The difference of the two highest label probabilities, 0 to 1, of each instance; two labels at least."""
    if not len(probabilities):
        return np.empty(0)
    highest = np.sort(np.asarray(probabilities, dtype=float), axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2], dtype=float)


def label_mass(scores: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """The sum over labels of exp(score) of each instance: the probability that the answer begins with a verbaliser.

    Where one verbaliser begins another, answers that begin with the longer count for both, and the sum may exceed 1.
    """
    return np.array([np.exp(np.asarray(row, dtype=float)).sum() for row in scores])
