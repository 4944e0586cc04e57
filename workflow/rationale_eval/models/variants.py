"""Scores of many prompts that begin alike, such as an instance's text with different words masked.

What prompts begin with in common is computed once: they are laid out as prefix trees, each row of a batch holding one.
A node is a token in the context of all that stands before it; it sees its ancestors alone, through a mask of our own,
and has its depth as position. So each prompt costs its tokens from the first one on in which it differs from all others
of the row, and its scores are those of a plain forward pass. In lexicographic order neighbours share the most, and a
row is a stretch of that order.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rationale_eval.code_digest import memo_code
from rationale_eval.memo import Memo, digest
from rationale_eval.models.batching import run, run_batches
from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import (
    Batch,
    Prefix,
    Target,
    additive,
    can_pack,
    read_targets,
    score_labels_with_logits,
    shared_prefix,
)
from rationale_eval.progress import say

# A row is at least this long: attention, which looks along the whole row, costs little until then.
ROW_TOKENS = 256
# And as many times as long as what is left of its first prompt, so that many share what they begin with.
ROW_PROMPTS = 4


@dataclass
class Tree:
    """A row: the nodes below the shared prefix, each after its parent.

    ``depths`` count from the start of the prompt; ``parents`` are -1 where the shared prefix comes before. ``targets``
    are as in ``Target``, without the row.
    """

    start: int
    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    targets: list[tuple[int, int, int, int]] = field(default_factory=list)
    _path: list[int] = field(default_factory=list)
    _latest: tuple[int, ...] = ()

    def _walk(self, tokens: tuple[int, ...]) -> None:
        """Make ``tokens`` the path, adding the nodes that the path before lacks."""
        kept = common_length(tokens, self._latest) if self._latest else self.start
        self._path, self._latest = self._path[: kept - self.start], tokens
        for depth in range(kept, len(tokens)):
            self.parents.append(self._path[-1] if self._path else -1)
            self._path.append(len(self.tokens))
            self.tokens.append(tokens[depth])
            self.depths.append(depth)

    def add(self, owner: int, prompt: Prompt) -> None:
        """Add a prompt with its verbalisers. Prompts come in lexicographic order."""
        for label, ids in sorted(enumerate(prompt.labels), key=lambda one: one[1]):
            self._walk(prompt.tokens + ids[:-1])
            places = self._path[len(prompt.tokens) - 1 - self.start :]
            self.targets += [(place, owner, label, token) for place, token in zip(places, ids, strict=True)]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    limit = min(len(one), len(other))
    return next((place for place in range(limit) if one[place] != other[place]), limit)


def rows_of_prompts(prompts: Sequence[Prompt], start: int, max_tokens: int) -> list[list[int]]:
    """Indices of ``prompts``, in lexicographic order, in rows; ``start`` tokens of each are in the shared prefix.

    A row has at most ``max_tokens`` nodes, unless its only prompt has more.
    """
    rows: list[list[int]] = []
    nodes = limit = 0
    for index in sorted(range(len(prompts)), key=lambda index: (prompts[index].tokens, prompts[index].labels)):
        prompt = prompts[index]
        answers = sum(len(ids) - 1 for ids in prompt.labels)
        whole = len(prompt.tokens) - start + answers
        if rows:
            new = whole - max(common_length(prompt.tokens, prompts[rows[-1][-1]].tokens) - start, 0)
            if nodes + new <= limit:
                rows[-1].append(index)
                nodes += new
                continue
        rows.append([index])
        nodes, limit = whole, min(max_tokens, max(ROW_TOKENS, ROW_PROMPTS * whole))
    return rows


def tree_of(prompts: Sequence[Prompt], row: Sequence[int], start: int) -> Tree:
    """The tree of the prompts of ``row``, whose indices own its targets."""
    tree = Tree(start)
    for index in row:
        tree.add(index, prompts[index])
    return tree


def score_trees(loaded: LoadedModel, prefix: Prefix, prompts: Sequence[Prompt], max_tokens: int) -> torch.Tensor:
    """Label scores and sums of logits, float32 (2, prompts, labels), from one forward pass. See ``can_pack``."""
    trees = [tree_of(prompts, row, prefix.length) for row in rows_of_prompts(prompts, prefix.length, max_tokens)]
    width = max(len(tree.tokens) for tree in trees)
    tokens = np.zeros((len(trees), width), dtype=np.int64)
    positions = np.full((len(trees), width), prefix.length, dtype=np.int64)
    # Padding sees the prefix and itself: nothing depends on it, and a row that sees nothing would not be a number.
    sees = np.zeros((len(trees), width, prefix.length + width), dtype=bool)
    sees[:, :, : prefix.length] = True
    sees[:, range(width), range(prefix.length, prefix.length + width)] = True
    for index, tree in enumerate(trees):
        tokens[index, : len(tree.tokens)] = tree.tokens
        positions[index, : len(tree.tokens)] = tree.depths
        for node, parent in enumerate(tree.parents):
            if parent >= 0:
                sees[index, node] |= sees[index, parent]
    device = loaded.device
    batch = Batch(
        torch.from_numpy(tokens).to(device),
        additive(torch.from_numpy(sees), loaded),
        torch.from_numpy(positions).to(device),
    )
    targets = [Target(index, *target) for index, tree in enumerate(trees) for target in tree.targets]
    with torch.no_grad():
        return read_targets(loaded, prefix, batch, targets, (len(prompts), len(prompts[0].labels)))


def score_variants(
    what: str, prompts: Sequence[Prompt], loaded: LoadedModel, args: argparse.Namespace, logits: bool = False
) -> list[np.ndarray | None]:
    """Label scores (labels,) of each of ``prompts``, None where it cannot be put to the model.

    With ``logits`` label scores and sums of the verbalisers' logits, (2, labels).

    Prompts that occur several times are scored once, and those not at all that the memo holds, for whichever stage they
    were scored. ``args`` are those of ``add_model_arguments``.
    """
    keys = [digest([prompt.tokens, prompt.labels]) for prompt in prompts]
    unique = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if not prompt.status(loaded.max_length)}
    shared = shared_prefix(list(unique.values()), before_content=False)
    prefix = Prefix(loaded, shared)
    context: dict[str, Any] = {"code": memo_code("perturb"), **loaded.context()}
    if logits:
        context["of"] = "logits"

    def kept(found: torch.Tensor) -> list[np.ndarray]:
        return list((found.transpose(0, 1) if logits else found[0]).cpu().numpy())

    with Memo(args.memo, "perturb", context) as memo:
        if can_pack(loaded, list(unique.values())):
            _in_trees(what, len(prompts), unique, loaded, prefix, memo, args, kept)
        else:
            say(f"{what}: {len(prompts)} inputs asked for, {len(unique)} different ones")
            run(
                what,
                unique,
                lambda prompt: len(prompt.tokens) - len(shared),
                lambda batch: kept(score_labels_with_logits(loaded, prefix, batch)),
                memo,
                args.batch_tokens,
                args.batch_rows,
            )
        # The memo keeps arrays flat.
        shape = (2, -1) if logits else (-1,)
        return [memo[key].reshape(shape) if key in unique else None for key in keys]


def _in_trees(
    what: str,
    asked: int,
    unique: dict[str, Prompt],
    loaded: LoadedModel,
    prefix: Prefix,
    memo: Memo,
    args: argparse.Namespace,
    kept: Callable[[torch.Tensor], list[np.ndarray]],
) -> None:
    keys, prompts = list(unique), list(unique.values())
    rows = rows_of_prompts(prompts, prefix.length, args.batch_tokens)
    sizes = [len(tree_of(prompts, row, prefix.length).tokens) for row in rows]
    whole = sum(len(prompt.tokens) for prompt in prompts)
    say(
        f"{what}: {asked} inputs asked for, {len(unique)} different ones; "
        f"{prefix.length + sum(sizes)} tokens to compute of {whole}, what they begin with in common being shared"
    )
    # Neighbouring rows, so that the prompts of a batch fall into the same rows again.
    batches: list[list[str]] = []
    width = held = 0
    for row, size in zip(rows, sizes, strict=True):
        width = max(width, size)
        if batches and held < args.batch_rows and width * (held + 1) <= args.batch_tokens:
            held += 1
        else:
            batches.append([])
            width, held = size, 1
        batches[-1] += [keys[index] for index in row]
    run_batches(
        what,
        unique,
        batches,
        lambda batch: kept(score_trees(loaded, prefix, batch, args.batch_tokens)),
        memo,
    )
