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
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from rationale_eval.errors import UserError

IMPLEMENTATION = "recorded_sdpa"
# What some architectures add inside their attention. A record that left it out would not be the model's attention.
# Positions whose weights are formed at a time, at most, and the weights of all rows, heads and keys at a time.
BLOCK_POSITIONS = 64
BLOCK_WEIGHTS = 2**21
UNSUPPORTED = ("softcap", "s_aux", "position_bias")


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
    def record(self, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        """Add one layer. ``query`` (rows, heads, width, dim), ``key`` (rows, key heads, prefix + width, dim).

        ``mask`` (rows, 1, width, prefix + width) says which key is seen, or is added to the scores; None is causal.
        """
        rows, heads, width, _ = query.shape
        offset = key.shape[2] - width
        # Key heads side by side with the query heads that share them.
        grouped = query.reshape(rows, key.shape[1], -1, width, query.shape[-1])
        keys = key[:, :, None].transpose(-1, -2)
        latest = torch.zeros((rows, width), dtype=torch.float32, device=query.device)
        if self._rollout is None:
            self._rollout = torch.eye(width, device=query.device).repeat(rows, 1, 1)
        size = max(1, min(BLOCK_POSITIONS, BLOCK_WEIGHTS // (rows * heads * key.shape[2])))
        # Half attention, half the residual connection (equation 1 of the paper), multiplied from the first layer up: a
        # position's row needs the rows of positions before it as they were, so the last block goes first.
        for start in reversed(range(0, width, size)):
            end = min(start + size, width)
            scores = (grouped[:, :, :, start:end] @ keys[..., : offset + end]).float().mul_(scaling)
            seen = _block(mask, start, end, offset, query.device)
            scores = scores.masked_fill_(~seen, -torch.inf) if seen.dtype == torch.bool else scores + seen
            weights = scores.softmax(-1).mean((1, 2))[..., offset:]
            held = (self._last >= start) & (self._last < end)
            latest[held, :end] = weights[held, self._last[held] - start]
            flow = self._rollout[:, start:end, :end]
            flow.copy_(0.5 * torch.bmm(weights, self._rollout[:, :end, :end]) + 0.5 * flow)
        self._latest = latest
        self._sum = latest if self._sum is None else self._sum + latest
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


def _block(mask: Tensor | None, start: int, end: int, offset: int, device: torch.device) -> Tensor:
    """The part of a mask for the positions from ``start`` to ``end``, to be broadcast over groups and heads."""
    if mask is not None:
        return mask[:, :, None, start:end, : offset + end]
    return torch.ones((end - start, offset + end), dtype=torch.bool, device=device).tril(offset + start)


_active: AttentionRecorder | None = None


@contextmanager
def recording(recorder: AttentionRecorder | None) -> Iterator[None]:
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
    if _active is not None:
        for name in UNSUPPORTED:
            if options.get(name) is not None:
                raise UserError(f"attention with {name} cannot be recorded; set `evidence: [gradients]` for this model")
        scaling = options.get("scaling")
        _active.record(query, key, attention_mask, query.shape[-1] ** -0.5 if scaling is None else scaling)
    output: Tensor = sdpa_attention_forward(module, query, key, value, attention_mask, **options)[0]
    return output, None


def install(model: Any) -> None:
    """Make ``model`` use this module's attention function."""
    if not model._supports_sdpa:
        raise UserError(
            f"the attention of {type(model).__name__} cannot be recorded; set `evidence: [gradients]` for this model"
        )
    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
    model.set_attn_implementation(IMPLEMENTATION)
