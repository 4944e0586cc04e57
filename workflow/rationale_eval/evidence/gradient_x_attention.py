"""Gradient x attention (Chefer, Gur & Wolf 2021, "Generic Attention-model Explainability", ICCV).

With A the attention weights of a head and dF/dA the derivative of the target F (see ``targets``) with respect to them,
a layer's relevance is (equation 5 of the paper)

    E = mean over heads of max(0, dF/dA * A),

and layers are put together by R = E R + R from the first layer up, R being the identity below it (equation 6). What is
kept is the row of the last prompt position: of E in the last layer, of the mean of E over layers, and of R.

A layer's output is O = A V, so dF/dA = dF/dO V^T: the weights are formed again, a block of positions at a time, when
the backward pass reaches the layer, and no whole matrix is ever held. Since that is from the last layer down, the row
of R is carried as a vector: r = r + r E.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rationale_eval.errors import UserError
from rationale_eval.evidence.attention import Layer, recording
from rationale_eval.evidence.targets import LOG_ODDS, Question, explained_pairs, target_values
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Prefix, can_pack, collate, forward_with_logits, rows_of


class GradientRecorder:
    """Collects gradient x attention during a forward pass over a batch and the backward pass after it.

    ``owners`` (rows,) is the prompt of each row, ``last`` (prompts,) each prompt's last position; positions count
    without the shared prefix, and rows are ``width`` long. After the backward pass, ``statistics()`` gives ``last``,
    ``mean`` and ``relevancy``, each (prompts, width). With a prefix these are columns of the full matrices: under
    causal attention nothing flows from a position of the prefix to a later one.
    """

    def __init__(self, owners: Tensor, last: Tensor, width: int) -> None:
        self._owners, self._last = owners, last
        # The rows of one prompt have the same weights up to its end.
        first = [owners.tolist().index(prompt) for prompt in range(len(last))]
        self._first = torch.tensor(first, device=owners.device)
        self._rows: list[Tensor] = []
        self._carried = torch.nn.functional.one_hot(last, width).float()

    def record(self, layer: Layer, output: Tensor) -> None:
        """Have the backward pass add the layer when it comes by."""
        output.register_hook(lambda gradient: self._add(layer, gradient))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _add(self, layer: Layer, gradient: Tensor) -> None:
        """Add one layer, from ``gradient`` (rows, width, heads, dim), that of the target in the layer's output."""
        width = layer.query.shape[2]
        offset = layer.value.shape[2] - width
        values = layer.value[:, :, None, offset:].transpose(-1, -2)
        slopes = layer.by_key_head(gradient.transpose(1, 2))
        device = slopes.device  # not each layer's the same, where a model is spread over several
        owners, first, ends = (values.to(device) for values in (self._owners, self._first, self._last))
        before = self._carried.to(device)
        last, carried = torch.zeros_like(before), before.clone()
        for start, end in layer.blocks():
            slope = (slopes[..., start:end, :] @ values[..., :end]).float()
            # A target that runs through several rows of a prompt has the sum of their slopes.
            slope = slope.new_zeros((len(self._last), *slope.shape[1:])).index_add_(0, owners, slope)
            relevance = (slope * layer.weights(start, end)[first]).clamp(min=0).mean((1, 2))
            held = (ends >= start) & (ends < end)
            last[held, :end] = relevance[held, ends[held] - start]
            carried[:, :end] += torch.bmm(before[:, None, start:end], relevance)[:, 0]
        self._rows.append(last.to(self._last.device))
        self._carried = carried

    def statistics(self) -> dict[str, Tensor]:
        """The three statistics, each (prompts, width). Raises ``UserError`` if the model's layers did not report."""
        if not self._rows:
            raise UserError("this model's attention cannot be recorded, so gradient x attention cannot be had from it")
        return {
            "last": self._rows[0],
            "mean": torch.stack(self._rows).mean(0),
            "relevancy": self._carried.to(self._last.device),
        }


def measure_gradient_x_attention(
    loaded: LoadedModel, prefix: Prefix, questions: list[Question], of: str = LOG_ODDS
) -> list[dict[str, Any]]:
    """For each prompt ``last``, ``mean`` and ``relevancy``, each (content tokens,), as numpy arrays.

    ``loaded`` has its attention installed (``attention.install``). One forward and one backward pass.
    """
    prompts = [question.prompt for question in questions]
    packed = can_pack(loaded, prompts)
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt, packed)]
    batch = collate(rows, prefix, loaded)
    owners = torch.tensor([row.owner for row in rows], device=loaded.device)
    last = torch.tensor([len(prompt.tokens) - 1 - prefix.length for prompt in prompts], device=loaded.device)
    recorder = GradientRecorder(owners, last, batch.tokens.shape[1])
    embeddings = loaded.model.get_input_embeddings()(batch.tokens).detach().requires_grad_()
    with recording(recorder), torch.enable_grad():
        reached = forward_with_logits(loaded, prefix, batch, len(prompts), len(prompts[0].labels), embeddings)
        targets = target_values(reached, explained_pairs(questions, reached[0]), of)
    torch.autograd.grad(targets.sum(), embeddings)
    arrays = {name: values.cpu().numpy() for name, values in recorder.statistics().items()}
    results = []
    for index, prompt in enumerate(prompts):
        places = [token.position - prefix.length for token in prompt.content]
        results.append({name: np.ascontiguousarray(values[index, places]) for name, values in arrays.items()})
    return results
