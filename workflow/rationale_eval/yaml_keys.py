"""What YAML takes in silence and is a mistake: keys that stand twice, and aliases without measure."""

from __future__ import annotations

from pathlib import Path

import yaml

from rationale_eval.errors import UserError

# More than any study has; what aliases of aliases stand for would be walked through for hours.
MOST_ENTRIES = 100_000


def check_keys(path: Path) -> None:
    """Raise ``UserError`` for a key that stands twice in one section of a YAML file: the first would be lost.

    And for aliases that stand for more than ``MOST_ENTRIES`` entries.
    """

    class Once(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
            seen: set[object] = set()
            for key, _ in node.value:
                name = key.value
                if name in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise UserError(f"{path}: line {key.start_mark.line + 1}: {name!r} stands twice in one section")
                seen.add(name)
            made: dict[object, object] = super().construct_mapping(node, deep)
            return made

    try:
        text = path.read_text(encoding="utf-8")
        if (count := _entries(yaml.compose(text, Loader=yaml.SafeLoader), {})) > MOST_ENTRIES:
            raise UserError(f"{path}: its aliases (*name) stand for {count:,} entries; write out what is meant")
        yaml.load(text, Loader=Once)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # said by those that read it


def _entries(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many keys and values a node of YAML stands for, those of aliases counted each time; ``known`` by its id."""
    if node is None or isinstance(node.value, str):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_ENTRIES + 1  # an alias inside of what it names has no end
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_entries(part, known) for part in parts)
    return known[id(node)]
