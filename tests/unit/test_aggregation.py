"""From token scores to word scores, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Word
from rationale_eval.errors import UserError
from rationale_eval.rationales.aggregation import words_from_tokens

# "un|happy" is a word of two tokens, "film" of one.
WORDS = (Word(0, 0, 7), Word(0, 8, 12))
PLACES = [(0, 0, 2), (0, 2, 7), (0, 8, 12)]
# "don't" as the words `do` and `n't`, the tokens `don`, `'t`: the first covers both words.
SPLIT_WORDS = (Word(0, 0, 2), Word(0, 2, 5))
SPLIT_PLACES = [(0, 0, 3), (0, 3, 5)]


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("max", [3.0, -5.0]), ("mean", [1.0, -5.0]), ("sum", [2.0, -5.0])]
)
def test_a_word_of_several_tokens(aggregation, expected):
    assert words_from_tokens(WORDS, PLACES, [-1.0, 3.0, -5.0], aggregation, "it") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    # max and mean: `don` counts whole for both words; sum: two thirds of it for `do`, one third for `n't`.
    [("max", [6.0, 9.0]), ("mean", [6.0, 7.5]), ("sum", [4.0, 2.0 + 9.0])],
)
def test_a_token_over_two_words(aggregation, expected):
    assert words_from_tokens(SPLIT_WORDS, SPLIT_PLACES, [6.0, 9.0], aggregation, "it") == pytest.approx(expected)


@pytest.mark.parametrize("aggregation", ["max", "mean", "sum"])
def test_the_space_that_a_token_begins_with_takes_no_share_of_its_score(aggregation):
    places = [(0, 0, 7), (0, 7, 12)]  # the second token is " film", as byte-level tokenizers have it
    assert words_from_tokens(WORDS, places, [1.0, 5.0], aggregation, "it") == pytest.approx([1.0, 5.0])


@pytest.mark.parametrize("aggregation", ["max", "mean", "sum"])
def test_a_token_over_two_words_and_the_space_between_them(aggregation):
    found = words_from_tokens((Word(0, 0, 1), Word(0, 2, 5)), [(0, 0, 5)], [8.0], aggregation, "it")
    assert found == pytest.approx([2.0, 6.0] if aggregation == "sum" else [8.0, 8.0])


def test_tokens_of_the_bytes_of_one_character_all_count():
    words, places = (Word(0, 0, 1),), [(0, 0, 1)] * 4
    scores = [1.0, 2.0, 3.0, 6.0]
    assert words_from_tokens(words, places, scores, "max", "it") == [6.0]
    assert words_from_tokens(words, places, scores, "mean", "it") == [3.0]
    assert words_from_tokens(words, places, scores, "sum", "it") == [12.0]


def test_fields_are_not_mixed_up():
    words = (Word(0, 0, 3), Word(1, 0, 3))
    assert words_from_tokens(words, [(1, 0, 3), (0, 0, 3)], [1.0, 2.0], "max", "it") == [2.0, 1.0]


@pytest.mark.parametrize(
    "places", [[(0, 0, 7)], [(0, 0, 7), (0, 8, 11)], [(0, 0, 2), (0, 3, 7), (0, 8, 12)], [(0, 0, 7), (1, 8, 12)], []]
)
def test_a_word_that_is_not_wholly_covered_is_an_error_with_the_instances_name(places):
    with pytest.raises(UserError, match="instance 'it'"):
        words_from_tokens(WORDS, places, [1.0] * len(places), "max", "it")


@given(st.data())
def test_sums_keep_the_total_and_max_and_mean_stay_within_the_scores(data):
    """For any cut of a text into words (by its spaces) and into tokens (anywhere)."""
    text = data.draw(st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=5).map(" ".join))
    ends = sorted(data.draw(st.sets(st.integers(1, len(text)))) | {len(text)})
    places = [(0, start, end) for start, end in zip([0, *ends], ends, strict=False) if text[start:end].strip()]
    scores = data.draw(st.lists(st.floats(-9, 9), min_size=len(places), max_size=len(places)))
    words, start = [], 0
    for part in text.split(" "):
        words.append(Word(0, start, start + len(part)))
        start += len(part) + 1
    assert sum(words_from_tokens(words, places, scores, "sum", "it")) == pytest.approx(sum(scores), abs=1e-9)
    highest = words_from_tokens(words, places, scores, "max", "it")
    for mean, most in zip(words_from_tokens(words, places, scores, "mean", "it"), highest, strict=True):
        assert min(scores) - 1e-9 <= mean <= most + 1e-9
    assert max(highest) == max(scores)
