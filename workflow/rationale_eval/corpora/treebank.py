"""Text as people write it from Penn Treebank tokens, with the exact place of each token in it.

The tokens are those of Stanford CoreNLP's PTBTokenizer and its kin (Marcus et al. 1993; Manning et al. 2014): brackets
as ``-LRB-``, quotes as two backticks or two apostrophes, dashes as ``--``, clitics and punctuation as tokens of their
own, a backslash before a slash or an asterisk. What the tokenizer threw away cannot be known: a hyphen that stood free
stays free, and a range gets a spaced dash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ESCAPES = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
    "``": '"',
    "''": '"',
    "`": "'",
    "--": "–",
    "---": "—",
}
_OPENERS = {"-LRB-", "-LSB-", "-LCB-", "(", "[", "{", "``", "`", "“", "‘"}
_CLOSERS = {"-RRB-", "-RSB-", "-RCB-", ")", "]", "}", "''", "'", "”", "’"}
_CLITIC = re.compile(r"['’](?:s|m|d|re|ve|ll)|n['’]t", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[.,;:!?…]+")
_NUMBER_PREFIX = re.compile(r"[A-Z]{0,3}[$£€¥]|#")
_STARTS_WITH_NUMBER = re.compile(r"\.?\d")
_SPLIT_WORDS = {("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta"), ("gim", "me"), ("lem", "me")}


def detokenise(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text of ``tokens``, which are not empty, and the characters [start, end) of each token in it.

    Spans are in order, not empty and do not overlap; between them stands at most one space, so the text without those
    spaces is the tokens as ``normalised``. A quote that does not say its direction opens and closes in turn.
    """
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    length, inside_quotes = 0, False
    for place, token in enumerate(tokens):
        piece = normalised(token)
        if place and not _glued(tokens[place - 1], token, inside_quotes):
            pieces.append(" ")
            length += 1
        inside_quotes ^= token == '"'
        pieces.append(piece)
        spans.append((length, length + len(piece)))
        length += len(piece)
    return "".join(pieces), spans


def normalised(token: str) -> str:
    """A token as it is written in text. Escapes are known in upper and lower case."""
    return _ESCAPES.get(token.upper()) or token.replace("\\/", "/").replace("\\*", "*")


def _glued(before: str, token: str, inside_quotes: bool) -> bool:
    """Whether no space stands between two tokens; ``inside_quotes``: an undirected quote is open after ``before``."""
    opens = before.upper() in _OPENERS or (before == '"' and inside_quotes)
    closes = token.upper() in _CLOSERS or (token == '"' and inside_quotes)
    if opens or closes or _PUNCTUATION.fullmatch(token) or _CLITIC.fullmatch(token):
        return True
    if _NUMBER_PREFIX.fullmatch(before):
        return _STARTS_WITH_NUMBER.match(token) is not None
    return (token in ("%", "°") and before[-1].isdigit()) or (before.lower(), token.lower()) in _SPLIT_WORDS
