"""Measures of an order of words: worked by hand, what holds of every order, and the stage that reads them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.curve_stage import main, tau
from rationale_eval.faithfulness.curves import aopc, area, curve_counts, words_to_flip
from rationale_eval.faithfulness.schema import ALL, CURVES, LEFT_OUT, PERTURBATIONS
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_table, write_table

AOPC = [0.01, 0.05, 0.1, 0.2, 0.5]


@pytest.mark.parametrize(
    ("words", "expected"), [(1, [1]), (4, [1, 2]), (10, [1, 2, 5]), (20, [1, 2, 4, 10]), (100, [1, 5, 10, 20, 50])]
)
def test_thresholds_are_rounded_up_and_counted_once(words, expected):
    assert curve_counts(words, AOPC) == expected


def test_the_aopc_is_the_mean_of_the_drops_at_its_thresholds():
    assert aopc({1: 0.1, 2: 0.4, 3: 9.0, 5: 0.4}, [1, 2, 5]) == pytest.approx(0.3)
    assert aopc({1: 0.1, 2: None}, [1, 2]) is None
    assert aopc({1: 0.1}, [1, 2]) is None
    assert aopc({1: 0.1}, []) is None


def test_the_area_is_that_of_trapezoids_over_shares_of_words():
    # shares 0, 1/4, 1: 1/4 * (1 + 0.6)/2 + 3/4 * (0.6 + 0.2)/2
    assert area({0: 1.0, 1: 0.6, 4: 0.2}, 4) == pytest.approx(0.2 + 0.3)
    assert area({0: 1.0, 1: None, 4: 0.2}, 4) is None
    assert area({1: 0.6, 4: 0.2}, 4) is None
    assert area({0: 1.0, 1: 0.6}, 4) is None


@given(st.floats(0, 1), st.integers(1, 50), st.sets(st.integers(1, 49)))
def test_the_area_of_a_model_that_nothing_moves_is_its_probability(probability, words, between):
    counts = {0, words} | {count for count in between if count < words}
    assert area(dict.fromkeys(counts, probability), words) == pytest.approx(probability)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_insertion_is_deletion_of_the_reversed_order(probabilities):
    """Keeping the first k words is masking the other n - k, which are the first of the reversed order."""
    words = len(probabilities) - 1
    deleted = dict(enumerate(probabilities))
    assert area({words - count: value for count, value in deleted.items()}, words) == pytest.approx(
        area(deleted, words)
    )
    assert min(probabilities) - 1e-9 <= area(deleted, words) <= max(probabilities) + 1e-9


def test_the_words_to_flip_are_those_of_the_first_flip():
    # a later point may be back at the old label: a flip once made is a flip
    assert words_to_flip({1: False, 2: True, 3: False, 8: True}, 8) == (True, 0.25)
    assert words_to_flip({1: False, 8: False}, 8) == (False, None)
    assert words_to_flip({1: None, 8: True}, 8) == (None, None)
    assert words_to_flip({1: True, 8: None}, 8) == (True, 0.125)
    assert words_to_flip({}, 8) == (None, None)


@given(st.dictionaries(st.integers(1, 20), st.sampled_from([True, False, None])))
def test_the_words_to_flip_are_one_of_the_points_or_there_is_no_flip(flips):
    flipped, share = words_to_flip(flips, 20)
    assert (share is not None) == (flipped is True)
    if flipped:
        assert flips[round(share * 20)] is True


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20, unique=True))
def test_an_order_agrees_with_itself_and_not_with_its_reverse(scores):
    assert tau(scores, scores) == pytest.approx(1)
    assert tau(scores, [-score for score in scores]) == pytest.approx(-1)


def test_tau_b_counts_ties_as_kendall_does():
    # pairs: two concordant, one tied in the scores: tau-b = 2 / sqrt((3 - 1) * 3)
    assert tau([1.0, 1.0, 0.0], [3.0, 2.0, 1.0]) == pytest.approx(2 / math.sqrt(6))
    assert tau([1.0, 1.0], [3.0, 2.0]) is None
    assert tau([1.0, 2.0], [3.0, None]) is None
    assert tau([1.0], [3.0]) is None


def answer(method, budget, probability, operation="mask", status="ok", sample=0, selected=1):
    """A row of perturbations in which the label predicted before has this probability."""
    found = [math.log(1 - probability), math.log(probability)] if status == "ok" else None
    row = {"id": "i", "method": method, "sample": sample, "budget": budget, "operation": operation, "status": status}
    predicted = None if status != "ok" else "b" if probability > 0.5 else "a"
    return row | {"words": 4, "selected": selected, "predicted": predicted, "scores": found}


ROWS = [
    answer(ALL, "as_given", 0.2, selected=4),
    answer("gxi", "(1)", 0.6),
    answer("gxi", "(2)", 0.4),
    answer("gxi", "(1)", 0.3, "keep"),
    answer("gxi", "(2)", 0.9, "keep"),
    *(answer(LEFT_OUT, f"({place})", probability) for place, probability in enumerate([0.6, 0.7, 0.75, 0.8])),
]


def run(folder, rows=ROWS, rationale=None, ratios=AOPC, status="ok", curves=True):
    values = [math.log(0.2), math.log(0.8)] if status == "ok" else None
    prediction = dict.fromkeys(PREDICTIONS.columns.names) | {"id": "i", "status": status, "gold": "a", "tokens": 9}
    prediction |= {"labels": ["a", "b"], "predicted": "b" if status == "ok" else None, "scores": values}
    write_table(folder / "p.parquet", [prediction], PREDICTIONS, {})
    write_table(folder / "x.parquet", rows, PERTURBATIONS, {})
    rationale = rationale or rationale_row("i", scores=[4.0, 3.0, 2.0, 1.0])
    write_table(folder / "r.parquet", [rationale], RATIONALES, {})
    spec = {"methods": [{"name": "gxi", "curves": curves}], "aopc_ratios": AOPC, "ratios": ratios}
    command = ["--spec", json.dumps(spec), "--predictions", str(folder / "p.parquet")]
    command += ["--perturbations", str(folder / "x.parquet"), "--rationales", str(folder / "r.parquet")]
    main([*command, "--output", str(folder / "out.parquet")])
    (row,) = read_table(folder / "out.parquet", CURVES)
    return row


def test_the_measures_of_one_order_by_hand(tmp_path):
    row = run(tmp_path)
    # four words: 1, 5, 10 and 20 % are one word, 50 % two
    assert (row["status"], row["words"], row["points"], row["aopc_thresholds"]) == ("ok", 4, 4, 2)
    assert row["aopc_comprehensiveness"] == pytest.approx(((0.8 - 0.6) + (0.8 - 0.4)) / 2)
    assert row["aopc_sufficiency"] == pytest.approx(((0.8 - 0.3) + (0.8 - 0.9)) / 2)
    # deletion 0.8, 0.6, 0.4, 0.2 at 0, 1, 2, 4 words; insertion 0.2, 0.3, 0.9, 0.8
    assert row["deletion_auc"] == pytest.approx((0.7 + 0.5 + 2 * 0.3) / 4)
    assert row["insertion_auc"] == pytest.approx((0.25 + 0.6 + 2 * 0.85) / 4)
    assert (row["flips"], row["words_to_flip"]) == (True, 0.5)
    assert row["leave_one_out_tau"] == pytest.approx(1)


def test_without_points_there_is_no_curve_and_without_words_left_out_no_agreement(tmp_path):
    row = run(tmp_path, ROWS[:1], ratios=[], curves=False)
    assert row["status"] == "ok"
    assert {row[name] for name in CURVES.columns.names[5:]} == {None}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "chat_markup"}, "chat_markup"),
        ({"rationale": rationale_row("i", status="refusal")}, "refusal"),
        ({"rationale": rationale_row("i", selected=[True, False, False, True])}, "no_order"),
    ],
)
def test_what_has_no_order_keeps_its_row_and_no_number(tmp_path, changes, status):
    row = run(tmp_path, **changes)
    assert (row["status"], row["words"]) == (status, 4)
    assert {row[name] for name in CURVES.columns.names[5:]} == {None}


def test_a_point_that_does_not_fit_leaves_only_what_needs_it_not(tmp_path):
    missing = {"status": "too_long", "predicted": None, "scores": None}
    rows = [found | missing if (found["method"], found["budget"]) == ("gxi", "(2)") else found for found in ROWS]
    row = run(tmp_path, rows)
    measured = ("aopc_comprehensiveness", "aopc_sufficiency", "deletion_auc", "insertion_auc", "words_to_flip")
    assert [row[name] for name in measured] == [None] * 5
    assert row["flips"] is None
    assert row["leave_one_out_tau"] == pytest.approx(1)


def test_a_rationale_without_perturbations_is_refused(tmp_path):
    with pytest.raises(UserError, match="row 'j' has no perturbation"):
        run(tmp_path, rationale=rationale_row("j", scores=[1.0] * 4))
