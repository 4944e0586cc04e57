"""Does leaving out misclassified instances, as earlier studies did, change how methods rank by their flips?

Flips are those beyond equally many random words, since a reply can name fewer words than other methods choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.claims.contrasts import NotTestedError, Weighted, collapse, scope, some_can_differ, too_few
from rationale_eval.claims.estimates import VALUES
from rationale_eval.claims.registry import Claim
from rationale_eval.claims.verdicts import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Row
from rationale_eval.report.aggregate import of_method
from rationale_eval.report.layout import REFERENCE_KINDS, Cell
from rationale_eval.report.measured import Measured
from rationale_eval.report.wording import p_text, points_with_interval
from rationale_eval.statistics.comparison import compare, difference_p, holm
from rationale_eval.statistics.correlation import kendall
from rationale_eval.statistics.resampling import Array

NO_REVERSAL: Row = dict.fromkeys(("reversal", "reversal_p", "reversal_in"))


@dataclass(frozen=True)
class Ranked:
    """A cell: flips by instance (rows, by id) and method (columns), and which instances are classified correctly."""

    corpus: str
    flips: pd.DataFrame
    correct: pd.Series
    title: str = ""

    def rates(self, correct_only: bool) -> Array:
        """The flip rate of each method."""
        chosen = self.flips[self.correct] if correct_only else self.flips
        return np.asarray(chosen.mean(), dtype=float)


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


@dataclass(frozen=True)
class Reversal:
    """A pair of methods in one cell: by how much the one exceeds the other over all, and over correctly classified.

    ``p``: of no reversal, which needs both differences: the larger of their p values (an intersection-union test,
    Berger 1982); 1 where the signs agree.
    """

    cell: Ranked
    one: str
    other: str
    p: float

    def differences(self) -> tuple[Array, Array]:
        """By instance by how much the one exceeds the other: over all, and over correctly classified instances."""
        found = (self.cell.flips[self.one] - self.cell.flips[self.other]).to_numpy(dtype=float)
        return found, found[self.cell.correct.to_numpy()]

    def words(self, p_corrected: float, interval: Mapping[str, Any]) -> str:
        """The reversal in words, with the numbers that it rests on."""
        parts = []
        for values in self.differences():
            found = compare([values], interval, bounds=(-2.0, 2.0))
            assert found is not None, "a ranking needs more instances than two"
            parts.append(points_with_interval(found.value, found.low, found.high, found.n) + f" over {found.n} texts")
        return (
            f"the order of {self.one} and {self.other} is reversed in {self.cell.title}: {parts[0]}, but {parts[1]} "
            f"that are classified correctly, corrected p {p_text(p_corrected)}"
        )


def reversals(cell: Ranked) -> list[Reversal]:
    """For each pair of methods whether leaving out misclassified instances reverses their order."""
    found = []
    for one, other in combinations(cell.flips.columns, 2):
        pair = Reversal(cell, one, other, 1.0)
        over_all, among = pair.differences()
        if over_all.mean() * among.mean() < 0:
            pair = replace(pair, p=max(difference_p([over_all]), difference_p([among])))
        found.append(pair)
    return found


def ranked_methods(claim: Claim, cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> list[str]:
    """The methods that are ranked: those with values at the main budget in most cells, and flagged in none.

    References are left out. A cell that lacks one of them has no ranking: a model behind an API gives no attribution.
    Raises ``NotTestedError`` with fewer than three.
    """
    budget = spec["main_budget"]
    flagged = {name for here in cells.values() for name in here.flags}
    found = []
    for name, entry in spec["methods"].items():
        if entry["kind"] in REFERENCE_KINDS or name in flagged:
            continue
        having = sum(len(of_method(cell.values[claim.measure], name, budget)) > 0 for cell in cells.values())
        if 2 * having > len(cells):
            found.append(name)
    if len(found) < 3:
        raise NotTestedError(
            f"only {len(found)} methods have flips at the main budget {budget} and usable words, and a ranking needs "
            f"three"
        )
    return found


def ranking_row(cells: Sequence[Ranked], spec: Mapping[str, Any]) -> Row:
    """Tau with its percentile interval over ``n`` texts, each counted once, and the likeliest reversal.

    ``reversal_p`` is its p, corrected by Holm over pairs and cells, ``reversal_in`` the title of its cell, and
    ``reversal`` says it in words; all None where no pair changes its order.
    """
    everything, right = (np.mean([cell.rates(only) for cell in cells], axis=0) for only in (False, True))
    tau = float(kendall(everything, right))
    texts = {(cell.corpus, name) for cell in cells for name in cell.flips.index}
    wrong = {(cell.corpus, name) for cell in cells for name in cell.flips.index[~cell.correct.to_numpy()]}
    row: Row = dict.fromkeys(VALUES) | {"n": len(texts), "left_out": len(wrong), "excluded": ""} | NO_REVERSAL
    draws = resampled_tau(cells, spec["interval"])
    draws = draws[~np.isnan(draws)]
    if np.isnan(tau) or not len(draws):
        return row
    tail = (1 - spec["interval"]["level"]) / 2
    low, high = map(float, np.quantile(draws, [tail, 1 - tail]))
    tests = [pair for cell in cells for pair in reversals(cell)]
    corrected = holm([pair.p for pair in tests])
    least, p = min(zip(tests, corrected, strict=True), key=lambda pair: pair[0].p)
    row |= {"estimate": tau, "low": low, "high": high}
    if least.p == 1 or p is None:
        return row
    return row | {"reversal_p": p, "reversal_in": least.cell.title, "reversal": least.words(p, spec["interval"])}


def of_ranking(row: Row, p_corrected: float | None, settings: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason of a row of ``ranking_row``; ``p_corrected`` is that of its reversal over what is judged.

    Supported: the order of some pair is reversed; contradicted: the interval of tau lies wholly at or above
    ``same_ranking``.
    """
    if row["excluded"]:
        return INCONCLUSIVE, row["excluded"]
    if row["estimate"] is None:
        return INCONCLUSIVE, "all methods flip alike, so there is no ranking"
    if p_corrected is not None and p_corrected < settings["alpha"]:
        return SUPPORTED, row["reversal"]
    same = settings["same_ranking"]
    if row["low"] >= same:
        return CONTRADICTED, f"the interval of tau lies wholly at or above {same:g}"
    return INCONCLUSIVE, f"no pair is told to be reversed, and the interval of tau reaches below {same:g}"


def rankings(claim: Claim, cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> tuple[Row, list[Row], list[str]]:
    """The pooled row, which is not judged, a judged row for each cell, and the methods that are ranked.

    Raises ``NotTestedError`` with fewer than three methods.
    """
    methods = ranked_methods(claim, cells, spec)
    counted: dict[Cell, Ranked] = {}
    rows: list[Row] = []
    for cell, here in cells.items():
        parts = {name: of_method(here.values[claim.measure], name, spec["main_budget"]) for name in methods}
        flips = pd.concat(parts, axis=1, join="inner")
        correct = here.correct.reindex(flips.index) == 1.0
        right = int(correct.sum())
        terms = [Weighted(1.0, name, spec["main_budget"], cell.checkpoint) for name in methods]
        informative = some_can_differ(terms, claim.measure, [{cell.checkpoint: here}], flips.index)
        why = collapse([cell], cells, spec) or too_few(right, int((informative & correct).sum()), spec)
        if not why and correct.all():
            why = "no instance is misclassified"
        names = {"corpus": cell.corpus, "model": cell.model, "checkpoint": cell.checkpoint}
        row: Row = dict.fromkeys(VALUES) | {"n": len(flips), "excluded": why} | NO_REVERSAL
        if not why:
            counted[cell] = Ranked(cell.corpus, flips, correct, cell.title)
            row = ranking_row([counted[cell]], spec) | scope([cell])
        verdict, reason = of_ranking(row, row["reversal_p"], spec["claims"])
        rows.append(names | row | {"verdict": verdict, "reason": reason})
    if not counted:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in rows))
        return dict.fromkeys(VALUES) | {"n": 0, "excluded": reasons} | NO_REVERSAL, rows, methods
    return ranking_row(list(counted.values()), spec) | scope(counted), rows, methods
