"""Claims: planted effects get the right verdicts at the stated rates, and what a study lacks is said."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import BUDGETS, METHODS, PLANTED, SETTINGS, SPEC, contrast, moved, verdicts_of
from planted_study import BASE_A, BY_NAME, SIMULATIONS, STUDY, at_most, by_name, study
from rationale_eval.claims.contrasts import Contrast, Weighted, contrasts, resolve
from rationale_eval.claims.estimates import cell_row, pooled_row
from rationale_eval.claims.registry import BASE, CLAIMS, claimed_words, contrast_words
from rationale_eval.claims.stage import POOLED, table_rows
from rationale_eval.claims.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    existence_p,
    judge,
    of_existence,
)
from rationale_eval.report.layout import Cell
from rationale_eval.report.measured import Measured


def counts_of(name, what, n=100, simulations=SIMULATIONS):
    found = verdicts_of(BY_NAME[name], PLANTED[name, what], n, simulations)
    return Counter(row["verdict"] for (row,) in found)


# Planted effects, ``SIMULATIONS`` of each


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("alignment_prompting_better", "0.1 higher", "0.1 lower"),
        ("faithfulness_prompting_lower", "20 points lower", "20 points higher"),
    ],
)
def test_a_difference_is_found_on_its_side(name, right, wrong):
    planted, reversed_ = counts_of(name, right), counts_of(name, wrong)
    assert planted[SUPPORTED] >= 0.9 * SIMULATIONS
    assert reversed_[CONTRADICTED] >= 0.9 * SIMULATIONS
    assert planted[CONTRADICTED] == reversed_[SUPPORTED] == 0


@pytest.mark.parametrize("name", ["alignment_prompting_better", "faithfulness_prompting_lower"])
def test_without_a_difference_each_side_is_claimed_in_no_more_than_half_of_alpha(name):
    none = counts_of(name, "no difference")
    assert none[SUPPORTED] <= at_most(0.025)
    assert none[CONTRADICTED] <= at_most(0.025)


def test_a_fall_is_no_rise_and_a_rise_beyond_the_margin_contradicts_it():
    name = "tuning_prompting_alignment"
    assert counts_of(name, "0.15 lower", simulations=200)[SUPPORTED] >= 180
    assert counts_of(name, "0.15 higher", simulations=200)[CONTRADICTED] >= 180
    at_margin = counts_of(name, "as much as the margin")
    assert at_margin[SUPPORTED] <= at_most(0.025)
    assert at_margin[CONTRADICTED] <= at_most(0.025)
    assert counts_of(name, "no difference")[CONTRADICTED] <= at_most(0.025)


def existence(draw, simulations):
    claim = BY_NAME["alignment_not_always"]
    found = verdicts_of(claim, draw, 100, simulations, cells=4)
    return Counter(
        of_existence(claim, rows, existence_p(claim, rows, SETTINGS["alpha"]), SETTINGS["alpha"])[0] for rows in found
    )


def test_one_cell_of_four_is_enough_for_an_existence_claim():
    assert existence(lambda rng, n, cell: moved(-0.1 if cell == 2 else 0.05)(rng, n, cell), 200)[SUPPORTED] >= 180
    assert existence(moved(0.12), 200)[CONTRADICTED] >= 180
    # Holm's correction keeps the chance of any false one among the four.
    nothing = existence(moved(0.0), SIMULATIONS)
    assert nothing[SUPPORTED] <= at_most(0.025)
    assert nothing[CONTRADICTED] == 0


# Verdicts by hand


def judged(name, values, excluded=""):
    claim = BY_NAME[name]
    row = pooled_row([contrast(np.asarray(values), excluded)], claim, SPEC)
    judge([(claim, row)], SETTINGS)
    return row


def test_a_collapsed_cell_is_inconclusive_whatever_its_values():
    row = judged("alignment_prompting_better", [0.5] * 50 + [0.6] * 50, "collapsed: base")
    assert (row["verdict"], row["reason"], row["p_corrected"]) == (INCONCLUSIVE, "collapsed: base", None)


def test_prompts_that_change_nothing_do_not_rise_only_with_enough_instances():
    assert judged("tuning_prompting_alignment", np.zeros(600))["verdict"] == SUPPORTED
    assert judged("tuning_prompting_alignment", np.zeros(40))["verdict"] == INCONCLUSIVE


def test_what_was_at_chance_before_cannot_show_that_nothing_is_gained():
    claim, ids = BY_NAME["tuning_prompting_alignment"], range(100)

    def verdict(base):
        fall = pd.Series(np.tile([-0.1, -0.2], 50), index=ids)
        one = Contrast("c", "m", fall.to_frame(0), base + fall, base, 0)
        row = pooled_row([one], claim, SPEC)
        judge([(claim, row)], SETTINGS)
        return row["verdict"], row["reason"]

    at_chance = pd.Series(np.tile([0.2, -0.2, 0.1, -0.1], 25), index=ids)
    assert verdict(at_chance + 0.3) == (SUPPORTED, "the interval lies wholly below the margin of 0.02")
    floor = verdict(at_chance)
    assert floor[0] == INCONCLUSIVE
    assert floor[1].startswith("before fine-tuning it is not told from chance (0.00 [")


def test_pooling_gives_corpora_equal_weight_and_averages_models_and_seeds_within_an_instance():
    def part(corpus, model, first, second):
        one = contrast(np.asarray(first))
        one.corpus, one.model = corpus, model
        one.values[1] = np.asarray(second)
        one.__post_init__()
        return one

    parts = [
        part("a", "m", [0.0, 0.2, 0.1, 0.1], [0.2, 0.2, 0.1, 0.1]),
        part("a", "k", [0.4, 0.5, 0.6, 0.5], [0.4, 0.5, 0.6, 0.5]),
        part("b", "m", [1.0, 0.8], [0.8, 0.6]),
    ]
    row = pooled_row(parts, BY_NAME["tuning_attribution_alignment"], SPEC)
    # Corpus a: model m has 0.125, model k 0.5, together 0.3125; corpus b has 0.8.
    assert row["estimate"] == pytest.approx((0.3125 + 0.8) / 2)
    assert (row["n"], row["corpora"], row["models"], row["seeds"]) == (6, 2, 2, 2)
    assert row["hierarchical_low"] < row["estimate"] < row["hierarchical_high"]


# From tables to verdicts


@pytest.mark.parametrize(
    ("effect", "better", "lower"), [(0.2, SUPPORTED, CONTRADICTED), (-0.2, CONTRADICTED, SUPPORTED)]
)
def test_a_planted_gap_reaches_the_claims(effect, better, lower):
    found = by_name(study(effect))
    assert found["alignment_prompting_better"]["verdict"] == better
    assert found["alignment_not_always"]["verdict"] == lower
    assert found["alignment_not_always"]["pooled"]["verdict"] is None
    assert found["faithfulness_prompting_lower"]["verdict"] == lower
    row = found["alignment_prompting_better"]["pooled"]
    assert row["first"] - row["second"] == pytest.approx(row["estimate"], abs=1e-9)
    assert row["estimate"] == pytest.approx(effect, abs=0.03)
    assert (row["n"], row["corpora"]) == (300, 2)


def test_a_planted_rise_reaches_the_claims_on_fine_tuning():
    found = by_name(study(rise=0.2, seeds=2))
    assert found["tuning_attribution_alignment"]["verdict"] == SUPPORTED
    assert found["tuning_prompting_alignment"]["verdict"] == CONTRADICTED
    assert found["tuning_input_x_gradient"]["verdict"] == INCONCLUSIVE
    assert found["tuning_attribution_faithfulness"]["pooled"]["seeds"] == 2
    assert [row["checkpoint"] for row in found["tuning_attribution_alignment"]["cells"]] == ["epoch 3", "epoch 3"]


def test_collapsed_cells_are_left_out_of_the_pool_and_counted():
    cells = study(0.2)
    flat = Cell("b", "m", "base")
    cells[flat] = Measured(cells[flat].correct, cells[flat].values, 0.97)
    found = by_name(cells)
    one, other = found["faithfulness_prompting_lower"]["cells"]
    assert (one["verdict"], other["verdict"]) == (CONTRADICTED, INCONCLUSIVE)
    assert other["reason"] == "collapsed: base gives nearly every text one label"
    assert found["faithfulness_prompting_lower"]["pooled"]["n"] == 150
    assert found["faithfulness_prompting_lower"]["reason"].endswith("1 of 2 cells have no verdict and are left out")
    cells[Cell("a", "m", "base")] = Measured(cells[flat].correct, cells[flat].values, 1.0)
    assert by_name(cells)["faithfulness_prompting_lower"]["reason"].startswith("collapsed: base")


def test_a_study_that_lacks_something_says_what():
    cells = {one: values for one, values in study().items() if one.checkpoint == "base"}
    found = by_name(cells)
    assert found["tuning_prompting_alignment"]["verdict"] == NOT_TESTED
    assert found["tuning_prompting_alignment"]["reason"] == "the study has no fine-tuned checkpoint beside the base"
    assert found["flips_follow_accuracy"]["reason"].startswith("2 cells")
    bare = STUDY | {"methods": {name: METHODS[name] for name in ("att", "sal", "ixg", "random")}}
    assert by_name(cells, bare)["alignment_not_always"]["reason"] == "the study has no method of the family prompting"
    cut = STUDY | {"budgets": {"top_var": {"kind": "top_var"}}}
    assert by_name(cells, cut)["alignment_not_always"]["reason"] == "the study has no budget matched to said"
    rows = table_rows(list(found.values()))
    assert {row["verdict"] for row in rows if row["claim"] == "tuning_prompting_alignment"} == {NOT_TESTED}
    assert Counter(row["claim"] for row in rows if row["decides"]) == Counter(claim.name for claim in CLAIMS)
    assert all(set(row) == set(rows[0]) for row in rows)
    assert sum(row["corpus"] == POOLED for row in rows) == len(CLAIMS)


def test_a_contrast_is_the_mean_of_a_family_over_instances_that_have_all_values():
    claim = BY_NAME["alignment_prompting_better"]
    terms = resolve(claim, METHODS, BUDGETS, "top_var")
    assert terms[0] == Weighted(1.0, "said", "as_given", BASE)
    assert [(term.method, term.budget) for term in terms[1:]] == [("att", "cut"), ("sal", "cut"), ("ixg", "cut")]
    assert sum(term.weight for term in terms) == pytest.approx(0)
    values = {("said", "as_given"): [0.5, 0.5, 0.5], ("att", "cut"): [0.1, 0.2, 0.3], ("sal", "cut"): [0.2, 0.2, 0.2]}
    series = {key: pd.Series(one, index=["x", "y", "z"]) for key, one in values.items()}
    series["ixg", "cut"] = pd.Series([0.3, 0.5], index=["x", "y"])
    table = pd.concat(series, names=["method", "budget", "id"])
    cells = {Cell("c", "m", "base"): Measured(pd.Series(1.0, index=["x", "y", "z"]), {"f1_corrected": table}, 0.5)}
    (found,) = contrasts(claim, terms, cells, STUDY)
    assert found.by_instance.to_dict() == pytest.approx({"x": 0.3, "y": 0.2})
    assert (found.left_out, found.excluded) == (1, "too few instances: 2 of at least 30")
    row = cell_row(found, claim, STUDY)
    assert (row["first"], row["second"], row["estimate"]) == pytest.approx((0.5, 0.25, 0.25))


def test_votes_and_scores_asked_for_are_cut_as_other_orders_are():
    claim = BY_NAME["tuning_prompting_alignment"]
    asked = {"kind": "prompt", "strategy": "unbound", "samples": 1, "gives": None}
    methods = METHODS | {"voted": asked | {"samples": 5}, "scored": asked | {"gives": "scores"}, "plain": asked}
    budgets = {term.method: term.budget for term in resolve(claim, methods, BUDGETS, "top_var")}
    assert budgets == {"said": "as_given", "voted": "top_var", "scored": "top_var", "plain": "as_given"}


def test_the_sides_of_a_pooled_row_differ_by_its_estimate():
    # Two models in one corpus, one in the other: over cells the sides would be .47 and .33, and differ by .13.
    ids = ["x", "y", "z"]

    def one(corpus, model, first, second):
        gap = first - second
        values = pd.DataFrame({0: [gap, gap + 0.03, gap - 0.03]}, index=ids)
        return Contrast(corpus, model, values, pd.Series(first, index=ids), pd.Series(second, index=ids), 0)

    cells = [one("a", "m", 0.6, 0.2), one("a", "n", 0.6, 0.2), one("b", "m", 0.2, 0.6)]
    row = pooled_row(cells, BY_NAME["alignment_prompting_better"], STUDY)
    assert (row["first"], row["second"], row["estimate"]) == pytest.approx((0.4, 0.4, 0.0))


def test_instances_without_a_prediction_are_counted_as_left_out():
    cells = {name: replace(here, unpredicted=7) for name, here in study(0.2).items()}
    found = by_name(cells)["alignment_prompting_better"]["cells"]
    assert [row["left_out"] for row in found] == [7] * len(found)


def test_a_scored_prompt_and_missing_values_do_no_harm():
    methods = METHODS | {"ranked": {"kind": "prompt", "strategy": "ranked"}}
    cells = study(0.2)
    for values in cells.values():
        for measure, series in values.values.items():
            extra = pd.Series(
                np.nan, index=pd.MultiIndex.from_tuples([("ranked", "top_var", "0")], names=series.index.names)
            )
            values.values[measure] = pd.concat([series, extra.dropna()])
    assert by_name(cells, STUDY | {"methods": methods})["alignment_prompting_better"]["verdict"] == SUPPORTED


def test_a_model_without_attribution_is_left_out_and_the_others_are_judged():
    cells = study(0.2)
    only = {name: series[series.index.get_level_values(0) == "said"] for name, series in cells[BASE_A].values.items()}
    cells[Cell("a", "api", "base")] = Measured(cells[BASE_A].correct, only, 0.6)
    found = by_name(cells)
    assert found["alignment_prompting_better"]["verdict"] == SUPPORTED
    reasons = {row["model"]: row["reason"] for row in found["alignment_prompting_better"]["cells"]}
    assert reasons["api"] == "no instance has a value of every method"
    ranking = {row["model"]: row["reason"] for row in found["ranking_without_errors"]["cells"]}
    assert ranking["api"] == "no instance has a value of every method"
    assert found["ranking_without_errors"]["methods"] == ["att", "sal", "ixg"]


def test_contrasts_in_words():
    assert contrast_words(BY_NAME["alignment_not_always"]) == "prompting (base) - attribution (base), at matched sizes"
    words = contrast_words(BY_NAME["tuning_prompting_alignment"])
    assert words == "prompting (tuned) - prompting (base), each at its own size"


def test_what_a_claim_says_of_its_contrast():
    margins = {"f1_corrected": 0.02}
    said = {name: claimed_words(claim, margins) for name, claim in BY_NAME.items()}
    assert said["tuning_prompting_alignment"] == "below 0.02: no rise, whether it falls or not"
    assert said["alignment_not_always"] == "below 0 in at least one cell"
    assert (said["alignment_prompting_better"], said["faithfulness_prompting_lower"]) == ("above 0", "below 0")


# Written down by hand: version, kind, measure, direction, sizes. No study changes what a claim says.
WRITTEN = {
    "alignment_not_always": ("v2", "existence", "f1_corrected", -1, "matched"),
    "alignment_not_always_tuned": ("v2", "existence", "f1_corrected", -1, "matched"),
    "alignment_poor_accuracy_attribution": ("v1", "difference", "f1_corrected", 1, "own"),
    "alignment_poor_accuracy_prompting": ("v1", "difference", "f1_corrected", 1, "own"),
    "alignment_prompting_better": ("v1", "difference", "f1_corrected", 1, "matched"),
    "tuning_prompting_alignment": ("v2", "non_superiority", "f1_corrected", 0, "own"),
    "tuning_attribution_alignment": ("v2", "difference", "f1_corrected", 1, "own"),
    "tuning_input_x_gradient": ("v2", "difference", "f1_corrected", 1, "own"),
    "faithfulness_prompting_lower": ("v2", "difference", "flip", -1, "matched"),
    "faithfulness_prompting_lower_tuned": ("v2", "difference", "flip", -1, "matched"),
    "tuning_prompting_faithfulness": ("v1", "difference", "flip_beyond_random", 1, "own"),
    "tuning_attribution_faithfulness": ("v1", "difference", "flip_beyond_random", 1, "own"),
    "flips_follow_accuracy": ("v2", "association", "flip_beyond_random", 1, "own"),
    "flips_fall_with_collapse": ("v1", "association", "flip_beyond_random", -1, "own"),
    "ranking_without_errors": ("v2", "ranking", "flip_beyond_random", 0, "own"),
}


def test_the_claims_are_those_that_were_written_down():
    found = {one.name: (one.version, one.kind, one.measure, one.direction, one.sizes) for one in CLAIMS}
    assert found == WRITTEN
    # Raw flips rise with the number of words masked: they are compared between sets of equal sizes alone.
    assert {one.sizes for one in CLAIMS if one.measure == "flip"} == {"matched"}
