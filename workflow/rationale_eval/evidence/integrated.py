"""Integrated Gradients (Sundararajan, Taly & Yan 2017, ICML): the gradient averaged along a line from a baseline.

For the embedding e_i of a token of the content and its baseline b_i,

    IG_i = (e_i - b_i) * integral over a in [0, 1] of dF/de_i at b + a (e - b),

product and integral taken per dimension, F being the target (see ``targets``) and all other positions kept as they are.
The integral is a Gauss-Legendre sum over ``steps`` nodes. Completeness: the sum of all entries of IG is F(e) - F(b);
how far the sum is from it says how good the approximation is, and is stored. Where it is too far for an instance, the
sum is made anew over twice as many nodes (they are not nested), until it is near enough or there would be too many: all
sums together have less than twice the nodes of the last.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rationale_eval.errors import UserError
from rationale_eval.evidence.targets import LOG_ODDS, Question, explained_pairs, target_values
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Prefix, can_pack, collate, forward_with_logits, rows_of

# Tokens that go through the model at a time, at least, where there are nodes enough.
PASS_TOKENS = 512
# The least change of the target that an error is held against, as a share of the attributions' sizes.
FLOOR = 0.1
BASELINES = ("pad", "zero", "mean")


def baseline_embedding(loaded: LoadedModel, baseline: str) -> Tensor:
    """The embedding (hidden,) that stands for "no token": of the padding token, zeros, or the mean of all tokens'.

    Raises ``UserError`` for "pad" where the tokenizer has neither a padding nor an end token.
    """
    table = loaded.model.get_input_embeddings()
    found: Tensor
    if baseline == "zero":
        return torch.zeros(table.weight.shape[1], dtype=table.weight.dtype, device=loaded.device)
    if baseline == "mean":
        # Through the module, which may scale what it looks up.
        found = table(torch.arange(table.weight.shape[0], device=loaded.device)).mean(0).detach()
        return found
    tokenizer = loaded.tokenizer
    token = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if token is None:
        raise UserError("baseline pad: the model's tokenizer has no padding token; use baseline zero or mean")
    found = table(torch.tensor(token, device=loaded.device)).detach()
    return found


def is_complete(error: float, difference: float, attributed: float, tolerance: float) -> bool:
    """Whether a completeness ``error`` is at most ``tolerance`` times the change of the target, ``difference``.

    Where attributions nearly cancel, a tenth of their sizes' sum ``attributed`` stands for the change: an error may be
    large beside a change near 0 and yet small beside every attribution.
    """
    return abs(error) <= tolerance * max(abs(difference), FLOOR * attributed)


def integrate_within(
    loaded: LoadedModel,
    prefix: Prefix,
    questions: list[Question],
    steps: int,
    max_steps: int,
    tolerance: float,
    baseline: Tensor,
    of: str = LOG_ODDS,
) -> list[dict[str, Any]]:
    """As ``integrate``, over ``steps`` nodes or 2, 4, 8, ... times as many, at most ``max_steps``, for each prompt.

    They are doubled while ``is_complete`` does not hold. Also ``steps``, how many there were in the end, and
    ``within_tolerance``, whether it holds then.
    """
    results: list[dict[str, Any]] = [{} for _ in questions]
    left = list(range(len(questions)))
    while left:
        again = []
        for index, found in zip(
            left, integrate(loaded, prefix, [questions[index] for index in left], steps, baseline, of), strict=True
        ):
            error, difference = (float(found[name][0]) for name in ("completeness_error", "difference"))
            complete = is_complete(error, difference, float(np.abs(found["ig_dot"]).sum()), tolerance)
            results[index] = found | {"steps": steps, "within_tolerance": complete}
            if not complete and 2 * steps <= max_steps:
                again.append(index)
        left, steps = again, 2 * steps
    return results


def integrate(
    loaded: LoadedModel,
    prefix: Prefix,
    questions: list[Question],
    steps: int,
    baseline: Tensor,
    of: str = LOG_ODDS,
) -> list[dict[str, Any]]:
    """For each prompt ``ig_dot``, ``ig_l1``, ``ig_l2`` (content tokens,): sum, L1 and L2 over the hidden dimension.

    Also ``difference`` (1,), of the target between input and baseline, and ``completeness_error`` (1,), the sum of all
    attributions minus it. Costs ``steps`` forward and backward passes and two forward ones.
    """
    prompts = [question.prompt for question in questions]
    labels = len(prompts[0].labels)
    packed = can_pack(loaded, prompts)
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt, packed)]
    batch = collate(rows, prefix, loaded)
    owners = torch.tensor([row.owner for row in rows], device=loaded.device)
    with torch.no_grad():
        end = loaded.model.get_input_embeddings()(batch.tokens)
    start = end.clone()
    for index, row in enumerate(rows):
        places = [token.position - prefix.length for token in prompts[row.owner].content]
        start[index, places] = baseline.to(end.dtype)

    with torch.no_grad():
        reached = forward_with_logits(loaded, prefix, batch, len(prompts), labels, end)
        # The labels are those of the whole input, all along the line.
        pairs = explained_pairs(questions, reached[0])
        left = forward_with_logits(loaded, prefix, batch, len(prompts), labels, start)
        difference = target_values(reached, pairs, of) - target_values(left, pairs, of)
    total = torch.zeros((len(prompts), *end.shape[1:]), dtype=torch.float32, device=loaded.device)
    # In float32: the steps between bfloat16 numbers are wider than those between nodes. The model gets its own dtype.
    line_start, line = start.float(), end.float() - start.float()
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    # Few rows leave the processor waiting for weights: several nodes go through the model together.
    together = max(1, PASS_TOKENS // batch.tokens.numel())
    for place in range(0, steps, together):
        chosen = range(place, min(place + together, steps))
        several = [replace(row, owner=row.owner + copy * len(prompts)) for copy in range(len(chosen)) for row in rows]
        alphas = torch.tensor((nodes[chosen] + 1) / 2, dtype=torch.float32, device=loaded.device)[:, None, None, None]
        points = (line_start + alphas * line).flatten(0, 1).to(end.dtype).requires_grad_()
        found = forward_with_logits(
            loaded, prefix, collate(several, prefix, loaded), len(chosen) * len(prompts), labels, points
        )
        (slopes,) = torch.autograd.grad(target_values(found, pairs * len(chosen), of).sum(), points)
        for weight, gradient in zip(weights[chosen] / 2, slopes.unflatten(0, (len(chosen), -1)), strict=True):
            total.index_add_(0, owners, float(weight) * gradient.float())
    first = [next(index for index, row in enumerate(rows) if row.owner == owner) for owner in range(len(prompts))]
    attributions = total * line[first]
    results = []
    for index, prompt in enumerate(prompts):
        mine = attributions[index, [token.position - prefix.length for token in prompt.content]]
        reduced = {"ig_dot": mine.sum(-1), "ig_l1": mine.abs().sum(-1), "ig_l2": mine.norm(dim=-1)}
        # A token over two fields stands in the content twice, and counts once here.
        whole = float(attributions[index].sum())
        results.append(
            {name: values.cpu().numpy() for name, values in reduced.items()}
            | {
                "difference": np.array([float(difference[index])]),
                "completeness_error": np.array([whole - float(difference[index])]),
            }
        )
    return results
