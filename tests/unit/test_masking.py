"""Masking words in the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Word, whitespace_words
from rationale_eval.faithfulness.masking import mask_words

TEXT = "The  film was\tgreat."
WORDS = whitespace_words([TEXT])


def masked(text, words, places, operator, mask="___"):
    return mask_words({"text": text}, words, [place in places for place in range(len(words))], operator, mask)["text"]


@pytest.mark.parametrize(
    ("operator", "places", "expected"),
    [
        ("replace", {0}, "___  film was\tgreat."),
        ("replace", {1, 3}, "The  ___ was\t___"),
        ("replace", {0, 1, 2, 3}, "___  ___ ___\t___"),
        ("delete", {0}, "film was\tgreat."),
        ("delete", {1}, "The  was\tgreat."),
        ("delete", {2}, "The  film great."),
        ("delete", {3}, "The  film was"),
        ("delete", {0, 1}, "was\tgreat."),
        ("delete", {2, 3}, "The  film"),
        ("delete", {0, 1, 2, 3}, ""),
    ],
)
def test_worked_cases(operator, places, expected):
    assert masked(TEXT, WORDS, places, operator) == expected


def test_deleting_a_word_keeps_the_other_words_of_a_word_split_apart():
    """Words need not be cut at spaces: a tokenised corpus has `do` and `n't`, `great` and `.`."""
    text = "go don't stop."
    words = (Word(0, 0, 2), Word(0, 3, 5), Word(0, 5, 8), Word(0, 9, 13), Word(0, 13, 14))
    assert masked(text, words, {2}, "delete").split() == ["go", "do", "stop."]
    assert masked(text, words, {1}, "delete").split() == ["go", "n't", "stop."]
    assert masked(text, words, {4}, "delete").split() == ["go", "don't", "stop"]
    assert masked("Great. Fun", (Word(0, 0, 5), Word(0, 5, 6), Word(0, 7, 10)), {1}, "delete") == "Great Fun"


@given(st.data())
def test_deletion_never_joins_words_that_a_space_parts(data):
    """For any cut of a text into words, at spaces and elsewhere."""
    part = st.tuples(st.text("ab.", min_size=1, max_size=3), st.sampled_from(["", " ", "  "]))
    parts = data.draw(st.lists(part, min_size=1, max_size=6))
    text, words = "", []
    for part, space in parts:
        words.append(Word(0, len(text), len(text) + len(part)))
        text += part + space
    hidden = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    found = mask_words({"text": text}, words, hidden, "delete", "")["text"]
    left = "".join(("" if gone else part) + space for (part, space), gone in zip(parts, hidden, strict=True))
    assert found.split() == left.split()


@given(st.text(max_size=30), st.data())
def test_replacing_leaves_the_rest_of_any_text_as_it_was(text, data):
    words = whitespace_words([text])
    hidden = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    found = mask_words({"text": text}, words, hidden, "replace", "[MASK]")["text"]
    pieces, start = [], 0
    for word, gone in zip(words, hidden, strict=True):
        pieces += [text[start : word.start], "[MASK]" if gone else text[word.start : word.end]]
        start = word.end
    assert found == "".join(pieces) + text[start:]


@given(st.text(max_size=30), st.sampled_from(["replace", "delete"]))
def test_nothing_masked_changes_nothing(text, operator):
    assert masked(text, whitespace_words([text]), set(), operator) == text


@given(st.text("ab \t\n", min_size=1, max_size=20), st.data())
def test_deletion_leaves_the_kept_words_in_order_and_no_more_space_than_there_was(text, data):
    text = " ".join(text.split())
    words = whitespace_words([text])
    hidden = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    kept = [text[word.start : word.end] for word, gone in zip(words, hidden, strict=True) if not gone]
    assert mask_words({"text": text}, words, hidden, "delete", "")["text"] == " ".join(kept)


@pytest.mark.parametrize("operator", ["replace", "delete"])
def test_fields_are_masked_apart_and_keep_their_order(operator):
    fields = {"premise": "a man sleeps", "hypothesis": "a man runs"}
    words = whitespace_words(fields.values())
    hidden = [False, True, False, False, False, True]
    found = mask_words(fields, words, hidden, operator, "_")
    assert list(found) == ["premise", "hypothesis"]
    expected = ["a _ sleeps", "a man _"] if operator == "replace" else ["a sleeps", "a man"]
    assert list(found.values()) == expected
    assert fields == {"premise": "a man sleeps", "hypothesis": "a man runs"}


def test_masks_and_words_must_have_one_length():
    with pytest.raises(ValueError, match="zip"):
        mask_words({"text": TEXT}, WORDS, [True], "replace", "_")
