"""Rows that generate, each in a slot of one key/value cache, so that a new row takes the place of one that is done.

In a slot the column of a token is its position: no padding stands between a row's tokens, and rows of any length go on
side by side. A mask of our own says which columns a row sees, by the kind of each layer: all up to its position, or
those of its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Prefix, additive, projecting

FULL, SLIDING = "full_attention", "sliding_attention"


def takes_masks(loaded: LoadedModel) -> bool:
    """Whether several rows may share a pass under a mask of our own.

    Not where the model makes positions from its mask (ALiBi) or looks back in a way that is not known here.
    """
    config = loaded.model.config.get_text_config()
    own = getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt", "gpt_neo")
    return not own and _kinds(config) <= {FULL, SLIDING}


def _kinds(config: Any) -> set[str]:
    """The kinds of attention of the model's layers."""
    default = FULL if getattr(config, "sliding_window", None) is None else SLIDING
    return set(getattr(config, "layer_types", None) or [default])


@dataclass
class _Place:
    """Where a pass writes: ``slots`` (rows,), ``columns`` (rows, width), and how many columns of each slot it reads.

    ``first`` says that the slots are the first ones, all in their order.
    """

    slots: Tensor
    columns: Tensor
    read: int
    first: bool


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, both (slots, heads, columns, size)."""

    def __init__(self, slots: int, columns: int) -> None:
        super().__init__()
        self._shape = slots, columns
        self.place: _Place

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for what is shaped like these states (rows, heads, tokens, size)."""
        slots, columns = self._shape
        # Zeros: a masked column counts nothing only where it is a number.
        self.keys = key_states.new_zeros((slots, key_states.shape[1], columns, key_states.shape[3]))
        self.values = value_states.new_zeros((slots, value_states.shape[1], columns, value_states.shape[3]))
        self.is_initialized = True

    def begin(self, keys: Tensor, values: Tensor, end: int) -> None:
        """Let all slots begin with the states of the shared prefix, whose last column is before ``end``."""
        self.lazy_initialization(keys, values)
        # A layer with a window may have kept the last ones alone: nothing will see those before.
        self.keys[:, :, end - keys.shape[2] : end] = keys
        self.values[:, :, end - keys.shape[2] : end] = values

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the states of new tokens; the keys and values of the rows of the pass."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        place, device = self.place, key_states.device  # layers may be on several devices
        slots, columns = place.slots.to(device), place.columns.to(device)
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            buffer[slots[:, None], :, columns] = states.transpose(1, 2)
        which = slice(len(slots)) if place.first else slots
        return self.keys[:, :, : place.read][which], self.values[:, :, : place.read][which]

    def move(self, source: int, target: int) -> None:
        """Copy one slot to another."""
        self.keys[target], self.values[target] = self.keys[source], self.values[source]

    def get_seq_length(self) -> int:
        """How many tokens stand before those of the pass."""
        return self.place.read - self.place.columns.shape[1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The number of columns that the pass reads, and that they begin at the first."""
        return self.place.read, 0

    def get_max_length(self) -> int:
        """How many tokens a slot can hold."""
        return self._shape[1]


class Slots:
    """A cache of ``slots`` rows of at most ``columns`` tokens, the shared prefix included.

    The slots in use are always the first ones. Where the model does not take masks of our own there must be one slot.
    """

    def __init__(self, loaded: LoadedModel, prefix: Prefix, slots: int, columns: int) -> None:
        self._loaded, self._prefix = loaded, prefix
        self._config = loaded.model.config.get_text_config()
        self._masks = takes_masks(loaded)
        self._lengths = torch.zeros(slots, dtype=torch.long)
        self._layers = [_Layer(slots, columns) for _ in range(self._config.num_hidden_layers)]
        if (shared := prefix.copy(1)) is not None:
            for layer, begun in zip(self._layers, shared.layers, strict=True):
                layer.begin(begun.keys, begun.values, prefix.length)
        self._cache = Cache(layers=self._layers)

    def admit(self, slots: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Process ``prompts``, one for each of ``slots``; the logits of their first new tokens, (rows, vocabulary)."""
        start = self._prefix.length
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        tokens = torch.zeros((len(prompts), int(lengths.max()) - start), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt) - start] = torch.tensor(list(prompt[start:]))
        columns = torch.arange(start, start + tokens.shape[1]).repeat(len(prompts), 1)
        self._lengths[list(slots)] = lengths
        return self._pass(tokens, torch.tensor(list(slots)), columns, lengths - 1 - start, first=False)

    def next(self, tokens: Sequence[int]) -> Tensor:
        """Append a token to each of the first slots; the logits of the token after each, (rows, vocabulary)."""
        rows = torch.arange(len(tokens))
        columns = self._lengths[: len(tokens), None].clone()
        self._lengths[: len(tokens)] += 1
        return self._pass(torch.tensor(tokens)[:, None], rows, columns, torch.zeros_like(rows), first=True)

    def move(self, source: int, target: int) -> None:
        """Put the row of one slot into another."""
        self._lengths[target] = self._lengths[source]
        for layer in self._layers:
            layer.move(source, target)

    @torch.no_grad()
    def _pass(self, tokens: Tensor, slots: Tensor, columns: Tensor, last: Tensor, first: bool) -> Tensor:
        device = self._loaded.device
        read = int(columns.max()) + 1
        for layer in self._layers:
            layer.place = _Place(slots.to(device), columns.to(device), read, first)
        with projecting(self._loaded, torch.stack([torch.arange(len(tokens)), last], dim=1).to(device)):
            output = self._loaded.model(
                input_ids=tokens.to(device),
                attention_mask=self._mask(columns, read) if self._masks else None,
                position_ids=columns.to(device),
                past_key_values=self._cache,
                use_cache=True,
            )
        return torch.as_tensor(output.logits[0])

    def _mask(self, columns: Tensor, read: int) -> Any:
        """Which column (read,) each token, at ``columns`` (rows, width), sees: for all layers, or by their kind."""
        back = columns[:, :, None] - torch.arange(read)
        reach = {FULL: read, SLIDING: getattr(self._config, "sliding_window", None) or read}
        found = {kind: additive((back >= 0) & (back < reach[kind]), self._loaded) for kind in _kinds(self._config)}
        return found if len(found) > 1 else found.popitem()[1]
