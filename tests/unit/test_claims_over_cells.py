"""Claims over cells and over methods: associations with accuracy and collapse, and rankings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import BUDGETS, METHODS, SETTINGS, cell
from planted_study import BY_NAME, SIMULATIONS, STUDY, at_most, by_name, study
from rationale_eval.claims.association import association_row, rearrangement_p
from rationale_eval.claims.contrasts import NotTestedError, resolve
from rationale_eval.claims.ranking import Ranked, of_ranking, ranking_row, reversals
from rationale_eval.claims.stage import verdicts
from rationale_eval.claims.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
)
from rationale_eval.report.layout import Cell
from rationale_eval.report.measured import Measured
from rationale_eval.statistics.correlation import kendall, kendall_interval
from scipy import stats


def test_flips_that_follow_accuracy_are_found_over_cells():
    rng = np.random.default_rng(3)
    cells = {
        Cell(f"c{i}", "m", "base"): cell(
            rng, 200, rise=0.08 * i - 0.2, correct=0.4 + 0.07 * i, majority=0.95 - 0.05 * i
        )
        for i in range(8)
    }
    found = by_name(cells)
    follow, collapse = found["flips_follow_accuracy"], found["flips_fall_with_collapse"]
    assert (follow["verdict"], collapse["verdict"]) == (SUPPORTED, SUPPORTED)
    assert follow["pooled"]["n"] == 8
    assert collapse["pooled"]["estimate"] < 0


def test_the_association_is_kendalls_tau():
    rng = np.random.default_rng(3)
    cells = {Cell(f"c{i}", "m", "base"): cell(rng, 60, rise=0.1 * i) for i in range(6)}
    claim = BY_NAME["flips_follow_accuracy"]
    terms = resolve(claim, METHODS, BUDGETS, "top_var")
    row = association_row(claim, terms, cells, STUDY)
    rates = [
        np.mean(
            [
                one.values["flip_beyond_random"].xs((method, "top_var"), level=(0, 1)).mean()
                for method in ("att", "sal", "ixg")
            ]
        )
        for one in cells.values()
    ]
    known = stats.kendalltau([one.correct.mean() for one in cells.values()], rates)
    assert row["estimate"] == pytest.approx(known.statistic)
    assert row["low"] < row["estimate"] < row["high"]
    low, high = kendall_interval(0.3, 40, 0.95)
    assert (np.arctanh(high) - np.arctanh(low)) / 2 == pytest.approx(1.96 * np.sqrt(0.437 / 36), abs=1e-3)


def test_cells_that_share_corpora_are_not_independent_of_each_other():
    """Six checkpoints each of two corpora that differ in both values: two corpora tell little, whatever scipy's p."""
    rng = np.random.default_rng(3)
    cells = [Cell(corpus, "m", f"epoch-{i:02d}-seed-0") for corpus in "ab" for i in range(1, 7)]
    level = np.repeat([0.0, 1.0], 6)
    rates, others = level + rng.normal(0, 0.1, 12), level + rng.normal(0, 0.1, 12)
    assert stats.kendalltau(others, rates).pvalue < 0.01
    assert rearrangement_p(cells, rates, others) >= 0.5  # two corpora have two arrangements
    many = [Cell(corpus, "m", "base") for corpus in "abcdefgh"]
    along = np.arange(8.0)
    assert rearrangement_p(many, along, along) <= 0.005
    assert kendall_interval(1.0, 8, 0.95)[1] == 1.0


def ranked(rng, right, wrong, n=200):
    """A cell of three methods with these flip rates on correctly and on wrongly classified instances, half of each."""
    correct = np.arange(n) % 2 == 0
    rates = np.where(correct[:, None], right, wrong)
    flips = pd.DataFrame((rng.random((n, 3)) < rates).astype(float), columns=["x", "y", "z"])
    return Ranked("c", flips, pd.Series(correct), "here")


def ranking_verdict(row):
    return of_ranking(row, row["reversal_p"], SETTINGS)


def test_tau_b_is_scipys():
    rng = np.random.default_rng(1)
    first, second = rng.integers(4, size=(20, 6)) / 1.0, rng.integers(4, size=(20, 6)) / 1.0
    known = [stats.kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert kendall(first, second) == pytest.approx(known)


def test_a_ranking_that_misclassified_instances_turn_round_is_found():
    rng = np.random.default_rng(2)
    cell = ranked(rng, (0.2, 0.5, 0.6), (1.0, 0.1, 0.6))
    row = ranking_row([cell], STUDY)
    assert row["left_out"] == 100
    verdict, reason = ranking_verdict(row)
    gap = cell.flips["x"] - cell.flips["y"]
    larger = max(stats.ttest_1samp(gap, 0).pvalue, stats.ttest_1samp(gap[cell.correct], 0).pvalue)
    assert row["reversal_p"] == pytest.approx(3 * larger)
    assert verdict == SUPPORTED
    over_all, among = f"{100 * gap.mean():+.0f}", f"{100 * gap[cell.correct].mean():.0f}".replace("-", "\N{MINUS SIGN}")
    plain = reason.replace("\N{NO-BREAK SPACE}", " ")
    assert plain.startswith(f"the order of x and y is reversed in here: {over_all} points [")
    assert f"over 200 texts, but {among} points [" in plain
    assert "over 100 texts that are classified correctly" in plain
    assert (row["p"], row["p_corrected"]) == (None, None)  # tau has an interval and no p


def test_a_reversal_is_shown_with_the_numbers_of_its_cell():
    rng = np.random.default_rng(2)
    cells = {}
    for corpus, right, wrong in (("a", (0.2, 0.5, 0.6), (0.2, 0.5, 0.6)), ("b", (0.2, 0.5, 0.6), (1.0, 0.1, 0.6))):
        one = ranked(rng, right, wrong, 400)
        series = {(name, "top_var"): one.flips[name].set_axis(one.flips.index.astype(str)) for name in "xyz"}
        values = pd.concat(series, names=["method", "budget", "id"])
        correct = one.correct.astype(float).set_axis(one.flips.index.astype(str))
        cells[Cell(corpus, "m", "base")] = Measured(correct, {"flip_beyond_random": values}, 0.6)
    methods = {name: {"kind": "attention", "statistic": "none"} for name in "xyz"}
    claim = BY_NAME["ranking_without_errors"]
    (found,) = verdicts([claim], cells, STUDY | {"methods": methods})
    assert found["verdict"] == SUPPORTED
    assert (found["decisive"]["corpus"], found["decisive"]["n"]) == ("b", 400)
    assert found["decisive"]["estimate"] < 1


def test_a_ranking_that_stays_is_told_from_one_that_cannot_be_told():
    rng = np.random.default_rng(2)
    apart = ranking_row([ranked(rng, (0.1, 0.5, 0.9), (0.1, 0.5, 0.9))], STUDY)
    assert (ranking_verdict(apart)[0], apart["estimate"]) == (CONTRADICTED, 1.0)
    alike = ranking_row([ranked(rng, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))], STUDY)
    assert ranking_verdict(alike)[0] == INCONCLUSIVE
    assert alike["low"] < 0.8
    none = ranking_row([ranked(rng, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))], STUDY)
    assert ranking_verdict(none) == (INCONCLUSIVE, "all methods flip alike, so there is no ranking")


def test_a_ranking_counts_a_text_once_however_many_models_read_it():
    rng = np.random.default_rng(2)
    cells = [ranked(rng, (0.1, 0.5, 0.9), (0.1, 0.5, 0.9)) for _ in range(3)]
    row = ranking_row([*cells[:2], replace(cells[2], corpus="other")], STUDY)
    assert (row["n"], row["left_out"]) == (400, 200)


def test_without_a_difference_a_reversal_is_rarely_found():
    rng, found = np.random.default_rng(5), 0
    for _ in range(SIMULATIONS):
        one = ranked(rng, (0.3, 0.3, 0.3), (0.3, 0.3, 0.3), 100)
        found += min(1, sum(pair.p < 0.05 / 3 for pair in reversals(one)))
    assert found <= at_most(0.05)


def test_a_claim_that_needs_three_methods_says_so():
    with pytest.raises(NotTestedError, match="no method of the family prompting"):
        resolve(BY_NAME["alignment_not_always"], {"att": METHODS["att"]}, BUDGETS, "top_var")
    few = STUDY | {"methods": {name: METHODS[name] for name in ("att", "sal")}}
    assert "a ranking needs three" in by_name(study(), few)["ranking_without_errors"]["reason"]
