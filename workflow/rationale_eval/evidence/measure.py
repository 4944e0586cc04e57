"""One forward and one backward pass per batch: label scores, gradient statistics and attention of every instance.

The target is the score of the label that the model predicts (summed log-probability of its verbaliser). Gradients are
taken with respect to the input embeddings of the positions after the shared prefix, with all parameters fixed.
Saliency is Simonyan et al. 2014; gradient x input is Shrikumar et al. 2017 and, for text, Denil et al. 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rationale_eval.evidence.attention import AttentionRecorder, recording
from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Batch, Prefix, collate, forward, rows_of


def measure(
    loaded: LoadedModel, prefix: Prefix, prompts: list[Prompt], gradients: bool, attention: bool
) -> list[dict[str, Any]]:
    """For each prompt ``scores`` (labels,) and the statistics asked for, each (content tokens,), as numpy arrays."""
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt)]
    batch = collate(rows, prefix, loaded.device)
    recorder = None
    if attention:
        ends = [len(prompts[row.owner].tokens) - 1 - prefix.length for row in rows]
        recorder = AttentionRecorder(torch.tensor(ends, device=loaded.device))
    embeddings = loaded.model.get_input_embeddings()(batch.tokens).detach().requires_grad_(gradients)
    with recording(recorder), torch.set_grad_enabled(gradients):
        scores = forward(loaded, prefix, batch, len(prompts), len(prompts[0].labels), embeddings)
    chosen = _rows_of_predicted(batch, scores)
    found: dict[str, Tensor] = {}
    if gradients:
        (gradient,) = torch.autograd.grad(scores.max(dim=1).values.sum(), embeddings)
        found |= statistics(gradient[chosen], embeddings.detach()[chosen])
    if recorder is not None:
        found |= {name: values[chosen] for name, values in recorder.statistics().items()}
    arrays = {name: values.float().cpu().numpy() for name, values in found.items()}
    results = []
    for index, prompt in enumerate(prompts):
        places = [token.position - prefix.length for token in prompt.content]
        results.append(
            {"scores": scores[index].detach().cpu().numpy()}
            | {name: np.ascontiguousarray(values[index, places]) for name, values in arrays.items()}
        )
    return results


def _rows_of_predicted(batch: Batch, scores: Tensor) -> Tensor:
    """For each prompt the row that holds its predicted label's targets: the only one through which gradient flows."""
    predicted = scores.argmax(dim=1).tolist()
    row_of = {(row.owner, label): index for index, row in enumerate(batch.rows) for label, _, _ in row.targets}
    return torch.tensor([row_of[owner, label] for owner, label in enumerate(predicted)], device=scores.device)


def statistics(gradient: Tensor, embedding: Tensor) -> dict[str, Tensor]:
    """Reductions over the last dimension of the gradient and of gradient x input; shapes (…, hidden) -> (…)."""
    gradient, product = gradient.float(), gradient.float() * embedding.float()
    return {
        "grad_l1": gradient.abs().sum(-1),
        "grad_l2": gradient.norm(dim=-1),
        "grad_sum": gradient.sum(-1),
        "gxi_l1": product.abs().sum(-1),
        "gxi_l2": product.norm(dim=-1),
        "gxi_dot": product.sum(-1),
    }
