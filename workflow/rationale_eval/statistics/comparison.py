"""Comparing two conditions on the same instances: difference, interval, effect size, tests, and correction for many.

All work on differences, one per instance, in strata (corpora) that count alike. One stratum is the ordinary case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from rationale_eval.statistics.intervals import DIFFERENCE, constant_interval
from rationale_eval.statistics.resampling import Array, mean_of_means, stratified_interval


@dataclass(frozen=True)
class Comparison:
    """The mean difference over ``n`` instances with its interval.

    ``effect``: Cohen's d_z, the mean in standard deviations of the differences; None where these do not vary. ``p``: of
    the two-sided test against no difference. ``p_equivalent``: of the two one-sided tests against a difference of the
    margin or more; None without a margin.
    """

    n: int
    value: float
    low: float
    high: float
    effect: float | None
    p: float
    p_not_above: float | None


def _t_quantities(strata: Sequence[Array]) -> tuple[float, float, float]:
    """Mean of the strata's means, its standard error, and degrees of freedom by Welch and Satterthwaite."""
    variances = np.array([stratum.var(ddof=1) / len(stratum) for stratum in strata])
    freedom = np.array([len(stratum) - 1 for stratum in strata])
    value, total = float(mean_of_means(*strata)), float(variances.sum())
    error = math.sqrt(total) / len(strata)
    return value, error, float(total**2 / (variances**2 / freedom).sum()) if total else math.inf


def difference_p(strata: Sequence[Array]) -> float:
    """The two-sided p value of no mean difference: the paired t test, with strata its Welch form.

    Where no value varies it is that of the sign test, and 1 for no difference at all.
    """
    value, error, freedom = _t_quantities(strata)
    if error > 0:
        return float(2 * stats.t.sf(abs(value) / error, freedom))
    signs = {float(np.sign(stratum[0])) for stratum in strata}
    return min(1.0, 2 * 0.5 ** sum(map(len, strata))) if signs in ({1.0}, {-1.0}) else 1.0


def non_superiority_p(strata, margin):
    value, error, freedom = _t_quantities(strata)
    if error > 0:
        return float(stats.t.cdf((value - margin) / error, freedom))
    if value >= margin:
        return 1.0
    return float((1 - (margin - value) / (1 - value)) ** sum(map(len, strata)))


def compare(strata: Sequence[Array], interval: Mapping[str, Any], margin: float | None = None) -> Comparison | None:
    """The comparison from differences between -1 and 1, one per instance; None unless every stratum has two."""
    if not strata or min(map(len, strata)) < 2:
        return None
    n, value = sum(map(len, strata)), float(mean_of_means(*strata))
    if all(np.ptp(stratum) == 0 for stratum in strata):
        bounds = [constant_interval(float(one[0]), len(one), interval["level"], DIFFERENCE) for one in strata]
        low, high = (float(np.mean([bound[end] for bound in bounds])) for end in (0, 1))
        effect = None
    else:
        low, high = stratified_interval(strata, interval)
        effect = value / math.sqrt(float(np.mean([stratum.var(ddof=1) for stratum in strata])))
    equivalent = None if margin is None else non_superiority_p(strata, margin)
    return Comparison(n, value, low, high, effect, difference_p(strata), equivalent)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p values corrected by Holm (1979) for all of a table; None stays and does not count."""
    known = [p for p in p_values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1] if len(known) > 1 else known)
    return [None if p is None else float(next(corrected)) for p in p_values]
