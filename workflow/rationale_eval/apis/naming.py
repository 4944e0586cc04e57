"""Which labels a line of a reply names, and whether it says them of the text or only mentions them.

A line may be a whole reply of tens of thousands of characters, with thousands of labels. So what holds for the line is
found once, and for each label only what stands between it and its neighbours is looked at: all is linear.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

_ARTICLE = r"(?:an?\s+|the\s+)?[\"'“‘*_]*$"
_DENIED = re.compile(rf"(?:\b(?:not|never|neither|nor|hardly)\s+|n['’]t\s+|\b(?:non|anti)[-‐‑]){_ARTICLE}")
# Of a label that is said: "but" begins a clause, so that a negation before it is about something else.
# What stands after "because" is the reason, which may be what a text does not say.
_CLAUSE = re.compile(r"[.,;:!?()—–]|\s-\s|\b(?:but|because)\b")
_NEGATION = re.compile(
    # "Without doubt" and "no question" deny nothing.
    r"n['’]t\b|\b(?:(?:no|without)(?!\s+(?:a\s+)?(?:doubt|question|reservation)s?\b)|not|cannot|never|none|nothing"
    r"|neither|nor|hardly|barely|scarcely|far from|rather than|instead of|lack(?:s|ing)?|fail(?:s|ed)?|unlikely|unable"
    r"|(?<!no )(?<!without )(?<!without a )doubt(?:s|ful)?|opposite|contrary"
    r"|wrong|incorrect|false|mistaken|misleading|out of the question"
    # The commonest in other languages, since verbalisers may be theirs; not "sin", which is a word of English reviews.
    r"|nicht|kein\w*|nie|weder|ohne|pas|jamais|sans|ni|nunca|tampoco|não|nem|senza|не|нет|ни|без)\b"
)
_EXCEPT = re.compile(rf"\b(?:anything|all|everything)\s+but\s+{_ARTICLE}")
_OR_BEFORE = re.compile(rf"(?:\b(?:or|oder|ou)\s+|/\s*){_ARTICLE}")
_OR_AFTER = re.compile(r"[\"'”’*_]*\s*(?:\b(?:or|oder|ou)\b|/)")
_QUESTION, _STOP = re.compile(r"\?"), re.compile("[.;:!]")
_OPENING = re.compile(r"[\"“«‘]|(?<!\w)'")
_CLOSING = {'"': '"', "“": "”", "«": "»", "'": "'", "‘": "’"}
_LETTER = re.compile(r"\w")


def names(line: str, verbalisers: Mapping[str, str]) -> tuple[list[str], bool]:
    """The labels that ``line`` names, and whether it mentions one of which it cannot be told if it is meant.

    A label is found by its verbaliser as whole words; a longer one hides a shorter within it. ``line`` and the
    verbalisers are in the same case. A label right behind "not" is not named. It is mentioned only where its clause
    holds a negation elsewhere ("can't be called positive", "positive would be wrong"), where it is asked for
    ("positive?"), is one of two ("positive or mixed"), or stands in a quotation with other words.
    """
    places: list[tuple[int, int, str]] = []
    blank = line
    for label, words in sorted(verbalisers.items(), key=lambda pair: -len(pair[1])):
        if words not in blank:
            continue
        pattern = _whole(words)
        places += [(place.start(), place.end(), label) for place in pattern.finditer(blank)]
        # A sign that is in no list here: "not positive" as a verbaliser is neither "positive" nor a negation.
        blank = pattern.sub(lambda place: "#" * len(place[0]), blank)
    said: list[tuple[int, int, int, str]] = []
    shown, before = list(blank), 0
    for start, end, label in sorted(places):
        if denied := _DENIED.search(blank, before, start):
            shown[denied.start() : start] = "#" * (start - denied.start())
        else:
            said.append((before, start, end, label))
        before = end
    about = _Line("".join(shown))
    unsure = any(about.only_mentions(before, start, end) for before, start, end, _ in said)
    return list(dict.fromkeys(label for *_, label in said)), unsure


@lru_cache(maxsize=4096)
def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")


class _Line:
    """A line in which a ``#`` stands for each character of a label, and of what denies it."""

    def __init__(self, text: str) -> None:
        self._text = text
        cuts = [cut.span() for cut in _CLAUSE.finditer(text)]
        self._clauses_begin, self._clauses_end = (
            [0, *(end for _, end in cuts)],
            [*(start for start, _ in cuts), len(text)],
        )
        self._negated: dict[int, bool] = {}  # by the number of a clause
        self._negation = _NEGATION.search(text)
        self._questions = [place.start() for place in _QUESTION.finditer(text)]
        self._stops = [place.start() for place in _STOP.finditer(text)]
        self._quotations = list(_quotations(text))
        letters = [place.start() for place in _LETTER.finditer(text)]
        self._first_letter, self._last_letter = (letters[0], letters[-1]) if letters else (len(text), -1)

    def only_mentions(self, before: int, start: int, end: int) -> bool:
        """Whether the label at [start, end) is not said of the text; the one before it ends at ``before``."""
        return bool(
            self._in_negated_clause(start)
            or self._is_excepted(before, start)
            or _next(self._questions, end) < _next(self._stops, end)
            or _OR_BEFORE.search(self._text, before, start)
            or _OR_AFTER.match(self._text, end)
            or self._is_quoted_with_more(start, end)
        )

    def _in_negated_clause(self, start: int) -> bool:
        number = bisect.bisect_right(self._clauses_begin, start) - 1
        if number not in self._negated:
            clause = self._text[self._clauses_begin[number] : self._clauses_end[number]]
            self._negated[number] = bool(_NEGATION.search(clause))
        return self._negated[number]

    def _is_excepted(self, before: int, start: int) -> bool:
        """Whether "anything but" stands before the label, and no negation before that."""
        excepted = _EXCEPT.search(self._text, before, start)
        return excepted is not None and not (self._negation and self._negation.start() < excepted.start())

    def _is_quoted_with_more(self, start: int, end: int) -> bool:
        """Whether the place is in a quotation of more than itself that is not the whole line."""
        number = bisect.bisect_right(self._quotations, (start, len(self._text), True)) - 1
        if number < 0:
            return False
        first, last, more = self._quotations[number]
        around = self._first_letter < first or self._last_letter >= last
        return first < start and end < last and more and around


def _next(places: list[int], start: int) -> float:
    """The first of ``places`` from ``start`` on; infinity where there is none."""
    number = bisect.bisect_left(places, start)
    return places[number] if number < len(places) else float("inf")


def _quotations(text: str) -> Iterator[tuple[int, int, bool]]:
    """Begin and end of each quotation, marks included, and whether it holds a letter; none is within another."""
    closing: dict[str, int] = {}
    place = 0
    while opening := _OPENING.search(text, place):
        place, mark = opening.end(), _CLOSING[opening[0]]
        # A mark that is looked for again and again is found once.
        if closing.get(mark, -1) < place:
            found = text.find(mark, place)
            closing[mark] = len(text) if found < 0 else found
        end = closing[mark]
        if end == len(text) or (mark in "'’" and _LETTER.match(text, end + 1)):
            continue
        yield opening.start(), end + 1, bool(_LETTER.search(text, place, end))
        place = end + 1
