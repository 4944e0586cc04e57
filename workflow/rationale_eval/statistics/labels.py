"""Measures of predicted labels and of how sure a model is of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


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
