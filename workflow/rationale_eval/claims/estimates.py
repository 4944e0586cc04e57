"""Estimates of contrasts: in one corpus with one model, and pooled over all that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.claims.contrasts import Contrast
from rationale_eval.claims.registry import ALIGNMENT, NON_SUPERIORITY, Claim
from rationale_eval.claims.verdicts import Row
from rationale_eval.report.layout import BEYOND
from rationale_eval.report.wording import number_with_interval
from rationale_eval.statistics.comparison import compare, difference_p
from rationale_eval.statistics.intervals import DIFFERENCE, SHARE
from rationale_eval.statistics.resampling import Array, hierarchical_interval

# What a row of a claim says, whatever its kind; what does not apply is None. `n_informative`: instances in which the
# words compared could have been others; `nonzero`: in which the contrast is not 0. `p` is of the hypothesis that the
# verdict would reject, `p_corrected` by Holm; `p_sign_flip` stands beside it where few instances differ.
# `usable_…`: the same contrast over the instances all of whose replies name a word of the text, where replies are
# compared; its p is not corrected, and it decides nothing.
VALUES = (
    *(
        "n",
        "n_informative",
        "nonzero",
        "left_out",
        "first",
        "second",
        "estimate",
        "low",
        "high",
        "effect",
        "p",
        "p_sign_flip",
    ),
    "p_corrected",
    *("corpora", "models", "seeds", "hierarchical_low", "hierarchical_high"),
    *("usable_n", "usable_estimate", "usable_low", "usable_high", "usable_p", "verdict", "reason"),
)
FEWEST_USABLE = 5


def _estimate(contrasts: Sequence[Contrast], claim: Claim, spec: Mapping[str, Any]) -> Row:
    """Estimate, interval and p value; nothing but n where there are too few instances for any.

    The p value of non-superiority is that of the side of the margin on which the estimate lies: below it the one-sided
    one of a rise of the margin or more, above it the two-sided one of a rise of just the margin.
    """
    strata = _strata(contrasts)
    row: Row = dict.fromkeys(VALUES) | {"n": sum(map(len, strata))}
    margin = spec["claims"]["margins"][claim.measure] if claim.kind == NON_SUPERIORITY else None
    chance = None if any(one.chance is None for one in contrasts) else _strata(contrasts, "chance")
    found = compare(strata, spec["interval"], margin, bounds_of(claim, chance is not None), chance)
    if found is None:
        return row
    p: float | None = found.p
    if margin is not None:
        above = found.value > margin
        p = difference_p([stratum - margin for stratum in strata]) if above else found.p_not_above
    row |= {"estimate": found.value, "low": found.low, "high": found.high, "effect": found.effect}
    # The sign-flip test is of no difference at all: it says nothing of a margin.
    return row | {"p": p, "nonzero": found.nonzero, "p_sign_flip": found.p_sign_flip if margin is None else None}


def bounds_of(claim: Claim, without_chance: bool) -> tuple[float, float]:
    """Where the contrast of one instance can lie: weighted flips or F1, which are 0 to 1 each.

    Flips beyond random words, and F1 above chance unless it is judged ``without_chance``, are -1 to 1 each.
    """
    up, down = (float(sum(max(0, sign * term.weight) for term in claim.terms)) for sign in (1, -1))
    if claim.measure == BEYOND or (claim.measure == ALIGNMENT and not without_chance):
        return -(up + down), up + down
    return -down, up


def at_floor(contrasts: Sequence[Contrast], claim: Claim, spec: Mapping[str, Any]) -> str:
    """Whether the base of a claim of non-superiority is not told from chance, in words; empty if it is above.

    What is at chance before cannot show that something is not gained.
    """
    if claim.kind != NON_SUPERIORITY or not contrasts or any(one.second is None for one in contrasts):
        return ""
    chance = None if any(one.second_chance is None for one in contrasts) else _strata(contrasts, "second_chance")
    base = compare(
        _strata(contrasts, "second"), spec["interval"], bounds=DIFFERENCE if chance is None else SHARE, chance=chance
    )
    if base is None or base.low > 0:
        return ""
    shown = number_with_interval(base.value, base.low, base.high)
    return f"before fine-tuning it is not told from chance ({shown})"


def _among_usable(contrasts: Sequence[Contrast], claim: Claim, spec: Mapping[str, Any]) -> Row:
    """The contrast over instances with usable replies at all checkpoints, corpora alike.

    Collapsed cells are left out, and those with fewer than two such instances. There is no estimate from fewer than
    ``FEWEST_USABLE``, of which the interval would hold nearly all that is possible.
    """
    parts = [part for one in contrasts if not one.collapsed and (part := one.among_usable()) is not None]
    some = [part for part in parts if len(part.values) > 1]
    if sum(len(part.values) for part in some) < FEWEST_USABLE:
        return {"usable_n": sum(len(part.values) for part in parts) if parts else None}
    found = _estimate(some, claim, spec)
    return {f"usable_{name}": found[name] for name in ("n", "estimate", "low", "high", "p")}


def _strata(contrasts: Sequence[Contrast], part: str = "by_instance") -> list[Array]:
    """For each corpus the values by instance, means over models; ``part`` is the contrast or one side of it."""
    return [
        pd.concat([getattr(one, part) for one in found.values()], axis=1).mean(axis=1).to_numpy(dtype=float)
        for found in _by_corpus(contrasts).values()
    ]


def _mean_of(models: Sequence[pd.Series | None]) -> float | None:
    """The mean over instances of the mean over models, as an estimate is made; None where a model has no values."""
    known = [values for values in models if values is not None]
    return float(pd.concat(known, axis=1).mean(axis=1).mean()) if len(known) == len(models) else None


def cell_row(contrast: Contrast, claim: Claim, spec: Mapping[str, Any]) -> Row:
    """The row of one corpus and model. Runs with several seeds are averaged within an instance."""
    row = _estimate([contrast], claim, spec)
    row |= {"first": _mean_of([contrast.first]), "second": _mean_of([contrast.second]), "left_out": contrast.left_out}
    row |= {"corpora": 1, "models": 1, "seeds": contrast.values.shape[1]}
    row |= {"n_informative": _informative([contrast])} | _among_usable([contrast], claim, spec)
    row["floor"] = at_floor([contrast], claim, spec)
    lacking = "" if row["estimate"] is not None else "fewer than two instances have all values"
    names = {"corpus": contrast.corpus, "model": contrast.model, "checkpoint": contrast.checkpoint}
    return row | names | {"excluded": contrast.excluded or lacking}


def _informative(contrasts: Sequence[Contrast]) -> int:
    """The number of texts in which some words compared could have been others; a text of several models once."""
    found = 0
    for of_corpus in _by_corpus(contrasts).values():
        found += int(pd.concat([one.informative for one in of_corpus.values()], axis=1).eq(True).any(axis=1).sum())
    return found


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
    """The row over all corpora and models that are not excluded, nor at the floor of what the claim is about.

    An instance has the mean over models and seeds; the estimate is the mean over corpora of the means over instances.
    """
    why = {id(one): one.excluded or at_floor([one], claim, spec) for one in contrasts}
    counted = [one for one in contrasts if not why[id(one)]]
    if not counted:
        reasons = list(dict.fromkeys(why.values()))
        if len(reasons) > 1:
            reasons = [f"{one.corpus}, {one.model}: {why[id(one)]}" for one in contrasts]
        row = dict.fromkeys(VALUES) | {"n": 0, "excluded": "; ".join(reasons)}
        return row | _among_usable(contrasts, claim, spec)
    by_corpus = _by_corpus(counted)
    models = list(dict.fromkeys(one.model for one in counted))
    seeds = max(one.values.shape[1] for one in counted)
    row = _estimate(counted, claim, spec)
    row |= {"corpora": len(by_corpus), "models": len(models), "seeds": seeds, "n_informative": _informative(counted)}
    row |= _among_usable(counted, claim, spec)
    row["left_out"] = sum(one.left_out for one in counted)
    for side in ("first", "second"):
        means = [_mean_of([getattr(one, side) for one in found.values()]) for found in by_corpus.values()]
        row[side] = float(np.mean([mean for mean in means if mean is not None])) if None not in means else None
    if max(len(by_corpus), len(models), seeds) > 1:
        arrays = [_array(found, models, seeds) for found in by_corpus.values()]
        row["hierarchical_low"], row["hierarchical_high"] = hierarchical_interval(arrays, spec["interval"])
    return row | {"excluded": ""}
