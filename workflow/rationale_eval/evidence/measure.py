"""One forward and one backward pass per batch: label scores, gradient statistics and attention of every instance.

The target is the score of the label that the model predicts (summed log-probability of its verbaliser), in a
contrastive corpus minus the score of the foil (Yin & Neubig 2022; Eberle et al. 2023). Gradients are taken with respect
to the input embeddings of the positions after the shared prefix, with all parameters fixed. Saliency is Simonyan et al.
2014; gradient x input is Shrikumar et al. 2017 and, for text, Denil et al. 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rationale_eval.evidence.attention import AttentionRecorder, recording
from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Batch, Prefix, can_pack, collate, forward, rows_of


@dataclass(frozen=True)
class Question:
    """A prompt and, in a contrastive corpus, the indices of the label (the gold one) and its foil; else None."""

    prompt: Prompt
    contrast: tuple[int, int] | None = None

    def against(self, predicted: int) -> int | None:
        """The label that the predicted one is contrasted with: the foil, or the label where the foil is predicted."""
        if self.contrast is None:
            return None
        label, foil = self.contrast
        return label if predicted == foil else foil


def measure(
    loaded: LoadedModel, prefix: Prefix, questions: list[Question], gradients: bool, attention: bool
) -> list[dict[str, Any]]:
    """For each prompt ``scores`` (labels,) and the statistics asked for, each (content tokens,), as numpy arrays."""
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
        scores = forward(loaded, prefix, batch, len(prompts), len(prompts[0].labels), embeddings)
    chosen = _rows_of_predicted(batch, scores)
    found: dict[str, Tensor] = {}
    if gradients:
        (gradient,) = torch.autograd.grad(_targets(scores, questions).sum(), embeddings)
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


def _targets(scores: Tensor, questions: list[Question]) -> Tensor:
    """What is differentiated, (prompts,): the best score of each prompt, minus that of the label it is held against."""
    targets = []
    for row, question in zip(scores, questions, strict=True):
        against = question.against(int(row.argmax()))
        targets.append(row.max() if against is None else row.max() - row[against])
    return torch.stack(targets)


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
