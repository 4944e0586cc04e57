"""Claims: planted effects get the right verdicts at the stated rates, and what a study lacks is said."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import BUDGETS, METHODS, PLANTED, SETTINGS, SPEC, cell, contrast, moved, verdicts_of
from rationale_eval.claims.association import association_row, kendall_interval, rearrangement_p
from rationale_eval.claims.contrasts import Contrast, NotTestedError, Weighted, contrasts, of_method, resolve
from rationale_eval.claims.estimates import cell_row, pooled_row
from rationale_eval.claims.ranking import Ranked, kendall, of_ranking, ranking_row, reversals
from rationale_eval.claims.registry import BASE, CLAIMS, contrast_words
from rationale_eval.claims.stage import POOLED, table_rows, verdicts
from rationale_eval.claims.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    decisive,
    existence_p,
    judge,
    of_existence,
)
from rationale_eval.report.layout import Cell
from rationale_eval.report.measured import Measured
from scipy import stats
from statsmodels.stats.multitest import multipletests

BY_NAME = {claim.name: claim for claim in CLAIMS}
STUDY = SPEC | {"methods": METHODS, "budgets": BUDGETS, "main_budget": "top_var"}
SIMULATIONS = 1000
BASE_A = Cell("a", "m", "base")


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """statsmodels collects garbage at each correction: what is there already need not be searched every time."""
    gc.freeze()
    yield
    gc.unfreeze()


def at_most(rate):
    """The most of ``SIMULATIONS`` that an event of this rate has in 999 of 1000 runs."""
    return stats.binom(SIMULATIONS, rate).ppf(0.999)


def counts_of(name, what, n=100, simulations=SIMULATIONS):
    found = verdicts_of(BY_NAME[name], PLANTED[name, what], n, simulations)
    return Counter(row["verdict"] for (row,) in found)


# Planted effects, 1,000 simulations each


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


def study(effect=0.0, rise=0.0, n=150, seeds=1, **changes):
    """Two corpora, a model, base and an epoch, with a planted gap of prompting and a planted rise by fine-tuning."""
    rng = np.random.default_rng(7)
    found = {}
    for corpus in ("a", "b"):
        found[Cell(corpus, "m", "base")] = cell(rng, n, effect, **changes)
        for seed in range(seeds):
            found[Cell(corpus, "m", f"epoch-03-seed-{seed}")] = cell(rng, n, effect, rise)
    return found


def by_name(cells, spec=STUDY):
    return {claim["name"]: claim for claim in verdicts(CLAIMS, cells, spec)}


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


# What a verdict rests on


def test_an_existence_claim_shows_the_cell_that_carries_it_and_not_the_pool():
    cells = study(0.0)
    low = Cell("b", "m", "base")
    cells[low] = cell(np.random.default_rng(9), 150, -0.2)
    cells[BASE_A] = cell(np.random.default_rng(9), 150, 0.25)
    found = by_name(cells)["alignment_not_always"]
    assert found["verdict"] == SUPPORTED
    carrier, pooled = found["decisive"], found["pooled"]
    assert (carrier["corpus"], carrier["n"]) == ("b", 150)
    assert carrier["estimate"] == pytest.approx(-0.2, abs=0.05)
    assert carrier["high"] < 0 < pooled["estimate"]
    assert (pooled["p_corrected"], pooled["verdict"]) == (None, None)
    (row,) = [row for row in table_rows([found]) if row["decides"]]
    assert (row["corpus"], row["estimate"], row["p_corrected"]) == ("b", carrier["estimate"], carrier["p_corrected"])
    assert row["p_corrected"] < 0.05


def test_one_correction_runs_over_all_claims():
    found = by_name(study(0.2, rise=0.1, seeds=2))
    raw = {}
    for name, row in found.items():
        cells = [cell for cell in row["cells"] if not cell["excluded"]]
        if row["kind"] == "existence":
            raw[name] = existence_p(BY_NAME[name], cells, 0.05)
        elif row["kind"] == "ranking":
            raw[name] = row["pooled"]["reversal_p"]
        elif row["pooled"]:
            raw[name] = row["pooled"]["p"]
    raw = {name: p for name, p in raw.items() if p is not None}
    corrected = dict(zip(raw, multipletests(list(raw.values()), method="holm")[1], strict=True))
    assert len(corrected) > 8
    for name, p in corrected.items():
        if found[name]["kind"] != "ranking":
            assert found[name]["decisive"]["p_corrected"] == pytest.approx(p)


def test_an_existence_claim_rests_on_a_cell_that_supports_it():
    # Few differences: a small p, but an interval that holds 0. That cell has no verdict; the other carries the claim.
    claim, rng = BY_NAME["alignment_not_always"], np.random.default_rng(0)
    few = np.where(np.arange(100) < 10, -0.3, 0.0)
    rows = [cell_row(contrast(values), claim, SPEC) for values in (few, rng.normal(-0.1, 0.2, 100))]
    judge([(claim, row) for row in rows], SETTINGS)
    assert [row["verdict"] for row in rows] == [INCONCLUSIVE, SUPPORTED]
    assert decisive(claim, rows, 0.05) is rows[1]
    assert existence_p(claim, rows, 0.05) == rows[1]["p_corrected"]


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


def test_a_rise_of_one_family_over_another_is_no_rise():
    assert BY_NAME["tuning_attribution_alignment"].changes
    assert not BY_NAME["tuning_input_x_gradient"].changes
    assert not BY_NAME["alignment_prompting_better"].changes


def test_cells_that_were_at_chance_before_are_no_evidence_of_no_rise():
    def one(corpus, base):
        ids, rng = range(300), np.random.default_rng(3)
        first, second = pd.Series(base + rng.normal(0, 0.1, 300), ids), pd.Series(base + rng.normal(0, 0.1, 300), ids)
        return Contrast(corpus, "m", (first - second).to_frame(0), first, second, 0)

    claim = BY_NAME["tuning_prompting_alignment"]
    row = pooled_row([one("good", 0.5), one("chance", 0.0)], claim, SPEC)
    assert (row["n"], row["corpora"]) == (300, 1)
    nothing = pooled_row([one("chance", 0.0)], claim, SPEC)
    assert nothing["excluded"].startswith("before fine-tuning it is not told from chance")


def test_a_checkpoint_is_named_by_the_last_epoch_of_its_own_corpus():
    cells = study(rise=0.2)
    rng = np.random.default_rng(1)
    cells[Cell("z", "m", "base")], cells[Cell("z", "m", "epoch-01-seed-0")] = cell(rng, 60), cell(rng, 60)
    rows = by_name(cells)["tuning_attribution_alignment"]["cells"]
    assert {row["corpus"]: row["checkpoint"] for row in rows} == {"a": "epoch 3", "b": "epoch 3", "z": "epoch 1"}


def test_without_random_words_claims_on_flips_beyond_them_say_so():
    cells = {name: replace(here, values=dict(here.values)) for name, here in study().items()}
    for here in cells.values():
        here.values["flip_beyond_random"] = here.values["flip_beyond_random"].iloc[:0]
    found = by_name(cells)
    for name in ("tuning_prompting_faithfulness", "ranking_without_errors", "flips_follow_accuracy"):
        assert found[name]["verdict"] == NOT_TESTED
        assert found[name]["reason"].startswith("no random words were masked")


def test_sets_that_shrink_are_no_loss_of_faithfulness():
    # After fine-tuning nine replies of ten name nothing: raw flips fall with the sets, flips beyond random do not.
    cells, empty = study(), np.arange(150) >= 15
    for name, here in cells.items():
        if name.checkpoint != "base":
            said = here.values["flip"].index.get_level_values("method") == "said"
            for measure in ("flip", "flip_beyond_random", "f1_corrected"):
                here.values[measure][said] = np.where(empty, 0.0, here.values[measure][said])
            usable = pd.Series(~empty, index=[str(place) for place in range(150)])
        else:
            usable = pd.Series(True, index=[str(place) for place in range(150)])
        cells[name] = replace(here, usable={"said": usable})
    found = by_name(cells)["tuning_prompting_faithfulness"]
    assert found["measure"] == "flip_beyond_random"
    assert found["verdict"] == INCONCLUSIVE
    assert found["reason"] == (
        "too few replies name a word of the text (15 of 150 of said at epoch-03-seed-0; at least 50\N{NO-BREAK SPACE}% "
        "are needed)"
    )
    # What is left is told of the texts whose replies name a word at both checkpoints: 15 in each corpus.
    pooled = found["pooled"]
    ids = [str(place) for place in range(15)]
    values = {name: of_method(here.values["flip_beyond_random"], "said", "as_given") for name, here in cells.items()}
    changes = [
        (values[Cell(corpus, "m", "epoch-03-seed-0")] - values[Cell(corpus, "m", "base")])[ids].mean()
        for corpus in "ab"
    ]
    assert (pooled["usable_n"], pooled["estimate"]) == (30, None)
    assert pooled["usable_estimate"] == pytest.approx(np.mean(changes))
    assert found["cells"][0]["usable_n"] == 15
    assert by_name(cells)["tuning_attribution_faithfulness"]["pooled"]["usable_n"] is None


def test_instances_whose_words_cannot_differ_do_not_count_towards_a_verdict():
    cells = study(0.2)
    for name, here in cells.items():
        informative = {}
        for measure, series in here.values.items():
            place = series.index.get_level_values("id").astype(int)
            informative[measure] = pd.Series(place < 20, index=series.index)
        cells[name] = replace(here, informative=informative)
    found = by_name(cells)["alignment_prompting_better"]
    assert found["verdict"] == INCONCLUSIVE
    assert found["cells"][0]["n_informative"] == 20
    why = "too few instances: 20 of at least 30 (of 150: in the others the words could not differ)"
    assert found["cells"][0]["reason"] == why


def test_a_margin_is_no_larger_than_what_the_study_calls_a_rise():
    settings = SETTINGS | {"margins": {"f1_corrected": 0.3}}
    found = by_name(study(rise=0.15, n=400), STUDY | {"claims": settings})
    assert found["tuning_attribution_alignment"]["verdict"] == SUPPORTED
    claim = found["tuning_prompting_alignment"]
    assert claim["verdict"] == INCONCLUSIVE
    assert claim["reason"].startswith("the margin of 0.3 is no smaller than a change that this study calls a rise (")


def test_alignment_where_accuracy_is_poor_is_tested_on_such_cells_alone():
    cells = study(0.0, correct=0.9) | {Cell("poor", "m", "base"): cell(np.random.default_rng(4), 200, correct=0.5)}
    found = by_name(cells)
    for name in ("alignment_poor_accuracy_attribution", "alignment_poor_accuracy_prompting"):
        assert (found[name]["verdict"], found[name]["version"]) == (SUPPORTED, "v1")
        assert [row["corpus"] for row in found[name]["cells"]] == ["poor"]
    good = by_name(study(0.0, correct=0.9))["alignment_poor_accuracy_attribution"]
    assert (good["verdict"], good["reason"]) == (NOT_TESTED, "no base model of the study has poor accuracy")
    # A collapsed cell is what the claim is about.
    flat = cells[Cell("poor", "m", "base")]
    cells[Cell("poor", "m", "base")] = replace(flat, majority_share=1.0)
    assert by_name(cells)["alignment_poor_accuracy_attribution"]["verdict"] == SUPPORTED


# Association and ranking


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
