"""A key/value cache with room for the tokens to come, so that a new token does not copy all that stand before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """The cache of one layer as views of larger tensors; ``keys`` and ``values`` are (rows, heads, length, size)."""

    def __init__(self, layer: DynamicLayer, room: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._room = room
        self._extend(layer.keys, layer.values)

    def _extend(self, keys: Tensor, values: Tensor) -> None:
        def larger(states: Tensor) -> Tensor:
            rows, heads, length, size = states.shape
            buffer = states.new_empty((rows, heads, length + self._room, size))
            buffer[:, :, :length] = states
            return buffer

        self._buffers = larger(keys), larger(values)
        self.keys, self.values = (buffer[:, :, : keys.shape[2]] for buffer in self._buffers)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append the states of new tokens; all keys and values."""
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        if end > self._buffers[0].shape[2]:
            self._extend(self.keys, self.values)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Only keep the rows ``indices``."""
        length = self.keys.shape[2]
        self._buffers = self._buffers[0][indices], self._buffers[1][indices]
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)


def make_room(cache: Any, room: int) -> None:
    """Give the layers of ``cache`` that hold whole sequences room for ``room`` more tokens; others stay as they are."""
    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[place] = RoomyLayer(layer, room)
