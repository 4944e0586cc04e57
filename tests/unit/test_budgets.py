"""How many words a budget keeps and which; reference rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.budgets import selections, size, sizes, top
from rationale_eval.rationales.reference import first_words_scores, last_words_scores, random_scores
from rationale_eval.rationales.stage import reference

BUDGETS = {
    "var": {"kind": "top_var"},
    "fifth": {"kind": "top_ratio", "ratio": 0.2},
    "two": {"kind": "top_k", "k": 2},
}
scores = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12)


def instance(name="1", text="a b c d e", gold=(False, True, True, False, False)):
    return Instance(name, "yes", {"text": text}, whitespace_words([text]), gold)


@pytest.mark.parametrize(
    ("ratio", "words", "expected"),
    [
        (0.2, 15, 3),  # 0.2 * 15 is 3.0000000000000004
        (0.2, 16, 4),
        (0.2, 1, 1),
        (0.01, 5, 1),
        (0.1, 30, 3),
        (0.07, 100, 7),  # 7.000000000000001
        (0.5, 5, 3),
        (1.0, 7, 7),
    ],
)
def test_shares_of_words_are_rounded_up_and_at_least_one(ratio, words, expected):
    assert size({"kind": "top_ratio", "ratio": ratio}, words, 2) == expected


def test_fixed_and_annotated_sizes():
    assert size({"kind": "top_k", "k": 3}, 10, 1) == 3
    assert size({"kind": "top_k", "k": 30}, 10, 1) == 10
    assert size({"kind": "top_var"}, 10, 4) == 4


@given(st.integers(1, 100), st.integers(1, 400))
def test_a_percentage_of_words_is_the_exact_ceiling(percent, words):
    assert size({"kind": "top_ratio", "ratio": percent / 100}, words, 0) == -(-percent * words // 100)


def test_of_equal_scores_the_earlier_word_wins():
    assert top([1.0, 2.0, 1.0, 2.0], 1) == [False, True, False, False]
    assert top([1.0, 2.0, 1.0, 2.0], 3) == [True, True, False, True]
    assert top([0.0, 0.0, 0.0], 2) == [True, True, False]
    assert top([-0.0, 0.0], 1) == [True, False]
    assert top([0.5] * 100, 40) == [True] * 40 + [False] * 60  # enough for an unstable sort to show


def test_too_large_a_count_takes_all_and_zero_takes_none():
    assert top([1.0, 2.0], 5) == [True, True]
    assert top([1.0, 2.0], 0) == [False, False]


@given(scores, st.integers(0, 12))
def test_no_word_outside_scores_more_than_one_inside(values, count):
    mask = top(values, count)
    assert sum(mask) == min(count, len(values))
    inside = [value for value, chosen in zip(values, mask, strict=True) if chosen]
    outside = [value for value, chosen in zip(values, mask, strict=True) if not chosen]
    assert not inside or not outside or min(inside) >= max(outside)


@given(scores)
def test_larger_budgets_contain_smaller_ones(values):
    masks = [np.array(top(values, count)) for count in range(len(values) + 1)]
    assert all((larger >= smaller).all() for smaller, larger in itertools.pairwise(masks))


def test_scores_are_cut_to_every_budget():
    row = {"status": "ok", "scores": [0.1, 0.9, 0.2, 0.8, 0.0], "selected": None}
    assert list(selections(row, (True, False, False, True, True), BUDGETS, {})) == [
        ("var", "ok", [False, True, True, True, False]),
        ("fifth", "ok", [False, True, False, False, False]),
        ("two", "ok", [False, True, False, True, False]),
    ]


def test_without_marked_words_only_the_annotated_size_has_none():
    row = {"status": "ok", "scores": [0.1, 0.9], "selected": None}
    assert list(selections(row, (False, False), BUDGETS, {})) == [
        ("var", "no_gold", None),
        ("fifth", "ok", [False, True]),
        ("two", "ok", [True, True]),
    ]


AS_GIVEN = {"as_given": {"kind": "as_given"}}


def test_a_set_of_words_is_taken_as_it_is():
    row = {"status": "ok", "scores": None, "selected": [True, False]}
    assert list(selections(row, (True, True), AS_GIVEN, {})) == [("as_given", "ok", [True, False])]


def test_a_reply_is_cut_to_the_words_that_it_names_first():
    row = {"status": "ok", "scores": None, "selected": [True, True, False, True], "order": [3, 0, 1]}
    budgets = AS_GIVEN | {"var": {"kind": "top_var"}}
    assert list(selections(row, (True, False, True, False), budgets, {})) == [
        ("as_given", "ok", [True, True, False, True]),
        ("var", "ok", [True, False, False, True]),
    ]
    short = row | {"selected": [False] * 4, "order": []}
    assert list(selections(short, (True, False, True, False), budgets, {}))[1] == ("var", "ok", [False] * 4)


def test_scores_are_cut_to_the_size_of_a_reply_on_the_same_instance():
    replies = [
        {"id": "a", "sample": 0, "selected": [True, True, False]},
        {"id": "a", "sample": 1, "selected": [True, True, True]},
        {"id": "b", "sample": 0, "selected": None},
        {"id": "c", "sample": 0, "selected": [False, False, False]},
    ]
    matched = sizes("asked", replies)
    assert matched == {("asked", "a"): 2, ("asked", "b"): None, ("asked", "c"): 0}
    budget = {"same": {"kind": "matched", "to": "asked"}}
    row = {"status": "ok", "scores": [0.1, 0.3, 0.2], "selected": None}
    expected = {"a": ("ok", [False, True, True]), "b": ("no_reply", None), "c": ("ok", [False] * 3)}
    for name, (status, mask) in expected.items():
        assert list(selections(row | {"id": name}, (True, False, False), budget, matched)) == [("same", status, mask)]


def test_a_row_without_a_rationale_is_kept_wherever_one_was_due():
    row = {"status": "too_long", "scores": None, "selected": None}
    assert list(selections(row, (True, True), BUDGETS, {})) == [(name, "too_long", None) for name in BUDGETS]
    refused = row | {"status": "refusal"}
    assert list(selections(refused, (False,), AS_GIVEN, {})) == [("as_given", "refusal", None)]


def test_random_scores_depend_on_seed_and_id_alone():
    assert random_scores(instance("1"), 0) == random_scores(instance("1", text="v w x y z"), 0)
    assert random_scores(instance("1"), 0) != random_scores(instance("1"), 1)
    assert random_scores(instance("1"), 0) != random_scores(instance("2"), 0)
    method = {"kind": "random", "seeds": [4, 5]}
    alone = list(reference([instance("2")], method))
    among = [row for row in reference([instance("1"), instance("2"), instance("3")], method) if row["id"] == "2"]
    assert alone == among
    assert [row["sample"] for row in alone] == [0, 1]


def test_random_scores_choose_each_word_about_equally_often():
    counts = np.zeros(5)
    for number in range(2000):
        counts += top(random_scores(instance(str(number)), 0), 2)
    # 800 expected, standard deviation 22: six of them.
    assert np.abs(counts - 800).max() < 132


def test_first_words_come_first_under_every_budget():
    found = first_words_scores(instance())
    assert [top(found, count) for count in (1, 3)] == [[True] + [False] * 4, [True] * 3 + [False] * 2]


def test_last_words_come_first_under_every_budget():
    found = last_words_scores(instance())
    assert [top(found, count) for count in (1, 3)] == [[False] * 4 + [True], [False] * 2 + [True] * 3]
    (row,) = reference([instance()], {"kind": "last_words"})
    assert row["scores"] == found


def test_reference_sets():
    ((all_words,), (human,)) = (list(reference([instance()], {"kind": kind})) for kind in ("all_words", "human"))
    assert all_words["selected"] == [True] * 5
    assert all_words["scores"] is None
    assert human["selected"] == [False, True, True, False, False]
    for gold in (None, (False,) * 5):
        (row,) = reference([instance(gold=gold)], {"kind": "human"})
        assert (row["status"], row["selected"], row["scores"]) == ("no_gold", None, None)
