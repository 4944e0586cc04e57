"""A key/value cache with room for the tokens to come, so that a new token does not copy all that stand before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """The cache of one layer as views of larger tensors; ``keys`` and ``values`` are (rows, heads, length, size).

    It takes ``room`` tokens more than ``layer`` holds.
    """

    def __init__(self, layer: DynamicLayer, room: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True

        def larger(states: Tensor) -> Tensor:
            rows, heads, length, size = states.shape
            buffer = states.new_empty((rows, heads, length + room, size))
            buffer[:, :, :length] = states
            return buffer

        self._buffers = larger(layer.keys), larger(layer.values)
        self._show(layer.keys.shape[2])

    def _show(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append the states of new tokens; all keys and values."""
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Only keep the rows ``indices``."""
        self._buffers = self._buffers[0][indices], self._buffers[1][indices]
        self._show(self.keys.shape[2])


def make_room(cache: Any, room: int) -> None:
    """Give the layers of ``cache`` that hold whole sequences room for ``room`` more tokens; others stay as they are."""
    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[place] = RoomyLayer(layer, room)
