"""Training runs of the stage on a tiny model, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from rationale_eval.corpora.instances import read_instances
from rationale_eval.finetuning import stage
from rationale_eval.finetuning.adapters import make_trainable
from rationale_eval.finetuning.data import prepare
from rationale_eval.finetuning.settings import Settings
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.task import load_task, task_slice
from safetensors.torch import load_file

SPEC = {
    "method": "lora",
    "rank": 4,
    "alpha": 8,
    "dropout": 0.0,
    "targets": "all_linear",
    "learning_rate": 1e-2,
    "weight_decay": 0.01,
    "batch_rows": 4,
    "accumulation": 1,
    "warmup_steps": 2,
    "schedule": "inverse_sqrt",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
    "validation_rows": 6,
    "balance": "none",
    "dtype": "float32",
    "system_prompt": "Answer with one word.",
    "prompt_style": "auto",
    "template": {},
    "shots": {"count": 0, "seed": 0},
}
LONG = {"negative": "dreadful and stale", "positive": "positive"}
WEIGHTS = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}
methods = pytest.mark.parametrize("method", ["lora", "full"])


@dataclass
class Training:
    """The files of a training run on the tiny model, and ways to run it."""

    folder: Path
    card: Path
    prompts: Path

    @property
    def train(self):
        return self.folder / "train.parquet"

    def spec(self, **changes):
        return SPEC | {"task": task_slice(self.prompts, None, [])} | changes

    def arguments(self, epoch, out="run", seed=3, previous=None, save_steps=0, **spec):
        previous = previous or (self.folder / out / f"epoch-{epoch - 1}" if epoch > 1 else None)
        command = ["--spec", json.dumps(self.spec(**spec)), "--train", str(self.train), "--model", str(self.card)]
        command += ["--seed", str(seed), "--epoch", str(epoch), "--save-steps", str(save_steps)]
        command += ["--previous", str(previous / "card.json")] if previous else []
        return [*command, "--output", str(self.folder / out / f"epoch-{epoch}/card.json")]

    def epoch(self, epoch, out="run", **options):
        stage.main(self.arguments(epoch, out, **options))
        return self.folder / out / f"epoch-{epoch}"

    def parts(self, seed=3, **spec):
        """What the stage builds before it trains: settings, data, trainee."""
        settings = Settings.parse(self.spec(**spec))
        loaded = load(self.card, "float32")
        task = load_task(self.prompts)
        encoder = PromptEncoder(loaded.tokenizer, task, settings.system_prompt)
        data = prepare(read_instances(self.train), task, encoder, loaded.max_length, settings.validation_rows, "none")
        return settings, data, make_trainable(loaded, settings, seed, None)


def tensors(folder, method="lora"):
    return load_file(folder / WEIGHTS[method])


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
