"""Load a prepared model: safetensors only, no code from the model's repository."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import versions

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode without parameter gradients, with what its results depend on."""

    model: Any
    tokenizer: Any
    device: torch.device
    dtype: str
    card: dict[str, Any]

    @property
    def max_length(self) -> int:
        """The number of positions the model was made for."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    def context(self) -> dict[str, Any]:
        """What a computed number depends on besides its input: for the memo's key and the provenance."""
        return {
            "model": {name: self.card[name] for name in ("name", "files")},
            "dtype": self.dtype,
            "device": self.device.type,
            "attention": self.model.config._attn_implementation,
            "versions": versions("torch", "transformers", "tokenizers"),
        }


def load(card_path: Path, dtype: str) -> LoadedModel:
    """Load the model that ``card_path`` describes onto the GPU if there is one, else the CPU.

    ``dtype`` "auto" is bfloat16 on a GPU and float32 on a CPU, where bfloat16 is many times slower. Raises
    ``UserError`` when the files are not those of the card.
    """
    transformers_logging.disable_progress_bar()
    card = json.loads(card_path.read_text(encoding="utf-8"))
    folder = card_path.parent / "snapshot"
    for name, facts in card["files"].items():
        if not (folder / name).exists() or (folder / name).stat().st_size != facts["bytes"]:
            raise UserError(f"{folder / name}: missing or changed since the card was made; delete {folder.parent}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" else "float32"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=DTYPES[dtype], local_files_only=True, use_safetensors=True
    )
    model = model.to(device).eval().requires_grad_(False)
    size = f"{model.num_parameters():,} parameters"
    say(f"{card['name']}: {size} in {dtype} on {device.type}, {torch.get_num_threads()} threads")
    return LoadedModel(model, tokenizer, device, dtype, card)
