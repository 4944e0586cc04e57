"""Sampling of tokens that depends on the request alone: neither on the batch it is in, nor on what ran before.

Each sampled reply has uniform numbers of its own, one per token, from a generator whose key is a digest of what is
asked for (prompt, settings, seed, number of the sample). A token is where the cumulative distribution passes its number
(inverse transform sampling). In another batch the distribution differs by rounding, so that a token differs only where
its number lies that near to a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """``temperature`` divides the logits; ``top_p`` keeps the likeliest tokens that together have that probability.

    The latter is nucleus sampling (Holtzman et al. 2020); 1 keeps all.
    """

    temperature: float
    top_p: float = 1.0


def uniform_numbers(key: str, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``count`` numbers in [0, 1) that ``key``, a digest in hexadecimal digits, determines; more only adds some."""
    return np.random.Generator(np.random.Philox(key=int(key[:32], 16))).random(count)


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """What tokens are drawn from, shape (rows, vocabulary) as ``logits``, in double precision."""
    found = (logits.double() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        ordered, places = found.sort(stable=True, dim=-1, descending=True)
        beyond = ordered.cumsum(-1) - ordered >= sampling.top_p
        found = found.masked_fill(beyond.gather(-1, places.argsort(-1)), 0.0)
    return found / found.sum(-1, keepdim=True)


def pick(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """The token of each row, shape (rows,), for its number ``uniform`` (rows,)."""
    steps = probabilities(logits, sampling).cumsum(-1)
    # The last step may be a little below 1 by rounding.
    found = torch.searchsorted(steps, (uniform.to(steps) * steps[:, -1])[:, None], right=True)
    return found.squeeze(-1).clamp(max=logits.shape[-1] - 1)
