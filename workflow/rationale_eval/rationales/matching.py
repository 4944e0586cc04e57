"""Finding what a reply quotes among the words of an instance.

Both sides are reduced to letters, digits and pictographs: compatibility forms, case, entities, quotes, hyphens, spaces
and other punctuation do not count. So `fun` finds the word `fun,`, `well made` finds `well-made`, `don't` finds the
two words `do` `n't`, and a sentence finds the words that it copies, whatever stands between them.

A quotation must begin where a word begins and end where one ends. If it does so nowhere, it may also begin or end at
a joint inside a word, and then gives the whole word, since words are the unit: a hyphen, slash, dash or any longer run
of punctuation (`made` finds `well-made`), a possessive (`Capra` finds `Capra's`), a pictograph, and any character of a
script that is written without spaces. There `好` finds a word `好看`, and a sentence that is one single word is found
by any of its characters: a corpus in such a script should come segmented into words.

Words that are punctuation alone (`-`, `...`) are found only by that same punctuation, or between others that are found.

Of several words that are the same in letters (`US` and `us`, `C++` and `C`, `1.5` and `15`) those come first that are
spelt as the quotation is, then those in the same case, then the others; among equals the first in the text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from rationale_eval.corpora.instances import UNSPACED, Instance, whitespace_words
from rationale_eval.plain_text import compatible, unescaped

_POSSESSIVE = re.compile(r"['’`]s?\W*$")
# Punctuation within a word that does not part it: don't, A.E.W., 274,000, 3.5.
_BONDS = {"'", "’", "."}

Span = tuple[int, int]


def normalised(text: str) -> str:
    """``text`` without differences of entities, compatibility forms and case."""
    text = compatible(unescaped(text)).casefold()
    return compatible(text)


class _Letters(dict[int, int | None]):
    """A translation table that keeps letters, marks, digits and pictographs; filled as characters turn up."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        selector = 0xFE00 <= code <= 0xFE0F  # chooses between two looks of the same pictograph
        self[code] = code if category[0] in "LMN" and not selector else (code if category == "So" else None)
        return self[code]


_LETTERS = _Letters()


def letters(text: str) -> str:
    """What counts of ``text`` in a comparison."""
    return normalised(text).translate(_LETTERS)


def _bare(text: str) -> str:
    """``text`` without the punctuation that opens and closes what is quoted or said; that of `:D` and `#love` stays."""
    return text.lstrip("\"'“‘([{").rstrip("\"'”’)]}.,;:!?…") or text


def _cased(text: str) -> str:
    """``letters``, but in their case."""
    return compatible(text).translate(_LETTERS)


def tokens(text: str) -> list[str]:
    """The words of ``text`` by themselves: runs of what counts in a comparison, over apostrophes."""
    plain = normalised(text).replace("'", "").replace("’", "")
    return "".join(character if character.translate(_LETTERS) else " " for character in plain).split()


def _joints(word: str) -> Iterator[int]:
    """Offsets into the letters of ``word`` (normalised) where a quotation may begin or end inside it."""
    possessive = _POSSESSIVE.search(word)
    offset, gap = 0, ""
    for place, character in enumerate(word):
        if possessive and place == possessive.start() and offset:
            yield offset
        if character.translate(_LETTERS):
            alone = unicodedata.category(character) == "So" or UNSPACED.match(character)
            digits = gap == "," and character.isdigit()
            if offset and (alone or (gap and gap not in _BONDS and not digits)):
                yield offset
            offset, gap = offset + 1, ""
            if alone:
                yield offset
        else:
            gap += character


class Words:
    """The words of an instance, ready to be searched. Several fields are searched in their order."""

    def __init__(self, instance: Instance) -> None:
        stream: list[str] = []
        self._owner: list[int] = []
        self._punctuation: dict[str, list[Span]] = {}
        self._starts: set[int] = set()
        self._ends: set[int] = set()
        self._inner: set[int] = set()
        field, offset = 0, 0
        self._spelt = [instance.text(place) for place in instance.words]
        self.lettered: set[int] = set()
        for index, place in enumerate(instance.words):
            word = normalised(instance.text(place))
            key = word.translate(_LETTERS)
            if place.field != field:
                # A line break is in no quotation's letters, so that none reaches from one field into the next.
                stream.append("\n")
                self._owner.append(index)
                field, offset = place.field, offset + 1
            if not key:
                self._punctuation.setdefault(word, []).append((index, index + 1))
                continue
            self.lettered.add(index)
            self._starts.add(offset)
            self._inner.update(offset + joint for joint in _joints(word))
            stream.append(key)
            self._owner += [index] * len(key)
            offset += len(key)
            self._ends.add(offset)
        self._stream = "".join(stream)
        self._found: dict[str, list[Span]] = {}  # by what counts of a quotation
        self._ranked: dict[str, list[Span]] = {}  # by the quotation as it is spelt

    def occurrences(self, quotation: str) -> list[Span]:
        """The runs of words [first, last) that ``quotation`` names: those spelt as it is before others, see above."""
        key = letters(quotation)
        if not key:
            return self._punctuation.get("".join(normalised(quotation).split()), [])
        found = self._same_letters(key)
        if len(found) < 2:
            return found
        if quotation not in self._ranked:
            self._ranked[quotation] = sorted(found, key=lambda span: self._apart(quotation, span))
        return self._ranked[quotation]

    def _apart(self, quotation: str, span: Span) -> int:
        """How far the spelling of a run of words is from that of a quotation with the same letters."""
        said, there = " ".join(unescaped(quotation).split()), " ".join(self._spelt[span[0] : span[1]])
        return 0 if _bare(said) == _bare(there) else 1 if _cased(said) == _cased(there) else 2

    def _same_letters(self, key: str) -> list[Span]:
        """The runs of words with these letters, from first to last."""
        if key not in self._found:
            if len(key) > len(self._stream):
                return []
            places = list(self._places(key))
            whole = [place for place in places if place[0] in self._starts and place[1] in self._ends]
            starts, ends = self._starts | self._inner, self._ends | self._inner
            allowed = whole or [place for place in places if place[0] in starts and place[1] in ends]
            self._found[key] = [(self._owner[start], self._owner[end - 1] + 1) for start, end in allowed]
        return self._found[key]

    def _places(self, key: str) -> Iterator[Span]:
        start = self._stream.find(key)
        while start >= 0:
            yield start, start + len(key)
            start = self._stream.find(key, start + 1)


def with_all_fields(instance: Instance) -> Instance:
    """``instance`` with words in every field: also in those that have no candidates, as the claim of FEVER."""
    candidates = {word.field for word in instance.words}
    others = [word for word in whitespace_words(instance.fields.values()) if word.field not in candidates]
    return replace(instance, words=tuple(sorted([*instance.words, *others], key=lambda word: (word.field, word.start))))


class Selection:
    """Words in the order in which they are first mentioned.

    The k-th mention of a word that stands several times in the text means its k-th occurrence; mentions beyond the
    last occurrence select nothing.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._taken: set[int] = set()
        self._next: dict[str, int] = {}
        self.order: list[int] = []

    def add(self, quotation: str, after: int | None = None) -> int | None:
        """Select the next occurrence that has a word not yet selected; of several, the first one from ``after`` on.

        Returns the index behind the words selected, None if there was nothing new.
        """
        spans = self._words.occurrences(quotation)
        key = " ".join(quotation.split())
        # What is selected stays so: occurrences passed once need no second look, however long the reply is.
        first = self._next.get(key, 0)
        while first < len(spans) and self._taken.issuperset(range(*spans[first])):
            first += 1
        self._next[key] = first
        if first == len(spans):
            return None
        later = itertools.islice(spans, first, None) if after is not None else ()
        fresh = (span for span in later if span[0] >= (after or 0) and not self._taken.issuperset(range(*span)))
        start, end = next(fresh, spans[first])
        for index in range(start, end):
            if index not in self._taken:
                self._taken.add(index)
                self.order.append(index)
        return end

    def covers_all(self) -> bool:
        """Whether every word is selected, punctuation standing alone aside."""
        return self._words.lettered <= self._taken
