"""What every stage that opens a model takes: its arguments, its part of the spec, and how these become prompts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.shots import Shot
from rationale_eval.models.task import Task
from rationale_eval.shards import Shard, add_shard_argument


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, its checkpoint and GPUs, which instances it is asked about, and the memo with the batch sizes."""
    parser.add_argument("--model", type=Path, required=True, help="the model's card (JSON)")
    text = "the card of a fine-tuned checkpoint, in its folder"
    parser.add_argument("--checkpoint", type=checkpoint_folder, nargs="*", default=[], help=text)
    parser.add_argument("--gpus", type=int, default=1, help="GPUs to spread the model over, if there are any")
    add_shard_argument(parser)
    parser.add_argument("--memo", type=Path, required=True, help="the memo's folder")
    parser.add_argument("--batch-tokens", type=int, required=True, help="most tokens in a batch, padding included")
    parser.add_argument("--batch-rows", type=int, required=True, help="most rows in a batch")


def checkpoint_folder(card: str) -> Path:
    """The folder of the checkpoint with this card. Raises ``argparse.ArgumentTypeError`` for any other file."""
    if Path(card).name != "card.json":
        raise argparse.ArgumentTypeError(f"{card} is no card.json of a checkpoint")
    return Path(card).parent


def encoder_of(spec: Mapping[str, Any], task: Task, loaded: LoadedModel, shots: Sequence[Shot]) -> PromptEncoder:
    """The encoder of classification prompts; ``spec["asking"]`` holds system_prompt, prompt_style and template."""
    asking = spec["asking"]
    return PromptEncoder(
        loaded.tokenizer, task, asking["system_prompt"], asking["prompt_style"], shots, asking.get("template")
    )


def own_gpus(shard: Shard, gpus: int) -> None:
    """Where a job sees more GPUs than the ``gpus`` of its model, let shards use them in turn, from the current one on.

    A cluster shows each job its own alone.
    """
    if shard.count > 1 and (seen := torch.cuda.device_count()) > 1:
        # Whole sets of them; where there is not even one, loading says so.
        torch.cuda.set_device((shard.number - 1) * gpus % max(gpus, seen - seen % gpus))
