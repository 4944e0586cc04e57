"""What YAML takes in silence and is a mistake: keys that stand twice, and aliases without measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from rationale_eval.errors import UserError

# More than any study has; what aliases of aliases stand for would be walked through for hours.
MOST_ENTRIES = 100_000


def check_keys(path: Path) -> None:
    """Raise ``UserError`` for a key that stands twice in one section of a YAML file: the first would be lost.

    And for aliases that stand for more than ``MOST_ENTRIES`` entries.
    """

    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # said by those that read it
    if (count := _entries(node, {})) > MOST_ENTRIES:
        raise UserError(f"{path}: its aliases (*name) stand for {count:,} entries; write out what is meant")
    if twice := next(_twice(node), None):
        raise UserError(f"{path}: line {twice.start_mark.line + 1}: {twice.value!r} stands twice in one section")


def _twice(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """The keys that stand twice in a section of a node, which has few entries."""
    if isinstance(node, yaml.MappingNode):
        seen: set[tuple[str, str]] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    yield key
                seen.add((key.tag, key.value))
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)


def _entries(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many keys and values a node of YAML stands for, those of aliases counted each time; ``known`` by its id."""
    if node is None or isinstance(node.value, str):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_ENTRIES + 1  # an alias inside of what it names has no end
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_entries(part, known) for part in parts)
    return known[id(node)]
