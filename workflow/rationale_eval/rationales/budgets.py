"""Budgets: how many words a rationale keeps, and which.

``top_var``: as many as the annotators marked in this instance (Fayyaz et al. 2024). ``top_ratio``: a share of the
words, rounded up, at least one. ``top_k``: a fixed number. ``matched``: as many as a prompted method's reply named in
this instance, so that prompting and attribution are compared at equal sizes. ``as_given``: a set of words as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rationale_eval.rationales.schema import NO_GOLD, NO_REPLY, OK

AS_GIVEN, MATCHED = "as_given", "matched"

# The number of words that a prompted method named, by (method, instance); None where its reply gave no rationale.
Sizes = Mapping[tuple[str, str], int | None]


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


def wanted(rationale: Mapping[str, Any], gold: Sequence[bool], budget: Mapping[str, Any], matched: Sizes) -> int | None:
    """The number of words that ``budget`` asks for of a row; None where it asks for none or there is none to match."""
    if budget["kind"] == AS_GIVEN:
        return None
    if budget["kind"] == MATCHED:
        return matched.get((budget["to"], rationale["id"]))
    return size(budget, len(gold), sum(gold))


def is_short(rationale: Mapping[str, Any], count: int | None) -> bool:
    """Whether a reply names fewer words than ``count``: then a ranking has no more to give, and scores go on with 0."""
    return count is not None and rationale["named"] is not None and rationale["named"] < count


def sizes(method: str, rationales: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int | None]:
    """The sizes of a prompted method's sets, for ``matched`` budgets; of several samples the first."""
    return {
        (method, row["id"]): sum(row["selected"]) if row["selected"] is not None else None
        for row in rationales
        if row["sample"] == 0
    }


def selections(
    rationale: Mapping[str, Any], gold: Sequence[bool], budgets: Mapping[str, Mapping[str, Any]], matched: Sizes
) -> Iterator[tuple[str, str, list[bool] | None]]:
    """Yield ``(budget, status, mask)`` for one row of a rationales table; the mask is None unless the status is ok.

    ``budgets`` are those that apply to the row's method: which they are is the study's choice. A row without a
    rationale appears under each of them with its status, or it would vanish from the counts.
    """
    for name, budget in budgets.items():
        if rationale["status"] != OK:
            yield name, rationale["status"], None
        elif budget["kind"] == AS_GIVEN:
            yield name, OK, rationale["selected"]
        elif budget["kind"] == "top_var" and not any(gold):
            yield name, NO_GOLD, None
        else:
            count = wanted(rationale, gold, budget, matched)
            if count is None:
                yield name, NO_REPLY, None
            elif rationale["scores"] is None:  # a reply names words in an order: the first ones of it
                yield name, OK, [word in rationale["order"][:count] for word in range(len(gold))]
            else:
                yield name, OK, top(rationale["scores"], count)
