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
from rationale_eval.statistics.rare import FEW, extended_means, few_differ, nonzero, rare_interval, sign_flip_p
from rationale_eval.statistics.resampling import Array, mean_of_means, stratified_interval

# Draws of the weights behind a p value, which can so be no smaller than one in ten thousand.
_DRAWS = 9_999


@dataclass(frozen=True)
class Comparison:
    """The mean difference over ``n`` instances, ``nonzero`` of which differ at all, with its interval.

    ``effect``: Cohen's d_z, the mean in standard deviations of the differences; None where these do not vary. ``p``: of
    the two-sided test against no difference, ``difference_p``; ``p_sign_flip``: of the sign-flip test alone, None with
    ``FEW`` non-zero differences or more. ``p_not_above``: of the one-sided test against a difference of the margin or
    more, small where it lies below, and None without a margin.
    """

    n: int
    nonzero: int
    value: float
    low: float
    high: float
    effect: float | None
    p: float
    p_sign_flip: float | None
    p_not_above: float | None


def _t_quantities(strata: Sequence[Array]) -> tuple[float, float, float]:
    """Mean of the strata's means, its standard error, and degrees of freedom by Welch and Satterthwaite."""
    # The variance of equal values rounds to more than 0.
    variances = np.array([stratum.var(ddof=1) / len(stratum) if np.ptp(stratum) else 0.0 for stratum in strata])
    freedom = np.array([len(stratum) - 1 for stratum in strata])
    value, total = float(mean_of_means(*strata)), float(variances.sum())
    error = math.sqrt(total) / len(strata)
    return value, error, float(total**2 / (variances**2 / freedom).sum()) if total else math.inf


def difference_p(strata: Sequence[Array]) -> float:
    """The two-sided p value of no mean difference: the paired t test, with strata its Welch form.

    With fewer than ``FEW`` non-zero differences it is the larger one of this and the sign-flip test. Where no value
    varies it is that of the sign test, and 1 for no difference at all.
    """
    value, error, freedom = _t_quantities(strata)
    if error > 0:
        p = float(2 * stats.t.sf(abs(value) / error, freedom))
        return max(p, sign_flip_p(strata)) if _nonzero(strata) < FEW else p
    signs = {float(np.sign(stratum[0])) for stratum in strata}
    return min(1.0, 2 * 0.5 ** sum(map(len, strata))) if signs in ({1.0}, {-1.0}) else 1.0


def _nonzero(strata: Sequence[Array]) -> int:
    return sum(int(nonzero(stratum).sum()) for stratum in strata)


def non_superiority_p(
    strata: Sequence[Array],
    margin: float,
    bounds: tuple[float, float] = DIFFERENCE,
    chance: Sequence[Array] | None = None,
) -> float:
    """The one-sided p value of a mean difference of ``margin`` or more: small where it lies below.

    It is the t test, with strata its Welch form. Where few differences are not the same it is the larger one of this
    and the share of weights that bring Gaffke's upper bound (``extended_means``) to the margin; ``bounds`` and
    ``chance`` are as in ``compare``. Where no value varies: the chance to see none, if just so many instances had the
    largest difference as would bring the mean to the margin.
    """
    value, error, freedom = _t_quantities(strata)
    p = float(stats.t.cdf((value - margin) / error, freedom)) if error > 0 else float(value >= margin)
    highest = _extremes(strata, bounds, chance)[1]
    if p == 1.0 or not _few(strata, chance):
        return p
    if error == 0 and len(strata) == 1:
        return float((1 - (margin - value) / (highest[0] - value)) ** len(strata[0]))
    (means,) = extended_means(strata, [highest], _DRAWS, seed=0)
    return max(p, (int((means >= margin).sum()) + 1) / (_DRAWS + 1))


def _few(strata: Sequence[Array], chance: Sequence[Array] | None) -> bool:
    if chance is None:
        return few_differ(strata)
    return few_differ([values + expected for values, expected in zip(strata, chance, strict=True)])


def _extremes(
    strata: Sequence[Array], bounds: tuple[float, float], chance: Sequence[Array] | None
) -> tuple[list[float], list[float]]:
    """For each stratum the smallest and the largest difference that an instance can have."""
    if chance is None:
        return [bounds[0]] * len(strata), [bounds[1]] * len(strata)
    return [bounds[0] - float(one.max()) for one in chance], [bounds[1] - float(one.min()) for one in chance]


def _interval(
    strata: Sequence[Array],
    interval: Mapping[str, Any],
    bounds: tuple[float, float],
    chance: Sequence[Array] | None,
) -> tuple[float, float]:
    """That of the mean of the strata's means: of values that do not vary, of which few differ, or the bootstrap's."""
    lowest, highest = _extremes(strata, bounds, chance)
    if all(np.ptp(stratum) == 0 for stratum in strata):
        ends = [
            constant_interval(float(one[0]), len(one), interval["level"], between)
            for one, between in zip(strata, zip(lowest, highest, strict=True), strict=True)
        ]
        low, high = (float(np.mean([end[side] for end in ends])) for side in (0, 1))
        return low, high
    if _few(strata, chance):
        return rare_interval(strata, lowest, highest, interval)
    return stratified_interval(strata, interval)


def compare(
    strata: Sequence[Array],
    interval: Mapping[str, Any],
    margin: float | None = None,
    bounds: tuple[float, float] = DIFFERENCE,
    chance: Sequence[Array] | None = None,
) -> Comparison | None:
    """The comparison from differences within ``bounds``, one per instance; None unless every stratum has two.

    ``chance`` holds for each difference what was subtracted from it as the expectation of random words: it varies
    where all F1 are 0 too, so whether few differ is judged without it, and ``bounds`` are those of what is left.
    """
    if not strata or min(map(len, strata)) < 2:
        return None
    n, differing, value = sum(map(len, strata)), _nonzero(strata), float(mean_of_means(*strata))
    low, high = _interval(strata, interval, bounds, chance)
    varies = any(np.ptp(stratum) > 0 for stratum in strata)
    spread = math.sqrt(float(np.mean([stratum.var(ddof=1) for stratum in strata])))
    return Comparison(
        n,
        differing,
        value,
        low,
        high,
        effect=value / spread if varies else None,
        p=difference_p(strata),
        p_sign_flip=sign_flip_p(strata) if differing < FEW else None,
        p_not_above=None if margin is None else non_superiority_p(strata, margin, bounds, chance),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p values corrected by Holm (1979) for all of a table; None stays and does not count."""
    known = [p for p in p_values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1] if len(known) > 1 else known)
    return [None if p is None else float(next(corrected)) for p in p_values]
