"""Thoughts that a model writes before it answers, as templates and replies mark them."""

from __future__ import annotations

import re

_TAGS = "think|thinking|thought|reasoning"
_BEGINNING = re.compile(rf"<(?:{_TAGS})>|\[THINK\]", re.IGNORECASE)
_END = re.compile(rf"</(?:{_TAGS})>|\[/THINK\]", re.IGNORECASE)
_EMPTY = re.compile(rf"\s*<({_TAGS})>\s*</\1>\s*")
_OPEN = re.compile(rf"(?:<(?:{_TAGS})>|\[THINK\])\s*$")


def answer(reply: str) -> str | None:
    """What ``reply`` says behind its thoughts; None where it ends within one.

    The first mark may be missing: many templates open the thought before the model goes on.
    """
    ends = list(_END.finditer(reply))
    behind = reply[ends[-1].end() :] if ends else reply
    return None if _BEGINNING.search(behind) else behind


def leading_empty(text: str) -> str:
    """The thought with nothing in it that ``text`` begins with, spaces around it included; empty if it has none."""
    found = _EMPTY.match(text)
    return found.group() if found else ""


def is_open(text: str) -> bool:
    """Whether ``text`` ends with the beginning of a thought."""
    return bool(_OPEN.search(text))
