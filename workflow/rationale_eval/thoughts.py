"""Thoughts that a model writes before it answers, as templates and replies mark them."""

from __future__ import annotations

import re

CUT_OFF = "cut_off"  # status of a reply that ended before it said anything but thoughts

_TAGS = "think|thinking|thought|reasoning"
_BEGINNING = re.compile(rf"<(?:{_TAGS})>|\[THINK\]", re.IGNORECASE)
_END = re.compile(rf"</(?:{_TAGS})>|\[/THINK\]", re.IGNORECASE)
_EMPTY = re.compile(rf"\s*<({_TAGS})>\s*</\1>\s*")
# The channels of Harmony (gpt-oss), with its marks and as some servers leave them, without.
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>([^<]*(?:<(?!\|)[^<]*)*)")
_BARE_ANALYSIS, _BARE_FINAL = re.compile(r"\s*analysis(?=[A-Z])"), "assistantfinal"
_OPEN = re.compile(rf"(?:<(?:{_TAGS})>|\[THINK\])\s*$")


def answer(reply: str) -> str | None:
    """What ``reply`` says behind its thoughts; None where it ends within one.

    The first mark may be missing: many templates open the thought before the model goes on.
    """
    if "<|channel|>" in reply:
        return next((said for channel, said in reversed(_CHANNEL.findall(reply)) if channel == "final"), None)
    if _BARE_ANALYSIS.match(reply):
        _, found, said = reply.rpartition(_BARE_FINAL)
        return said if found else None
    ends = list(_END.finditer(reply))
    behind = reply[ends[-1].end() :] if ends else reply
    return None if _BEGINNING.search(behind) else behind


def cut_off(reply: str, finish: str | None) -> bool:
    """Whether a reply ended by its limit of tokens before it said anything but thoughts, or within a thought."""
    said = answer(reply)
    return said is None or (finish == "length" and not said.strip())


def leading_empty(text: str) -> str:
    """The thought with nothing in it that ``text`` begins with, spaces around it included; empty if it has none."""
    found = _EMPTY.match(text)
    return found.group() if found else ""


def is_open(text: str) -> bool:
    """Whether ``text`` ends with the beginning of a thought."""
    return bool(_OPEN.search(text))
