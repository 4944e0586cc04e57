"""A loaded model made trainable: LoRA adapters on it, or all its weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from rationale_eval.errors import UserError
from rationale_eval.finetuning.settings import ALL_LINEAR, Settings
from rationale_eval.models.loading import LoadedModel
from rationale_eval.progress import say


@dataclass(frozen=True)
class Trainee:
    """A model whose weights are being trained.

    ``loaded.model`` computes with the trained weights: the adapters sit inside it, active and not merged. ``adapters``
    is the handle by which they are saved, None in full fine-tuning. ``autocast`` is the dtype of matrix products where
    it is lower than that of the trained weights, which are always float32.
    """

    loaded: LoadedModel
    adapters: Any
    autocast: torch.dtype | None

    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name, in a fixed order; tied ones once."""
        return {name: value for name, value in self.loaded.model.named_parameters() if value.requires_grad}

    def computing(self) -> AbstractContextManager[Any]:
        """The context in which the model is to be called."""
        return torch.autocast(self.loaded.device.type, self.autocast, enabled=self.autocast is not None)

    def save(self, folder: Path) -> str:
        """Write the weights, with the configuration that loading needs, into ``folder``; the name of their file."""
        if self.adapters is None:
            # One file however large it is, so that the card can name it.
            self.loaded.model.save_pretrained(folder, max_shard_size="100TB")
            return "model.safetensors"
        config = self.adapters.peft_config["default"]
        # Not the folder on this machine, which peft would note: the card says which model it belongs to.
        config.base_model_name_or_path = self.loaded.card["name"]
        config.save_pretrained(folder)
        # Told not to look whether embeddings were resized (they are not): peft would ask the model hub.
        found = get_peft_model_state_dict(self.adapters, save_embedding_layers=False)
        weights = {name: value.contiguous() for name, value in found.items()}
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        return "adapter_model.safetensors"


def make_trainable(loaded: LoadedModel, settings: Settings, seed: int, weights: Path | None) -> Trainee:
    """Make ``loaded`` trainable: with fresh adapters or those of the checkpoint ``weights``, or as it is in full.

    Full fine-tuning continues what ``loaded`` was loaded from. Fresh adapters are drawn from ``seed``; their second
    factor is zero, so that training starts at the base model. Raises ``UserError`` for targets that match nothing and
    for a model that cannot do gradient checkpointing.
    """
    if settings.method == "full":
        loaded.model.requires_grad_(True)
        lower = settings.dtype == "bfloat16" or (settings.dtype == "auto" and loaded.device.type == "cuda")
        trainee = Trainee(loaded, None, torch.bfloat16 if lower else None)
    else:
        adapters = _adapters(loaded.model, settings, seed, weights)
        lower = loaded.dtype == "bfloat16"
        trainee = Trainee(replace(loaded, model=adapters.get_base_model()), adapters, torch.bfloat16 if lower else None)
    if settings.gradient_checkpointing:
        try:
            # Makes the embeddings' output require gradients too, without which frozen embeddings would cut the graph.
            trainee.loaded.model.activation_checkpointing_enable(
                activation_checkpointing_kwargs={"use_reentrant": False}
            )
        except ValueError as error:
            raise UserError(f"gradient_checkpointing: {error}") from None
    count = sum(value.numel() for value in trainee.parameters().values())
    say(f"{settings.method}: {count:,} trained parameters")
    return trainee


def _adapters(model: Any, settings: Settings, seed: int, weights: Path | None) -> Any:
    if weights is not None:
        return PeftModel.from_pretrained(model, weights, is_trainable=True)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=target_names(model, settings.targets),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def target_names(model: nn.Module, targets: str | list[str]) -> list[str]:
    """The full names of the linear modules that ``targets`` name, in the model's order.

    "all_linear" is every one but the output layer. A name matches a module if it is its name or the end of it after a
    dot. Raises ``UserError`` listing the names that exist if one of ``targets`` matches nothing.
    """
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)}
    if targets == ALL_LINEAR:
        output = model.get_output_embeddings()  # type: ignore[operator]
        return [name for name, module in linear.items() if module is not output]
    wanted = [targets] if isinstance(targets, str) else targets
    found = {target: [name for name in linear if f".{name}".endswith(f".{target}")] for target in wanted}
    if unmatched := sorted(target for target, names in found.items() if not names) or not wanted:
        known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
        raise UserError(f"targets: no linear module is called {unmatched}; this model has {known} (or all_linear)")
    chosen = {name for names in found.values() for name in names}
    return [name for name in linear if name in chosen]
