"""Rank correlation, and its interval."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from rationale_eval.statistics.resampling import Array


def kendall(first: Array, second: Array) -> Array:
    """Kendall's tau-b of two rankings along the last axis; where one of them is all ties it is NaN."""
    left, right = np.triu_indices(first.shape[-1], 1)
    a, b = np.sign(first[..., left] - first[..., right]), np.sign(second[..., left] - second[..., right])
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return np.asarray(np.divide((a * b).sum(axis=-1), scale, out=np.full(scale.shape, np.nan), where=scale > 0))


def kendall_interval(tau: float, n: int, level: float) -> tuple[float, float]:
    """The interval of Kendall's tau by Fisher's z, with the variance 0.437 / (n - 4) of Fieller et al. (1957).

    At a tau of 1 or -1, where z is infinite, it reaches from there to what the variance leaves at the nearest value.
    """
    near = math.copysign(1 - 1 / n, tau) if abs(tau) >= 1 else tau
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(0.437 / max(1, n - 4))
    low, high = math.tanh(math.atanh(near) - half), math.tanh(math.atanh(near) + half)
    return (min(low, tau), max(high, tau)) if abs(tau) >= 1 else (low, high)
