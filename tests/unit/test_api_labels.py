"""From an API's answer to a label, by text and by log-probabilities, by hand."""

from __future__ import annotations

import math

import pytest
from rationale_eval.apis.labels import label_of, label_scores

SENTIMENT = {"neg": "negative", "pos": "positive"}
NLI = {"0": "entailment", "1": "neutral", "2": "contradiction"}
CARE = {"nurse": "nurse", "surgeon": "surgeon", "psych": "psychologist", "phys": "physician"}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("positive", ("ok", "pos")),
        ("POSITIVE.", ("ok", "pos")),
        ("  “Positive”\n", ("ok", "pos")),
        ("**Negative**", ("ok", "neg")),
        ("Answer: positive", ("ok", "pos")),
        ("The sentiment of the text is negative.", ("ok", "neg")),
        ("Positive\n\nThere is nothing negative in it.", ("ok", "pos")),
        ("It could be positive or negative.", ("unparsed", None)),
        ("not positive", ("unparsed", None)),
        ("It isn't positive", ("unparsed", None)),
        ("The text is not a positive one, it is negative.", ("ok", "neg")),
        ("positively", ("unparsed", None)),
        ("", ("unparsed", None)),
        ("ｐｏｓｉｔｉｖｅ", ("ok", "pos")),
        ("I'm sorry, I can't judge this text.", ("refusal", None)),
        ("I can't see anything but a positive text.", ("ok", "pos")),
        ("positive, not negative", ("ok", "pos")),
        ("positive and not negative", ("ok", "pos")),
        ("No, it is positive.", ("ok", "pos")),
        ("Not a bad film: positive", ("ok", "pos")),
        ('{"label": "positive"}', ("ok", "pos")),
        ('"The sentiment is positive."', ("ok", "pos")),
        ("Sentiment? Positive.", ("ok", "pos")),
        ("The text can't be called positive.", ("unparsed", None)),
        ("This cannot really be described as positive.", ("unparsed", None)),
        ("It is far from positive", ("unparsed", None)),
        ("It's anything but positive.", ("unparsed", None)),
        ("There is no positive word in it.", ("unparsed", None)),
        ("Nothing about it is positive", ("unparsed", None)),
        ("It ends without a positive note.", ("unparsed", None)),
        ("Positive without doubt", ("ok", "pos")),
        ("It is positive, no question", ("ok", "pos")),
        ("positive with no reservations", ("ok", "pos")),
        ("The sentiment is positive because nothing bad happens", ("ok", "pos")),
        ("the review of sin city is positive", ("ok", "pos")),
        ("I doubt that it is positive", ("unparsed", None)),
        ("Mixed rather than positive", ("unparsed", None)),
        ("Positive is not the word.", ("unparsed", None)),
        ("Positive would be wrong", ("unparsed", None)),
        ("non-positive", ("unparsed", None)),
        ("Nicht positive", ("unparsed", None)),
        ("Is it positive?", ("unparsed", None)),
        ("Is it positive? I am not certain.\nNegative", ("unparsed", None)),
        ("positive or mixed", ("unparsed", None)),
        ("mixed/positive", ("unparsed", None)),
        ('The phrase "a positive surprise" decides.', ("unparsed", None)),
        ("You asked for ‘positive or negative’.", ("unparsed", None)),
    ],
)
def test_the_label_that_a_reply_names(reply, expected):
    assert label_of(reply, SENTIMENT) == expected


def test_a_longer_verbaliser_hides_a_shorter_one_within_it():
    pair = {"yes": "relevant", "no": "not relevant"}
    assert label_of("It is not relevant.", pair) == ("ok", "no")
    assert label_of("relevant", pair) == ("ok", "yes")
    assert label_of("- 4/5 stars", {"4": "4/5", "5": "5/5"}) == ("ok", "4")


def test_a_verbaliser_is_no_negation_of_another():
    assert label_of("No.", {"a": "yes", "b": "no"}) == ("ok", "b")
    assert label_of("no hate", {"a": "hate", "b": "no hate"}) == ("ok", "b")
    assert label_of("It is without merit", {"a": "with merit", "b": "without merit"}) == ("ok", "b")


def tokens(*steps):
    """Each step: the token taken and the probabilities of the alternatives."""
    return [
        [taken, math.log(found[taken]), [[text, math.log(p)] for text, p in found.items()]] for taken, found in steps
    ]


def probabilities(steps, verbalisers):
    return [pytest.approx(math.exp(value)) for value in label_scores(tokens(*steps), verbalisers)]


def test_spellings_of_one_beginning_are_added_up():
    steps = [("positive", {"positive": 0.5, " Positive": 0.2, "pos": 0.1, "negative": 0.15, "The": 0.01})]
    assert probabilities(steps, SENTIMENT) == [0.15, 0.8]


def test_an_ambiguous_token_is_followed_where_it_was_taken():
    steps = [("p", {"p": 0.6, "nurse": 0.3, "The": 0.1}), ("sy", {"sy": 0.7, "hy": 0.2, "ro": 0.1})]
    # What is listed comes to 1: nothing is left for the surgeon.
    assert probabilities(steps, CARE) == [0.3, pytest.approx(1e-6), pytest.approx(0.42), pytest.approx(0.12)]


def test_spaces_and_quotes_before_the_answer_are_followed_too():
    steps = [('"', {'"': 0.9, "neutral": 0.1}), ("ent", {"ent": 0.5, "contr": 0.3, "neutral": 0.2})]
    assert probabilities(steps, NLI) == [0.45, 0.28, 0.27]


def test_a_label_that_is_not_listed_gets_no_more_than_the_lowest_that_is_nor_than_is_left():
    steps = [("positive", {"positive": 0.9, "The": 0.02, "It": 0.001})]
    assert probabilities(steps, SENTIMENT) == [0.001, 0.9]
    assert probabilities([("positive", {"positive": 0.9, "The": 0.06})], SENTIMENT) == [0.04, 0.9]
    # A list of one, as of servers that cap it.
    assert probabilities([("positive", {"positive": 0.4})], SENTIMENT) == [pytest.approx(0.4, rel=0.01), 0.4]
    (seen, unseen) = label_scores([["negative", -3.0, [["The", -0.1], ["negative", -3.0]]]], SENTIMENT)
    assert seen > unseen
    (unseen, seen) = label_scores([["positive", -3.0, [["The", -0.1], ["positive", -3.0]]]], SENTIMENT)
    assert seen > unseen


@pytest.mark.parametrize("sign", ["\u0120", "\u2581", "\u010a", " "])
def test_tokens_may_be_spelt_as_the_tokenizer_does(sign):
    steps = [(f"{sign}positive", {f"{sign}positive": 0.7, f"{sign}negative": 0.2, f"{sign}The": 0.05})]
    assert probabilities(steps, SENTIMENT) == [0.2, 0.7]
    steps = [("not", {"not": 0.6, f"{sign}relevant": 0.3}), (f"{sign}relevant", {f"{sign}relevant": 1.0})]
    assert probabilities(steps, {"yes": "relevant", "no": "not relevant"}) == [0.3, 0.6]


def test_a_token_that_was_taken_counts_though_the_list_leaves_it_out():
    steps = [["positive", math.log(0.5), [["negative", math.log(0.3)]]]]
    assert label_scores(steps, SENTIMENT) == [pytest.approx(math.log(0.3)), pytest.approx(math.log(0.5))]


def test_an_answer_that_begins_otherwise_has_no_scores():
    assert label_scores(tokens(("The", {"The": 0.9, "It": 0.1})), SENTIMENT) is None


@pytest.mark.parametrize(
    "steps",
    [
        [("The", {"The": 0.9, "positive": 0.06, "negative": 0.04}), ("positive", {"positive": 1.0})],
        [("<think>", {"<think>": 0.9, "positive": 0.1})],
        [("positively", {"positively": 0.9, "negative": 0.1})],
        [("I", {"I": 0.7, "positive": 0.2, "negative": 0.1}), ("think", {"think": 1.0})],
        [("p", {"p": 0.9, "negative": 0.1}), ("laus", {"laus": 1.0})],
        [("p", {"p": 0.9, "negative": 0.1})],
    ],
)
def test_an_answer_that_goes_on_otherwise_has_no_label_whatever_else_was_likely(steps):
    assert label_scores(tokens(*steps), {**SENTIMENT, "pla": "plain"}) is None


def test_a_single_letter_may_begin_any_word():
    steps = [("i", {"i": 0.7, "praise": 0.1, "irony": 0.2}), ("rony", {"rony": 0.5, "tem": 0.5})]
    assert probabilities(steps, {"a": "irony", "b": "praise"}) == [pytest.approx(0.55), 0.1]
    assert probabilities([("A", {"A": 0.7, "B": 0.3})], {"a": "A", "b": "B"}) == [0.7, 0.3]


@pytest.mark.parametrize("odd", [math.nan, math.inf, 1000.0, 0.01])
def test_a_number_that_is_no_log_probability_gives_no_scores(odd):
    assert label_scores([["positive", -0.1, [["positive", odd], ["negative", -2.0]]]], SENTIMENT) is None
    assert label_scores([["positive", odd, [["positive", -0.1], ["negative", -2.0]]]], SENTIMENT) is None


def test_what_a_grammar_forbids_has_a_finite_score():
    steps = [["positive", -0.1, [["positive", -0.1], ["negative", -3.0], ["The", -math.inf]]]]
    assert label_scores(steps, {**SENTIMENT, "mix": "mixed"}) == [
        pytest.approx(v) for v in (-3.0, -0.1, math.log(1 - math.exp(-0.1) - math.exp(-3.0)))
    ]
