"""Attributions of one prompt straight from their definitions: whole passes of the eager kernel, one for each label.

Nothing of the package's batches, prefixes, packing or recording is used; whole matrices and vectors are held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """One label's pass: the summed log-probability and logit of its verbaliser, and what they were computed from."""

    log_probability: Tensor
    logit: Tensor
    embeddings: Tensor
    attentions: tuple[Tensor, ...]

    @property
    def probability(self) -> Tensor:
        return self.log_probability.exp()


def answer(model: Any, prompt: Any, label: int, content: Tensor | None = None) -> Answer:
    """The pass of one label over prompt and verbaliser; ``content`` (hidden,) stands in for all content tokens."""
    ids = prompt.labels[label]
    embeddings = model.get_input_embeddings()(torch.tensor([[*prompt.tokens, *ids[:-1]]])).detach()
    if content is not None:
        embeddings[0, [token.position for token in prompt.content]] = content
    embeddings.requires_grad_()
    output = model(inputs_embeds=embeddings, output_attentions=True, use_cache=False)
    logits = output.logits[0, len(prompt.tokens) - 1 :]
    places = range(len(ids))
    scores = logits.log_softmax(-1)
    return Answer(
        sum(scores[place, token] for place, token in zip(places, ids, strict=True)),
        sum(logits[place, token] for place, token in zip(places, ids, strict=True)),
        embeddings,
        output.attentions,
    )


def label_scores(model: Any, prompt: Any, of: str = "log_probability", content: Tensor | None = None) -> list[float]:
    """What each label has on the scale ``of``; ``content`` as in ``answer``."""
    with torch.no_grad():
        return [float(getattr(answer(model, prompt, label, content), of)) for label in range(len(prompt.labels))]


def target(values: list[Any], explained: tuple[int, int | None], of: str) -> Any:
    """The target of a label, or of one against another, from ``values``, what each label has on its scale.

    The scale of log-odds is that of log-probabilities, and their target the log of the ratio of shares.
    """
    label, other = explained
    if other is not None:
        return values[label] - values[other]
    if of == "log_odds":
        shares = torch.stack([torch.as_tensor(value) for value in values]).double().softmax(0)
        others = [share for place, share in enumerate(shares) if place != label]
        return (shares[label] / sum(others)).log()
    return values[label]


def scale(of: str) -> str:
    """What each label is to have for a target on the scale ``of``."""
    return "log_probability" if of == "log_odds" else of


def statistics(
    model: Any, prompt: Any, explained: tuple[int, int | None], of: str = "log_odds"
) -> dict[str, dict[str, Any]]:
    """By evidence its statistics, each (content tokens,), of a label or of a label against another.

    ``model`` has the eager kernel, which gives the attention weights of each head.
    """
    length, places = len(prompt.tokens), [token.position for token in prompt.content]
    answers = [answer(model, prompt, label) for label in range(len(prompt.labels))]
    inputs = [tensor for found in answers for tensor in (found.embeddings, *found.attentions)]
    value = target([getattr(found, scale(of)) for found in answers], explained, of)
    # Of a contrast other labels are no part.
    slope = iter(torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True))
    gradient: Any = 0
    slopes: Any = 0
    for found in answers:
        gradient = gradient + next(slope)[0, :length]
        slopes = slopes + torch.stack([next(slope)[0, :, :length, :length] for _ in found.attentions])
    attentions = torch.stack([weights[0, :, :length, :length] for weights in answers[0].attentions]).detach()
    embedded = answers[0].embeddings[0, :length].detach()
    product = gradient * embedded
    weights = attentions.mean(1)
    relevance = (slopes * attentions).clamp(min=0).mean(1)
    identity = torch.eye(length)
    rollout, relevancy = identity, identity
    for layer in range(len(weights)):
        rollout = (weights[layer] / 2 + identity / 2) @ rollout
        relevancy = relevancy + relevance[layer] @ relevancy
    kinds = {
        "gradients": {
            "grad_l1": gradient.abs().sum(-1),
            "grad_l2": gradient.norm(dim=-1),
            "grad_sum": gradient.sum(-1),
            "gxi_l1": product.abs().sum(-1),
            "gxi_l2": product.norm(dim=-1),
            "gxi_dot": product.sum(-1),
        },
        "attention": {"last": weights[-1, -1], "mean": weights[:, -1].mean(0), "rollout": rollout[-1]},
        "gradient_x_attention": {
            "last": relevance[-1, -1],
            "mean": relevance[:, -1].mean(0),
            "relevancy": relevancy[-1],
        },
    }
    return {kind: {name: values[places].numpy() for name, values in group.items()} for kind, group in kinds.items()}
