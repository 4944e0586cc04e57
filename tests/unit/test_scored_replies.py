"""Replies that give each word a number, in the forms in which models write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.echoes import Labels
from rationale_eval.rationales.replies import EMPTY, NOTHING, OK, PARTLY, REFUSAL, TRUNCATED
from rationale_eval.rationales.scored_replies import parse_scored_reply

LABELS = Labels(["positive", "negative"])
TEXT = "A great, funny film - not bad at all, 2 hours of fun, well-made and not dull."


def instance(text=TEXT, **fields):
    fields = {"text": text} | fields
    return Instance("1", "yes", fields, whitespace_words([text]), None)


def read(reply, finished=True, text=TEXT, **fields):
    """Outcome, and the numbers of the words that have one, in the order of mention."""
    one = instance(text, **fields)
    parsed, scores = parse_scored_reply(reply, one, finished, LABELS)
    assert len(scores) == len(one.words)
    assert all(scores[k] == 0 for k in range(len(scores)) if k not in parsed.order)
    return parsed.outcome, [(one.text(one.words[k]), scores[k]) for k in parsed.order]


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "1e39", "9" * 50, "9" * 400, "9" * 400 + "%", "nan", "NaN", "inf", "-Infinity"]
)
@pytest.mark.parametrize(
    "form", ["great: {}\nfunny: 0.5", '{{"great": {}, "funny": 0.5}}', '[["great", {}], ["funny", 0.5]]']
)
def test_what_is_no_finite_number_is_no_score(form, number):
    _, pairs = read(form.format(number))
    assert pairs == [("funny", 0.5)]


def test_a_fraction_of_what_is_too_large_is_no_score():
    assert read("great: 1/" + "9" * 400) == (NOTHING, [])


@pytest.mark.parametrize("form", ["great: {}\nfunny: 0.5", '{{"great": {}, "funny": 0.5}}'])
def test_a_number_may_have_an_exponent(form):
    assert read(form.format("2.5e-1"))[1] == [("great,", 0.25), ("funny", 0.5)]


GREAT, FUNNY = ("great,", 0.9), ("funny", 8.0)


@pytest.mark.parametrize(
    ("reply", "pairs"),
    [
        ("great: 0.9\nfunny: 8", [GREAT, FUNNY]),
        ("- great: 0.9\n- funny: 8", [GREAT, FUNNY]),
        ("Sure, here they are:\n\n* great - 0.9\n* funny - 8", [GREAT, FUNNY]),
        ("1. great - 9/10\n2. funny - 8 out of 1", [GREAT, FUNNY]),
        ("great (90%), funny (8)", [GREAT, FUNNY]),
        ("great: .9; funny: 8.0.", [GREAT, FUNNY]),
        ("**great**: 0.9\n**funny**: 8", [GREAT, FUNNY]),
        ('"great" - 0.9\n"funny" - 8', [GREAT, FUNNY]),
        ("great -> 0.9\nfunny => 8", [GREAT, FUNNY]),
        ("great 0.9\nfunny 8", [GREAT, FUNNY]),
        ("- great: 0.9 (decided)\n- funny: 8 - a bit", [GREAT, FUNNY]),
        ("| word | score |\n|---|---|\n| great | 0.9 |\n| funny | 8 |", [GREAT, FUNNY]),
        ('{"great": 0.9, "funny": "8"}', [GREAT, FUNNY]),
        ("{'great': 0.9, 'funny': 8}", [GREAT, FUNNY]),
        ('```json\n[{"word": "great", "score": 0.9}, {"word": "funny", "score": 8}]\n```', [GREAT, FUNNY]),
        ('[("great", 0.9), ("funny", 8)]', [GREAT, FUNNY]),
        ("great: -0.5\nfunny: \N{MINUS SIGN}2\nbad - -1", [("great,", -0.5), ("funny", -2.0), ("bad", -1.0)]),
        ("great: +0.9", [GREAT]),
        ("well-made: 7", [("well-made", 7.0)]),
        ("not bad: 0.7", [("not", 0.7), ("bad", 0.7)]),
        ("not: 1\nnot: 2\nnot: 3", [("not", 1.0), ("not", 2.0)]),
        ("2: 0.5\nhours: 0.1", [("2", 0.5), ("hours", 0.1)]),
        ("2: great 0.9", [GREAT]),
    ],
)
def test_forms_of_numbers(reply, pairs):
    outcome, found = read(reply)
    assert outcome == OK
    assert found == [(word, pytest.approx(value)) for word, value in pairs]


@pytest.mark.parametrize(
    ("reply", "outcome", "pairs"),
    [
        ("great: 0.9\nawful: 1", PARTLY, [GREAT]),
        ("awful: 1\nsad: 2", NOTHING, []),
        ("- great\n- funny", NOTHING, []),
        ("The word great decided.", NOTHING, []),
        ("The film has 2 hours of fun.", NOTHING, []),
        ("I'm sorry, I cannot rate words.", REFUSAL, []),
        (" \n ", EMPTY, []),
    ],
)
def test_outcomes_are_those_of_sets(reply, outcome, pairs):
    assert read(reply) == (outcome, pairs)


def test_what_is_not_in_the_text_is_hallucinated_and_what_the_model_read_elsewhere_is_not():
    parsed, _ = parse_scored_reply("great: 1\nawful: 2\nmovie: 3", instance(claim="a movie"), True, LABELS)
    assert (parsed.outcome, parsed.hallucinated, parsed.mentioned) == (PARTLY, ("awful",), 3)


def test_a_number_that_was_cut_off_does_not_count():
    assert read("great: 0.9\nfunny: 1", finished=False) == (TRUNCATED, [GREAT])
    assert read("great: 0.9, funny: 1", finished=False) == (TRUNCATED, [GREAT])
    assert read("great: 0", finished=False) == (TRUNCATED, [])


# As SmolLM2-135M-Instruct answered about train rows (greedy, 100 tokens at most): the prompt `scored` of sentiment.yaml
# after two solved examples, and at the end other wordings without any. What a person reads in them was written by hand.
REAL: list[tuple[str, str, bool, str, list[tuple[str, float]]]] = [
    (
        "It's amazingly perceptive in its subtle, supportive but unsentimental look at the Marks family.",
        "- The: 0\n- perceptive: 1\n- in: 1\n- perceptive: 1\n- in: 1\n- perceptive: 1\n- perceptive: 1\n"
        "- perceptive: 1\n- perceptive: 1\n- perceptive: 1\n- perceptive: 1\n- perceptive: 1\n"
        "- perceptive: 1\n- perceptive: 1\n- perceptive: ",
        False,
        TRUNCATED,
        [("the", 0.0), ("perceptive", 1.0), ("in", 1.0)],
    ),
    (
        "A delightful entree in the tradition of food movies.",
        "- The: 0\n- entree: 0\n- food: 0\n- entree: 0\n- food: 0\n- food: 0\n- entree: 0\n- entree: 0\n"
        "- entree: 0\n- entree: 0\n- entree: 0\n- entree: 0\n- entree: 0\n- entree: 0\n- entree: 0",
        False,
        TRUNCATED,
        [("the", 0.0), ("entree", 0.0), ("food", 0.0)],
    ),
    (
        "Pure cinematic intoxication, a wildly inventive mixture of comedy and melodrama, "
        "tastelessness and swooning elegance.",
        "- Pure: 1\n- Cinema: 1\n- cinematic: 1\n- intoxication: 1\n- is: 1\n- inventive: 1\n- mixture: 1\n"
        "- comedy: 1\n- melodrama: 1\n- tastelessness: 1\n- swooning: 1\n- elegance: 1\n- is: 1\n- no: 1\n"
        "- foundation: 1\n- for: ",
        False,
        TRUNCATED,
        [
            ("Pure", 1.0),
            ("cinematic", 1.0),
            ("intoxication,", 1.0),
            ("inventive", 1.0),
            ("mixture", 1.0),
            ("comedy", 1.0),
            ("melodrama,", 1.0),
            ("tastelessness", 1.0),
            ("swooning", 1.0),
            ("elegance.", 1.0),
        ],
    ),
    (
        "a compelling journey...and ''His Best Friend Remembers'' is up there with the finest of specials.",
        "- The: 0\n- best: 0\n- friend: 0\n- remembrance: 0\n- up: 1\n- is: 1\n- special: 1\n- up: 1\n"
        "- best: 1\n- special: 1\n- friend: 1\n- friend: 1\n- remembrance: 1\n- remembrance: 1\n"
        "- remembrance: 1\n- remembrance: 1\n- remembrance: ",
        False,
        TRUNCATED,
        [("the", 0.0), ("Best", 0.0), ("Friend", 0.0), ("up", 1.0), ("is", 1.0)],
    ),
    (
        "It's amazingly perceptive in its subtle, supportive but unsentimental look at the Marks family.",
        "- 0: 10\n- 1: 10\n- 2: 10\n- 3: 10\n- 4: 10\n",
        False,
        TRUNCATED,
        [],
    ),
    (
        "At an airport ticket counter, a furious man shook his fist at an agent.",
        "The text is written in a negative sentiment, specifically negative.",
        True,
        NOTHING,
        [],
    ),
]


@pytest.mark.parametrize(("text", "reply", "finished", "outcome", "pairs"), REAL)
def test_real_replies(text, reply, finished, outcome, pairs):
    assert read(reply, finished, text) == (outcome, pairs)


@given(st.text(max_size=60) | st.text("great: 0.9,-/%()[]{}\"'\n|", max_size=60), st.booleans())
def test_any_reply_can_be_read(reply, finished):
    read(reply, finished)


def test_long_replies_are_read_in_reasonable_time():
    for reply in ("great " * 20000, "great: " * 20000, '"great", ' * 10000, "(" * 20000, "great: 1\n" * 5000):
        read(reply)
