"""From an API's answer to a classification to a label: by what it says, or by log-probabilities of its tokens."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rationale_eval.apis.naming import names

OK, UNPARSED, REFUSAL = "ok", "unparsed", "refusal"

_REFUSING = re.compile(
    r"\bi(?:['’]m| am) sorry\b|\bas an ai\b|\bi (?:cannot|can['’]?t|can not|won['’]?t|will not)\b"
    r"|\b(?:unable|not able) to\b"
)
# Above 0 by rounding alone.
_ROUNDING = 1e-4


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def label_of(reply: str, verbalisers: Mapping[str, str]) -> tuple[str, str | None]:
    """The label that a reply names, ``(status, label)``.

    Case, punctuation, quotes, markup and words around it ("Answer: positive") do not count. The first line that names a
    label decides, if it names exactly one and leaves no doubt that it is meant (see ``names``); ``unparsed`` otherwise,
    and ``refusal`` for a reply that names none and declines.
    """
    text, plain = _plain(reply), {label: _plain(words) for label, words in verbalisers.items()}
    for line in text.splitlines():
        named, unsure = names(line, plain)
        if named:
            return (OK, named[0]) if len(named) == 1 and not unsure else (UNPARSED, None)
    return (REFUSAL if _REFUSING.search(text) else UNPARSED), None


def _begun(text: str, verbalisers: Mapping[str, str]) -> list[str]:
    """The labels that an answer which begins with ``text`` may go on to name, or has named."""
    return [
        label
        for label, words in verbalisers.items()
        if _plain(words).startswith(text) or re.match(rf"{re.escape(_plain(words))}(?!\w)", text)
    ]


def label_scores(tokens: Sequence[Any], verbalisers: Mapping[str, str]) -> list[float] | None:
    """The score of each label: the log-probability that the answer begins with its verbaliser; None if all lack it.

    None too where a number is no log-probability (not a number, or above 0).

    ``tokens`` are those of the answer, ``[token, log-probability, [[alternative, log-probability], …]]``. At the first
    one, the probabilities of all alternatives that are the unambiguous beginning of one verbaliser (ignoring case,
    spaces and quotes before it) are added up for its label. Where the token that was taken is ambiguous (the beginning
    of several, a single letter, or spaces and quotes alone) its continuation is read in the same way, with its
    probability as a factor; of ambiguous tokens that were not taken the continuation is not known, and nothing is
    added. A label without any probability gets the lowest log-probability among the alternatives of the first token:
    what is not listed there has no more.
    """
    listed = [value for _, logprob, others in tokens for value in (logprob, *(value for _, value in others or ()))]
    if any(math.isnan(value) or value > _ROUNDING for value in listed):
        return None
    found: dict[str, float] = {}
    before, path = "", 0.0
    for token, logprob, alternatives in tokens:
        on = False
        for other, value in alternatives or [[token, logprob]]:
            text = _plain(before + other).lstrip(" \t\n\"'“‘*_#`")
            labels = list(verbalisers) if not text else _begun(text.rstrip(), verbalisers)
            certain = len(text) > 1 or text in map(_plain, verbalisers.values())
            if certain and len(labels) == 1:
                found[labels[0]] = found.get(labels[0], 0.0) + math.exp(path + value)
            elif other == token and labels:
                on = True
        if not on:
            break
        before, path = before + token, path + logprob
    if not found:
        return None
    # Minus infinity is what servers write for what a grammar forbids; a score has to be finite.
    floor = min((value for _, value in tokens[0][2] if value > -math.inf), default=tokens[0][1])
    known = {label: math.log(value) if value > 0 else floor for label, value in found.items()}
    # No label that was seen falls below one that was not.
    floor = min(floor, *known.values())
    return [known.get(label, floor) for label in verbalisers]
