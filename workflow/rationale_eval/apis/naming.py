"""Which labels a line of a reply names, and whether it says them of the text or only mentions them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ARTICLE = r"(?:an?\s+|the\s+)?[\"'“‘*_]*$"
_DENIED = re.compile(rf"(?:\b(?:not|never|neither|nor|hardly)\s+|n['’]t\s+|\b(?:non|anti)[-‐‑]){_ARTICLE}")
# Of a label that is said: "but" begins a clause, so that a negation before it is about something else.
_CLAUSE = re.compile(r"[.,;:!?()—–]|\s-\s|\bbut\b")
_NEGATION = re.compile(
    r"n['’]t\b|\b(?:not?|cannot|never|none|nothing|neither|nor|hardly|barely|scarcely|far from|without|rather than"
    r"|instead of|lack(?:s|ing)?|fail(?:s|ed)?|unlikely|unable|doubt(?:s|ful)?|opposite|contrary"
    r"|wrong|incorrect|false|mistaken|misleading|out of the question"
    # The commonest in other languages, since verbalisers may be theirs.
    r"|nicht|kein\w*|nie|weder|ohne|pas|jamais|sans|ni|nunca|tampoco|sin|não|nem|senza|не|нет|ни|без)\b"
)
_EXCEPT = re.compile(rf"\b(?:anything|all|everything)\s+but\s+{_ARTICLE}")
_OR_BEFORE = re.compile(rf"(?:\b(?:or|oder|ou)\s+|/\s*){_ARTICLE}")
_OR_AFTER = re.compile(r"[\"'”’*_]*\s*(?:\b(?:or|oder|ou)\b|/)")
_ASKED = re.compile(r"[^.;:!]*\?")
_QUOTED = re.compile(r"\"([^\"]*)\"|“([^”]*)”|«([^»]*)»|(?<!\w)'([^']*)'(?!\w)|‘([^’]*)’(?!\w)")


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
        pattern = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")
        places += [(place.start(), place.end(), label) for place in pattern.finditer(blank)]
        # A sign that is in no list here: "not positive" as a verbaliser is neither "positive" nor a negation.
        blank = pattern.sub(lambda place: "#" * len(place[0]), blank)
    said = []
    for start, end, label in sorted(places):
        if denied := _DENIED.search(blank[:start]):
            blank = blank[: denied.start()] + "#" * (start - denied.start()) + blank[start:]
        else:
            said.append((start, end, label))
    unsure = any(_only_mentioned(blank, start, end) for start, end, _ in said)
    return list(dict.fromkeys(label for *_, label in said)), unsure


def _only_mentioned(line: str, start: int, end: int) -> bool:
    before, after = line[:start], line[end:]
    earlier = [cut.end() for cut in _CLAUSE.finditer(before)]
    later = _CLAUSE.search(after)
    clause = before[earlier[-1] if earlier else 0 :] + "#" + (after[: later.start()] if later else after)
    excepted = _EXCEPT.search(before)
    return bool(
        _NEGATION.search(clause)
        or (excepted and not _NEGATION.search(before[: excepted.start()]))
        or _ASKED.match(after)
        or _OR_BEFORE.search(before)
        or _OR_AFTER.match(after)
        or _quoted_with_more(line, start, end)
    )


def _quoted_with_more(line: str, start: int, end: int) -> bool:
    """Whether the place is in a quotation of more than itself that is not the whole line."""
    for quoted in _QUOTED.finditer(line):
        group = quoted.lastindex or 0
        if quoted.start(group) <= start and end <= quoted.end(group):
            others = line[quoted.start(group) : start] + line[end : quoted.end(group)]
            around = line[: quoted.start()] + line[quoted.end() :]
            return bool(re.search(r"\w", others) and re.search(r"\w", around))
    return False
