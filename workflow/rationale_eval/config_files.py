"""The study of a command that Snakemake does not start: ``--configfile`` and ``--config`` mean what they mean there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rationale_eval.errors import UserError

# Imported in the function: the check for missing packages offers these options too.
if TYPE_CHECKING:
    import yaml

    from rationale_eval.study import StudyPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two options."""
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="merged over config.yaml, in this order")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="merged over all files")


# More than any study has; what aliases of aliases stand for would be walked through for hours.
MOST_ENTRIES = 100_000


def check_keys(path: Path) -> None:
    """Raise ``UserError`` for a key that stands twice in one section of a YAML file: the first would be lost.

    And for aliases that stand for more than ``MOST_ENTRIES`` entries.
    """
    import yaml

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


def merged(paths: Sequence[Path], settings: Sequence[str] = ()) -> StudyPlan:
    """The study of config.yaml with ``paths`` merged over it, then ``settings`` (KEY=VALUE), as Snakemake does.

    Raises ``UserError`` for faults.
    """
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError
    from snakemake.utils import update_config

    from rationale_eval.config_checks import parse
    from rationale_eval.study import StudyPlan

    config: dict[str, object] = {}
    for path in (Path("config.yaml"), *paths):
        check_keys(path)
        try:
            update_config(config, load_configfile(str(path)))
        except (OSError, WorkflowError) as error:
            raise UserError(f"{path}: cannot be read as a configuration: {error}") from None
    if settings:
        from snakemake.cli import parse_config  # takes a second

        try:
            update_config(config, parse_config(settings))
        except ValueError as error:
            raise UserError(f"--config {' '.join(settings)}: {error}") from None
    plan = StudyPlan(parse(config))
    plan.prompts.check()
    return plan
