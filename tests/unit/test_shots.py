"""Solved examples: balanced, the same for the same rows in any order, and stable when rows are added."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.models.shots import draw
from rationale_eval.models.task import Task

TASK = Task(1, ("text",), (("", "text"),), {"a": "x", "b": "y", "c": "z"})


def row(text, label, **fields):
    fields = fields or {"text": text}
    return Instance(f"id of {text}", label, fields, whitespace_words(fields.values()), None)


def rows(count, name="text"):
    return [row(f"{name} {number}", "abc"[number % 3]) for number in range(count)]


@pytest.mark.parametrize(("count", "sizes"), [(3, [1, 1, 1]), (6, [2, 2, 2]), (7, [2, 2, 3]), (2, [0, 1, 1])])
def test_labels_are_equally_many(count, sizes):
    shots = draw(rows(60), TASK, count, seed=0)
    found = Counter(label for _, label in shots)
    assert sorted(found[label] for label in "abc") == sizes
    assert len({fields["text"] for fields, _ in shots}) == count
    label_of = {row.fields["text"]: row.label for row in rows(60)}
    assert all(label_of[fields["text"]] == label for fields, label in shots)


def test_the_choice_stays_what_it_is():
    """Another would change every prompt with examples."""
    train = [row(f"Die\u00a0STRASSE,\tder {n}. “Weg” — naïve\n", "abc"[n % 3]) for n in range(9)]
    assert [fields["text"].split()[3] for fields, _ in draw(train, TASK, 6, seed=3)] == [
        "0.",
        "5.",
        "3.",
        "2.",
        "7.",
        "1.",
    ]


def test_which_labels_get_one_more_and_the_order_depend_on_the_seed_alone():
    draws = [draw(rows(60), TASK, 4, seed) for seed in range(20)]
    assert draws == [draw(rows(60), TASK, 4, seed) for seed in range(20)]
    assert len({tuple(label for _, label in shots) for shots in draws}) > 5, "labels are mixed"
    assert {Counter(label for _, label in shots).most_common(1)[0][0] for shots in draws} == set("abc")


def test_the_order_of_the_rows_does_not_matter():
    train = [*rows(30), row("TEXT  4", "b"), row("text 4 ", "b")]
    expected = draw(train, TASK, 24, seed=3)
    for number in range(5):
        random.Random(number).shuffle(train)
        assert draw(train, TASK, 24, seed=3) == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.integers(0, 5))
def test_added_rows_replace_only_examples_that_they_come_before(added, seed):
    """Each example that is new is an added row: no old row moves in, or changes its place among the others."""
    before, after = (draw(rows(90) + rows(more, "new"), TASK, 6, seed) for more in (0, added))
    stayed = [shot for shot in after if not shot[0]["text"].startswith("new")]
    assert stayed == [shot for shot in before if shot in stayed]
    assert len(after) == 6


def test_equal_texts_count_once_and_those_with_two_labels_not_at_all():
    same = [row("A  film", "a"), row("a film", "a"), row("A FILM", "a")]
    others = [row("b", "b"), row("c", "c")]
    assert [fields["text"] for fields, label in draw(same + others, TASK, 3, 0) if label == "a"] == ["A  film"]
    more = [row("bb", "b"), row("cc", "c")]
    with pytest.raises(UserError, match=r"6 solved examples need 2 different train texts with the label 'a'.* are 1:"):
        draw(same + others + more, TASK, 6, 0)
    torn = [row("a film", "b"), row("other", "a")]
    assert {fields["text"] for fields, _ in draw(same + torn + others, TASK, 3, 0)} == {"other", "b", "c"}


def test_only_the_fields_of_the_task_count():
    task = Task(1, ("p", "h"), (("", "p"), ("", "h")), {"a": "x", "b": "y"})
    train = [
        row("1", "a", h="H", p="P", other="1"),
        row("2", "a", h="h", p="p", other="2"),
        row("3", "b", p="H", h="P"),
    ]
    shots = draw(train, task, 2, 0)
    assert sorted(shots, key=lambda shot: shot[1]) == [({"p": "P", "h": "H"}, "a"), ({"p": "H", "h": "P"}, "b")]


def test_no_examples_are_drawn_from_nothing():
    assert draw([], TASK, 0, 0) == []


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([], r"shots: 3 solved examples need 1 different train texts with the label '.'; there are 0: ask for fewer"),
        ([*rows(9), row("odd", "d")], r"train row 'id of odd' has the label 'd'.* verbalise; it has \['a', 'b', 'c'\]"),
        ([*rows(9), row("odd", "a", other="x")], r"train row 'id of odd' lacks the field\(s\) \['text'\]"),
    ],
)
def test_train_rows_that_do_not_do_are_named(train, message):
    with pytest.raises(UserError, match=message):
        draw(train, TASK, 3, 0)
