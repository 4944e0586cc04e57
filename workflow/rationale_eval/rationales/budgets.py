"""Budgets: how many words a rationale keeps, and which.

``top_var``: as many as the annotators marked in this instance (Fayyaz et al. 2024). ``top_ratio``: a share of the
words, rounded up, at least one. ``top_k``: a fixed number. Sets of words are taken ``as_given``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rationale_eval.rationales.schema import NO_GOLD, OK

AS_GIVEN = "as_given"


def top(scores: Sequence[float], count: int) -> list[bool]:
    """The ``count`` highest scores as a mask; of equal scores the earlier word wins. A larger ``count`` takes all."""
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")[:count]
    mask = np.zeros(len(scores), dtype=bool)
    mask[order] = True
    chosen: list[bool] = mask.tolist()
    return chosen


def size(budget: Mapping[str, Any], words: int, gold: int) -> int:
    """The number of words that ``budget`` allows in an instance of ``words`` words, ``gold`` of them marked."""
    if budget["kind"] == "top_var":
        return gold
    if budget["kind"] == "top_ratio":
        ratio: float = budget["ratio"]
        # The small subtraction: 0.2 * 15 is 3.0000000000000004 in floating point, and must not become 4 words.
        return max(1, math.ceil(ratio * words - 1e-9))
    return min(int(budget["k"]), words)


def selections(
    rationale: Mapping[str, Any], gold: Sequence[bool], budgets: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, list[bool] | None]]:
    """Yield ``(budget, status, mask)`` for one row of a rationales table; the mask is None unless the status is ok.

    Scores are cut to each of ``budgets``; a set of words yields ``as_given`` alone.
    """
    if rationale["status"] != OK:
        # A row without a rationale still appears under each budget where one was due, or it would vanish from counts.
        names = [AS_GIVEN] if rationale["status"] == NO_GOLD else list(budgets)
        for name in names:
            yield name, rationale["status"], None
    elif rationale["scores"] is None:
        yield AS_GIVEN, OK, rationale["selected"]
    else:
        for name, budget in budgets.items():
            if budget["kind"] == "top_var" and not any(gold):
                yield name, NO_GOLD, None
            else:
                yield name, OK, top(rationale["scores"], size(budget, len(gold), sum(gold)))
