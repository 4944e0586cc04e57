"""Who marked the words that rationales are compared with, as the report says it: people, a proxy, or no one.

``marked_by`` of a corpus's entry, which its card repeats, says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

PEOPLE, PROXY, CONSTRUCTION = "people", "proxy", "construction"


@dataclass(frozen=True)
class Marked:
    """The words for one kind of marks, or for several.

    ``words`` are the marked words; ``agreement`` is with whom a method agrees; ``by`` stands after a marked word, and
    ``note`` after the name of the reference row that is the marked words; ``rationale`` is what a card calls them.
    """

    words: str
    agreement: str
    by: str
    note: str
    rationale: str


MARKED = {
    PEOPLE: Marked("the words that people marked", "people", "marked by people", "", "Human rationale"),
    PROXY: Marked(
        "the words of a proxy for people",
        "the proxy for people’s words",
        "marked by a proxy",
        ", proxy",
        "Proxy for a human rationale",
    ),
    CONSTRUCTION: Marked(
        "the words marked by construction",
        "the words marked by construction",
        "marked by construction",
        ", by construction",
        "Rationale by construction",
    ),
}
SEVERAL = Marked("the marked words", "the marked words", "marked", "", "Marked words")


def said_of(kinds: Iterable[str]) -> Marked:
    """The words for corpora of these ``kinds``: neutral ones where the kinds differ."""
    found = set(kinds)
    return MARKED[found.pop()] if len(found) == 1 else SEVERAL


def with_notes(rows: pd.DataFrame, marked: Marked) -> pd.DataFrame:
    """``rows`` of a report table (``method``, ``kind``), the row of the marked words named with its note."""
    return rows.assign(method=rows["method"].mask(rows["kind"] == "human", rows["method"] + marked.note))


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, for example ``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def who_marked(kinds: Mapping[str, str]) -> str:
    """Sentences on the corpora (``kinds`` by name) whose words people did not mark; empty where there is none."""
    by_kind = {kind: [name for name, one in kinds.items() if one == kind] for kind in (PEOPLE, PROXY, CONSTRUCTION)}
    if not by_kind[PROXY] and not by_kind[CONSTRUCTION]:
        return ""
    parts = []
    if by_kind[PROXY]:
        parts.append(f"Nobody marked words in {listed(by_kind[PROXY])}: a proxy stands for people there.")
    if by_kind[CONSTRUCTION]:
        parts.append(f"In {listed(by_kind[CONSTRUCTION])} the construction of the texts says which words are marked.")
    if by_kind[PEOPLE]:
        parts.append(f"People marked the words of {listed(by_kind[PEOPLE])}.")
    return " ".join(parts)
