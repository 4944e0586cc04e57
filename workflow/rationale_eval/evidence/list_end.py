"""Whether a reply has come to the end of its list: what small models write after it is mostly repetition."""

from __future__ import annotations

import re

# A line of a list: a bullet or a number, and something after it.
_ITEM = re.compile(r"\s{0,8}(?:[-*•+]|\(?\d{1,3}[.):])\s*\S")


def list_ended(text: str) -> bool:
    """True once a list that has begun is over.

    A bulleted or numbered list ends with a blank line or a line that is no item; a JSON array with its bracket; a code
    fence with its closing fence. A preamble before the list ("Here are the words:") ends nothing, and neither does a
    list in running text, whose end only the model can tell.
    """
    if text.rstrip().endswith("]") and text.count("[") == text.count("]"):
        return True
    if text.rstrip().endswith("```") and text.count("```") == 2:
        return True
    lines = text.split("\n")[:-1]  # the last line may still grow
    begun = False
    for line in lines:
        if _ITEM.match(line):
            begun = True
        elif begun:
            return True
    return False
