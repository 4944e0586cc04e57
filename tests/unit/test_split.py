"""The split into train and test: nested when it grows, disjoint, and each side independent of the other's size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora import stage
from rationale_eval.corpora.instances import Instance, packed, unpacked, whitespace_words
from rationale_eval.corpora.stage import IN_TEST, REPEATED, bounded, on_side, once, take, text_hash
from rationale_eval.errors import UserError


def row(number, text=None):
    text = f"text number {number}" if text is None else text
    return Instance(str(number), "yes", {"text": text}, whitespace_words([text]), None)


ROWS = [row(number) for number in range(300)]


def split(rows, seed, test_share, train_rows, test_rows):
    """Both sides, as the stage takes them from a source that has no split of its own."""
    return tuple(
        list(map(unpacked, take(once(on_side(rows, side, seed, test_share), set(), Counter()), seed, count)))
        for side, count in (("train", train_rows), ("test", test_rows))
    )


def ids(side):
    return [instance.id for instance in side]


def test_the_hash_of_a_text_stays_what_it_is():
    """Another would move rows from one side to the other."""
    fields = {"premise": "  Die\u00a0STRASSE,\tdie Straße — naïve\n", "hypothesis": "Ein “Weg”  \U0001f600"}
    found = text_hash(Instance("x", "yes", fields, whitespace_words(fields.values()), None))
    assert found == "1f77f333200f1ce850b0485490c329f39c57c2df93b9d9c4d38b8d2dbe6ab8de"


def test_the_test_share_is_about_what_was_asked_for():
    train, test = split(ROWS, seed=0, test_share=0.3, train_rows=300, test_rows=300)
    assert len(train) + len(test) == 300
    assert 60 <= len(test) <= 120
    everything = split(ROWS, 0, 1.0, 300, 300)
    assert (len(everything[0]), len(everything[1])) == (0, 300)


@given(small=st.integers(0, 60), more=st.integers(0, 60), other=st.integers(0, 200))
def test_more_rows_extend_a_side_and_the_other_side_has_no_say(small, more, other):
    train, test = split(ROWS, 3, 0.5, small, small)
    larger = split(ROWS, 3, 0.5, small + more, small + more)
    assert larger[0][:small] == train
    assert larger[1][:small] == test
    assert split(ROWS, 3, 0.5, other, small)[1] == test
    assert split(ROWS, 3, 0.5, small, other)[0] == train


@given(st.permutations(range(40)), st.integers(0, 39))
def test_a_corpus_that_grows_or_is_reordered_moves_no_row_to_the_other_side(order, kept):
    train, test = (set(ids(side)) for side in split(ROWS[:40], 1, 0.5, 40, 40))
    part = [ROWS[number] for number in order[:kept]]
    few_train, few_test = (set(ids(side)) for side in split(part, 1, 0.5, 40, 40))
    assert few_train <= train
    assert few_test <= test


def test_rows_are_taken_in_an_order_that_their_file_does_not_decide():
    _, test = split(ROWS, 0, 0.5, 300, 300)
    assert ids(test) != sorted(ids(test), key=int)
    assert ids(split(ROWS[::-1], 0, 0.5, 300, 300)[1]) == ids(test)


def test_another_seed_gives_another_split():
    assert set(ids(split(ROWS, 0, 0.5, 300, 300)[1])) != set(ids(split(ROWS, 1, 0.5, 300, 300)[1]))


def test_side_and_order_are_independent():
    """Were one hash used for both, the test side would hold the first rows in order of each growing corpus."""
    _, half = split(ROWS, 0, 0.5, 0, 20)
    _, most = split(ROWS, 0, 0.9, 0, 20)
    assert ids(half) != ids(most)


def test_a_text_has_one_row_and_one_side_whatever_its_case_and_spacing():
    spellings = ("Text {}", " text  {}", "TEXT\t{}\n")
    tripled = [row(number, spellings[number % 3].format(number // 3)) for number in range(150)]
    train, test = split(tripled, 0, 0.5, 150, 150)
    texts = [[int(instance.id) // 3 for instance in side] for side in (train, test)]
    assert sorted(texts[0] + texts[1]) == list(range(50))
    assert train
    assert test
    # Of the spellings it is the first in the file.
    assert {int(instance.id) % 3 for instance in (*train, *test)} == {0}


def test_no_more_rows_than_there_are():
    assert len(take(ROWS, 0, 1000)) == 300
    assert take([], 0, 5) == take(ROWS, 0, 0) == []


@given(st.lists(st.integers(0, 12), max_size=40), st.sets(st.integers(0, 12)))
def test_every_text_is_kept_once_in_order_and_what_is_not_is_counted(texts, elsewhere):
    rows = [row(place, f"text {number}") for place, number in enumerate(texts)]
    left_out = Counter()
    kept = list(once(rows, {text_hash(row(0, f"Text  {number}")) for number in elsewhere}, left_out))
    assert [instance.fields["text"] for instance in kept] == [
        f"text {number}" for number in dict.fromkeys(texts) if number not in elsewhere
    ]
    assert left_out[IN_TEST] == sum(number in elsewhere for number in texts)
    assert len(kept) + left_out.total() == len(texts)
    assert set(left_out) <= {IN_TEST, REPEATED}


def test_texts_are_told_apart_by_field():
    one, other = ({"premise": "a b", "hypothesis": "c"}, {"premise": "a", "hypothesis": "b c"})
    rows = [
        Instance(str(k), "yes", fields, whitespace_words(fields.values()), None)
        for k, fields in enumerate((one, other))
    ]
    assert list(once(rows, set(), Counter())) == rows


# Twelve sentences of each of 25 articles.
ARTICLES = [replace(one, group=f"article {place // 12}") for place, one in enumerate(ROWS)]


def groups(side):
    return {instance.group for instance in side}


@given(seed=st.integers(0, 5), train_rows=st.integers(0, 300), test_rows=st.integers(0, 300))
def test_no_group_is_on_both_sides(seed, train_rows, test_rows):
    train, test = split(ARTICLES, seed, 0.5, train_rows, test_rows)
    assert not groups(train) & groups(test)


def test_whole_groups_fall_on_a_side_by_their_names_alone():
    train, test = split(ARTICLES, 3, 0.5, 300, 300)
    assert len(train) + len(test) == 300
    assert 6 <= len(groups(test)) <= 19
    assert len(test) == 12 * len(groups(test))
    # Other sentences of the same articles fall on the same sides.
    others = [replace(row(place, f"another {place}"), group=one.group) for place, one in enumerate(ARTICLES)]
    assert [groups(side) for side in split(others, 3, 0.5, 300, 300)] == [groups(train), groups(test)]


@given(small=st.integers(0, 60), more=st.integers(0, 60), other=st.integers(0, 200))
def test_with_groups_too_more_rows_extend_a_side_and_the_other_side_has_no_say(small, more, other):
    train, test = split(ARTICLES, 3, 0.5, small, small)
    larger = split(ARTICLES, 3, 0.5, small + more, small + more)
    assert larger[0][:small] == train
    assert larger[1][:small] == test
    assert split(ARTICLES, 3, 0.5, other, small)[1] == test
    assert split(ARTICLES, 3, 0.5, small, other)[0] == train


def test_rows_without_a_group_stay_on_the_side_of_their_text():
    mixed = [one if place % 2 else replace(one, group=None) for place, one in enumerate(ARTICLES)]
    plain_train, plain_test = (set(ids(side)) for side in split(ROWS, 1, 0.5, 300, 300))
    train, test = split(mixed, 1, 0.5, 300, 300)
    assert {one.id for one in train if one.group is None} == {name for name in plain_train if int(name) % 2 == 0}
    assert {one.id for one in test if one.group is None} == {name for name in plain_test if int(name) % 2 == 0}


def test_a_packed_row_comes_back_as_it_was():
    masks = ((True, False, True), (False, False, True))
    fields = {"b": "ein Ø\n", "a": "zwei drei"}
    words = whitespace_words(fields.values())[1:]
    whole = Instance("i", "yes", fields, words, masks[0], masks, "no", "group", ("note",))
    assert unpacked(packed(whole)) == whole
    assert list(unpacked(packed(whole)).fields) == list(fields)
    assert unpacked(packed(ROWS[0])) == ROWS[0]


def test_rows_that_are_held_to_choose_among_them_have_a_limit(monkeypatch):
    monkeypatch.setattr(stage, "MAX_TAKEN_BYTES", 100_000)
    assert len(take(ROWS, 0, 100)) == 100
    with pytest.raises(UserError, match="the 300 rows that were asked for take more than 100000 bytes"):
        take(ROWS, 0, 300)


def test_rows_and_labels_have_limits(monkeypatch):
    assert list(bounded(ROWS, Path("x"))) == ROWS
    for labels in ([str(number) for number in range(1001)], ["y" * 1001]):
        with pytest.raises(UserError, match=r"x: row '.*': the label .* is the right column read as label"):
            list(bounded([replace(ROWS[0], label=label) for label in labels], Path("x")))
    monkeypatch.setattr(stage, "MAX_ROWS", 299)
    with pytest.raises(UserError, match="x: has more than 299 rows"):
        list(bounded(ROWS, Path("x")))
