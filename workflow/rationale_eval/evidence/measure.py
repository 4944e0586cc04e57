"""One forward and one backward pass per batch: label scores, gradient statistics and attention of every instance.

What is differentiated is the target (see ``targets``), with respect to the input embeddings of the positions after the
shared prefix, with all parameters fixed. An input embedding is what the model's embedding module gives: scaled where
the module scales (Gemma), before positions are added (GPT-2). Saliency is Simonyan et al. 2014; gradient x input is
Shrikumar et al. 2016 and, for text, Denil et al. 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rationale_eval.evidence.attention import AttentionRecorder, recording
from rationale_eval.evidence.targets import LOG_ODDS, Question, explained_pairs, target_values
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Batch, Prefix, can_pack, collate, forward_with_logits, rows_of


def measure(
    loaded: LoadedModel,
    prefix: Prefix,
    questions: list[Question],
    gradients: bool,
    attention: bool,
    of: str = LOG_ODDS,
) -> list[dict[str, Any]]:
    """For each prompt ``scores`` (labels,) and the statistics asked for, each (content tokens,), as numpy arrays.

    ``of`` is the scale of the target that gradients are taken of.
    """
    prompts = [question.prompt for question in questions]
    packed = can_pack(loaded, prompts)
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt, packed)]
    batch = collate(rows, prefix, loaded)
    recorder = None
    if attention:
        ends = [len(prompts[row.owner].tokens) - 1 - prefix.length for row in rows]
        recorder = AttentionRecorder(torch.tensor(ends, device=loaded.device))
    embeddings = loaded.model.get_input_embeddings()(batch.tokens).detach().requires_grad_(gradients)
    with recording(recorder), torch.set_grad_enabled(gradients):
        reached = forward_with_logits(loaded, prefix, batch, len(prompts), len(prompts[0].labels), embeddings)
    scores = reached[0]
    chosen = _rows_of_predicted(batch, scores)
    found: dict[str, Tensor] = {}
    if gradients:
        targets = target_values(reached, explained_pairs(questions, scores), of)
        (gradient,) = torch.autograd.grad(targets.sum(), embeddings)
        # A contrast of labels of several tokens runs through a row for each of them.
        owners = torch.tensor([row.owner for row in rows], device=loaded.device)
        whole = gradient.new_zeros((len(prompts), *gradient.shape[1:])).index_add(0, owners, gradient)
        found |= statistics(whole, embeddings.detach()[chosen])
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
    """For each prompt the row that holds its predicted label's targets."""
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
