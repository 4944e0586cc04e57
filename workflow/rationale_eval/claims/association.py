"""Do flip rates follow accuracy or collapse? A rank correlation over the cells of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from rationale_eval.claims.contrasts import NotTestedError, Weighted, of_method
from rationale_eval.claims.estimates import VALUES
from rationale_eval.claims.registry import Claim
from rationale_eval.claims.verdicts import Row
from rationale_eval.report.layout import Cell
from rationale_eval.report.measured import Measured

# With four cells even a perfect rank correlation has a two-sided p of 1/12.
FEWEST = 5


def kendall_interval(tau: float, n: int, level: float) -> tuple[float, float]:
    """The interval of Kendall's tau by Fisher's z, with the variance 0.437 / (n - 4) of Fieller et al. (1957)."""
    if abs(tau) >= 1 or n <= 4:
        # z is infinite there: the interval is what the variance leaves at the nearest smaller value.
        tau = math.copysign(1 - 1 / n, tau) if abs(tau) >= 1 else tau
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(0.437 / max(1, n - 4))
    return math.tanh(math.atanh(tau) - half), math.tanh(math.atanh(tau) + half)


def association_row(
    claim: Claim, terms: Sequence[Weighted], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]
) -> Row:
    """Kendall's tau-b of the cells' flip rates with accuracy or with the share of the most predicted label.

    A cell's flip rate is the mean over the claim's methods. Collapsed cells count: they are what it is about. Raises
    ``NotTestedError`` with fewer than ``FEWEST`` cells, or where one of the two does not vary.
    """
    rates, others = [], []
    for cell in cells.values():
        found = [of_method(cell.values[claim.measure], term.method, term.budget) for term in terms]
        other = cell.majority_share if claim.against == "majority_predicted_share" else cell.correct.mean()
        if all(map(len, found)) and other is not None:
            rates.append(float(np.mean([values.mean() for values in found])))
            others.append(float(other))
    if len(rates) < FEWEST:
        raise NotTestedError(f"{len(rates)} cells, and a rank correlation over fewer than {FEWEST} says nothing")
    tau, p = stats.kendalltau(others, rates)
    if math.isnan(tau):
        raise NotTestedError("flip rates, or what they are compared with, are the same in all cells")
    low, high = kendall_interval(float(tau), len(rates), spec["interval"]["level"])
    row = {"n": len(rates), "estimate": float(tau), "low": low, "high": high, "p": float(p)}
    return dict.fromkeys(VALUES) | row | {"excluded": ""}
