"""Characters of a reply made plain, whatever a model wrote: also where Python's own functions are slow or raise."""

from __future__ import annotations

import html
import re
import unicodedata

import regex

# The time that Python takes to order marks grows with the square of their number in a row; Unicode (UAX #15) knows of
# no text with more than 30.
_MARKS = regex.compile(r"(\p{M}{30})\p{M}+")
# Python refuses to read more than 4,300 digits as a number, and no character has one of so many.
_NO_CHARACTER = re.compile(r"&(?=#[0-9]{20})")


def compatible(text: str) -> str:
    """``text`` in compatibility forms (NFKC); of more than 30 marks on one letter the first 30."""
    return unicodedata.normalize("NFKC", text if text.isascii() else _MARKS.sub(r"\1", text))


def unescaped(text: str) -> str:
    """``text`` with entities of HTML as the characters that they stand for."""
    return html.unescape(_NO_CHARACTER.sub("&amp;", text)) if "&" in text else text
