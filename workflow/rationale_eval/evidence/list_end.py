"""Whether a reply has come to the end of its list: what small models write after it is mostly repetition."""

from __future__ import annotations

import re

# A word with its number, where such pairs are given one after another: each is an item, and none the whole list.
_PAIR = re.compile(r"""\[\s*["'“‘][^\]\n]*["'”’]\s*,\s*[-+\d.,/%]+\s*\]""")
# A line of a list: a bullet or a number and something after it, or a pair.
_ITEM = re.compile(rf"\s{{0,8}}(?:(?:[-•]|[*+](?=\s)|\(?\d{{1,3}}[.):]|\[\d{{1,3}}\])\s*\S|{_PAIR.pattern}\s*,?\s*$)")
_BRACKET = re.compile(r"[\[\]]")
_QUOTED_ITEM = re.compile(r"""[\[{,:]\s*["'“‘]""")
# Beginnings of a line that can become no item.
_PROSE = re.compile(r"[^\W\d_][^\W\d_ ]|[^\W\d_]\s|\*\*")


def list_ended(text: str) -> bool:
    """True once a list that has begun is over.

    A bulleted or numbered list ends with a line that is no item, nor indented as what belongs to an item is; empty
    lines may stand between items. A JSON array of strings ends with its bracket, a code fence with its closing fence.
    A preamble before the list ("Here are the words:") ends nothing, and neither does a list in running text, whose end
    only the model can tell.
    """
    if _array_ended(text):
        return True
    if text.rstrip().endswith("```") and text.count("```") == 2:
        return True
    *lines, growing = text.split("\n")
    begun = False
    for line in lines:
        if _ITEM.match(line):
            begun = True
        elif begun and line.strip() and not line[0].isspace():
            return True
    # After an empty line the first letters of a paragraph are enough: it may be long.
    return begun and not lines[-1].strip() and _PROSE.match(growing) is not None


def _array_ended(text: str) -> bool:
    """Whether ``text`` ends with an array that holds quoted items: `[1]` and `[sic]` do not, and a pair is an item."""
    text = text.rstrip()
    if not text.endswith("]") or text.count("[") != text.count("]"):
        return False
    depth = start = 0
    for bracket in _BRACKET.finditer(text):
        if bracket.group() == "[":
            start = start if depth else bracket.start()
            depth += 1
        else:
            depth -= 1
    array = text[start:]
    return _QUOTED_ITEM.search(array) is not None and not _PAIR.fullmatch(array)
