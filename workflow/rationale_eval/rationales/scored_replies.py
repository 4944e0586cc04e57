"""Reading a reply that gives each word a number (Huang et al. 2023): from free text to one score per word.

The first of these forms that gives pairs wins:

1. Quoted words with a number each: JSON objects (``{"great": 0.9}``), lists of pairs (``("great", 0.9)``), objects with
   a word and a score each (``{"word": "great", "score": 0.9}``).
2. Lines, with or without bullets, numbers and emphasis: ``great: 0.9``, ``1. great - 9/10``, ``great (90%)``,
   ``| great | 0.9 |``, ``great = -2``, ``great 0.9``; of several pairs in a line each.

A fraction counts as its value, a percentage as a hundredth; else numbers are taken as they stand, since only the order
of words within an instance is used. What no table holds (``1e999``, ``nan``, 50 digits) is no number. Pairs are found
in the text by the rules of ``replies``: the k-th mention of a word is its k-th occurrence, and a pair that names
several words gives each its number. A word without a number names nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from rationale_eval.corpora.instances import Instance
from rationale_eval.rationales.echoes import NO_LABELS, Echo, Labels
from rationale_eval.rationales.matching import Selection, Words, with_all_fields
from rationale_eval.rationales.replies import EMPTY, TRUNCATED, Item, Parsed, outcome_of, select
from rationale_eval.rationales.reply_syntax import EDGES, bullets, cleaned
from rationale_eval.rationales.schema import is_score
from rationale_eval.thoughts import answer

Pair = tuple[str, float]

_NUMBER = (
    r"(?P<sign>[-+−–]?)(?P<value>(?:\d++(?:\.\d++)?+|\.\d++)(?:[eE][-+]?\d++)?+)(?![\d.]*\d)"
    r"(?:\s*(?:/|out\sof)\s*(?P<of>\d+(?:\.\d+)?)|\s*(?P<percent>%))?"
)
# The key of a score stands between, in lists of objects. Lengths are bounded, so that a scan is linear.
_QUOTED_PAIR = re.compile(
    r"""["'“‘](?P<name>[^"“”\n]{1,80}?)["'”’]"""
    rf"""\s*(?:,\s*["'“]?[A-Za-z_ ]{{1,30}}["'”]?\s*:|[:,=])\s*["'“]?{_NUMBER}""",
)
# A number and what parts it from its word: a mark, or nothing but a space.
_LINE_NUMBER = re.compile(
    r"(?P<mark>\s*(?:[:=|(\[→⇒]|(?<![-=])[-=]++>|\s[-–—]\s|,(?=\s*[-+−]?[\d.]))"
    r"\s*(?:\*\*|[\"'(\[]|score|weight|importance|[:=]){0,4}\s*|\s+)"
    rf"{_NUMBER}(?=[\s,;|)\].*\"'}}]|$)",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[,;|](?=\s)|\|")
_MARKS = EDGES + "|=\t"


def parse_scored_reply(
    reply: str, instance: Instance, finished: bool, labels: Labels = NO_LABELS
) -> tuple[Parsed, list[float]]:
    """What ``reply`` names, and one score per word of ``instance``: 0 for words that it does not name.

    ``labels`` and ``finished`` are as in ``replies.parse_reply``. Outcomes are those of ``replies.Parsed``, whose
    ``order`` holds the words with a number, in the order of first mention.
    """
    scores = [0.0] * len(instance.words)
    said = answer(reply)
    if said is None:
        return Parsed(TRUNCATED, (), 0, (), False), scores
    text = cleaned(said)
    if not text.strip():
        return Parsed(EMPTY, (), 0, (), False), scores
    if not finished:
        # A number that was cut off is another number.
        text = text[: max(text.rfind(mark) for mark in "\n,;}])") + 1]
    words, shown = Words(instance), Words(with_all_fields(instance))
    echo = Echo(instance, words, labels)
    found = list(_pairs(text, words))
    pairs = [(name, value) for name, value in found if is_score(value) and not echo.holds_place(name)]
    listed = [name for name, _ in found] or bullets(text)  # without a number they count for nothing, but are no form
    named = [name for name in listed if not echo.holds_place(name)]
    echoed = echo.outcome(text, named, len(named) < len(listed))
    if echoed:
        pairs = []
    selection = Selection(words)
    hallucinated, unmatched = [], 0
    for name, value in pairs:
        item, before = Item(name), len(selection.order)
        if select(item, words, selection):
            unmatched += 1
            if missing := select(item, shown, Selection(shown)):
                hallucinated.append(missing)
        for index in selection.order[before:]:
            scores[index] = value
    outcome = outcome_of(text, echoed, finished, bool(selection.order), unmatched)
    covered = bool(selection.order) and selection.covers_all()
    return Parsed(outcome, tuple(selection.order), len(pairs), tuple(hallucinated), covered), scores


def _pairs(text: str, words: Words) -> Iterator[Pair]:
    quoted = [(match["name"].strip(), _value(match)) for match in _QUOTED_PAIR.finditer(text)]
    if quoted:
        yield from quoted
        return
    for line in text.split("\n"):
        # `2: 0.5` may be a word of the text or the second item: what the text holds decides.
        readings = [list(_line_pairs(form, words)) for form in (line, *bullets(line))]
        found = [pairs for pairs in readings if any(words.occurrences(name) for name, _ in pairs)]
        yield from (found or [readings[-1]])[0]


def _line_pairs(line: str, words: Words) -> Iterator[Pair]:
    end = 0
    for match in _LINE_NUMBER.finditer(line):
        # What stands before it, from the number before or, of a comma list, from the comma.
        name = _PARTS.split(line[end : match.start()].rstrip(",;| "))[-1].strip()
        name = name.strip(_MARKS) or name
        end = match.end()
        # With nothing but a space between, prose that holds a number looks alike.
        if name and (match["mark"].strip() or words.occurrences(name)):
            yield name, _value(match)


def _value(match: re.Match[str]) -> float:
    """The number; infinite, which is no score, where it or what it is a fraction of is too large."""
    whole = float(match["of"] or 1) or 1.0
    value = float(match["value"]) / whole if is_score(whole) else math.inf
    value = value / 100 if match["percent"] else value
    return -value if match["sign"] in ("-", "−", "–") else value
