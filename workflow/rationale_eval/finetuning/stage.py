"""Train one epoch of a checkpoint: from the base model, or going on where the epoch before ended.

Epochs are separate jobs, so that asking for more of them later trains only those, and nothing depends on how many there
will be in the end: on a CPU with the same number of threads the weights are the same to the bit as those of one process
that trains them all.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rationale_eval.code_digest import stage_code
from rationale_eval.corpora.instances import read_instances
from rationale_eval.errors import UserError
from rationale_eval.finetuning.adapters import make_trainable
from rationale_eval.finetuning.course import plan
from rationale_eval.finetuning.data import TrainingData, check_rows, prepare
from rationale_eval.finetuning.settings import Settings
from rationale_eval.finetuning.state import StepCheckpoints, check_previous, restore_optimizer, save
from rationale_eval.finetuning.training import Record, evaluate, make_optimizer, train_epoch
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.shots import without
from rationale_eval.models.stage_input import checkpoint_folder
from rationale_eval.models.task import task_from_slice
from rationale_eval.models.task_input import check_instances, shots_of
from rationale_eval.progress import say
from rationale_eval.provenance import provenance


def describe(data: TrainingData, labels: tuple[str, ...]) -> dict[str, Any]:
    """Counts of the rows for the log and the card."""
    return {
        "train_rows": len(data.train),
        "validation_rows": len(data.validation),
        "train_labels": dict(Counter(labels[row.gold] for row in data.train)),
        "skipped": data.skipped,
    }


def summary(history: list[Record]) -> dict[str, Any]:
    """Totals of an epoch: mean loss over its rows, tokens, and the share of computed positions that was padding."""
    total = {name: sum(record[name] for record in history) for name in ("rows", "tokens", "computed", "padding")}
    return {
        "train_loss": sum(record["loss"] * record["rows"] for record in history) / total["rows"],
        "validation_loss": history[-1]["validation_loss"],
        "validation_accuracy": history[-1]["validation_accuracy"],
        "tokens": total["tokens"],
        "padding_share": total["padding"] / total["computed"],
    }


def after_each_step(save_steps: int, write: Callable[[list[Record]], None]) -> Callable[[list[Record]], None]:
    """What to do after a step: ``write`` the state every ``save_steps`` steps; 0: never."""

    def act(history: list[Record]) -> None:
        if save_steps and len(history) % save_steps == 0:
            write(history)

    return act


def run(arguments: argparse.Namespace, settings: Settings) -> Mapping[str, Any]:
    """Train the epoch and write its checkpoint; the checkpoint's card."""
    instances, task = read_instances(arguments.train), task_from_slice(settings.task)
    check_rows(instances, arguments.train)
    check_instances(instances, task, arguments.train)
    loaded = load(arguments.model, settings.weights_dtype, gpus=arguments.gpus)
    shots = shots_of({"shots": settings.shots}, task, [arguments.train])
    how = (settings.system_prompt, settings.prompt_style, shots, settings.template)
    encoder = PromptEncoder(loaded.tokenizer, task, *how)
    rows = without(instances, shots)
    data = prepare(rows, task, encoder, loaded.max_length, settings.validation_rows, settings.balance)
    counts = describe(data, task.labels) | {"solved_examples": len(instances) - len(rows)}
    say(f"{arguments.train}: {json.dumps(counts)}")
    facts: dict[str, Any] = {
        "epoch": arguments.epoch,
        "seed": arguments.seed,
        "spec": settings.identity(),
        "data": data.digests(),
        "model": {name: loaded.card[name] for name in ("name", "files")},
        "previous": None,
        "code": stage_code("finetune"),
        "dtype": loaded.dtype,
        "device": loaded.device.type,
    }

    weights, steps_before = (arguments.previous[0] if arguments.previous else None), 0
    if weights is not None:
        before = check_previous(weights, facts)
        steps_before, facts["previous"] = int(before["steps"]), before["weights"]["sha256"]
    inside = StepCheckpoints(arguments.output)
    history: list[Record] = []
    if resumed := inside.latest(facts):
        weights, history = resumed
    if settings.method == "full" and weights is not None:
        del loaded  # the base model's weights must not stay in memory beside the trained ones
        loaded = load(arguments.model, settings.weights_dtype, weights, gpus=arguments.gpus)
    trainee = make_trainable(loaded, settings, arguments.seed, weights)
    optimizer = make_optimizer(trainee, settings)
    if weights is not None:
        restore_optimizer(weights, trainee, optimizer)

    steps = plan(
        [row.length for row in data.train],
        settings.batch_rows,
        settings.accumulation,
        arguments.seed,
        arguments.epoch,
    )
    train_epoch(
        trainee,
        optimizer,
        data.train,
        steps,
        settings,
        arguments.seed,
        arguments.epoch,
        steps_before,
        history,
        after_each_step(arguments.save_steps, lambda so_far: inside.save(trainee, optimizer, so_far, facts)),
    )
    if measured := evaluate(trainee, data.validation, settings.batch_rows):
        history[-1]["validation_loss"], history[-1]["validation_accuracy"] = measured
        say(f"epoch {arguments.epoch}: validation loss {measured[0]:.4f}, accuracy {measured[1]:.3f}")
    made = provenance(
        "finetune",
        settings.identity(),
        {"train": arguments.train, "model": arguments.model},
        ("torch", "transformers", "peft", "safetensors", "tokenizers"),
        device=trainee.loaded.device.type,
        dtype=trainee.loaded.dtype,
        threads=torch.get_num_threads(),
        example_prompt=data.train[0].prompt.text,
    )
    totals = {"method": settings.method, "steps": steps_before + len(steps), **summary(history), "rows": counts}
    card = save(arguments.output, trainee, optimizer, history, {**facts, **totals, "made": made})
    inside.remove()
    return card


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval finetune", description=__doc__)
    parser.add_argument(
        "--spec", required=True, help="JSON: the training settings, how the model is asked, and the task"
    )
    parser.add_argument("--train", type=Path, required=True, help="the train instances (Parquet)")
    parser.add_argument("--model", type=Path, required=True, help="the base model's card (JSON)")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs to spread the model over, if there are any")
    parser.add_argument("--seed", type=int, required=True, help="seed of adapters, order of rows and dropout")
    parser.add_argument("--epoch", type=int, required=True, help="the number of the epoch, from 1")
    parser.add_argument(
        "--previous",
        type=checkpoint_folder,
        nargs="*",
        default=[],
        help="the card of the epoch before, in its checkpoint folder; none for epoch 1",
    )
    parser.add_argument("--save-steps", type=int, default=0, help="steps after which a killed job can go on; 0: none")
    parser.add_argument(
        "--output", type=checkpoint_folder, required=True, help="output: the card, in the checkpoint folder"
    )
    args = parser.parse_args(argv)
    if args.epoch < 1 or len(args.previous) != (args.epoch > 1):
        raise UserError(f"epoch {args.epoch}: epoch 1 starts from the base model, later ones need --previous")
    card = run(args, Settings.parse(json.loads(args.spec)))
    say(f"{args.output}: epoch {card['epoch']} is ready, {card['steps']} steps in all")
