"""Which interval a mean gets: of a share Wilson's, of values of which few differ Gaffke's, else the bootstrap's.

The bootstrap misses rare hits and flips too often at a hundred instances; benchmarks/coverage.py measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from rationale_eval.statistics.rare import SAME, few_differ, rare_interval
from rationale_eval.statistics.resampling import stratified_interval

Interval = tuple[float | None, float | None]
# Where values lie: shares and scores, and differences of them.
SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)


def proportion_interval(successes: int, n: int, level: float) -> Interval:
    """The Wilson score interval of a proportion; none without observations."""
    if not n:
        return None, None
    found = stats.binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return float(found.low), float(found.high)


def constant_interval(value: float, n: int, level: float, bounds: tuple[float, float]) -> Interval:
    """An interval of the mean where all ``n`` values are equal, and values lie within ``bounds``.

    The share of instances with another value is at most u = 1 - ((1 - level) / 2)^(1/n), the bound of Clopper and
    Pearson (1934) for none of n, and these can lie anywhere in the bounds. For a rate of 0 or 1 it is the
    Clopper-Pearson interval.
    """
    most = float(stats.binomtest(0, n).proportion_ci(confidence_level=level, method="exact").high)
    low, high = bounds
    return value - most * (value - low), value + most * (high - value)


def mean_interval(
    values: Sequence[float], interval: Mapping[str, Any], bounds: tuple[float, float] | None = SHARE
) -> Interval:
    """The interval of the mean of ``values``, one per instance; none without values.

    ``interval`` gives ``resamples``, ``seed`` and ``level``. Zeros and ones have Wilson's interval, equal values
    ``constant_interval`` (none where ``bounds`` are not known), values of which few differ from the rest
    ``rare_interval`` (where ``bounds`` are known), all others the BCa bootstrap.
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if not n:
        return None, None
    if np.ptp(data) == 0:
        return (None, None) if bounds is None else constant_interval(float(data[0]), n, interval["level"], bounds)
    if np.isin(data, (0.0, 1.0)).all():
        return proportion_interval(int(data.sum()), n, interval["level"])
    if bounds is not None and few_differ([data]):
        return rare_interval([data], bounds[:1], bounds[1:], interval)
    return stratified_interval([data], interval)


def corrected_interval(f1: Sequence[float], chance: Sequence[float], interval: Mapping[str, Any]) -> Interval:
    """The interval of the mean of ``f1`` minus ``chance``, one value of each per instance; none without values.

    ``chance`` is the F1 that random words are expected to have. It varies where all F1 are 0 too, so whether few values
    differ is judged of ``f1`` alone: then the interval is ``rare_interval``, in which one more instance can have any F1
    beside any chance that was seen, else the BCa bootstrap of the differences.
    """
    if not len(f1):
        return None, None
    scores, expected = np.asarray(f1, dtype=float), np.asarray(chance, dtype=float)
    differences = scores - expected
    lowest, highest = -float(expected.max()), 1 - float(expected.min())
    if np.ptp(differences) < SAME:
        return constant_interval(float(differences[0]), len(scores), interval["level"], (lowest, highest))
    if few_differ([scores]):
        return rare_interval([differences], [lowest], [highest], interval)
    return stratified_interval([differences], interval)
