"""Does leaving out misclassified instances, as earlier studies did, change how methods rank by their flip rates?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.claims.contrasts import NotTestedError, exclusion, of_method
from rationale_eval.claims.estimates import VALUES
from rationale_eval.claims.registry import Claim
from rationale_eval.claims.verdicts import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Row
from rationale_eval.report.aggregate import Measured
from rationale_eval.report.layout import REFERENCE_KINDS, Cell
from rationale_eval.statistics.comparison import difference_p, holm
from rationale_eval.statistics.resampling import Array


@dataclass(frozen=True)
class Ranked:
    """A cell: flips by instance (rows, by id) and method (columns), and which instances are classified correctly."""

    corpus: str
    flips: pd.DataFrame
    correct: pd.Series

    def rates(self, correct_only: bool) -> Array:
        """The flip rate of each method."""
        chosen = self.flips[self.correct] if correct_only else self.flips
        return np.asarray(chosen.mean(), dtype=float)


def kendall(first: Array, second: Array) -> Array:
    """Kendall's tau-b of two rankings along the last axis; where one of them is all ties it is NaN."""
    left, right = np.triu_indices(first.shape[-1], 1)
    a, b = np.sign(first[..., left] - first[..., right]), np.sign(second[..., left] - second[..., right])
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return np.asarray(np.divide((a * b).sum(axis=-1), scale, out=np.full(scale.shape, np.nan), where=scale > 0))


def resampled_tau(cells: Sequence[Ranked], interval: Mapping[str, Any]) -> Array:
    """Bootstrap draws of tau between the rankings over all and over correctly classified instances.

    Instances are drawn within each corpus, the same for all its cells; rates are means over cells, which count alike.
    """
    rng = np.random.default_rng(interval["seed"])
    ids = {corpus: pd.Index([]) for corpus in dict.fromkeys(cell.corpus for cell in cells)}
    for cell in cells:
        ids[cell.corpus] = ids[cell.corpus].union(cell.flips.index)
    counts = {
        corpus: rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=interval["resamples"])
        for corpus, names in ids.items()
    }
    rates: list[list[Array]] = [[], []]
    for cell in cells:
        drawn = counts[cell.corpus][:, ids[cell.corpus].get_indexer(cell.flips.index)]
        for found, weights in zip(rates, (drawn, drawn * cell.correct.to_numpy()), strict=True):
            total = np.maximum(1, weights.sum(axis=1, keepdims=True))
            found.append(weights @ cell.flips.to_numpy(dtype=float) / total)
    return kendall(np.mean(rates[0], axis=0), np.mean(rates[1], axis=0))


def reversals(cell: Ranked) -> dict[tuple[str, str], float]:
    """For each pair of methods the p value that leaving out misclassified instances reverses their order.

    A reversal needs both: a difference over all instances, and one of the other sign over the correctly classified.
    Its p value is the larger of the two (an intersection-union test, Berger 1982); 1 where the signs agree.
    """
    found = {}
    for one, other in combinations(cell.flips.columns, 2):
        difference = (cell.flips[one] - cell.flips[other]).to_numpy(dtype=float)
        among = difference[cell.correct.to_numpy()]
        turned = difference.mean() * among.mean() < 0
        found[one, other] = max(difference_p([difference]), difference_p([among])) if turned else 1.0
    return found


def ranked_methods(methods: Mapping[str, Mapping[str, Any]], cells: Mapping[Cell, Measured], budget: str) -> list[str]:
    """The methods that have flips at the main budget in most cells, references left out.

    A cell that lacks one of them has no ranking: a model behind an API gives no attribution.
    """
    names = [name for name, entry in methods.items() if entry["kind"] not in REFERENCE_KINDS]
    found = []
    for name in names:
        having = sum(len(of_method(cell.values["flip"], name, budget)) > 0 for cell in cells.values())
        if 2 * having > len(cells):
            found.append(name)
    if len(found) < 3:
        raise NotTestedError(
            f"only {len(found)} methods have flips at the main budget {budget}, and a ranking needs three"
        )
    return found


def ranking_row(cells: Sequence[Ranked], spec: Mapping[str, Any]) -> Row:
    """Tau with its percentile interval, the pairs whose order is reversed in some cell, and the verdict.

    Supported: the order of some pair is reversed, after Holm's correction over pairs and cells; contradicted: the
    interval of tau lies wholly at or above ``same_ranking``.
    """
    everything, right = (np.mean([cell.rates(only) for cell in cells], axis=0) for only in (False, True))
    tau = float(kendall(everything, right))
    row: Row = dict.fromkeys(VALUES) | {"n": sum(len(cell.flips) for cell in cells), "excluded": ""}
    row["left_out"] = sum(int((~cell.correct).sum()) for cell in cells)
    draws = resampled_tau(cells, spec["interval"])
    draws = draws[~np.isnan(draws)]
    if np.isnan(tau) or not len(draws):
        return row | {"verdict": INCONCLUSIVE, "reason": "all methods flip alike, so there is no ranking"}
    tail = (1 - spec["interval"]["level"]) / 2
    low, high = map(float, np.quantile(draws, [tail, 1 - tail]))
    tests = [(pair, p) for cell in cells for pair, p in reversals(cell).items()]
    corrected = [p for p in holm([p for _, p in tests]) if p is not None]
    row |= {"estimate": tau, "low": low, "high": high, "p": min(p for _, p in tests), "p_corrected": min(corrected)}
    turned = [pair for (pair, _), p in zip(tests, corrected, strict=True) if p < spec["claims"]["alpha"]]
    same = spec["claims"]["same_ranking"]
    if turned:
        names = "; ".join(dict.fromkeys(f"{one} and {other}" for one, other in turned))
        return row | {"verdict": SUPPORTED, "reason": f"the order is reversed of {names}"}
    if low >= same:
        return row | {"verdict": CONTRADICTED, "reason": f"the interval of tau lies wholly at or above {same:g}"}
    return row | {
        "verdict": INCONCLUSIVE,
        "reason": f"no pair is told to be reversed, and the interval of tau reaches below {same:g}",
    }


def rankings(claim: Claim, cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> tuple[Row, list[Row], list[str]]:
    """The pooled row, a row for each cell, and the methods that are ranked, by flips at the main budget.

    Raises ``NotTestedError`` with fewer than three methods.
    """
    budget = spec["main_budget"]
    methods = ranked_methods(spec["methods"], cells, budget)
    counted: list[Ranked] = []
    rows: list[Row] = []
    for cell, here in cells.items():
        parts = {name: of_method(here.values[claim.measure], name, budget) for name in methods}
        flips = pd.concat(parts, axis=1, join="inner")
        correct = here.correct.reindex(flips.index) == 1.0
        why = exclusion([cell], cells, int(correct.sum()), spec)
        if not why and correct.all():
            why = "no instance is misclassified"
        names = {"corpus": cell.corpus, "model": cell.model, "checkpoint": cell.checkpoint}
        if why:
            nothing: Row = {"n": len(flips), "verdict": INCONCLUSIVE, "reason": why, "excluded": why}
            rows.append(names | dict.fromkeys(VALUES) | nothing)
        else:
            counted.append(Ranked(cell.corpus, flips, correct))
            rows.append(names | ranking_row(counted[-1:], spec))
    if not counted:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in rows))
        pooled: Row = {"n": 0, "verdict": INCONCLUSIVE, "reason": reasons, "excluded": reasons}
        return dict.fromkeys(VALUES) | pooled, rows, methods
    return ranking_row(counted, spec), rows, methods
