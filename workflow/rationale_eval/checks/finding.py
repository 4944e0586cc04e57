"""What a check found."""

from __future__ import annotations

from typing import Literal, NamedTuple

OK: Literal["ok"] = "ok"
WARNING: Literal["warning"] = "warning"
PROBLEM: Literal["problem"] = "problem"


class Finding(NamedTuple):
    """One line: how it stands, with what, and what to do about it if it does not stand well."""

    level: Literal["ok", "warning", "problem"]
    what: str
    text: str
