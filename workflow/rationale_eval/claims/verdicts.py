"""From an estimate to a verdict. A row is one contrast: in one corpus with one model, or pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rationale_eval.claims.registry import NON_SUPERIORITY, Claim
from rationale_eval.statistics.comparison import holm

SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED = "supported", "contradicted", "inconclusive", "not tested"
Row = dict[str, Any]
UNTOLD = "after the correction for the other tests the test does not tell it from"


def of_difference(row: Mapping[str, Any], direction: int, alpha: float) -> tuple[str, str]:
    """Verdict and reason of a directed difference.

    Supported: the interval lies wholly on the claimed side of 0 and the corrected p is below ``alpha``; contradicted:
    the same on the other side.
    """
    low, high = sorted((direction * row["low"], direction * row["high"]))
    if low <= 0 <= high:
        return INCONCLUSIVE, "the interval includes no difference"
    if row["p_corrected"] >= alpha:
        return INCONCLUSIVE, f"{UNTOLD} no difference"
    if low > 0:
        return SUPPORTED, "the interval lies wholly on the claimed side"
    return CONTRADICTED, "the interval lies wholly on the other side"


def of_non_superiority(row: Mapping[str, Any], margin: float, alpha: float) -> tuple[str, str]:
    """Verdict and reason of a claim that something does not rise.

    Supported: the interval lies wholly below the margin, and so does the corrected test, whether the value falls or
    not; contradicted: both lie above it. Inconclusive where the base is not told from chance (``floor`` says so).
    """
    if row["low"] <= margin <= row["high"]:
        return INCONCLUSIVE, f"the interval holds the margin of {margin:g}"
    if row["p_corrected"] >= alpha:
        return INCONCLUSIVE, f"{UNTOLD} a rise of the margin of {margin:g}"
    if row["low"] > margin:
        return CONTRADICTED, f"the interval lies wholly above the margin of {margin:g}"
    if row.get("floor"):
        return INCONCLUSIVE, row["floor"]
    return SUPPORTED, f"the interval lies wholly below the margin of {margin:g}"


def judge(rows: Sequence[tuple[Claim, Row]], settings: Mapping[str, Any]) -> None:
    """Fill in ``p_corrected``, ``verdict`` and ``reason`` of rows that belong together: Holm over all that are tested.

    A row with a text under ``excluded`` is inconclusive for that reason and does not count.
    """
    tested = [(claim, row) for claim, row in rows if not row["excluded"]]
    for (_, row), corrected in zip(tested, holm([row["p"] for _, row in tested]), strict=True):
        row["p_corrected"] = corrected
    for claim, row in rows:
        row |= dict(zip(("verdict", "reason"), verdict_of(claim, row, settings), strict=True))


def verdict_of(claim: Claim, row: Row, settings: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason of a row with its ``p_corrected``."""
    if row["excluded"]:
        return INCONCLUSIVE, row["excluded"]
    if claim.kind == NON_SUPERIORITY:
        return of_non_superiority(row, settings["margins"][claim.measure], settings["alpha"])
    return of_difference(row, claim.direction, settings["alpha"])


def decisive(claim: Claim, cells: Sequence[Row], alpha: float) -> Row:
    """The cell on whose numbers the verdict of "in at least one cell" rests; ``cells`` are judged and not excluded.

    Of the cells that support the claim, else of those on the claimed side, the one with the smallest p. Where all are
    on the other side: what is claimed of one is denied of all, so it rests on the least certain, the largest p.
    """
    claimed = [row for row in cells if claim.direction * row["estimate"] > 0]
    there = [row for row in claimed if of_difference(row, claim.direction, alpha)[0] == SUPPORTED]
    if claimed:
        return min(there or claimed, key=lambda row: row["p"])
    return max(cells, key=lambda row: row["p"])


def existence_p(claim: Claim, cells: Sequence[Row], alpha: float) -> float:
    """The p value of "in at least one cell", to be corrected with those of the other claims.

    On the claimed side that of the decisive cell after Holm's correction over the cells; where all cells are on the
    other side the largest of theirs, which needs no correction (an intersection-union test, Berger 1982).
    """
    row = decisive(claim, cells, alpha)
    return float(row["p_corrected"] if claim.direction * row["estimate"] > 0 else row["p"])


def of_existence(claim: Claim, cells: Sequence[Row], p_corrected: float, alpha: float) -> tuple[str, str]:
    """Verdict and reason of "in at least one cell" from its judged cells and its p over all claims."""
    there = [of_difference(row, claim.direction, alpha)[0] for row in cells].count(SUPPORTED)
    of_all = f"{there or 'none'} of {len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
    if there:
        if p_corrected < alpha:
            return SUPPORTED, f"in {of_all} after Holm's correction"
        return INCONCLUSIVE, f"in {of_all} after the correction over cells, but not after that over claims"
    against = all(max(claim.direction * row["low"], claim.direction * row["high"]) < 0 for row in cells)
    if against and p_corrected < alpha:
        return CONTRADICTED, "in every cell the interval lies wholly on the other side"
    return INCONCLUSIVE, f"in {of_all} after Holm's correction"
