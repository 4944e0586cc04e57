"""Do flips follow accuracy or collapse? A rank correlation over the cells of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice, permutations, product
from typing import Any

import numpy as np

from rationale_eval.claims.contrasts import NotTestedError, Weighted, scope
from rationale_eval.claims.estimates import VALUES
from rationale_eval.claims.registry import Claim
from rationale_eval.claims.verdicts import Row
from rationale_eval.report.aggregate import of_method
from rationale_eval.report.layout import Cell
from rationale_eval.report.measured import Measured
from rationale_eval.statistics.correlation import kendall, kendall_interval
from rationale_eval.statistics.resampling import Array

# With four cells even a perfect rank correlation of independent cells has a two-sided p of 1/12.
FEWEST = 5
# Rearrangements of corpora and models: all of them up to this many, else as many at random.
REARRANGED = 1000


def rearrangement_p(cells: Sequence[Cell], rates: Array, others: Array) -> float:
    """The two-sided p value of no association, as the share of rearrangements with a tau at least as large.

    Cells share corpora and models, and are not independent: corpora and models are put in the place of one another as
    wholes, with all their checkpoints (a quadratic assignment test, Hubert 1987). All rearrangements are tried up to
    ``REARRANGED``, else so many at random with a fixed seed. Cells that a rearrangement has no counterpart for are left
    out of its tau.
    """
    place = {cell: index for index, cell in enumerate(cells)}
    corpora, models = (list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in ("corpus", "model"))
    orders: Any = product(permutations(corpora), permutations(models))
    if math.factorial(len(corpora)) * math.factorial(len(models)) > REARRANGED:
        rng = np.random.default_rng(0)
        drawn = [(tuple(rng.permutation(corpora)), tuple(rng.permutation(models))) for _ in range(REARRANGED - 1)]
        orders = [(tuple(corpora), tuple(models)), *drawn]
    observed, as_far, count = abs(float(kendall(others, rates))) - 1e-9, 0, 0
    for corpus_order, model_order in islice(orders, REARRANGED):
        corpus_of, model_of = dict(zip(corpora, corpus_order, strict=True)), dict(zip(models, model_order, strict=True))
        moved = [place.get(Cell(corpus_of[cell.corpus], model_of[cell.model], cell.checkpoint)) for cell in cells]
        kept = [(index, other) for index, other in enumerate(moved) if other is not None]
        tau = float(kendall(others[[other for _, other in kept]], rates[[index for index, _ in kept]])) if kept else 0.0
        as_far += math.isnan(tau) or abs(tau) >= observed
        count += 1
    return as_far / count


def association_row(
    claim: Claim, terms: Sequence[Weighted], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]
) -> Row:
    """Kendall's tau-b of the cells' flips beyond random words with accuracy or the most predicted label's share.

    A cell's value is the mean over the claim's methods. Collapsed cells count: they are what it is about. Raises
    ``NotTestedError`` with fewer than ``FEWEST`` cells, or where one of the two does not vary.
    """
    known, rates, others = [], [], []
    for cell, here in cells.items():
        found = [of_method(here.values[claim.measure], term.method, term.budget) for term in terms]
        other = here.majority_share if claim.against == "majority_predicted_share" else here.correct.mean()
        if all(map(len, found)) and other is not None:
            known.append(cell)
            rates.append(float(np.mean([values.mean() for values in found])))
            others.append(float(other))
    if len(rates) < FEWEST:
        raise NotTestedError(f"{len(rates)} cells, and a rank correlation over fewer than {FEWEST} says nothing")
    tau = float(kendall(np.array(others), np.array(rates)))
    if math.isnan(tau):
        raise NotTestedError("flips, or what they are compared with, are the same in all cells")
    low, high = kendall_interval(tau, len(rates), spec["interval"]["level"])
    p = rearrangement_p(known, np.array(rates), np.array(others))
    row = dict.fromkeys(VALUES) | {"n": len(rates), "estimate": tau, "low": low, "high": high, "p": p, "excluded": ""}
    return row | scope(known)
