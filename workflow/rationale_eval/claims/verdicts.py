"""From an estimate to a verdict. A row is one contrast: in one corpus with one model, or pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rationale_eval.claims.registry import EQUIVALENCE, Claim
from rationale_eval.statistics.comparison import holm

SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED = "supported", "contradicted", "inconclusive", "not tested"
Row = dict[str, Any]


def of_difference(row: Mapping[str, Any], direction: int, alpha: float) -> tuple[str, str]:
    """Verdict and reason of a directed difference.

    Supported: the interval lies wholly on the claimed side of 0 and the corrected p is below ``alpha``; contradicted:
    the same on the other side.
    """
    low, high = sorted((direction * row["low"], direction * row["high"]))
    if low <= 0 <= high:
        return INCONCLUSIVE, "the interval includes no difference"
    if row["p_corrected"] >= alpha:
        return INCONCLUSIVE, "after the correction for the other rows the test does not tell it from no difference"
    if low > 0:
        return SUPPORTED, "the interval lies wholly on the claimed side"
    return CONTRADICTED, "the interval lies wholly on the other side"


def of_equivalence(row: Mapping[str, Any], margin: float, alpha: float) -> tuple[str, str]:
    """Verdict and reason of an equivalence.

    Supported: both one-sided tests, corrected, put the difference within the margin; contradicted: the interval lies
    wholly beyond it, and so does the corrected test.
    """
    if row["p_corrected"] < alpha:
        return SUPPORTED, f"the difference lies within {margin:g} of none"
    beyond = row["p_beyond"] < alpha
    if row["low"] > margin and beyond:
        return CONTRADICTED, f"the interval lies wholly above the margin of {margin:g}"
    if row["high"] < -margin and beyond:
        return CONTRADICTED, f"the interval lies wholly below the margin of \N{MINUS SIGN}{margin:g}"
    return INCONCLUSIVE, f"the interval is not clear of the margin of {margin:g}"


def judge(rows: Sequence[tuple[Claim, Row]], settings: Mapping[str, Any]) -> None:
    """Fill in ``p_corrected``, ``verdict`` and ``reason`` of the rows of one table: Holm over all that are tested.

    A row with a text under ``excluded`` is inconclusive for that reason and does not count.
    """
    tested = [(claim, row) for claim, row in rows if not row["excluded"]]
    p_values, beyond = (holm([row[name] for _, row in tested]) for name in ("p", "p_beyond"))
    for (claim, row), corrected, outside in zip(tested, p_values, beyond, strict=True):
        row |= {"p_corrected": corrected, "p_beyond": outside}
        if claim.kind == EQUIVALENCE:
            verdict = of_equivalence(row, settings["margins"][claim.measure], settings["alpha"])
        else:
            verdict = of_difference(row, claim.direction, settings["alpha"])
        row["verdict"], row["reason"] = verdict
    for _, row in rows:
        if row["excluded"]:
            row |= {"p_corrected": None, "verdict": INCONCLUSIVE, "reason": row["excluded"]}


def of_existence(cells: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Verdict and reason of "in at least one cell", from the corrected verdicts of the cells."""
    verdicts = [cell["verdict"] for cell in cells]
    there, count = verdicts.count(SUPPORTED), len(verdicts)
    if there:
        return SUPPORTED, f"in {there} of {count} {'cell' if count == 1 else 'cells'} after Holm's correction"
    if verdicts and verdicts.count(CONTRADICTED) == count:
        return CONTRADICTED, "in every cell the interval lies wholly on the other side"
    return INCONCLUSIVE, f"in none of {count} {'cell' if count == 1 else 'cells'} after Holm's correction"
