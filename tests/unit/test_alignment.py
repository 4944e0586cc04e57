"""Alignment measures against hand-worked cases, scikit-learn and exact enumeration."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.alignment import (
    ALIGNMENT,
    agreement,
    average_precision,
    expected_average_precision,
    expected_f1,
    main,
    row_of,
)
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.rationales.choices import choices
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_table, write_table
from sklearn.metrics import average_precision_score, jaccard_score, precision_recall_fscore_support

GOLD = (True, False, True, False)
WORDS = whitespace_words(["a b c d"])
MARKED = Instance("m", "yes", {"text": "a b c d"}, WORDS, GOLD)
UNMARKED = Instance("u", "yes", {"text": "a b c d"}, WORDS, (False,) * 4)
BUDGETS = {"top_var": {"kind": "top_var"}, "one": {"kind": "top_k", "k": 1}}


def masks(marked):
    """Pairs of a mask and a gold mask of one length, the latter with a marked word."""
    return st.lists(st.tuples(marked, st.booleans()), min_size=1, max_size=12).filter(
        lambda pairs: any(gold for _, gold in pairs)
    )


def test_a_worked_case():
    found = agreement([True, True, False, False], GOLD)
    assert found == pytest.approx(
        {"precision": 0.5, "recall": 0.5, "f1": 0.5, "f1_chance": 0.5, "f1_corrected": 0.0, "iou": 1 / 3}
    )
    found = agreement([True, True, True, False], GOLD)
    assert found["precision"] == pytest.approx(2 / 3)
    assert (found["recall"], found["f1"]) == (1.0, pytest.approx(0.8))
    # Random sets of three of four words, two marked: 1.5 hits on average, so F1 = 2 * 1.5 / 5.
    assert found["f1_chance"] == pytest.approx(0.6)
    assert found["f1_corrected"] == pytest.approx(0.2)


def test_an_empty_set_has_zeros_and_the_gold_itself_ones():
    assert agreement([False] * 4, GOLD) == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "f1_chance": 0.0,
        "f1_corrected": 0.0,
        "iou": 0.0,
    }
    same = agreement(list(GOLD), GOLD)
    assert same["precision"] == same["recall"] == same["f1"] == same["iou"] == 1.0


def test_masks_of_different_lengths_are_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        agreement([True], GOLD)


@given(masks(st.booleans()))
def test_set_measures_equal_scikit_learns(pairs):
    chosen, gold = zip(*pairs, strict=True)
    precision, recall, f1, _ = precision_recall_fscore_support(gold, chosen, average="binary", zero_division=0.0)
    found = agreement(chosen, gold)
    assert found["precision"] == pytest.approx(precision)
    assert found["recall"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(f1)
    assert found["iou"] == pytest.approx(jaccard_score(gold, chosen))


@pytest.mark.parametrize("words", range(1, 8))
def test_expected_f1_is_the_mean_over_all_sets_of_that_size(words):
    for marked in range(1, words + 1):
        gold = [place < marked for place in range(words)]
        for chosen in range(words + 1):
            sets = list(combinations(range(words), chosen))
            mean = sum(agreement([place in picked for place in range(words)], gold)["f1"] for picked in sets) / len(
                sets
            )
            assert expected_f1(chosen, marked, words) == pytest.approx(mean)


# Few distinct scores, so that most examples have ties.
@given(masks(st.sampled_from([-1.5, 0.0, 0.25, 3.0])))
def test_average_precision_equals_scikit_learns_with_ties(pairs):
    scores, gold = zip(*pairs, strict=True)
    assert average_precision(scores, gold) == pytest.approx(average_precision_score(gold, scores))


@given(masks(st.floats(-10, 10)))
def test_average_precision_equals_scikit_learns(pairs):
    scores, gold = zip(*pairs, strict=True)
    assert average_precision(scores, gold) == pytest.approx(average_precision_score(gold, scores))


def test_average_precision_worked_by_hand():
    assert average_precision([0.9, 0.8, 0.7, 0.6], GOLD) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision([1.0, 1.0, 1.0, 1.0], GOLD) == pytest.approx(0.5)


@pytest.mark.parametrize("words", range(1, 8))
def test_expected_average_precision_is_the_mean_over_all_orders(words):
    # All sets of marked places in an order of the words, each as likely as the others.
    scores = list(range(words, 0, -1))
    for marked in range(1, words + 1):
        places = list(combinations(range(words), marked))
        found = [average_precision_score([place in picked for place in range(words)], scores) for picked in places]
        assert expected_average_precision(marked, words) == pytest.approx(sum(found) / len(found))


def test_expected_average_precision_is_far_from_the_share_of_marked_words():
    # One of ten marked: 1/k for each place, 0.293 on average, where the share is 0.1.
    assert expected_average_precision(1, 10) == pytest.approx(sum(1 / place for place in range(1, 11)) / 10)
    scores = np.random.default_rng(3).random((4000, 20))
    gold = [place in (2, 9, 11) for place in range(20)]
    found = np.mean([average_precision(order, gold) for order in scores])
    assert expected_average_precision(3, 20) == pytest.approx(found, abs=0.01)
    assert expected_average_precision(3, 20) > 1.7 * 3 / 20


def rows_of(instance, rationale, budgets, tmp_path):
    """The alignment rows of one row of a rationales table."""
    write_table(tmp_path / "rationales.parquet", [rationale], RATIONALES, {})
    method = {"name": "gxi", "budgets": budgets}
    found = choices([method], [tmp_path / "rationales.parquet"], {instance.id: instance})
    return {choice.budget: row_of(choice) for choice in found}


def test_rows_of_a_scored_method_hold_every_budget_and_the_curve(tmp_path):
    rows = rows_of(MARKED, rationale_row("m", 1, scores=[0.9, 0.8, 0.1, 0.0]), BUDGETS, tmp_path)
    assert set(rows) == {"top_var", "one"}
    assert rows["top_var"]["f1"] == 0.5
    assert rows["top_var"]["selected"] == 2
    assert rows["one"]["precision"] == 1.0
    assert rows["one"]["recall"] == 0.5
    for row in rows.values():
        assert row["auprc"] == pytest.approx(0.5 + 0.5 * 2 / 3)
        assert row["auprc_chance"] == pytest.approx((25 / 12 + 1 / 3 * (4 - 25 / 12)) / 4)
        assert (row["id"], row["method"], row["sample"], row["status"], row["words"], row["gold"]) == (
            "m", "gxi", 1, "ok", 4, 2,
        )  # fmt: skip


AS_GIVEN = {"as_given": {"kind": "as_given"}}


def test_rows_of_a_set_have_no_curve(tmp_path):
    rows = rows_of(MARKED, rationale_row("m", selected=[True, False, True, False]), AS_GIVEN, tmp_path)
    (row,) = rows.values()
    assert (row["budget"], row["f1"], row["auprc"], row["auprc_chance"]) == ("as_given", 1.0, None, None)


def test_a_reply_that_names_nothing_has_an_f1_of_zero_and_a_refusal_none(tmp_path):
    rows = rows_of(MARKED, rationale_row("m", selected=[False] * 4, order=[]), AS_GIVEN, tmp_path)
    assert (rows["as_given"]["status"], rows["as_given"]["f1"]) == ("ok", 0.0)
    rows = rows_of(MARKED, rationale_row("m", status="refusal"), AS_GIVEN, tmp_path)
    assert (rows["as_given"]["status"], rows["as_given"]["f1"]) == ("refusal", None)


@pytest.mark.parametrize("scores", [None, [0.4, 0.3, 0.2, 0.1]])
def test_without_marked_words_nothing_is_measured_but_the_row_stays(scores, tmp_path):
    selected = [True] * 4 if scores is None else None
    budgets = AS_GIVEN if scores is None else BUDGETS
    rows = rows_of(UNMARKED, rationale_row("u", scores=scores, selected=selected), budgets, tmp_path)
    assert set(rows) == set(budgets)
    assert {(row["status"], row["f1"], row["auprc"]) for row in rows.values()} == {("no_gold", None, None)}


def test_the_stage_writes_one_row_for_each_cell_and_needs_a_table_for_each_method(tmp_path):
    write_instances(tmp_path / "test.parquet", [MARKED, UNMARKED], {})
    rationales = [rationale_row(name, scores=[4.0, 3.0, 2.0, 1.0]) for name in "mu"]
    write_table(tmp_path / "first.parquet", rationales, RATIONALES, {})
    command = ["--test", str(tmp_path / "test.parquet"), "--output", str(tmp_path / "out.parquet")]
    command += ["--rationales", str(tmp_path / "first.parquet")]
    spec = {"methods": [{"name": "first", "budgets": BUDGETS}], "metrics": []}
    main(["--spec", json.dumps(spec), *command])
    rows = read_table(tmp_path / "out.parquet", ALIGNMENT)
    assert [(row["id"], row["budget"], row["status"]) for row in rows] == [
        ("m", "top_var", "ok"),
        ("m", "one", "ok"),
        ("u", "top_var", "no_gold"),
        ("u", "one", "no_gold"),
    ]
    spec["methods"] = [{"name": name, "budgets": BUDGETS} for name in ("first", "other")]
    with pytest.raises(UserError, match="1 tables for 2 methods"):
        main(["--spec", json.dumps(spec), *command])


METRIC = """
from rationale_eval.plugins import metric


@metric("hits")
def measure(selected, gold):
    return sum(a and b for a, b in zip(selected, gold))
"""


def test_a_plugins_metric_is_in_every_row_that_can_be_measured(tmp_path):
    (tmp_path / "plugin.py").write_text(METRIC)
    write_instances(tmp_path / "test.parquet", [MARKED, UNMARKED], {})
    rationales = [rationale_row(name, scores=[4.0, 3.0, 2.0, 1.0]) for name in "mu"]
    write_table(tmp_path / "first.parquet", rationales, RATIONALES, {})
    spec = {
        "methods": [{"name": "first", "budgets": BUDGETS | {"all": {"kind": "top_k", "k": 4}}}],
        "metrics": ["hits"],
    }
    command = ["--spec", json.dumps(spec), "--test", str(tmp_path / "test.parquet")]
    command += ["--rationales", str(tmp_path / "first.parquet"), "--plugins", str(tmp_path / "plugin.py")]
    main([*command, "--output", str(tmp_path / "out.parquet")])
    found = {
        (row["id"], row["budget"]): dict(row["metrics"]) for row in read_table(tmp_path / "out.parquet", ALIGNMENT)
    }
    assert found == {
        ("m", "top_var"): {"hits": 1.0},
        ("m", "one"): {"hits": 1.0},
        ("m", "all"): {"hits": 2.0},
        **{("u", budget): {} for budget in ("top_var", "one", "all")},
    }
