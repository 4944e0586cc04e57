"""Measures of an order of words, from the predictions with its first words masked, or alone kept, at several numbers.

All points are ``{number of words: value}`` of one instance of ``words`` words; 0 and ``words`` are among them where a
function says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rationale_eval.rationales.budgets import size


def curve_counts(words: int, ratios: Sequence[float]) -> list[int]:
    """The numbers of words of an instance of ``words`` words that ``ratios`` name: each rounded up, each number once.

    On a short text several ratios are the same number; what is averaged over thresholds counts it once.
    """
    return sorted({size({"kind": "top_ratio", "ratio": ratio}, words, 0) for ratio in ratios})


def aopc(drops: Mapping[int, float | None], counts: Sequence[int]) -> float | None:
    """The area over the perturbation curve: the mean of the drops at ``counts`` (DeYoung et al. 2020).

    None without counts or where a drop is missing.
    """
    found = [drops.get(count) for count in counts]
    known = [drop for drop in found if drop is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None


def area(probabilities: Mapping[int, float | None], words: int) -> float | None:
    """The area under a curve over the share of words, by the trapezoidal rule through its points (Petsiuk et al. 2018).

    With the probability of the label as words are deleted it is the deletion score (low is faithful), as they are
    inserted into a text without words the insertion score (high is faithful). None unless 0 and ``words`` are among
    the points, and where one is missing.
    """
    counts = sorted(probabilities)
    values = [probabilities[count] for count in counts]
    if not {0, words} <= set(counts) or any(value is None for value in values):
        return None
    return float(np.trapezoid(np.asarray(values, dtype=float), np.asarray(counts) / words))


def words_to_flip(flips: Mapping[int, bool | None], words: int) -> tuple[bool | None, float | None]:
    """Whether any point flips, and the smallest share of words that does.

    The share is the decision flip fraction of Serrano & Smith (2019), as coarse as the points: no other number of words
    is looked at. None, None where the points up to the first flip are not all known; False, None where nothing flips.
    """
    for count, flip in sorted(flips.items()):
        if flip is None:
            return None, None
        if flip:
            return True, count / words
    return (False, None) if flips else (None, None)
