"""What every stage that asks a model takes: its arguments, its part of the spec, and how these become prompts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationale_eval.corpora.instances import Instance, iter_instances
from rationale_eval.errors import UserError
from rationale_eval.models.shots import Shot, draw
from rationale_eval.models.task import Task

if TYPE_CHECKING:
    from rationale_eval.models.encoding import PromptEncoder
    from rationale_eval.models.loading import LoadedModel


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, its checkpoint, and the memo with the batch sizes."""
    parser.add_argument("--model", type=Path, required=True, help="the model's card (JSON)")
    parser.add_argument("--checkpoint", type=Path, nargs="*", default=[], help="a fine-tuned checkpoint's folder")
    parser.add_argument("--memo", type=Path, required=True, help="the memo's folder")
    parser.add_argument("--batch-tokens", type=int, required=True, help="most tokens in a batch, padding included")
    parser.add_argument("--batch-rows", type=int, required=True, help="most rows in a batch")


def add_shots_argument(parser: argparse.ArgumentParser) -> None:
    """The train rows from which solved examples are drawn."""
    parser.add_argument("--shots", type=Path, nargs="*", default=[], help="train instances (Parquet), for few-shot")


def shots_of(spec: Mapping[str, Any], task: Task, tables: Sequence[Path]) -> list[Shot]:
    """The solved examples that ``spec["shots"]`` (count, seed) asks for, from the one table of train instances.

    Raises ``UserError`` as ``draw`` does, and without a table where there should be examples.
    """
    count, seed = spec["shots"]["count"], spec["shots"]["seed"]
    if count and len(tables) != 1:
        raise UserError("--shots: solved examples need one table of train instances")
    return draw(iter_instances(tables[0]), task, count, seed) if count else []


def encoder_of(spec: Mapping[str, Any], task: Task, loaded: LoadedModel, shots: Sequence[Shot]) -> PromptEncoder:
    """The encoder of classification prompts; ``spec["asking"]`` holds system_prompt and prompt_style."""
    from rationale_eval.models.encoding import PromptEncoder  # loads torch, which stages that ask an API do without

    asking = spec["asking"]
    return PromptEncoder(loaded.tokenizer, task, asking["system_prompt"], asking["prompt_style"], shots)


def check_instances(instances: Sequence[Instance], task: Task, where: Path) -> None:
    """Raise ``UserError`` unless the prompts fit the rows of the table ``where``."""
    for instance in instances:
        for label in filter(None, (instance.label, instance.foil)):
            if label not in task.labels:
                raise UserError(
                    f"{where}: row {instance.id!r} has the label {label!r}, which the prompt file does not verbalise; "
                    f"it has {list(task.labels)}"
                )
        if missing := set(task.fields) - set(instance.fields):
            raise UserError(f"{where}: row {instance.id!r} lacks the field(s) {sorted(missing)} that the prompt uses")
