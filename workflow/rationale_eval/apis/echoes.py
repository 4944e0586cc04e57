"""A key that a server, or a proxy that debugs, sends back: hidden before anything of a reply is stored or shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[key]"


class Echoes:
    """Hides ``key`` in texts, in the forms in which one may be written; without a key it hides nothing.

    These are: as it is; with characters as JSON, a URL or HTML escape them; in hexadecimal digits; and in Base64, of
    both alphabets, wherever in what was encoded it stands.
    """

    def __init__(self, key: str | None) -> None:
        self._written = (
            None if key is None else re.compile("|".join((_escaped(key), _in_digits(key), *_in_base64(key))))
        )

    def hide(self, text: str) -> str:
        """``text`` without the key."""
        return text if self._written is None else self._written.sub(HIDDEN, text)

    def hide_in(self, value: Any) -> Any:
        """The same for all strings of a parsed JSON value, names of fields included."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide(name): self.hide_in(entry) for name, entry in value.items()}
        return [self.hide_in(entry) for entry in value] if isinstance(value, list) else value

    def hide_across(self, tokens: list[str]) -> list[str]:
        """The same for a text in pieces: each that has a part of the key is hidden whole."""
        text, starts, place = "".join(tokens), [], 0
        for token in tokens:
            starts.append(place)
            place += len(token)
        spans = [] if self._written is None else [found.span() for found in self._written.finditer(text)]
        return [
            HIDDEN if any(start < end and begin < start + len(token) for begin, end in spans) else token
            for start, token in zip(starts, tokens, strict=True)
        ]


def _escaped(key: str) -> str:
    return "".join(
        rf"(?:{re.escape(c)}|(?i:%{ord(c):02x}|\\u00{ord(c):02x}|\\x{ord(c):02x}|&\#0*{ord(c)};|&\#x0*{ord(c):x};))"
        for c in key
    )


def _in_digits(key: str) -> str:
    return rf"(?i:{key.encode().hex()})"


def _in_base64(key: str) -> set[str]:
    """What of the encoded text depends on the key alone, for each of the three places where it may begin."""
    found = set()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + key.encode()).decode().rstrip("=")
            whole = (before + len(key)) * 8 // 6  # digits of which no bit is of what follows
            found.add(re.escape(text[-(-before * 8 // 6) : whole]))
    return found
