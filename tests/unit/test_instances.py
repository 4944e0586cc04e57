"""Words and instances: what may be written, and that it is read back as it was."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import (
    Instance,
    Word,
    check,
    plain_texts,
    read_instances,
    whitespace_words,
    write_instances,
)
from rationale_eval.errors import UserError

GOOD = Instance(
    id="7",
    label="yes",
    fields={"premise": "A dog runs.", "hypothesis": "It’s 東京"},
    words=(Word(0, 0, 1), Word(0, 2, 5), Word(0, 6, 11), Word(1, 0, 4), Word(1, 5, 7)),
    rationale=(False, True, True, False, False),
    annotators=((False, True, False, False, False), (True, True, True, False, False)),
)


def test_words_are_runs_without_space_and_keep_their_punctuation():
    assert whitespace_words(["Good,  film!\n", "a\tb"]) == (Word(0, 0, 5), Word(0, 7, 12), Word(1, 0, 1), Word(1, 2, 3))
    assert whitespace_words(["  ", ""]) == ()


@given(st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_words_are_what_splitting_gives(texts):
    words = whitespace_words(texts)
    assert [texts[word.field][word.start : word.end] for word in words] == [
        part for text in texts for part in re.split(r"\s+", text) if part
    ]


def test_texts_that_differ_in_case_and_spacing_alone_are_one():
    first, second = plain_texts(["  Die\u00a0STRASSE,\tdie Weg\n", "die straße, die weg"])
    assert first == second == "die strasse, die weg"
    assert plain_texts(["Weg.", "Weg"])[0] != plain_texts(["Weg.", "Weg"])[1]


def test_the_text_of_a_word_comes_from_its_own_field():
    assert [GOOD.text(word) for word in GOOD.words] == ["A", "dog", "runs.", "It’s", "東京"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": (), "rationale": (), "annotators": None}, "row '7' has no words"),
        ({"words": (Word(0, 0, 12), *GOOD.words[1:])}, "outside its text"),
        ({"words": (*GOOD.words[:4], Word(1, 5, 8))}, "outside its text"),
        ({"words": (*GOOD.words[:4], Word(2, 0, 1))}, "outside its text"),
        ({"words": (Word(-1, 0, 1), *GOOD.words[1:])}, "outside its text"),
        ({"words": (Word(0, 1, 1), *GOOD.words[1:])}, "outside its text"),
        ({"words": (Word(0, -1, 1), *GOOD.words[1:])}, "outside its text"),
        ({"words": (Word(0, 0, 3), Word(0, 2, 5), *GOOD.words[2:])}, "overlaps the one before or is out of order"),
        ({"words": (Word(0, 2, 5), Word(0, 0, 1), *GOOD.words[2:])}, "overlaps the one before or is out of order"),
        ({"words": (*GOOD.words[3:], *GOOD.words[:3])}, "overlaps the one before or is out of order"),
        ({"rationale": (True,)}, "has 5 words but a mask of 1"),
        ({"annotators": ((True,) * 5, (True,) * 6)}, "has 5 words but a mask of 6"),
    ],
)
def test_an_inconsistent_instance_is_refused_with_file_and_row(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        check(replace(GOOD, **changes), "corpus.parquet")
    assert str(caught.value).startswith("corpus.parquet: row '7'")


def test_instances_are_read_back_as_they_were(tmp_path):
    instances = [GOOD, replace(GOOD, id="8", rationale=None, annotators=None), replace(GOOD, id="9", annotators=())]
    write_instances(tmp_path / "test.parquet", instances, {})
    assert read_instances(tmp_path / "test.parquet") == instances


def test_neither_duplicate_ids_nor_inconsistent_rows_are_written(tmp_path):
    path = tmp_path / "test.parquet"
    with pytest.raises(UserError, match="same id"):
        write_instances(path, [GOOD, GOOD], {})
    with pytest.raises(UserError, match="no words"):
        write_instances(path, [replace(GOOD, words=())], {})
    assert list(tmp_path.iterdir()) == []
