"""Attention from the last prompt position, reduced layer by layer inside the forward pass.

The model runs on a scaled-dot-product kernel; beside it this module forms the attention weights of one layer at a
time, averages them over heads and keeps three rows: of the last layer, of the mean over layers, and of attention
rollout (Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", ACL), for which one matrix is carried.
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
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from rationale_eval.errors import UserError

# A name with "sdpa" in it would be refused for models whose scores are capped.
IMPLEMENTATION = "recorded"
# What some architectures add inside their attention. A record that left it out would not be the model's attention.
UNSUPPORTED = ("s_aux", "position_bias")


@dataclass(frozen=True)
class Layer:
    """What one layer's attention weights follow from.

    Shapes: ``query`` (rows, heads, width, dim), ``key`` and ``value`` (rows, key heads, prefix + width, dim), ``mask``
    (rows or 1, 1, width, prefix + width), added to the scores, which ``softcap`` bounds before that where it is given
    (Gemma 2).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor
    scaling: float
    softcap: float | None = None

    def key_head(self, head: int) -> int:
        """The key head that a head of the queries reads."""
        return head // (self.query.shape[1] // self.key.shape[1])

    def weights(self, head: int) -> Tensor:
        """The attention of one head to the positions after the prefix, (rows, width, width), not renormalised."""
        scores = self.query[:, head] @ self.key[:, self.key_head(head)].transpose(1, 2) * self.scaling
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        return (scores + self.mask[:, 0]).float().softmax(-1)[..., -self.query.shape[2] :]


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
        rows, heads, width, _ = layer.query.shape
        weights = torch.zeros((rows, width, width), dtype=torch.float32, device=layer.query.device)
        for head in range(heads):  # one head at a time: no (heads, width, width) tensor is ever held
            weights += layer.weights(head)
        weights /= heads
        row = weights[torch.arange(rows, device=weights.device), self._last]
        self._latest = row
        self._sum = row if self._sum is None else self._sum + row
        # Half attention, half the residual connection (equation 1 of the paper), multiplied from the first layer up.
        if self._rollout is None:
            self._rollout = torch.eye(width, device=weights.device).expand(rows, -1, -1)
        self._rollout = 0.5 * torch.bmm(weights, self._rollout) + 0.5 * self._rollout
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
            "rollout": self._rollout[rows, self._last],
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
        assert attention_mask is not None  # eager_mask always makes one
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
    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
    model.set_attn_implementation(IMPLEMENTATION)
