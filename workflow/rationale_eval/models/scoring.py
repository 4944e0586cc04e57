"""Label scores: the summed log-probability of each verbaliser as the start of the assistant's turn.

The tokens that all prompts of a run begin with are computed once and shared as a key/value cache. Rows are padded on
the right: with causal attention, what follows a token changes nothing before it, positions stay natural, and windows
of sliding attention keep their true widths.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import LoadedModel


@dataclass(frozen=True)
class Row:
    """One row of a batch: a prompt and what continues it.

    ``owner`` is the prompt's index in the batch; ``targets`` lists ``(label, place, token)``: the log-probability of
    ``token`` after the row's token at ``place`` is a summand of that label's score. ``branches`` are the lengths of the
    continuations at the end of ``tokens``; where there are several, each sees the prompt and itself alone.
    """

    owner: int
    tokens: tuple[int, ...]
    targets: tuple[tuple[int, int, int], ...]
    branches: tuple[int, ...] = ()


def rows_of(owner: int, prompt: Prompt, packed: bool) -> list[Row]:
    """The rows that give all label scores: one that holds all verbalisers, or one for each of several tokens.

    A packed row computes the prompt once, whatever the number of labels. See ``can_pack``.
    """
    last = len(prompt.tokens) - 1
    short = [(label, last, ids[0]) for label, ids in enumerate(prompt.labels) if len(ids) == 1]
    long = [(label, ids) for label, ids in enumerate(prompt.labels) if len(ids) > 1]
    if not long:
        return [Row(owner, prompt.tokens, tuple(short))]
    groups = [long] if packed else [[one] for one in long]
    rows = []
    for group in groups:
        tokens, targets = prompt.tokens, []
        for label, ids in group:
            places = [last, *range(len(tokens), len(tokens) + len(ids) - 1)]
            targets += [(label, place, token) for place, token in zip(places, ids, strict=True)]
            tokens += ids[:-1]
        rows.append(Row(owner, tokens, tuple(targets), tuple(len(ids) - 1 for _, ids in group)))
    # Any row can tell the single-token labels too: what follows the prompt does not change the prompt's last logits.
    first = rows[0]
    return [Row(owner, first.tokens, first.targets + tuple(short), first.branches), *rows[1:]]


def can_pack(loaded: LoadedModel, prompts: Sequence[Prompt]) -> bool:
    """Whether several verbalisers may share a row: a mask of our own then says which token sees which.

    Not where positions follow from the mask (ALiBi), nor where a window of attention is shorter than the rows: it is
    counted along the row.
    """
    config = loaded.model.config.get_text_config()
    if getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt"):
        return False
    window = getattr(config, "sliding_window", None) or loaded.max_length
    return all(len(prompt.tokens) + sum(map(len, prompt.labels)) <= window for prompt in prompts)


class Prefix:
    """The key/value cache of the tokens that all prompts of a run share. It belongs to one model and checkpoint."""

    def __init__(self, loaded: LoadedModel, tokens: Sequence[int]) -> None:
        self.length = len(tokens)
        self._cache = None
        if tokens:
            with torch.inference_mode(False), torch.no_grad():
                ids = torch.tensor([list(tokens)], device=loaded.device)
                self._cache = loaded.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values

    def copy(self, rows: int) -> Any:
        """A fresh cache for ``rows`` rows: a forward pass changes the cache it is given."""
        if self._cache is None:
            return None
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(rows)
        return cache


def shared_prefix(prompts: Sequence[Prompt], before_content: bool) -> tuple[int, ...]:
    """The tokens that all ``prompts`` start with, always leaving at least one token of each.

    With ``before_content`` it ends before the first token of content, which is to be differentiated.
    """
    if not prompts:
        return ()
    shared = shared_tokens([prompt.tokens for prompt in prompts])
    if before_content:
        shared = shared[: min([len(shared), *(prompt.content[0].position for prompt in prompts if prompt.content)])]
    return shared


def shared_tokens(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest common start of ``sequences``, at most all but the last token of the shortest."""
    if not sequences:
        return ()
    # What the smallest and the largest sequence share, all between them share.
    low, high = min(sequences), max(sequences)
    limit = min(map(len, sequences)) - 1
    length = 0
    while length < limit and low[length] == high[length]:
        length += 1
    return low[:length]


@dataclass(frozen=True)
class Batch:
    """Rows as tensors, without the shared prefix.

    Shapes: ``tokens`` and ``positions`` (rows, width); ``mask`` (rows, prefix + width), 1 where there is a token, or
    (rows, 1, width, prefix + width) in the model's dtype, to be added to attention scores.
    """

    rows: list[Row]
    tokens: Tensor
    mask: Tensor
    positions: Tensor


def collate(rows: list[Row], prefix: Prefix, loaded: LoadedModel) -> Batch:
    """Pad ``rows`` on the right to one width."""
    suffixes = [row.tokens[prefix.length :] for row in rows]
    width = max(map(len, suffixes))
    tokens = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), prefix.length + width), dtype=torch.long)
    positions = torch.arange(prefix.length, prefix.length + width).repeat(len(rows), 1)
    for index, suffix in enumerate(suffixes):
        tokens[index, : len(suffix)] = torch.tensor(suffix)
        mask[index, : prefix.length + len(suffix)] = 1
    if any(len(row.branches) > 1 for row in rows):
        mask = torch.stack([_branched(row, prefix.length, width) for row in rows])[:, None]
        mask = torch.where(mask, 0.0, torch.finfo(loaded.model.dtype).min).to(loaded.model.dtype)
        for index, row in enumerate(rows):
            end = start = len(row.tokens) - sum(row.branches) - prefix.length
            for length in row.branches:
                positions[index, end : end + length] = torch.arange(length) + prefix.length + start
                end += length
    return Batch(rows, tokens.to(loaded.device), mask.to(loaded.device), positions.to(loaded.device))


def _branched(row: Row, prefix: int, width: int) -> Tensor:
    """Which position (width,) of a row sees which (prefix + width,): those before it, but not in another branch.

    Padding sees what comes before it too: nothing depends on it, and a row that sees nothing would not be a number.
    """
    sees = torch.ones((width, prefix + width), dtype=torch.bool).tril(prefix)
    start = len(row.tokens) - sum(row.branches) - prefix
    for length in row.branches:
        sees[start + length :, prefix + start : prefix + start + length] = False
        start += length
    return sees


def forward(
    loaded: LoadedModel, prefix: Prefix, batch: Batch, prompts: int, labels: int, embeddings: Tensor | None = None
) -> Tensor:
    """Label scores of shape (prompts, labels), in float32, differentiable where ``embeddings`` are given.

    ``embeddings`` (rows, width, hidden) stand in for the embedded ``batch.tokens``.
    """
    return forward_with_logits(loaded, prefix, batch, prompts, labels, embeddings)[0]


def forward_with_logits(
    loaded: LoadedModel, prefix: Prefix, batch: Batch, prompts: int, labels: int, embeddings: Tensor | None = None
) -> Tensor:
    """Label scores and, in the same way, the sums of the verbalisers' logits: (2, prompts, labels), as ``forward``."""
    device = loaded.device
    places = [(index, *target) for index, row in enumerate(batch.rows) for target in row.targets]
    kept = sorted({position - prefix.length for _, _, position, _ in places})
    column = {position: index for index, position in enumerate(kept)}
    inputs = {"input_ids": batch.tokens} if embeddings is None else {"inputs_embeds": embeddings}
    logits = loaded.model(
        **inputs,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        past_key_values=prefix.copy(len(batch.rows)),
        use_cache=prefix.length > 0,
        # Rows of a batch have nearly the same length, so that few positions are projected on the vocabulary.
        logits_to_keep=torch.tensor(kept, device=device),
    ).logits
    row = torch.tensor([place[0] for place in places], device=device)
    keep = torch.tensor([column[place[2] - prefix.length] for place in places], device=device)
    token = torch.tensor([place[3] for place in places], device=device)
    raw = logits[row, keep].float()
    found = torch.stack([values.gather(1, token[:, None]).squeeze(1) for values in (raw.log_softmax(-1), raw)])
    owner = torch.tensor([batch.rows[place[0]].owner for place in places], device=device)
    label = torch.tensor([place[1] for place in places], device=device)
    sums = torch.zeros((prompts, labels, 2), dtype=torch.float32, device=device)
    return sums.index_put((owner, label), found.T, accumulate=True).permute(2, 0, 1)


def score_labels(loaded: LoadedModel, prefix: Prefix, prompts: list[Prompt]) -> Tensor:
    """Label scores of ``prompts``, shape (prompts, labels), without gradients."""
    return score_labels_with_logits(loaded, prefix, prompts)[0]


def score_labels_with_logits(loaded: LoadedModel, prefix: Prefix, prompts: list[Prompt]) -> Tensor:
    """Label scores and sums of logits of ``prompts``, shape (2, prompts, labels), without gradients."""
    packed = can_pack(loaded, prompts)
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt, packed)]
    with torch.no_grad():
        batch = collate(rows, prefix, loaded)
        return forward_with_logits(loaded, prefix, batch, len(prompts), len(prompts[0].labels))
