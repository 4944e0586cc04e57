"""Replies of the largest size that is kept, made to be slow to read: time grows with their length, not its square."""

from __future__ import annotations

import time

import pytest
from rationale_eval import thoughts
from rationale_eval.apis.labels import label_of
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.echoes import Labels
from rationale_eval.rationales.replies import parse_reply
from rationale_eval.rationales.scored_replies import parse_scored_reply

SIZE = 64_000
SECONDS = 5  # each takes a fraction of one; what was quadratic took from 10 seconds to minutes
TEXT = "a great film that is not dull and the cast is fine , truly great"
INSTANCE = Instance("0", "pos", {"text": TEXT}, whitespace_words([TEXT]), None)
LABELS = Labels(["positive", "negative"])
VERBALISERS = {"pos": "positive", "neg": "negative"}
# What a reply is made of: how it begins, what repeats, how it ends.
MADE = {
    "denied labels": ("", "not positive ", ""),
    "negated labels": ("", "hardly positive negative ", ""),
    "said labels": ("", "positive ", "not"),
    "denied lines": ("", "not positive\n", ""),
    "spaces behind a negation": ("", f"not{' ' * 30}x positive ", ""),
    "marks behind a negation": ("", f"not {chr(39)}*_*_*_*_ positive ", ""),
    "all but": ("", f"anything{' ' * 40}but{' ' * 40}", "positive"),
    "double quotes": ("", '"', "positive"),
    "quotes that open": ("", "“", "positive"),
    "quotes that close within a word": ("[", "‘", "positive’s"),
    "quoted labels": ("“", "positive, ", "”"),
    "apostrophes": ("", "'a", ""),
    "stars": ("", "*a", ""),
    "a list of labels": ("[", '"positive", ', "]"),
    "brackets": ("", "[", '"great"'),
    "objects": ("", '{"a":', ""),
    "backslashes": ('["', "\\", '"]'),
    "escaped line ends": ('["', "\\n", 'great"]'),
    "line ends": ("", " \n", "great"),
    "bullets": ("", "- great\n", ""),
    "placeholders": ("- word:", "*", "great"),
    "dashes": ("- great", "–", "x"),
    "arrows": ("great ", "=", "x"),
    "hyphens": ("great ", "-", "x"),
    "digits": ("great ", "1", "x"),
    "points": ("great ", "1.", "x"),
    "one word": ("", "a", ""),
    "marks on a letter": ("positive a", "\u0301\u0323", ""),
    "a character of very many digits": ("&#", "1", ";"),
    "thoughts that begin": ("", "<think>", "great"),
    "thoughts that end": ("", "</think>", "great"),
    "a thought of spaces": ("<think>", " ", "great"),
    "channels": ("", "<|channel|>", "final<|message|>great"),
    "an open channel": ("<|channel|>final<|message|>", "<", "great"),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_long_reply_is_read_in_a_moment(made):
    begin, unit, end = made
    reply = begin + unit * (SIZE // len(unit)) + end
    begun = time.monotonic()
    label_of(reply, VERBALISERS)
    thoughts.cut_off(reply, "length")
    thoughts.leading_empty(reply)
    thoughts.is_open(reply)
    parse_reply(reply, INSTANCE, True, LABELS)
    parse_reply(reply, INSTANCE, False, LABELS)
    parse_scored_reply(reply, INSTANCE, True, LABELS)
    assert time.monotonic() - begun < SECONDS


def test_a_word_that_stands_in_the_text_very_often_is_selected_at_once():
    often = "a " * 5_000
    instance = Instance("0", "pos", {"text": often}, whitespace_words([often]), None)
    begun = time.monotonic()
    found = parse_reply("a, " * 5_000, instance, True)
    assert len(found.order) == 5_000
    assert time.monotonic() - begun < SECONDS


def test_an_entity_that_no_character_has_stays_as_it_is():
    found = parse_reply(f"- great\n- &#{'1' * 5_000};", INSTANCE, True)
    assert found.order == (1,)
    assert len(found.hallucinated) == 1
