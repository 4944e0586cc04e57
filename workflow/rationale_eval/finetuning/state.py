"""Checkpoints on disk: written whole or not at all, without pickles, and checked before they are continued.

A checkpoint folder holds the weights (``adapter_model.safetensors`` with ``adapter_config.json``, or
``model.safetensors`` with ``config.json``), ``optimizer.safetensors``, ``history.parquet`` and ``card.json``. No random
state is kept: the order of rows and the dropout of every step are functions of seed, epoch and step.
"""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rationale_eval.errors import UserError
from rationale_eval.finetuning.adapters import Trainee
from rationale_eval.finetuning.whole_folder import whole_folder
from rationale_eval.progress import say
from rationale_eval.provenance import sha256_file
from rationale_eval.tables import TableSchema, read_table, write_json, write_table

# One row per optimizer step. ``tokens`` are those of the rows; ``computed`` the positions put through the model, in
# which padding counts and a prefix that a batch shares counts once. The last row of an epoch has the validation.
HISTORY = TableSchema(
    name="training history",
    columns=pa.schema(
        [
            pa.field("step", pa.int32()),
            pa.field("rows", pa.int32()),
            pa.field("tokens", pa.int64()),
            pa.field("computed", pa.int64()),
            pa.field("padding", pa.int64()),
            pa.field("loss", pa.float64()),
            pa.field("gradient_norm", pa.float64()),
            pa.field("learning_rate", pa.float64()),
            pa.field("validation_loss", pa.float64()),
            pa.field("validation_accuracy", pa.float64()),
        ]
    ),
    key=("step",),
    required=("rows", "tokens", "computed", "padding", "loss", "gradient_norm", "learning_rate"),
)

# What a checkpoint must have in common with the run that continues it.
SAME_RUN = ("seed", "spec", "data", "model")
# And what one inside an epoch must have in common with the job that goes on from it: the weights of the epoch before,
# the code, and in what precision and on what device it computes.
SAME_JOB = ("epoch", *SAME_RUN, "previous", "code", "dtype", "device")


def save(
    target: Path,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    history: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the checkpoint ``target``; its card, which is ``facts`` with the weights' file, size and sha256."""
    with whole_folder(target) as folder:
        weights = trainee.save(folder)
        save_file(_optimizer_tensors(trainee, optimizer), folder / "optimizer.safetensors")
        write_table(folder / "history.parquet", history, HISTORY, {"card": dict(facts)})
        path = folder / weights
        entry = {"file": weights, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        card = {**facts, "weights": entry}
        write_json(folder / "card.json", card)
    return card


def _optimizer_tensors(trainee: Trainee, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{kind}": value
        for name, parameter in trainee.parameters().items()
        for kind, value in optimizer.state[parameter].items()
    }


def restore_optimizer(folder: Path, trainee: Trainee, optimizer: torch.optim.Optimizer) -> None:
    """Give ``optimizer`` the moments that are stored in the checkpoint ``folder``.

    A parameter that no gradient has reached yet (of an expert that no row was routed to, say) has none.
    """
    stored = load_file(folder / "optimizer.safetensors")
    states: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in stored.items():
        name, _, kind = key.rpartition("/")
        states.setdefault(name, {})[kind] = value
    names: dict[nn.Parameter, str] = {parameter: name for name, parameter in trainee.parameters().items()}
    if not set(states) <= set(names.values()):
        raise UserError(f"{folder}: its optimizer state belongs to other parameters than those that are trained")
    # torch numbers the parameters through its groups; loading through its own method puts each on the right device.
    ordered = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    optimizer.load_state_dict(
        {
            "state": {index: states[name] for index, name in enumerate(ordered) if name in states},
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a checkpoint. Raises ``UserError`` if there is none."""
    try:
        card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: there is no checkpoint (no card.json)") from None
    return card


def check_previous(previous: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The card of ``previous``. Raises ``UserError`` unless it is the epoch before in the run of ``facts``."""
    card = read_card(previous)
    if card.get("epoch") != facts["epoch"] - 1 or card.get("partial"):
        raise UserError(f"{previous}: is epoch {card.get('epoch')}; epoch {facts['epoch']} continues the one before")
    for key in SAME_RUN:
        if card.get(key) != facts[key]:
            raise UserError(f"{previous}: belongs to another run; {_difference(key, card.get(key), facts[key])}")
    return card


def _difference(name: str, found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                return _difference(f"{name}.{key}", found.get(key), wanted.get(key))
    return f"its {name} is {found!r}, here {wanted!r}"


class StepCheckpoints:
    """Checkpoints inside an epoch, in hidden folders beside ``target``: what a killed job goes on from."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def _folders(self) -> list[Path]:
        """Whole ones, the latest last; names are padded so that they sort by step."""
        return sorted(self._target.parent.glob(f".{glob.escape(self._target.name)}.step-*[0-9]"))

    def save(
        self,
        trainee: Trainee,
        optimizer: torch.optim.Optimizer,
        history: Sequence[Mapping[str, Any]],
        facts: Mapping[str, Any],
    ) -> None:
        """Keep the state after the steps in ``history``, then delete what came before it."""
        before = self._folders()
        folder = self._target.with_name(f".{self._target.name}.step-{len(history):08d}")
        save(folder, trainee, optimizer, history, {**facts, "partial": True})
        for path in before:
            shutil.rmtree(path)

    def latest(self, facts: Mapping[str, Any]) -> tuple[Path, list[dict[str, Any]]] | None:
        """The last checkpoint of this very job, with its history; those of others are ignored."""
        for folder in reversed(self._folders()):
            card = read_card(folder)
            if all(card.get(key) == facts[key] for key in SAME_JOB):
                history = read_table(folder / "history.parquet", HISTORY)
                say(f"{folder}: going on after {len(history)} steps of this epoch")
                return folder, history
        return None

    def remove(self) -> None:
        """Delete them all, half-written ones included."""
        for path in self._target.parent.glob(f".{glob.escape(self._target.name)}.step-*"):
            shutil.rmtree(path, ignore_errors=True)
