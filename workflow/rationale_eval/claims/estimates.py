"""Estimates of contrasts: in one corpus with one model, and pooled over all that count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.claims.contrasts import Contrast
from rationale_eval.claims.registry import EQUIVALENCE, Claim
from rationale_eval.claims.verdicts import Row
from rationale_eval.statistics.comparison import compare, difference_p
from rationale_eval.statistics.resampling import Array, hierarchical_interval

# What a row of a claim says, whatever its kind; what does not apply is None.
VALUES = (
    *("n", "left_out", "first", "second", "estimate", "low", "high", "effect", "p", "p_beyond", "p_corrected"),
    *("corpora", "models", "seeds", "hierarchical_low", "hierarchical_high", "verdict", "reason"),
)


def _estimate(strata: Sequence[Array], claim: Claim, spec: Mapping[str, Any]) -> Row:
    """Estimate, interval and p values; nothing but n where there are too few instances for any."""
    margin = spec["claims"]["margins"][claim.measure]
    found = compare(strata, spec["interval"], margin)
    row: Row = dict.fromkeys(VALUES) | {"n": sum(map(len, strata))}
    if found is None:
        return row
    beyond = 1.0
    if abs(found.value) > margin:
        beyond = difference_p([stratum - math.copysign(margin, found.value) for stratum in strata])
    p = found.p_equivalent if claim.kind == EQUIVALENCE else found.p
    row |= {"estimate": found.value, "low": found.low, "high": found.high, "effect": found.effect}
    return row | {"p": p, "p_beyond": beyond}


def _mean_of(models: Sequence[pd.Series | None]) -> float | None:
    """The mean over instances of the mean over models, as an estimate is made; None where a model has no values."""
    known = [values for values in models if values is not None]
    return float(pd.concat(known, axis=1).mean(axis=1).mean()) if len(known) == len(models) else None


def cell_row(contrast: Contrast, claim: Claim, spec: Mapping[str, Any]) -> Row:
    """The row of one corpus and model. Runs with several seeds are averaged within an instance."""
    row = _estimate([contrast.by_instance.to_numpy(dtype=float)], claim, spec)
    row |= {"first": _mean_of([contrast.first]), "second": _mean_of([contrast.second]), "left_out": contrast.left_out}
    row |= {"corpora": 1, "models": 1, "seeds": contrast.values.shape[1]}
    lacking = "" if row["estimate"] is not None else "fewer than two instances have all values"
    return row | {"corpus": contrast.corpus, "model": contrast.model, "excluded": contrast.excluded or lacking}


def _by_corpus(found: Sequence[Contrast]) -> dict[str, dict[str, Contrast]]:
    result: dict[str, dict[str, Contrast]] = {}
    for contrast in found:
        result.setdefault(contrast.corpus, {})[contrast.model] = contrast
    return result


def _array(contrasts: Mapping[str, Contrast], models: Sequence[str], seeds: int) -> Array:
    """(models, seeds, instances) of one corpus; NaN where there is no value."""
    ids = sorted(set().union(*(contrast.values.index for contrast in contrasts.values())))
    values = np.full((len(models), seeds, len(ids)), np.nan)
    for place, model in enumerate(models):
        if model in contrasts:
            known = contrasts[model].values.reindex(ids).to_numpy(dtype=float).T
            values[place, : len(known)] = known
    return values


def pooled_row(contrasts: Sequence[Contrast], claim: Claim, spec: Mapping[str, Any]) -> Row:
    """The row over all corpora and models that are not excluded.

    An instance has the mean over models and seeds; the estimate is the mean over corpora of the means over instances.
    """
    counted = [one for one in contrasts if not one.excluded]
    if not counted:
        reasons = "; ".join(dict.fromkeys(one.excluded for one in contrasts))
        return dict.fromkeys(VALUES) | {"n": 0, "excluded": reasons}
    by_corpus = _by_corpus(counted)
    models = list(dict.fromkeys(one.model for one in counted))
    seeds = max(one.values.shape[1] for one in counted)
    strata = [
        pd.concat([one.by_instance for one in found.values()], axis=1).mean(axis=1).to_numpy(dtype=float)
        for found in by_corpus.values()
    ]
    row = _estimate(strata, claim, spec)
    row |= {"corpora": len(by_corpus), "models": len(models), "seeds": seeds}
    row["left_out"] = sum(one.left_out for one in counted)
    for side in ("first", "second"):
        means = [_mean_of([getattr(one, side) for one in found.values()]) for found in by_corpus.values()]
        row[side] = float(np.mean([mean for mean in means if mean is not None])) if None not in means else None
    if max(len(by_corpus), len(models), seeds) > 1:
        arrays = [_array(found, models, seeds) for found in by_corpus.values()]
        row["hierarchical_low"], row["hierarchical_high"] = hierarchical_interval(arrays, spec["interval"])
    return row | {"excluded": ""}
