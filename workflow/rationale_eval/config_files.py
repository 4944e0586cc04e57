"""The study of a command that Snakemake does not start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan


def merged(paths: Sequence[Path]) -> StudyPlan:
    """The study of config.yaml with ``paths`` merged over it, as Snakemake does. Raises ``UserError`` for faults."""
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError
    from snakemake.utils import update_config

    config: dict[str, object] = {}
    for path in (Path("config.yaml"), *paths):
        try:
            update_config(config, load_configfile(str(path)))
        except (OSError, WorkflowError) as error:
            raise UserError(f"{path}: cannot be read as a configuration: {error}") from None
    plan = StudyPlan(parse(config))
    plan.prompts.check()
    return plan
