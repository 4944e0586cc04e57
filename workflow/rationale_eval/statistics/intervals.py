"""Which interval a mean gets: of a share Wilson's, of equal values that of Clopper and Pearson, else the bootstrap's.

The percentile bootstrap misses rare flips too often at a hundred instances; benchmarks/coverage.py measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

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
    ``constant_interval`` (none where ``bounds`` are not known), all others the BCa bootstrap.
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if not n:
        return None, None
    if np.ptp(data) == 0:
        return (None, None) if bounds is None else constant_interval(float(data[0]), n, interval["level"], bounds)
    if np.isin(data, (0.0, 1.0)).all():
        return proportion_interval(int(data.sum()), n, interval["level"])
    return stratified_interval([data], interval)
