"""From the masks of several annotators to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Aggregation = Literal["majority", "union", "first"]


def aggregate(masks: Sequence[Sequence[bool]], how: Aggregation) -> tuple[bool, ...]:
    """One mask of the same length as each of ``masks``.

    ``majority`` keeps what more than half of the annotators marked (so both of two), ``union`` what any of them marked,
    ``first`` what the first one marked. Raises ``ValueError`` for no masks, masks of different lengths or an unknown
    ``how``.
    """
    if not masks:
        raise ValueError("there are no masks to aggregate")
    votes = [sum(column) for column in zip(*masks, strict=True)]
    if how == "majority":
        return tuple(2 * count > len(masks) for count in votes)
    if how == "union":
        return tuple(count > 0 for count in votes)
    if how == "first":
        return tuple(masks[0])
    raise ValueError(f"unknown aggregation {how!r}")


def tied(masks: Sequence[Sequence[bool]]) -> bool:
    """Whether as many annotators marked some word as did not: ``majority`` leaves it out, though half would keep it."""
    return any(sum(column) and 2 * sum(column) == len(masks) for column in zip(*masks, strict=True))
