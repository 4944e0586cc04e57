"""What every stage that classifies takes: solved examples, and instances that the prompts fit. Without a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, iter_instances
from rationale_eval.errors import UserError
from rationale_eval.models.shots import Shot, draw
from rationale_eval.models.task import Task


def add_shots_argument(parser: argparse.ArgumentParser) -> None:
    """The train rows from which solved examples are drawn."""
    parser.add_argument("--shots", type=Path, nargs="*", default=[], help="train instances (Parquet), for few-shot")


def shots_input(args: argparse.Namespace) -> dict[str, Path]:
    """The table of solved examples, where there are any, as an input for the provenance."""
    return dict(zip(("shots",), args.shots, strict=False))


def shots_of(spec: Mapping[str, Any], task: Task, tables: Sequence[Path]) -> list[Shot]:
    """The solved examples that ``spec["shots"]`` (count, seed) asks for, from the one table of train instances.

    Raises ``UserError`` as ``draw`` does, and without a table where there should be examples.
    """
    count, seed = spec["shots"]["count"], spec["shots"]["seed"]
    if count and len(tables) != 1:
        raise UserError("--shots: solved examples need one table of train instances")
    return draw(iter_instances(tables[0]), task, count, seed) if count else []


def check_instances(instances: Sequence[Instance], task: Task, where: Path) -> None:
    """Raise ``UserError`` unless the prompts fit the rows of the table ``where``."""
    for instance in instances:
        for label in filter(None, (instance.label, instance.foil)):
            if label not in task.labels:
                raise UserError(
                    f"{where}: row {instance.id!r} has the label {label!r}, which the prompt file does not verbalise; "
                    f"it has {list(task.labels)}"
                )
        if fault := task.field_fault(instance.fields):
            raise UserError(f"{where}: row {instance.id!r} {fault}")
