"""The ways in which a table of one's own says which words of a text are marked, each turned into a mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rationale_eval.corpora.instances import Word
from rationale_eval.corpora.rows import RowError

# (value, words of one field, the field's text, how messages call the value) -> whether each word is marked. All raise
# ``RowError``, without the row, for a value that does not say so.
Kind = Callable[[Any, Sequence[Word], str, str], list[bool]]


def _from_indices(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    if not isinstance(value, list) or not all(type(index) is int for index in value):
        raise RowError(f"{what} is {shown(value)}, not a list of word numbers")
    mask = [False] * len(words)
    for index in value:
        if not 0 <= index < len(words):
            raise RowError(f"{what} marks word {index}, but the {len(words)} words have the numbers from 0 on")
        mask[index] = True
    return mask


def _from_mask(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    if not isinstance(value, list) or not all(isinstance(mark, int) and mark in (0, 1) for mark in value):
        raise RowError(f"{what} is {shown(value)}, not a list of 0 and 1")
    if len(value) != len(words):
        raise RowError(f"{what} is a mask of {len(value)} for {len(words)} words; it must have one 0 or 1 for each")
    return [bool(mark) for mark in value]


def _from_spans(value: Any, words: Sequence[Word], text: str, what: str) -> list[bool]:
    pairs = isinstance(value, list) and all(isinstance(span, list) and len(span) == 2 for span in value)
    if not pairs or not all(type(place) is int for span in value for place in span):
        raise RowError(f"{what} is {shown(value)}, not a list of [start, end] in characters")
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
