"""Attention from the last prompt position, reduced layer by layer inside the forward pass.

The model runs on a scaled-dot-product kernel; beside it this module forms the attention weights of one layer at a
time, averages them over heads and keeps three rows: of the last layer, of the mean over layers, and of attention
rollout (Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", ACL), for which one matrix is carried. The
weights are formed for a block of positions at a time, and no mask is where attention is plainly causal: memory is that
of the carried matrix and little else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from rationale_eval.errors import UserError

# The second is for models that cap their scores: their kernel needs a mask to be added, and transformers refuses them
# names with "sdpa" in it.
IMPLEMENTATION, CAPPED = "recorded", "recorded_capped"
# Positions whose weights are formed at a time, at most, and the weights of all rows, heads and keys at a time.
BLOCK_POSITIONS = 64
BLOCK_WEIGHTS = 2**21
# What some architectures add inside their attention. A record that left it out would not be the model's attention.
UNSUPPORTED = ("s_aux", "position_bias")


@dataclass(frozen=True)
class Layer:
    """What one layer's attention weights follow from.

    Shapes: ``query`` (rows, heads, width, dim), ``key`` and ``value`` (rows, key heads, prefix + width, dim). ``mask``
    (rows or 1, 1, width, prefix + width) says which key is seen, or is added to the scores; None is causal. ``softcap``
    bounds the scores before that where it is given (Gemma 2).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scaling: float
    softcap: float | None = None

    def blocks(self) -> list[tuple[int, int]]:
        """The positions in blocks [start, end), whose weights are formed at a time."""
        rows, heads, width, _ = self.query.shape
        size = max(1, min(BLOCK_POSITIONS, BLOCK_WEIGHTS // (rows * heads * self.key.shape[2])))
        return [(start, min(start + size, width)) for start in range(0, width, size)]

    def by_key_head(self, values: Tensor) -> Tensor:
        """``values`` (rows, heads, …) with the heads that share a key head together: (rows, key heads, group, …)."""
        return values.reshape(len(values), self.key.shape[1], -1, *values.shape[2:])

    def weights(self, start: int, end: int) -> Tensor:
        """The attention of the positions [start, end) to those after the prefix up to ``end``, not renormalised.

        Shape (rows, key heads, group, end - start, end).
        """
        offset = self.key.shape[2] - self.query.shape[2]
        keys = self.key[:, :, None, : offset + end].transpose(-1, -2)
        scores = (self.by_key_head(self.query[:, :, start:end]) @ keys).float() * self.scaling
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        if self.mask is None:
            seen = torch.ones((end - start, offset + end), dtype=torch.bool, device=scores.device).tril(offset + start)
        else:
            seen = self.mask[:, :, None, start:end, : offset + end]
        scores = scores.masked_fill_(~seen, -torch.inf) if seen.dtype == torch.bool else scores + seen
        return scores.softmax(-1)[..., offset:]


class Recorder(Protocol):
    """What is told of each layer's attention, from the first layer up, together with its ``output``."""

    def record(self, layer: Layer, output: Tensor) -> None:
        """Add one layer; ``output`` is (rows, width, heads, dim)."""


class AttentionRecorder:
    """Collects attention during one forward pass over a batch.

    ``last`` (rows,) is each row's last prompt position, counted without the shared prefix. After the pass,
    ``statistics()`` gives ``last``, ``mean`` and ``rollout`` of shape (rows, width): attention to each position after
    the prefix. With a prefix these are columns of the full matrices, not renormalised, and rollout stays exact: under
    causal attention no prefix position has any flow from a later one.
    """

    def __init__(self, last: Tensor) -> None:
        self._last = last
        self._layers = 0
        self._latest: Tensor | None = None
        self._sum: Tensor | None = None
        self._rollout: Tensor | None = None

    @torch.no_grad()
    def record(self, layer: Layer, output: Tensor) -> None:
        """Add one layer. Its output is not looked at."""
        rows, _, width, _ = layer.query.shape
        device = layer.query.device  # not each layer's the same, where a model is spread over several
        latest = torch.zeros((rows, width), dtype=torch.float32, device=device)
        if self._rollout is None:
            self._rollout = torch.eye(width, device=device).repeat(rows, 1, 1)
        self._rollout, ends = self._rollout.to(device), self._last.to(device)
        # Half attention, half the residual connection (equation 1 of the paper), multiplied from the first layer up: a
        # position's row needs the rows of positions before it as they were, so the last block goes first.
        for start, end in reversed(layer.blocks()):
            weights = layer.weights(start, end).mean((1, 2))
            held = (ends >= start) & (ends < end)
            latest[held, :end] = weights[held, ends[held] - start]
            flow = self._rollout[:, start:end, :end]
            flow.copy_(0.5 * torch.bmm(weights, self._rollout[:, :end, :end]) + 0.5 * flow)
        self._latest = latest.to(self._last.device)
        self._sum = self._latest if self._sum is None else self._sum + self._latest
        self._layers += 1

    def statistics(self) -> dict[str, Tensor]:
        """The three statistics, each (rows, width). Raises ``UserError`` if the model's layers did not report."""
        if self._latest is None or self._sum is None or self._rollout is None:
            raise UserError(
                "this model's attention cannot be recorded; set `evidence: [gradients]` for it in the configuration"
            )
        rows = torch.arange(len(self._last), device=self._last.device)
        return {
            "last": self._latest,
            "mean": self._sum / self._layers,
            "rollout": self._rollout.to(rows.device)[rows, self._last],
        }


_active: Recorder | None = None


@contextmanager
def recording(recorder: Recorder | None) -> Iterator[None]:
    """Send the attention of forward passes inside the block to ``recorder`` (None: to nobody)."""
    global _active
    _active = recorder
    try:
        yield
    finally:
        _active = None


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """The attention function that models call, in place of transformers' own."""
    softcap = options.get("softcap")
    # Where scores are capped there is no fused kernel.
    kernel = sdpa_attention_forward if softcap is None else eager_attention_forward
    output: Tensor = kernel(module, query, key, value, attention_mask, **options)[0]
    if _active is not None:
        for name in UNSUPPORTED:
            if options.get(name) is not None:
                raise UserError(f"attention with {name} cannot be recorded; set `evidence: [gradients]` for this model")
        scaling = options.get("scaling")
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        _active.record(Layer(query, key, value, attention_mask, scaling, softcap), output)
    return output, None


def install(model: Any) -> None:
    """Make ``model`` use this module's attention function."""
    capped = getattr(model.config.get_text_config(), "attn_logit_softcapping", None) is not None
    if not model._supports_sdpa and not capped:
        raise UserError(
            f"the attention of {type(model).__name__} cannot be recorded; set `evidence: [gradients]` for this model"
        )
    for name, mask in ((IMPLEMENTATION, sdpa_mask), (CAPPED, eager_mask)):
        AttentionInterface.register(name, _attention)
        AttentionMaskInterface.register(name, mask)
    model.set_attn_implementation(CAPPED if capped else IMPLEMENTATION)
