"""Intervals and tests where few values differ from the rest, as F1 does where hits are rare.

There the values seen say little of those that were missed by chance, and a bootstrap resamples only what was seen: of
F1 that are all 0 it says that nothing else can occur. Values here are known to lie within bounds, and the bound of
Gaffke (2005) puts one more instance at the end of its range, with weights as of the Bayesian bootstrap. For zeros and
ones this is the interval of Clopper and Pearson (1934). That the bound holds at every size of sample is a conjecture
without a known exception (Learned-Miller & Thomas 2019); benchmarks/coverage.py measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rationale_eval.statistics.resampling import Array

# Fewer values than this that differ from the rest are few: for intervals, and for a sign-flip test beside the t test.
FEW = 30
# Values are stored in single precision, and means over methods round: smaller differences are none.
SAME = 1e-6
# Weights held at once: a million doubles are 8 MB.
_HELD = 1_000_000


def nonzero(differences: Array) -> npt.NDArray[np.bool_]:
    """Which ``differences`` are not 0."""
    return np.abs(differences) > SAME


def few_differ(strata: Sequence[Array]) -> bool:
    """Whether most values are one and the same, in each stratum its own, and fewer than ``FEW`` differ from it."""
    n, same = 0, 0
    for values in strata:
        n += len(values)
        same += int(np.unique(np.round(values / SAME), return_counts=True)[1].max())
    return n - same < min(FEW, n / 2)


def extended_means(strata: Sequence[Array], ends: Sequence[Sequence[float]], draws: int, seed: int) -> list[Array]:
    """Draws of the mean of the strata's means, each stratum with one more instance: (draws,) for each of ``ends``.

    One of ``ends`` has for each stratum the value of that instance. Weights of instances are uniform on the simplex
    (Dirichlet with ones): the quantile at 1 - a is the upper bound of Gaffke if the end is the largest possible value,
    that at a the lower bound if it is the smallest.
    """
    rng = np.random.default_rng(seed)
    found = [np.zeros(draws) for _ in ends]
    for place, values in enumerate(strata):
        # Of equal values, which are most as a rule, the weights are drawn together.
        different, counts = np.unique(values, return_counts=True)
        rows = max(1, _HELD // len(different))
        for start in range(0, draws, rows):
            part = slice(start, min(start + rows, draws))
            weights = rng.standard_gamma(counts, (part.stop - start, len(different)))
            spare = rng.standard_exponential(len(weights))
            total = weights.sum(axis=1) + spare
            for means, end in zip(found, ends, strict=True):
                means[part] += (weights @ different + spare * end[place]) / total
    return [means / len(strata) for means in found]


def rare_interval(
    strata: Sequence[Array], lowest: Sequence[float], highest: Sequence[float], interval: Mapping[str, Any]
) -> tuple[float, float]:
    """The interval of the mean of the strata's means from Gaffke's bounds on both sides.

    ``lowest`` and ``highest`` are the smallest and largest value that an instance of each stratum can have;
    ``interval`` gives ``resamples``, ``seed`` and ``level``.
    """
    tail = (1 - interval["level"]) / 2
    below, above = extended_means(strata, (lowest, highest), interval["resamples"], interval["seed"])
    return float(np.quantile(below, tail)), float(np.quantile(above, 1 - tail))


def signed_sums(values: Array) -> Array:
    """The sums of ``values`` under all choices of their signs: (2 ** len(values),)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def sign_flip_p(strata: Sequence[Array]) -> float:
    """The two-sided p value of the sign-flip test of no mean difference; 1 where all differences are 0.

    Under the null the sign of each difference is as likely the other one. The statistic is the mean of the strata's
    means; p is the share of all choices of signs that bring it as far from 0 as it is. It is exact: the sums of two
    halves of the non-zero values are put together by sorting one of them. Raises ``ValueError`` with ``FEW`` non-zero
    differences or more, for which that would take long.
    """
    parts = np.concatenate([values[nonzero(values)] / (len(values) * len(strata)) for values in strata])
    if len(parts) >= FEW:
        raise ValueError(f"{len(parts)} non-zero differences, of fewer than {FEW}")
    half = len(parts) // 2
    one, other = signed_sums(parts[:half]), np.sort(signed_sums(parts[half:]))
    # Values stored in single precision, such as thirds, would break the ties of the sums that they come to.
    far = abs(float(parts.sum())) - SAME * float(np.abs(parts).sum())
    within = np.searchsorted(other, far - one, side="left") - np.searchsorted(other, -far - one, side="right")
    return 1.0 - float(np.maximum(within, 0).sum()) / (len(one) * len(other))
