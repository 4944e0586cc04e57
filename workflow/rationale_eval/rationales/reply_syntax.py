"""The forms in which replies list things: JSON, bullets and numbers, quotation marks and emphasis.

Nothing here looks at the instance; ``replies`` decides which form counts. Each scan is linear in the reply's length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from rationale_eval.plain_text import unescaped

_FENCE = re.compile(r"```+[ \t]*(?:json|python|text|plaintext|markdown|csv|yaml)?[ \t]*")
_SPACES = re.compile(r"[^\S\r\n]+")
# Empty lines too, spaces in them or not: no run of white space is long enough for a scan to be slow.
_LINE_ENDS = re.compile(r"[\r\n]+(?: [\r\n]+)*")
# Alternatives of the quotes are exclusive in their content, so that a scan never runs past the next quote.
_QUOTED = re.compile(
    r"""
      "(?=\S)   (?P<straight>[^"\n]+)                 (?: (?<=\S)"(?!\w) | \Z )
    | “          (?P<curly>[^“”"\n]+)                   (?: [”"] | \Z )
    | „          (?P<low>[^„“”"\n]+)                    (?: [“”"] | \Z )
    | «          (?P<guillemets>[^«»\n]+)               (?: » | \Z )
    | [「『]      (?P<corner>[^「」『』\n]+)              (?: [」』] | \Z )
    | (?<![\w'’‘])['‘](?=[^\s'’])(?P<single>(?:[^'‘’\n]|(?<=\w)['’](?=\w))+) (?<=\S)['’](?!\w)
    | (?<!\*)\*\*(?=[^\s*]) (?P<bold>[^*\n]+)         (?: \*\* | \Z )
    | (?<![\w*])\*(?=[^\s*]) (?P<italic>[^*\n]+)      (?<=\S)\*(?![\w*])
    | (?<!\w)__(?=[^\s_]) (?P<strong>[^_\n]+)         __(?!\w)
    | (?<!\w)_(?=[^\s_])  (?P<emphasis>[^_\n]+)       (?<=\S)_(?!\w)
    | `          (?P<code>[^`\n]+)                      (?: ` | \Z )
    """,
    re.VERBOSE,
)
_BULLET = re.compile(
    r"""
    [\ \t>]*
    (?: [-•·▪◦‣●○■□] | [*+–—](?=\s) | \(?\d{1,3}(?:[):]|\.(?!\d)) | \[\d{1,3}\]
      | \([A-Za-z]\)(?=\s) | [A-Za-z][.)](?=\s) )
    [ \t]*
    """,
    re.VERBOSE,
)
_INLINE_NUMBER = re.compile(r"(?:(?<=\s)|^)\(?\d{1,3}[.)](?=\s)")
_JSON = re.compile(r"""[\[{]\s*(?:["'“‘\]\[{]|\Z)|^\s*\[(?=[^\]\n]*,)""", re.MULTILINE)
_JSON_TOKEN = re.compile(
    r"""  "(?P<double>(?:[^"\\\n]|\\.)*)(?:"|$)
        | (?<![\w])'(?P<single>(?:[^'\n]|(?<=\w)'(?=\w))*)(?:'|$)
        | [“‘](?P<curly>[^”\n]*?)(?:[”’](?!\w)|”|$)
        | (?P<mark>[\[\]{},:])
        | (?P<bare>[^\s\[\]{},:"'“‘][^\[\]{},:"“\n]*)
    """,
    re.VERBOSE | re.MULTILINE,
)
_WORD_KEYS = frozenset({"word", "words", "token", "tokens", "item", "items", "text", "phrase", "phrases", "content"})
_BETWEEN = re.compile(r"[ \t,;&/]*(?:and[ \t]+)?")
# Marks that part the items of a list, wherever they stand.
HARD_SEPARATOR = re.compile(r",(?!\d)|(?<!\d),|[;，、；|•]")
# What may surround an item without being part of it.
EDGES = " \n.,;:!?…\"'“”‘’`*_()[]{}<>«»-–—•"


def cleaned(reply: str) -> str:
    """``reply`` with plain line ends, spaces and quotes, without entities and the marks of code fences."""
    text = _FENCE.sub("\n", unescaped(reply))
    text = _LINE_ENDS.sub("\n", _SPACES.sub(" ", text))
    return text.replace("''", '"').replace("``", '"')


def json_strings(text: str) -> tuple[list[str], list[str]] | None:
    """The strings of the first array or object, and the keys that may be words themselves; None if there is neither.

    The strings of objects are their values, only those under a key such as `word` where there is one.
    """
    opening = _JSON.search(text)
    if not opening:
        return None
    start = opening.end() - len(opening.group().lstrip())
    values = list(_json_values(text, start))
    keys = dict.fromkeys(key for key, _ in values)
    named = _WORD_KEYS.intersection(keys)
    return [value for key, value in values if key in (named or keys) and value], [] if named else list(keys)


def bullets(text: str) -> list[str]:
    """What stands behind the bullets, numbers or letters at line starts, or behind the numbers of `1. … 2. …`."""
    lines = text.split("\n")
    marked = [line[match.end() :] for line in lines if (match := _BULLET.match(line))]
    return marked or [part for line in lines for part in _numbered(line)]


def _numbered(line: str) -> list[str]:
    """The parts of a line that numbers itself from 1: `1. great 2. fun`."""
    marks = list(_INLINE_NUMBER.finditer(line))
    if not marks or marks[0].group().strip("(.)") != "1":
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(line)]
    return [line[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]


def quotations(text: str) -> Iterator[str]:
    """Quoted and emphasised strings; emphasis that ends in a colon is a heading."""
    for match in _QUOTED.finditer(text):
        quoted = match.group(match.lastgroup or 0).strip()
        if not quoted.endswith(":"):
            yield quoted


def leading_quotations(text: str) -> list[str]:
    """The quoted strings at the beginning of ``text``, with nothing but separators between them."""
    found: list[str] = []
    place = 0
    while match := _QUOTED.match(text, place):
        found += quotations(match.group())
        place = _BETWEEN.match(text, match.end()).end()  # type: ignore[union-attr]
    return found


def _json_values(text: str, start: int) -> Iterator[tuple[str, str]]:
    """Key and value of each string in the array or object that begins at ``start``; arrays hand their key on."""
    keys = [""]
    held: str | None = None
    for match in _JSON_TOKEN.finditer(text, start):
        mark = match.group("mark")
        if mark is None:
            if held is not None:
                yield keys[-1], held
            held = " ".join(_unescaped(match.group(match.lastgroup or 0)).split())
            continue
        if mark == ":":
            keys[-1] = (held or "").casefold()
        else:
            if held is not None:
                yield keys[-1], held
            if mark in "[{":
                keys.append(keys[-1])
            elif mark in "]}" and len(keys) > 1:
                keys.pop()
            if len(keys) == 1 and mark in "]}":
                return
        held = None
    if held is not None:
        yield keys[-1], held


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(f'"{string}"')) if "\\" in string else string
    except json.JSONDecodeError:
        return string.replace("\\", "")
