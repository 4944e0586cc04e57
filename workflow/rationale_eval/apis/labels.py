"""From an API's answer to a classification to a label: by what it says, or by log-probabilities of its tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rationale_eval.apis.naming import names
from rationale_eval.plain_text import compatible

OK, UNPARSED, REFUSAL = "ok", "unparsed", "refusal"

_REFUSING = re.compile(
    r"\bi(?:['’]m| am) sorry\b|\bas an ai\b|\bi (?:cannot|can['’]?t|can not|won['’]?t|will not)\b"
    r"|\b(?:unable|not able) to\b"
)
# Above 0 by rounding alone.
_ROUNDING = 1e-4
# What listed probabilities that come to 1 leave, as sums of so many are rounded, and by how much an unseen label is
# below a seen one at least.
_LEAST, _BELOW = 1e-6, 1e-3


def _plain(text: str) -> str:
    return compatible(text).casefold()


def label_of(reply: str, verbalisers: Mapping[str, str]) -> tuple[str, str | None]:
    """The label that a reply names, ``(status, label)``.

    Case, punctuation, quotes, markup and words around it ("Answer: positive") do not count. The first line that names a
    label decides, if it names exactly one and leaves no doubt that it is meant (see ``names``); ``unparsed`` otherwise,
    and ``refusal`` for a reply that names none and declines.
    """
    text, plain = _plain(reply), {label: _plain(words) for label, words in verbalisers.items()}
    there = {label: words for label, words in plain.items() if words in text}
    for line in text.splitlines() if there else ():
        named, unsure = names(line, there)
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

    None too where the token that was taken begins no verbaliser, since the model answered something else, and where a
    number is no log-probability (not a number, or above 0).

    ``tokens`` are those of the answer, ``[token, log-probability, [[alternative, log-probability], …]]``, as text or as
    tokenizers spell them (``Ġpositive``, ``▁positive``). At the first one, the probabilities of all alternatives that
    are the unambiguous beginning of one verbaliser (ignoring case, spaces and quotes before it) are added up for its
    label. Where the token that was taken is ambiguous (the beginning of several, a single letter, or spaces and quotes
    alone) its continuation is read in the same way, with its probability as a factor; of ambiguous tokens that were not
    taken the continuation is not known, and nothing is added. A label without any probability gets the most that it can
    have had: no more than the lowest that is listed for the first token, nor than what all listed ones leave. It is
    less than that of any label that was seen.
    """
    listed = [value for _, logprob, others in tokens for value in (logprob, *(value for _, value in others or ()))]
    if any(math.isnan(value) or value > _ROUNDING for value in listed):
        return None
    found: dict[str, float] = {}
    before, path = "", 0.0
    begun = False
    for token, logprob, alternatives in tokens:
        on = False
        for other, value in _with_taken(token, logprob, alternatives):
            text = _plain(_spelt(before + other)).lstrip(" \t\n\"'“‘*_#`")
            labels = list(verbalisers) if not text else _begun(text.rstrip(), verbalisers)
            certain = len(text) > 1 or text in map(_plain, verbalisers.values())
            if certain and len(labels) == 1:
                found[labels[0]] = found.get(labels[0], 0.0) + math.exp(path + value)
                begun = begun or other == token
            elif other == token and labels:
                on = True
        if not on:
            break
        before, path = before + token, path + logprob
    if not begun:
        return None
    known = {label: math.log(value) for label, value in found.items() if value > 0}
    # Minus infinity is what servers write for what a grammar forbids; a score has to be finite.
    first = [value for _, value in _with_taken(*tokens[0])]
    lowest = min(value for value in first if value > -math.inf)
    rest = math.log(max(1 - sum(map(math.exp, first)), _LEAST))
    unseen = min(lowest, rest, *(value - _BELOW for value in known.values()))
    return [known.get(label, unseen) for label in verbalisers]


def _with_taken(token: str, logprob: float, alternatives: Sequence[Any] | None) -> list[tuple[str, float]]:
    """The alternatives with the token that was taken, which a server that lists few may leave out."""
    found = [(other, value) for other, value in alternatives or ()]
    return found if any(other == token for other, _ in found) else [*found, (token, logprob)]


def _spelt(text: str) -> str:
    """A token as text: some servers give it as the tokenizer spells it, with a sign for a space or a line break."""
    return text.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n")
