"""Who marked the words that rationales are compared with, as the report says it: people, a proxy, or no one.

``marked_by`` of a corpus's entry, which its card repeats, says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PEOPLE, PROXY, CONSTRUCTION = "people", "proxy", "construction"


@dataclass(frozen=True)
class Marked:
    """The words for one kind of marks, or for several.

    ``words`` are the marked words; ``agreement`` is with whom a method agrees; ``by`` stands after a word or a number
    of words that are marked; ``row`` is the reference row of a table or figure; ``rationale`` is what a card calls them.
    """

    words: str
    agreement: str
    by: str
    row: str
    rationale: str


MARKED = {
    PEOPLE: Marked("the words that people marked", "people", "marked by people", "human", "Human rationale"),
    PROXY: Marked(
        "the words of a proxy for people",
        "the proxy for people’s words",
        "marked by a proxy",
        "human (proxy)",
        "Proxy for a human rationale",
    ),
    CONSTRUCTION: Marked(
        "the words marked by construction",
        "the words marked by construction",
        "marked by construction",
        "human (by construction)",
        "Rationale by construction",
    ),
}
SEVERAL = Marked("the marked words", "the marked words", "marked", "human", "Marked words")


def said_of(kinds: Iterable[str]) -> Marked:
    """The words for corpora of these ``kinds``: neutral ones where the kinds differ."""
    found = set(kinds)
    return MARKED[found.pop()] if len(found) == 1 else SEVERAL


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, for example ``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def who_marked(kinds: Mapping[str, str]) -> str:
    """Sentences that say of which corpora the words were not marked by people (``kinds`` by corpus); empty if all were."""
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
