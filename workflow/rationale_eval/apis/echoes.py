"""A key that a server, or a proxy that debugs, sends back: hidden before anything of a reply is stored or shown."""

from __future__ import annotations

import base64
import html.entities
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[key]"
# A shorter one, such as the "EMPTY" or "token" of a server on this machine, may be a word of a reply, and is no secret.
SHORTEST = 8
# From so many of its characters on, the beginning of a key is one that was cut off.
BEGINNING = 12


class Echoes:
    """Hides ``key`` in texts, in the forms in which one may be written; without one, or of a short one, nothing.

    These are: as it is, and cut off at the end; with characters as JSON, a URL, HTML, quoted-printable or Markdown
    escape them, also twice; in hexadecimal digits; and in Base64, of both alphabets, wherever in what was encoded it
    stands, over the ends of lines.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key if key is not None and len(key) >= SHORTEST else ""
        forms = [_escaped(self._key), _in_digits(self._key), *_in_base64(self._key)] if self._key else []
        self._written = re.compile("|".join(forms)) if forms else None

    def hide(self, text: str) -> str:
        """``text`` without the key."""
        if self._written is None:
            return text
        text = self._written.sub(HIDDEN, text)
        before, *rest = text.split(self._key[:BEGINNING]) if len(self._key) > BEGINNING else (text,)
        return before + "".join(HIDDEN + part[self._goes_on(part) :] for part in rest)

    def _goes_on(self, text: str) -> int:
        """How many characters at the begin of ``text`` go on with the key behind its beginning."""
        rest = self._key[BEGINNING:]
        most = min(len(text), len(rest))
        return next((n for n in range(most) if text[n] != rest[n]), most)

    def hide_in(self, value: Any) -> Any:
        """The same for all strings of a parsed JSON value; the names of its fields are the protocol's, and not kept."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {name: self.hide_in(entry) for name, entry in value.items()}
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
    return "".join(_character(c) for c in key)


def _character(c: str) -> str:
    code = ord(c)
    named = "".join(f"|&{name}" for name, meant in html.entities.html5.items() if meant == c and name.endswith(";"))
    escaped = rf"%(?:25)*{code:02x}|\\u00{code:02x}|\\x{code:02x}|\\{code:03o}|={code:02x}|&\#0*{code};|&\#x0*{code:x};"
    return rf"(?:\\{{0,4}}{re.escape(c)}|(?i:{escaped}){named})"


def _in_digits(key: str) -> str:
    return "(?i:" + r"[\s:,-]?".join(f"{byte:02x}" for byte in key.encode()) + ")"


def _in_base64(key: str) -> set[str]:
    """What of the encoded text depends on the key alone, for each of the three places where it may begin."""
    found = set()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + key.encode()).decode().rstrip("=")
            whole = (before + len(key)) * 8 // 6  # digits of which no bit is of what follows
            digits = text[-(-before * 8 // 6) : whole]
            found.add(r"(?:\s|\\n)*".join(map(re.escape, digits)))
    return found
