"""Reading replies: properties that hold for any text, and the time that long replies take."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.echoes import FORM_ONLY, LABEL_ONLY, Labels
from rationale_eval.rationales.matching import Words
from rationale_eval.rationales.replies import OUTCOMES, parse_reply
from rationale_eval.rationales.scored_replies import parse_scored_reply

LABELS = Labels(["positive", "negative"])


def instance(*texts):
    fields = {f"field{number}": text for number, text in enumerate(texts)}
    return Instance("x", "a", fields, whitespace_words(texts), None)


MOVIE = instance("A great, well-made film: the fun never stops and the cast is not good but don't miss Capra's ending!")
LETTERS = st.characters(whitelist_categories=["Ll", "Lu"], max_codepoint=0x24F) | st.sampled_from("абвгдежзклмн")
# Words of replies themselves would be read as such: a row that holds "and" is in the tests above.
WORD = st.text(LETTERS, min_size=2, max_size=8).filter(
    lambda word: word.casefold() not in {"and", "word", "words", "is", "are", "was", "the", "or", "sure"}
)
WORDS = st.lists(WORD, min_size=1, max_size=8, unique_by=lambda word: word.casefold())
FORMS = {
    "json": lambda words: json.dumps(words),
    "json object": lambda words: json.dumps({"words": words}, ensure_ascii=False, indent=1),
    "python list": repr,
    "bullets": lambda words: "\n".join(f"- {word}" for word in words),
    "numbers": lambda words: "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1)),
    "bold bullets": lambda words: "\n".join(f"* **{word}**: positive" for word in words),
    "explained": lambda words: "Sure! The words:\n\n" + "\n".join(f"{n}) {word} (zzz)" for n, word in enumerate(words)),
    "quotes": lambda words: ", ".join(f'"{word}"' for word in words),
    "curly quotes": lambda words: "I chose " + " and ".join(f"“{word}”" for word in words) + ".",
    "commas": ", ".join,
    "prose": lambda words: "Sure! Here are the words: " + ", ".join(words) + ".",
    "lines": "\n".join,
    "bold": lambda words: " ".join(f"**{word}**" for word in words),
    "code": lambda words: "```\n" + "\n".join(words) + "\n```",
    "upper case": lambda words: "\n".join(f"• {word.upper()}" for word in words),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)
@given(words=WORDS, data=st.data())
def test_any_subset_in_any_form_is_read_back(form, words, data):
    row = instance(" ".join(words))
    # Case mappings that lengthen or merge words may make two of them, or parts of them, alike.
    assume(all(Words(row).occurrences(word.upper()) == [(n, n + 1)] for n, word in enumerate(words)))
    chosen = data.draw(st.lists(st.sampled_from(range(len(words))), unique=True, min_size=1))
    parsed = parse_reply(FORMS[form]([words[index] for index in chosen]), row, LABELS, True)
    assert list(parsed.order) == chosen
    assert (parsed.outcome, parsed.hallucinated) == ("ok", ())


MESSY = st.lists(
    st.text(max_size=12)
    | WORD
    | st.sampled_from(['"', "'", "''", "- ", "\n", "[", "]", "{", "1. ", "**", ": ", ", ", "`", " "]),
    max_size=25,
).map("".join)


@given(reply=MESSY, texts=st.lists(MESSY, min_size=1, max_size=2), finished=st.booleans())
def test_any_reply_is_read_and_always_alike(reply, texts, finished):
    row = instance(*texts)
    parsed = parse_reply(reply, row, LABELS, finished)
    assert parsed == parse_reply(reply, row, LABELS, finished)
    assert parsed.outcome in OUTCOMES
    assert len(set(parsed.order)) == len(parsed.order)
    assert set(parsed.order) <= set(range(len(row.words)))
    assert len(parsed.hallucinated) <= parsed.mentioned
    assert all(parsed.hallucinated)
    assert (parsed.outcome == "ok") <= (bool(parsed.order) and not parsed.hallucinated)
    if parsed.outcome in (LABEL_ONLY, FORM_ONLY):
        assert (parsed.order, parsed.mentioned, parsed.hallucinated, parsed.copied) == ((), 0, (), False)


@given(reply=MESSY, texts=st.lists(MESSY, min_size=1, max_size=2), labels=st.lists(MESSY, max_size=3), data=st.data())
def test_any_string_may_be_a_label(reply, texts, labels, data):
    row, finished = instance(*texts), data.draw(st.booleans())
    parsed = parse_reply(reply, row, Labels(labels), finished)
    assert parsed.outcome in OUTCOMES
    scored, scores = parse_scored_reply(reply, row, Labels(labels), finished)
    assert scored.outcome in OUTCOMES
    if scored.outcome in (LABEL_ONLY, FORM_ONLY):
        assert not any(scores)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)
@given(words=WORDS, labels=st.lists(WORD, min_size=1, max_size=3), data=st.data(), finished=st.booleans())
def test_labels_alone_in_any_form_name_nothing(form, words, labels, data, finished):
    """Though all of them are words of the text."""
    # A dotless ı becomes an I in upper case, which is another letter.
    assume(form != "upper case" or all(label.upper().casefold() == label.casefold() for label in labels))
    row = instance(" ".join(data.draw(st.permutations([*words, *labels]))))
    reply = FORMS[form](data.draw(st.lists(st.sampled_from(labels), min_size=1, max_size=6)))
    for read in (parse_reply, lambda *arguments: parse_scored_reply(*arguments)[0]):
        parsed = read(reply, row, Labels([*labels, "positive"]), finished)
        assert (parsed.order, parsed.hallucinated) == ((), ())
        assert parsed.outcome in (LABEL_ONLY, "truncated", "nothing_matched")
    assert parse_reply(reply, row, Labels([*labels, "positive"]), finished).outcome == LABEL_ONLY


MARKS = st.sampled_from(["...", "…", "-", "___", "—", "*", '"..."', "[...]", "1.", "2.", "- ...", "1. ...", "-- --"])


@given(runs=st.lists(MARKS, min_size=1, max_size=8), words=WORDS, parts=st.sampled_from([" ", "\n", "\n\n"]))
def test_marks_alone_name_nothing_though_the_text_holds_them(runs, words, parts):
    runs = [run for run in runs if run != "2." or "1." in runs[0]] or ["..."]
    row = instance(" ".join([*runs, *words]))
    for finished in (True, False):
        parsed = parse_reply(parts.join(runs), row, LABELS, finished)
        assert (parsed.outcome, parsed.order, parsed.hallucinated) == (FORM_ONLY, (), ())


@given(text=MESSY)
def test_the_text_itself_is_a_copy(text):
    text = " ".join(text.split())
    row = instance(text)
    assume(Words(row).lettered)
    parsed = parse_reply(text, row, LABELS, True)
    assert set(parsed.order) >= Words(row).lettered or len(text.split()) <= 3


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("prose", "curly quotes")])
@settings(max_examples=25)
@given(words=WORDS, listed=st.lists(WORD, max_size=4), data=st.data())
def test_cutting_a_list_adds_no_word_but_a_cut_one(form, words, listed, data):
    """A cut item may happen to be another word of the text (`in` of `into`); anything else must stand in the whole."""
    row = instance(" ".join(words))
    reply = FORMS[form](data.draw(st.permutations([*words, *listed])))
    cut = reply[: data.draw(st.integers(0, len(reply)))]
    whole = set(parse_reply(reply, row, LABELS, True).order)
    extra = set(parse_reply(cut, row, LABELS, False).order) - whole
    ending = cut.rstrip("*\"' ,").casefold()
    assert all(ending.endswith(words[index].casefold()) for index in extra)


@pytest.mark.parametrize(
    "part",
    [
        "the ",
        "'",
        '"',
        '"a ',
        "- the\n",
        "[",
        '["the", ',
        "**the",
        "`",
        "1. ",
        "“",
        "{'a': ",
        "( ",
        "the, ",
        "a: ",
        "_a",
        "' ",
        "\\",
        "😀",
        "word: ",
        "- word: ",
        "- a: ",
        "positive ",
        "positive: ",
        "- positive\n",
        "**positive** ",
        '"positive": the\n',
        "... ",
        "- ...\n",
    ],
)
def test_long_replies_are_read_in_linear_time(part):
    start = time.process_time()
    for finished in (True, False):
        parse_reply(part * (60_000 // len(part)), MOVIE, LABELS, finished)
    assert time.process_time() - start < 3, "a scan in quadratic time takes a minute"


def test_a_megabyte_is_read_in_seconds():
    start = time.process_time()
    parse_reply('- "fun": the cast, "great"\n' * 40_000, MOVIE, LABELS, True)
    assert time.process_time() - start < 20
