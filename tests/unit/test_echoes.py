"""Replies that give back the question, labels and placeholders, name nothing; real answers are not taken for them."""

from __future__ import annotations

import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.echoes import Labels
from rationale_eval.rationales.replies import parse_reply
from rationale_eval.rationales.scored_replies import parse_scored_reply

SENTIMENT = ("positive", "negative")
# Every word that an echo could be taken for is in it.
TEXT = "... A positive and great but dull film - the answer is not negative ; I am positive !"


def read(reply, text=TEXT, labels=SENTIMENT, finished=True, field="text"):
    """Outcome, words named, and what counts as hallucinated."""
    row = Instance("x", "a", {field: text}, whitespace_words([text]), None)
    parsed = parse_reply(reply, row, Labels(labels), finished)
    return parsed.outcome, [row.text(row.words[index]) for index in parsed.order], parsed.hallucinated


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        *(
            "positive",
            "Positive.",
            "POSITIVE!!!",
            "“positive”",
            "'positive'",
            "`positive`",
            "**Positive**",
            "> positive",
        ),
        *(
            "- positive",
            "* **Positive**",
            "1. positive",
            "a) positive",
            "```\npositive\n```",
            "- - The text is negative.",
        ),
        *(
            '["positive"]',
            '{"sentiment": "positive"}',
            '{"label": "positive", "words": []}',
            "{'positive': ['positive']}",
        ),
        *("Answer: positive", "**Answer:** positive", "Answer - positive", "Sentiment: Positive.", "Overall: positive"),
        *(
            "The sentiment is positive.",
            "The answer is positive.",
            "Positive sentiment",
            "It has a positive sentiment.",
        ),
        *("You classified the sentiment of this text as positive.", "Sure! Positive", "Sure, positive"),
        *("positive (positive)", "positive, positive", "positive\n\npositive\npositive", "positive " * 20),
        *("positive / negative", "positive/negative", "Both positive and negative.", "- positive\n- negative"),
        *("- word: positive", "Words: positive", "- Word 1: positive\n- Word 2: positive", "positive\n- ..."),
        # A sentence that lists nothing does not make a list of the label.
        *("Positive. The writer uses vivid language.", "Positive.\nIt is a text about a film that they liked."),
        *('The word "positive" made me decide.', "I chose “positive”."),
    ],
)
def test_a_label_alone_names_nothing(reply, finished):
    assert read(reply, finished=finished) == ("label_only", [], ())


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("negative, dull", ["negative", "dull"]),
        ("- positive\n- great", ["positive", "great"]),
        ("positive and great", ["positive", "and", "great"]),
        ("I am positive", ["I", "am", "positive"]),
        ("- is not negative", ["is", "not", "negative"]),
        ("positive film", ["positive", "film"]),
        # A label heads or explains what is named.
        ("positive: great, dull", ["great", "dull"]),
        ("- Positive: great", ["great"]),
        ("**Positive** - great", ["great"]),
        ("**Positive:** great, dull", ["great", "dull"]),
        ("positive (great)", ["great"]),
        ('{"positive": ["great", "dull"]}', ["great", "dull"]),
        ("- great (positive)\n- dull (negative)", ["great", "dull"]),
        ("great: positive", ["great"]),
    ],
)
def test_a_label_among_words_of_the_text_is_a_list(reply, words):
    assert read(reply) == ("ok", words, ())


@pytest.mark.parametrize(
    ("reply", "outcome", "words", "hallucinated"),
    [
        ("- awful: negative\n- dull: negative", "partly_matched", ["dull"], ("awful",)),
        ('{"awful": "negative", "dull": "negative"}', "partly_matched", ["dull"], ("awful",)),
        ("- positive\n- boring", "partly_matched", ["positive"], ("boring",)),
        ("positively", "nothing_matched", [], ("positively",)),
        ("I cannot say, but it is positive", "refusal", [], ()),
    ],
)
def test_what_a_label_explains_or_stands_beside_is_read(reply, outcome, words, hallucinated):
    assert read(reply) == (outcome, words, hallucinated)


def test_a_copy_of_a_text_that_begins_like_a_frame_is_a_copy():
    assert read("The text is positive", "the text is positive here")[:2] == ("ok", ["the", "text", "is", "positive"])


@pytest.mark.parametrize(
    ("text", "reply", "outcome"),
    [
        (
            "All the performances are top notch and, once you get through the accents, All or Nothing becomes an "
            "emotional, though still positive, wrench of a sit.",
            "positive",
            "label_only",
        ),
        ("... manages to deliver a fair bit of vampire fun.", '- "...\n- ...', "form_only"),
        ("... manages to deliver a fair bit of vampire fun.", '- "...', "form_only"),
    ],
)
def test_texts_of_the_default_study_that_hold_the_label_or_the_form(text, reply, outcome):
    """The rationale of the first is `positive,` alone: as a word named, the echo would agree with it in full."""
    assert read(reply, text) == (outcome, [], ())


@pytest.mark.parametrize(
    ("labels", "text", "label", "listed"),
    [
        (("NOT ENOUGH INFO", "true"), "not enough info is true here", "Not enough info.", "not enough info, here"),
        (("not_enough_info", "enough"), "not enough info is here", "- not_enough_info", "- enough\n- here"),
        (("true", "true enough"), "this is true enough here", "True enough.", "true enough, here"),
        (("hateful", "non-hateful"), "this is non-hateful talk", "Non-hateful", "non-hateful talk"),
        (("положительный", "плохой"), "очень положительный фильм", "Положительный.", "положительный, фильм"),
        (("إيجابي", "سلبي"), "فيلم إيجابي جدا", "«إيجابي»", "إيجابي، جدا"),
        (("सकारात्मक", "नकारात्मक"), "यह सकारात्मक है", "- सकारात्मक", "यह, सकारात्मक"),
        (("积极", "消极"), "电影 非常 积极", "积极。", "非常、积极"),
        (("groß", "klein"), "ein groß Haus", "GROSS", "groß, Haus"),
    ],
)
def test_labels_of_several_words_and_of_any_script(labels, text, label, listed):
    assert read(label, text, labels) == ("label_only", [], ())
    outcome, words, _ = read(listed, text, labels)
    assert outcome == "ok"
    assert len(words) >= 2


def test_a_frame_may_name_the_field_that_is_asked_about():
    assert read("- The claim is true.", "the claim that it is so", ("true", "false"), field="claim")[0] == "label_only"
    assert read("- The claim is true.", "the claim that it is so", ("true", "false"))[0] != "label_only"


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        *(
            "...",
            "…",
            "- ...",
            "- ...\n- ...",
            '- "..."',
            "......",
            "___",
            "- ___",
            "-",
            "-\n-",
            "- - -",
            "***",
            "* * *",
        ),
        *("1.\n2.", "1. 2. 3.", "1. ...\n2. ...", "1. ... 2. ...", "- ...: ...", '["..."]', "[...]", "<...>"),
        *(
            "- word\n- word",
            "- word: word",
            "- word 1\n- word 2",
            "[word 1], [word 2]",
            "<word>",
            "- keyword",
            '"word"',
        ),
        *("Answer with a list of single words only, like this:\n- ...\n- ...", "- word\n- ..."),
    ],
)
def test_the_form_alone_names_nothing_and_is_not_hallucinated(reply, finished):
    assert read(reply, finished=finished) == ("form_only", [], ())


@pytest.mark.parametrize(
    ("reply", "outcome", "words", "hallucinated"),
    [
        ("- ...\n- great", "ok", ["great"], ()),
        ("great\n- ...", "ok", ["great"], ()),
        ("great, ..., dull", "ok", ["great", "dull"], ()),
        # Of an object the values, although its key stands in the text.
        ('{"...": "great"}', "ok", ["great"], ()),
        ("- great\n- word\n- awful", "partly_matched", ["great"], ("awful",)),
        # An empty list is an answer.
        ("[]", "nothing_matched", [], ()),
        ("{}", "nothing_matched", [], ()),
        ('[""]', "nothing_matched", [], ()),
        # Other punctuation may be what a person would mark.
        ("- !", "ok", ["!"], ()),
        ("9.", "nothing_matched", [], ("9",)),
    ],
)
def test_placeholders_are_no_things_listed(reply, outcome, words, hallucinated):
    assert read(reply) == (outcome, words, hallucinated)


def test_what_looks_like_a_placeholder_may_be_a_word_of_the_text():
    assert read("- word\n- mouth", "by word of mouth") == ("ok", ["word", "mouth"], ())
    assert read("- :-)", "nice :-) -_-") == ("ok", [":-)"], ())
    assert read("- -_-", "nice :-) -_-") == ("ok", ["-_-"], ())


@pytest.mark.parametrize("text", [TEXT, "... fifty minutes - of nonsense ."])
def test_copies_of_the_text_hold_its_lone_marks(text):
    row = Instance("x", "a", {"text": text}, whitespace_words([text]), None)
    parsed = parse_reply(text, row, Labels(SENTIMENT), True)
    assert parsed.outcome == "ok"
    assert parsed.copied
    listed = parse_reply("\n".join(f"- {word}" for word in text.split()), row, Labels(SENTIMENT), True)
    assert listed.copied, "a list of all words, lone marks aside"


@pytest.mark.parametrize(
    ("reply", "outcome", "numbers"),
    [
        ("positive: 9", "label_only", {}),
        ("- positive: 9\n- negative: 1", "label_only", {}),
        ("The sentiment is positive.", "label_only", {}),
        ('{"positive": 9}', "label_only", {}),
        ("- positive: 9\n- great: 3", "ok", {"positive": 9.0, "great": 3.0}),
        ("- ...: ...", "form_only", {}),
        ("- ...: 10\n- ...: 0", "form_only", {}),
        ("- word: 10", "form_only", {}),
        ("- ...: 3\n- great: 2", "ok", {"great": 2.0}),
        ("- ...\n- great", "nothing_matched", {}),
    ],
)
def test_numbers_for_labels_and_placeholders_alone_name_nothing(reply, outcome, numbers):
    row = Instance("x", "a", {"text": TEXT}, whitespace_words([TEXT]), None)
    parsed, scores = parse_scored_reply(reply, row, Labels(SENTIMENT), True)
    assert parsed.outcome == outcome
    assert {row.text(row.words[k]): scores[k] for k in parsed.order} == numbers
    assert sum(map(abs, scores)) == sum(numbers.values())
    assert parsed.hallucinated == ()
