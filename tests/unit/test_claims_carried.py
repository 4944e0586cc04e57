"""The numbers that a verdict rests on: which row, which instances, which correction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import SETTINGS, SPEC, cell, contrast
from planted_study import BASE_A, BY_NAME, STUDY, by_name, study
from rationale_eval.claims import stage
from rationale_eval.claims.contrasts import Contrast, poor_accuracy
from rationale_eval.claims.estimates import cell_row, pooled_row
from rationale_eval.claims.stage import table_rows
from rationale_eval.claims.verdicts import (
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    decisive,
    existence_p,
    judge,
    of_existence,
)
from rationale_eval.report.aggregate import of_method
from rationale_eval.report.layout import Cell
from scipy import stats
from statsmodels.stats.multitest import multipletests


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


@pytest.mark.parametrize(("usable", "told"), [(4, False), (5, True)])
def test_of_a_handful_of_usable_replies_nothing_is_estimated(usable, told):
    cells = study()
    for name, here in cells.items():
        named = pd.Series(np.arange(150) < (usable if name.corpus == "a" else 0), index=[str(at) for at in range(150)])
        cells[name] = replace(here, usable={"said": named})
    pooled = by_name(cells)["tuning_prompting_faithfulness"]["pooled"]
    assert pooled["usable_n"] == usable
    assert (pooled.get("usable_estimate") is not None) == told


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
    assert claim["reason"].startswith(
        "the margin of 0.3 is no smaller than the change in a supported claim of a rise ("
    )


@pytest.mark.parametrize(("right", "poor"), [(33, True), (34, False)])
def test_an_accuracy_is_poor_where_its_whole_interval_is_nearer_to_the_most_frequent_label_than_to_no_error(
    right, poor
):
    # 30 of 48 texts have the most frequent label, so half way to 1 is .8125. Wilson: 33 of 48 end at .800, 34 at .818.
    here = cell(np.random.default_rng(0), 48)
    correct = pd.Series([1.0] * right + [0.0] * (48 - right), index=here.correct.index)
    assert poor_accuracy(replace(here, correct=correct, gold_share=30 / 48), 0.95) == poor


def test_a_cell_has_no_verdict_that_its_claim_has_not():
    # A rise in one corpus is as large as the fall in the other, so that the pool has none.
    cells = study(rise=0.15)
    for name, here in cells.items():
        if name.corpus == "a" and name.checkpoint != "base":
            scored = here.values["f1_corrected"].index.get_level_values("method") != "said"
            here.values["f1_corrected"][scored] -= 0.3
    found = by_name(cells)["tuning_attribution_alignment"]
    assert (found["verdict"], [row["verdict"] for row in found["cells"]]) == (INCONCLUSIVE, [INCONCLUSIVE] * 2)
    for row, alone in zip(found["cells"], ["contradicted", "supported"], strict=True):
        assert row["reason"] == f"by itself {alone}, but the claim, corrected over all claims, is inconclusive"


def test_alignment_where_accuracy_is_poor_is_tested_on_such_cells_alone():
    cells = study(0.0, correct=0.9) | {Cell("poor", "m", "base"): cell(np.random.default_rng(4), 200, correct=0.5)}
    found = by_name(cells)
    for name in ("alignment_poor_accuracy_attribution", "alignment_poor_accuracy_prompting"):
        assert (found[name]["verdict"], found[name]["version"]) == (SUPPORTED, "v1")
        assert [row["corpus"] for row in found[name]["cells"]] == ["poor"]
    good = by_name(study(0.0, correct=0.9))["alignment_poor_accuracy_attribution"]
    assert good["verdict"] == NOT_TESTED
    assert good["reason"].startswith("no base model of the study has poor accuracy (by its whole interval nearer to")
    # Readers see how poor: 106 of 200 texts.
    assert int(cells[Cell("poor", "m", "base")].correct.sum()) == 106
    assert found[name]["reason"].endswith("; poor, m is right on 53\N{NO-BREAK SPACE}% [46, 60]")
    # A collapsed cell is what the claim is about.
    flat = cells[Cell("poor", "m", "base")]
    cells[Cell("poor", "m", "base")] = replace(flat, majority_share=1.0)
    assert by_name(cells)["alignment_poor_accuracy_attribution"]["verdict"] == SUPPORTED


# Rows by hand


def numbers(estimate, low, high, p, **more):
    return {"estimate": estimate, "low": low, "high": high, "p": p, "excluded": "", **more}


def verdicts_on(monkeypatch, rows):
    """What a study says of claims whose rows, (pooled, cells) by name of the claim, are these."""
    parts = {name: {"pooled": pooled, "cells": cells, "decisive": None} for name, (pooled, cells) in rows.items()}
    monkeypatch.setattr(stage, "test", lambda claim, *_: parts[claim.name])
    return dict(zip(rows, stage.verdicts([BY_NAME[name] for name in rows], {}, SPEC), strict=True))


def test_claims_of_single_cells_are_corrected_with_all_others(monkeypatch):
    one = numbers(-0.2, -0.3, -0.1, 0.03, p_corrected=0.03, verdict=SUPPORTED, corpus="b", model="m", checkpoint="base")
    higher = numbers(0.2, 0.1, 0.3, 0.02)
    found = verdicts_on(
        monkeypatch,
        {"alignment_not_always": (numbers(0.1, 0.05, 0.15, 0.9), [one]), "alignment_prompting_better": (higher, [])},
    )
    # Holm of .03 and .02: the smaller one twice, and the other no smaller than that.
    assert [row["decisive"]["p_corrected"] for row in found.values()] == pytest.approx([0.04, 0.04])


@pytest.mark.parametrize(
    ("name", "estimate", "verdict"),
    [
        ("tuning_attribution_alignment", 0.01, INCONCLUSIVE),
        ("tuning_attribution_alignment", 0.03, SUPPORTED),
        # By how much one family rises more than another is no rise, and a rise of flips none of alignment.
        ("tuning_input_x_gradient", 0.01, SUPPORTED),
        ("tuning_attribution_faithfulness", 0.01, SUPPORTED),
    ],
)
def test_a_margin_is_held_against_rises_of_the_same_measure(name, estimate, verdict, monkeypatch):
    rise = numbers(estimate, estimate - 0.005, estimate + 0.005, 0.001)
    fall = numbers(-0.1, -0.15, -0.05, 0.001)
    found = verdicts_on(monkeypatch, {name: (rise, []), "tuning_prompting_alignment": (fall, [])})
    assert found[name]["verdict"] == SUPPORTED
    assert found["tuning_prompting_alignment"]["verdict"] == verdict
    told = f"(the smallest change in a supported claim of a rise: {estimate:+.3f})"
    assert (told in found["tuning_prompting_alignment"]["reason"]) == (name == "tuning_attribution_alignment")


def test_a_cell_supports_an_existence_claim_only_after_the_correction_over_claims():
    claim, one = BY_NAME["alignment_not_always"], numbers(-0.2, -0.25, -0.15, 0.01, p_corrected=0.02)
    assert of_existence(claim, [one], 0.04, 0.05) == (SUPPORTED, "in 1 of 1 cell after Holm's correction")
    why = "in 1 of 1 cell after the correction over cells, but not after that over claims"
    assert of_existence(claim, [one], 0.06, 0.05) == (INCONCLUSIVE, why)


def test_what_denies_a_claim_of_one_cell_is_the_least_certain_of_all():
    # Both cells are on the other side of "lower in at least one cell".
    claim = BY_NAME["alignment_not_always"]
    rows = [numbers(0.3, 0.2, 0.4, 0.001, p_corrected=0.002), numbers(0.1, 0.02, 0.18, 0.03, p_corrected=0.03)]
    assert decisive(claim, rows, 0.05) is rows[1]
    assert existence_p(claim, rows, 0.05) == 0.03
    assert of_existence(claim, rows, 0.06, 0.05)[0] == INCONCLUSIVE


def test_where_few_texts_differ_p_is_the_larger_one_of_two_tests():
    claim = BY_NAME["alignment_prompting_better"]
    alike = cell_row(contrast(np.repeat([-0.3, 0.0], [10, 90])), claim, SPEC)
    # All ten have one sign, which has a chance of 2 in 2 ** 10; the t test has .001.
    assert (alike["nonzero"], alike["p"], alike["p_sign_flip"]) == pytest.approx((10, 2 / 2**10, 2 / 2**10))
    one_large = np.repeat([-1.0, -0.01, 0.0], [1, 11, 88])
    row = cell_row(contrast(one_large), claim, SPEC)
    assert row["p_sign_flip"] == pytest.approx(2 / 2**12)
    assert row["p"] == pytest.approx(stats.ttest_1samp(one_large, 0).pvalue)
    assert row["p"] > 0.2


def test_above_the_margin_p_is_that_of_a_rise_of_just_the_margin():
    row = cell_row(contrast(np.tile([0.14, -0.06], 50)), BY_NAME["tuning_prompting_alignment"], SPEC)
    # The mean is .04, .02 above the margin, and its standard error .1 / sqrt(99).
    assert row["p"] == pytest.approx(2 * stats.t.sf(0.02 / (0.1 / np.sqrt(99)), 99))
    assert row["p_sign_flip"] is None
