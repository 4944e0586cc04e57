"""From token scores to word scores, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Instance, Word
from rationale_eval.errors import UserError
from rationale_eval.rationales.aggregation import is_punctuation, words_from_tokens
from rationale_eval.rationales.stage import from_evidence

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


# "(so bad!)" in the tokens "(", "so", " bad", "!)": the brackets and the mark are tokens of their own.
MARKED = "(so bad!)"
MARKED_WORDS = (Word(0, 0, 3), Word(0, 4, 9))
MARKED_PLACES = [(0, 0, 1), (0, 1, 3), (0, 3, 7), (0, 7, 9)]


@pytest.mark.parametrize(
    ("aggregation", "kept", "dropped"),
    [("max", [5.0, 9.0], [1.0, 2.0]), ("mean", [3.0, 5.5], [1.0, 2.0]), ("sum", [6.0, 11.0], [1.0, 2.0])],
)
def test_punctuation_counts_for_its_word_or_is_dropped(aggregation, kept, dropped):
    scores = [5.0, 1.0, 2.0, 9.0]
    given_all = (MARKED_WORDS, MARKED_PLACES, scores, aggregation, "it")
    assert words_from_tokens(*given_all) == pytest.approx(kept)
    assert words_from_tokens(*given_all, texts=[MARKED]) == pytest.approx(dropped)


@pytest.mark.parametrize(("aggregation", "expected"), [("max", 9.0), ("mean", 6.0), ("sum", 12.0)])
def test_a_word_that_is_punctuation_alone_keeps_its_tokens(aggregation, expected):
    found = words_from_tokens((Word(0, 0, 3),), [(0, 0, 1), (0, 1, 3)], [3.0, 9.0], aggregation, "it", texts=["..."])
    assert found == pytest.approx([expected])


def test_a_token_counts_by_its_characters_inside_the_word():
    """The token `!a` covers the words `so!` and `a`: it is punctuation in the first, a letter in the second."""
    words, places = (Word(0, 0, 3), Word(0, 3, 4)), [(0, 0, 2), (0, 2, 4)]
    assert words_from_tokens(words, places, [1.0, 8.0], "max", "it", texts=["so!a"]) == [1.0, 8.0]
    # Under sum half of the token is the share of the first word, which is lost.
    assert words_from_tokens(words, places, [1.0, 8.0], "sum", "it", texts=["so!a"]) == [1.0, 4.0]


def test_punctuation_is_looked_up_in_the_text_of_the_words_field():
    words, places = (Word(0, 0, 2), Word(1, 0, 2)), [(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 2)]
    found = words_from_tokens(words, places, [1.0, 9.0, 9.0, 1.0], "max", "it", texts=["a.", ".a"])
    assert found == [1.0, 1.0]


@pytest.mark.parametrize("text", [".", "...", "\u201c", "\u2014", "\u3002", "\u00bf", "_", "@", " .", "%"])
def test_what_is_punctuation(text):
    assert is_punctuation(text)


@pytest.mark.parametrize(
    "text", ["a", "7", "n't", "\u00e9", "\U0001f600", "\u2764\ufe0f", "$", "+", ".5", "\u4e2d", "a."]
)
def test_letters_digits_symbols_and_pictographs_are_not(text):
    assert not is_punctuation(text)


@pytest.mark.parametrize(("how", "expected"), [("keep", [5.0, 9.0]), ("drop", [1.0, 2.0])])
def test_a_methods_entry_says_whether_punctuation_counts(how, expected):
    row = {"id": "it", "status": "ok", "token_field": [1] * 4, "last": [5.0, 1.0, 2.0, 9.0]}
    row |= {"token_start": [place[1] for place in MARKED_PLACES], "token_end": [place[2] for place in MARKED_PLACES]}
    words = tuple(Word(1, word.start, word.end) for word in MARKED_WORDS)
    instance = Instance("it", "yes", {"claim": "((((((((((", "text": MARKED}, words, None)
    method = {"statistic": "last", "aggregation": "max", "punctuation": how}
    (found,) = from_evidence([instance], [row], method)
    assert found["scores"] == expected


def test_a_row_with_a_word_that_the_tokenizer_drops_has_a_status_and_stops_no_other():
    rows = [
        {"id": name, "status": "ok", "token_field": [0], "token_start": [0], "token_end": [end], "last": [5.0]}
        for name, end in (("a", 1), ("b", 4), ("c", 4))
    ]
    words = (Word(0, 0, 1), Word(0, 2, 4))
    instances = [Instance(row["id"], "yes", {"text": "a bc"}, words, None) for row in rows]
    found = list(from_evidence(instances, rows, {"statistic": "last", "aggregation": "max"}))
    assert [(row["status"], row["scores"]) for row in found] == [
        ("not_covered", None),
        ("ok", [5.0, 5.0]),
        ("ok", [5.0, 5.0]),
    ]


def test_a_word_that_nothing_covers_is_an_error_with_texts_too():
    with pytest.raises(UserError, match="instance 'it'"):
        words_from_tokens((Word(0, 0, 2),), [(0, 1, 2)], [1.0], "max", "it", texts=["a."])


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
