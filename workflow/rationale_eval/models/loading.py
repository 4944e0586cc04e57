"""Load a prepared model: safetensors only, no code from the model's repository."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from rationale_eval.bounds import OverLimitsError, bounded
from rationale_eval.checksums import Checksums
from rationale_eval.errors import UserError
from rationale_eval.models.placement import check_placed, spread
from rationale_eval.progress import say
from rationale_eval.provenance import versions

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What older files store beside the weights and newer code computes: masks, and the frequencies of rotary positions.
BUFFER = re.compile(r"(\.attn\.(masked_)?bias|\.attention\.(masked_)?bias|rotary_emb\.inv_freq|position_ids)$")
# What reading a config.json may take: one may count labels or kinds of attention that are then listed.
CONFIG_SECONDS, CONFIG_BYTES = 60.0, 1 << 30


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode without parameter gradients, with what its results depend on.

    ``checkpoint`` is the card of the fine-tuned checkpoint whose weights it has; None for the base model.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    dtype: str
    card: dict[str, Any]
    checkpoint: dict[str, Any] | None = None

    @property
    def max_length(self) -> int:
        """The number of positions the model was made for. Raises ``UserError`` where its config.json does not say."""
        config = self.model.config.get_text_config()
        # Models without embeddings of positions (ALiBi) have names of their own for the length they were trained on.
        for name in ("max_position_embeddings", "max_seq_len", "seq_length"):
            if found := getattr(config, name, None):
                return int(found)
        raise UserError(
            f"models.{self.card['name']}: its config.json does not say how long a text may be; add "
            "max_position_embeddings, the number of tokens, to it"
        )

    def context(self) -> dict[str, Any]:
        """What a computed number depends on besides its input: for the memo's key and the provenance."""
        tuned = self.checkpoint
        adapted = () if tuned is None or tuned["method"] == "full" else ("peft",)
        context = {
            "model": {name: self.card[name] for name in ("name", "files")},
            "dtype": self.dtype,
            "device": self.device.type,
            "attention": self.model.config._attn_implementation,
            "versions": versions("torch", "transformers", "tokenizers", *adapted),
        }
        return context if tuned is None else context | {"checkpoint": tuned["weights"]["sha256"]}


def load(card_path: Path, dtype: str, checkpoint: Path | None = None, *, gpus: int = 1) -> LoadedModel:
    """Load the model that ``card_path`` describes onto the GPU if there is one, else the CPU.

    With ``gpus`` > 1 and a GPU its layers are spread over so many from the current one on, which has inputs and scores.

    ``dtype`` "auto" is bfloat16 on a GPU and float32 on a CPU, where bfloat16 is many times slower. ``checkpoint`` is
    the folder of a fine-tuned checkpoint of this model: its weights, or its adapter, which stays active and is not
    merged (merging rounds, the more the lower the dtype). Raises ``UserError`` when the files are not those of the
    cards, the checkpoint belongs to another model, the model needs code of its own, or there are too few GPUs or too
    small ones.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what it would warn of is checked here
    card = json.loads(card_path.read_text(encoding="utf-8"))
    folder = card_path.parent / "snapshot"
    checksums = Checksums(card_path.parent / ".checksums.json")
    for name, facts in card["files"].items():
        path = folder / name
        # Of the same size and time may be another training's: weights are known by their content.
        if not path.exists() or path.stat().st_size != facts["bytes"] or checksums.of(path) != facts["sha256"]:
            raise UserError(f"{path}: missing or changed since the card was made; delete {folder.parent}")
    checksums.save()
    tuned = None if checkpoint is None else _checkpoint_card(checkpoint, card)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" else "float32"
    placement = spread(card["name"], gpus) if gpus > 1 and device.type == "cuda" else {}
    source = checkpoint if checkpoint and tuned and tuned["method"] == "full" else folder
    try:
        # The class that takes tokenizer.json as it is: several of those that a folder names build their own rules of
        # splitting text, so that "2023" would be one token where the model knows four.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        # Not None, with which transformers asks at the terminal whether it may run code.
        with bounded(CONFIG_SECONDS, CONFIG_BYTES):
            config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        # What a config.json names there may be a kernel to be downloaded and run; transformers has a choice of its own.
        config._attn_implementation = config._experts_implementation = None
        model, loading = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype=DTYPES[dtype],
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **placement,
        )
    except SafetensorError as error:
        raise UserError(f"{source}: a safetensors file is not whole ({error}); get the model again") from None
    except OverLimitsError as error:
        raise UserError(f"{source}: its config.json takes {error} to be read: is it one of a model?") from None
    except torch.OutOfMemoryError:
        raise
    # What a config.json asks for and is not there: code, packages for quantised weights, shapes of another model.
    except (ImportError, ValueError, RuntimeError, StrictDataclassError) as error:
        raise UserError(f"models.{card['name']}: {_refusal(error)}") from error
    _check_whole(source, loading)
    _check_vocabulary(card["name"], tokenizer, model)
    if placement:
        check_placed(card["name"], model.hf_device_map)
        device = model.get_input_embeddings().weight.device
    if checkpoint is not None and tuned and tuned["method"] == "lora":
        from peft import PeftModel  # takes seconds, and base models do not need it

        # The model itself, in which the adapted layers now sit: callers meet the same class as without an adapter.
        model = PeftModel.from_pretrained(model, checkpoint).get_base_model()
    if not placement:
        model = model.to(device)
    model = model.eval().requires_grad_(False)
    size = f"{model.num_parameters():,} parameters"
    where = f"{gpus} GPUs" if placement else device.type
    say(f"{card['name']}: {size} in {dtype} on {where}, {torch.get_num_threads()} threads")
    if tuned is not None:
        say(f"with the weights of {checkpoint} (epoch {tuned['epoch']}, {tuned['method']})")
    return LoadedModel(model, tokenizer, device, dtype, card, tuned)


def _refusal(error: Exception) -> str:
    """Why transformers does not load a model, in a line."""
    said = str(error).strip()
    if "trust_remote_code" in said:
        return (
            "needs code from its own repository, which is not run here; take a model of an architecture that "
            "transformers has"
        )
    if "mismatch" in said:
        return "the shapes of its weights are not those of its config.json; take both from the same model"
    return f"transformers cannot load it ({' '.join(said.split())[:300]})"


def _check_whole(source: Path, loading: Mapping[str, Any]) -> None:
    """Raise ``UserError`` unless all weights of the model are in its files, and all of the files in the model."""
    # Weights that a file lacks would be random numbers.
    if missing := sorted(loading["missing_keys"]):
        raise UserError(f"{source}: lacks {len(missing)} weights of the model, such as {missing[0]}")
    # Those that the model leaves out, such as a layer that its config.json does not count, make it another model.
    if unused := sorted(name for name in loading["unexpected_keys"] if not BUFFER.search(name)):
        raise UserError(
            f"{source}: {len(unused)} weights of its files are not used, such as {unused[0]}: is its config.json that "
            "of these weights?"
        )


def _check_vocabulary(name: str, tokenizer: Any, model: Any) -> None:
    """Raise ``UserError`` where the tokenizer has tokens that the model has no embedding for."""
    rows = model.get_input_embeddings().weight.shape[0]
    added, template = tokenizer.added_tokens_decoder, tokenizer.chat_template or ""
    # Special ones that no template shows, such as for padding, are in no prompt: a text that holds one is left out.
    unseen = {index for index, token in added.items() if token.special and token.content not in str(template)}
    if beyond := [index for index in tokenizer.get_vocab().values() if index >= rows and index not in unseen]:
        raise UserError(
            f"models.{name}: its tokenizer has {len(beyond)} tokens, such as "
            f"{tokenizer.convert_ids_to_tokens(min(beyond))!r}, that the model of {rows} embeddings does not know; "
            "take tokenizer and weights from the same model"
        )


def _checkpoint_card(checkpoint: Path, card: dict[str, Any]) -> dict[str, Any]:
    try:
        tuned: dict[str, Any] = json.loads((checkpoint / "card.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{checkpoint}: there is no checkpoint (no card.json)") from None
    if tuned["model"]["files"] != card["files"]:
        raise UserError(f"{checkpoint}: is a checkpoint of {tuned['model']['name']!r} with other files than this model")
    weights = checkpoint / tuned["weights"]["file"]
    if not weights.exists() or weights.stat().st_size != tuned["weights"]["bytes"]:
        raise UserError(f"{weights}: missing or changed since the checkpoint was made; delete {checkpoint}")
    return tuned
