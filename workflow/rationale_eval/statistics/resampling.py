"""Bootstrap intervals of means: over instances within strata, and over corpora, models, seeds and instances.

``interval`` is a mapping with ``resamples``, ``level`` and ``seed``; the seed starts anew for each interval, so that
none depends on which others are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]
# Resampled values held at once: 2 million doubles are 16 MB, whatever the number of instances.
_HELD = 2_000_000


def mean_of_means(*strata: Array, axis: int = -1) -> Any:
    """The mean over strata of the mean of each along ``axis``: strata count alike, whatever their sizes."""
    return sum(stratum.mean(axis=axis) for stratum in strata) / len(strata)


@lru_cache(maxsize=16)
def _counts(sizes: tuple[int, ...], resamples: int, seed: int) -> tuple[npt.NDArray[np.uint8], ...]:
    """For strata of these sizes how often each instance is drawn: (resamples, size) each.

    The draws are those of ``scipy.stats.bootstrap`` from the same seed, so that intervals are too; but made once for
    all methods and measures of the same instances, which is most of the time of an interval.
    """
    rng = np.random.default_rng(seed)
    found = [np.empty((resamples, size), dtype=np.uint8) for size in sizes]
    rows = max(1, _HELD // max(sizes))
    for start in range(0, resamples, rows):
        for size, counts in zip(sizes, found, strict=True):
            drawn = rng.integers(0, size, (min(rows, resamples - start), size))
            drawn += size * np.arange(len(drawn))[:, None]
            # An instance is drawn once on average: 256 times of one row is beyond what can happen.
            counts[start : start + rows] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
    return tuple(found)


def resampled_means(strata: Sequence[Array], interval: Mapping[str, Any]) -> Array:
    """The mean of the strata's means in each resample, instances drawn within each stratum: (resamples,).

    Equal sizes of strata are drawn alike: means of two measures of the same instances can be compared by resample.
    """
    draws = interval["resamples"]
    total = np.zeros(draws)
    for values, counts in zip(strata, _counts(tuple(map(len, strata)), draws, interval["seed"]), strict=True):
        rows = max(1, _HELD // len(values))
        for start in range(0, draws, rows):
            total[start : start + rows] += counts[start : start + rows].astype(float) @ values / len(values)
    return total / len(strata)


def stratified_interval(strata: Sequence[Array], interval: Mapping[str, Any]) -> tuple[float, float]:
    """The BCa bootstrap interval (Efron 1987) of the mean of the strata's means, resampling within each stratum.

    ``strata`` hold one value per instance, two at least, not all equal within every stratum. One stratum: the interval
    of a mean.
    """
    resampled = resampled_means(strata, interval)
    found = stats.bootstrap(
        tuple(strata),
        mean_of_means,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=resampled),
        batch=max(1, _HELD // max(map(len, strata))),
        confidence_level=interval["level"],
        method="BCa",
    ).confidence_interval
    return float(found.low), float(found.high)


def hierarchical_interval(corpora: Sequence[Array], interval: Mapping[str, Any]) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over corpora, models, seeds and instances, all of them resampled.

    ``corpora``: for each corpus an array (models, seeds, instances), models in the same order everywhere; NaN where a
    value is missing. Corpora and models are crossed, and drawn with replacement independently of each other (Owen
    2007); seeds are drawn within a model, instances within a corpus and the same ones for all its models and seeds. A
    level with one unit does not vary. With few units the interval is too short: benchmarks/coverage.py says how much.
    """
    rng = np.random.default_rng(interval["seed"])
    draws, count, models = interval["resamples"], len(corpora), len(corpora[0])
    which_corpora = rng.integers(count, size=(draws, count))
    which_models = rng.integers(models, size=(draws, models))
    means = np.full((draws, count), np.nan)
    for place in range(count):
        for corpus, values in enumerate(corpora):
            chosen = np.flatnonzero(which_corpora[:, place] == corpus)
            for part in np.array_split(chosen, -(-len(chosen) * values.size // _HELD) or 1):
                means[part, place] = _means(values, which_models[part], rng)
    known = ~np.isnan(means)
    # A draw of none but missing combinations of corpus and model has no mean.
    totals = np.where(known, means, 0.0).sum(axis=1)[known.any(axis=1)] / known.sum(axis=1)[known.any(axis=1)]
    tail = (1 - interval["level"]) / 2
    low, high = np.quantile(totals, [tail, 1 - tail])
    return float(low), float(high)


def _means(values: Array, models: npt.NDArray[np.int64], rng: np.random.Generator) -> Array:
    """For each row of ``models`` the mean of these models' values, seeds and instances drawn anew."""
    _, seeds, instances = values.shape
    rows = len(models)
    seed = rng.integers(seeds, size=(rows, models.shape[1], seeds, 1))
    instance = rng.integers(instances, size=(rows, 1, 1, instances))
    drawn = values[models[:, :, None, None], seed, instance]
    known = ~np.isnan(drawn)
    counts = known.sum(axis=(2, 3))
    sums = np.where(known, drawn, 0.0).sum(axis=(2, 3))
    by_model = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    there = ~np.isnan(by_model)
    total = np.where(there, by_model, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, there.sum(axis=1), out=np.full(rows, np.nan), where=there.any(axis=1)))
