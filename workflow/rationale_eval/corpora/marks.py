"""The ways in which a table of one's own says which words of a text are marked, each turned into a mask."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from rationale_eval.corpora.instances import UNSPACED, Word
from rationale_eval.corpora.rows import RowError

# (value, words of one field, the field's text, how messages call the value) -> whether each word is marked. All raise
# ``RowError``, without the row, for a value that does not say so.
Kind = Callable[[Any, Sequence[Word], str, str], list[bool]]

# What offsets of `char_spans` count -> how many of them a character takes. JavaScript, Java and C# count UTF-16.
OFFSETS: dict[str, Callable[[str], int]] = {
    "characters": lambda character: 1,
    "utf16": lambda character: 2 if character > "\uffff" else 1,
    "bytes": lambda character: len(character.encode()),
}
# Spaces at which a text is split by ``split()`` otherwise than by ``split(" ")``.
_ODD_SPACE = re.compile(r"^\s|\s$|\s{2,}|[^\S ]")
_LETTERS = re.compile(r"\w\w")


def _from_indices(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    if not isinstance(value, list) or not all(type(index) is int for index in value):
        raise RowError(f"{what} is {shown(value)}, not a list of word numbers")
    mask = [False] * len(words)
    for index in value:
        if not 0 <= index < len(words):
            raise RowError(
                f"{what} marks word {index}, but the {len(words)} words have the numbers from 0 on{_other_count(text)}"
            )
        mask[index] = True
    return mask


def _from_mask(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    if not isinstance(value, list) or not all(isinstance(mark, int) and mark in (0, 1) for mark in value):
        raise RowError(f"{what} is {shown(value)}, not a list of 0 and 1")
    if not value:  # nothing is marked, as in the other kinds
        return [False] * len(words)
    if len(value) != len(words):
        raise RowError(
            f"{what} is a mask of {len(value)} for {len(words)} words; it must have one 0 or 1 for each"
            f"{_other_count(text)}"
        )
    return [bool(mark) for mark in value]


def _other_count(text: str) -> str:
    """A hint where tools that split at each single space count otherwise."""
    found = _ODD_SPACE.search(text)
    return f"; split at each single space there are {len(text.split(' '))}, because of {found[0]!r}" if found else ""


def check_numbers(mask: Sequence[bool], words: Sequence[Word], text: str, counted: int | None, what: str) -> None:
    """Raise ``RowError`` if numbers mark other words where the text is split at each single space.

    ``mask`` is what they mark of ``words``, the runs of ``text`` without white space; ``counted`` is how many words
    were counted, None if that is not known. Annotation tools often split with ``split(" ")``, to which two spaces have
    an empty word between them, and a no-break space or a tab is a character like any other. Which way was meant cannot
    be told from the numbers.
    """
    found = _ODD_SPACE.search(text)
    if found is None:
        return
    ends = list(itertools.accumulate(len(piece) + 1 for piece in text.split(" ")))
    # Of each word the number of the piece that it is in.
    numbers = [bisect.bisect_right(ends, word.start) for word in words]
    if counted not in (None, len(ends)):
        return
    marked = {number for number, mark in enumerate(mask) if mark}
    if any(number >= len(ends) for number in marked):
        return
    if [number in marked for number in numbers] != list(mask):
        around = text[max(0, found.start() - 10) : found.end() + 10]
        raise RowError(
            f"{what} marks other words where the text is split at each single space than where it is split at all "
            f"white space, because of {found[0]!r} in {around!r}; give the words that were counted in a column "
            "(`rationale.words`)"
        )


def in_characters(value: Any, text: str, offsets: str, what: str) -> list[list[int]]:
    """Spans in characters, from spans whose ``offsets`` are one of ``OFFSETS``."""
    pairs = isinstance(value, list) and all(isinstance(span, list) and len(span) == 2 for span in value)
    if not pairs or not all(type(place) is int for span in value for place in span):
        raise RowError(f"{what} is {shown(value)}, not a list of [start, end] in {offsets}")
    if offsets == "characters":
        return list(value)
    edges = list(itertools.accumulate(map(OFFSETS[offsets], text), initial=0))
    places = {edge: place for place, edge in enumerate(edges)}
    for span in value:
        for place in span:
            if not 0 <= place <= edges[-1]:
                raise RowError(f"{what} marks {span}, which is not within the text's {edges[-1]} {offsets}")
            if place not in places:
                raise RowError(f"{what} marks {span}, of which {place} is within a character; does it count {offsets}?")
    return [[places[start], places[end]] for start, end in value]


def check_texts(value: Any, given: Any, text: str, offsets: str, what: str) -> None:
    """Raise ``RowError`` unless the spans ``value`` of ``text`` are the texts ``given``, spaces at their ends aside."""
    spans = in_characters(value, text, offsets, what)
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given) or len(given) != len(spans):
        raise RowError(f"{what}: the texts of its {len(spans)} spans are {shown(given)}, not a list with one for each")
    for number, ((start, end), one) in enumerate(zip(spans, given, strict=True)):
        if text[start:end].strip() != one.strip():
            raise RowError(
                f"{what} marks {value[number]}, which is {text[start:end]!r}, but the text of this span is {one!r}"
                f"{_better_offsets(value[number], one, text, offsets)}"
            )


def _better_offsets(span: Sequence[int], given: str, text: str, offsets: str) -> str:
    for other in OFFSETS:
        try:
            ((start, end),) = in_characters([list(span)], text, other, "")
        except RowError:
            continue
        if other != offsets and text[start:end].strip() == given.strip():
            return f"; with `rationale.offsets: {other}` it is"
    return ""


def cuts_word(spans: Sequence[Sequence[int]], words: Sequence[Word], text: str) -> bool:
    """Whether a span in characters begins or ends between two letters or digits of a word.

    A sign of offsets that were counted otherwise. Scripts without spaces between words have no such places.
    """
    inside = {place for word in words for place in range(word.start + 1, word.end)}
    return any(place in inside and within_letters(text, place) for span in spans for place in span)


def within_letters(text: str, place: int) -> bool:
    """Whether ``place`` is inside a run of letters and digits, of a script that has spaces between words."""
    pair = text[place - 1 : place + 1] if place else ""
    return bool(_LETTERS.match(pair)) and not UNSPACED.search(pair)


def _from_spans(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    in_word, marked = bytearray(len(text)), bytearray(len(text))
    for word in words:
        in_word[word.start : word.end] = b"\1" * (word.end - word.start)
    for start, end in value:
        if not 0 <= start < end <= len(text):
            raise RowError(f"{what} marks [{start}, {end}), which is not within the text's characters [0, {len(text)})")
        if not any(in_word[start:end]):
            raise RowError(f"{what} marks [{start}, {end}), where there is no word but {text[start:end]!r}")
        marked[start:end] = b"\1" * (end - start)
    return [any(marked[word.start : word.end]) for word in words]


def _from_marked_text(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    if not isinstance(value, str):
        raise RowError(f"{what} is {shown(value)}, not a text with asterisks")
    return _from_spans(asterisk_spans(text, value, what), words, text, what)


def asterisk_spans(text: str, marked: str, what: str) -> list[list[int]]:
    """The [start, end) in ``text`` of what stands between asterisks in ``marked``, the same text with pairs of them.

    Asterisks of the text itself stay: of several in a row, those that are too many are the marks, and stand outside.
    Raises ``RowError`` for another text, an asterisk without its pair and a pair with nothing in it.
    """
    edges: list[int] = []
    place = seen = 0
    while True:
        own, there = _asterisks(text, place), _asterisks(marked, seen)
        marks = there - own
        # Opening marks stand before the text's own asterisks, closing ones after them.
        before = (marks + 1 - len(edges) % 2) // 2
        edges += [place] * before + [place + own] * (marks - before)
        place, seen = place + own, seen + there
        if marks < 0 or text[place : place + 1] != marked[seen : seen + 1]:
            raise RowError(
                f"{what} without its asterisks is not the text: after {text[:place][-20:]!r} comes "
                f"{marked[seen : seen + 20]!r}, not {text[place : place + 20]!r}"
            )
        if place == len(text):
            break
        place, seen = place + 1, seen + 1
    if len(edges) % 2:
        raise RowError(f"{what} has an asterisk without its pair around {text[edges[-1] :][:20]!r}")
    spans = [[start, end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    if empty := [start for start, end in spans if start == end]:
        raise RowError(f"{what} has two asterisks with nothing between them before {text[empty[0] :][:20]!r}")
    return spans


def _asterisks(text: str, start: int) -> int:
    end = start
    while text[end : end + 1] == "*":
        end += 1
    return end - start


KINDS: dict[str, Kind] = {
    "word_indices": _from_indices,
    "mask": _from_mask,
    "char_spans": _from_spans,
    "marked_text": _from_marked_text,
}


def shown(value: Any) -> str:
    """A value as messages show it."""
    if value is None:
        return "empty"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
