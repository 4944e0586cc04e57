"""The study of a command that Snakemake does not start: ``--configfile`` and ``--config`` mean what they mean there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rationale_eval.errors import UserError

# Imported in the function: the check for missing packages offers these options too.
if TYPE_CHECKING:
    from rationale_eval.study import StudyPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two options."""
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="merged over config.yaml, in this order")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="merged over all files")


def merged(paths: Sequence[Path], settings: Sequence[str] = ()) -> StudyPlan:
    """The study of config.yaml with ``paths`` merged over it, then ``settings`` (KEY=VALUE), as Snakemake does.

    Raises ``UserError`` for faults.
    """
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError
    from snakemake.utils import update_config

    from rationale_eval.config_checks import parse
    from rationale_eval.study import StudyPlan
    from rationale_eval.yaml_keys import check_keys

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
    plan.check()
    return plan
