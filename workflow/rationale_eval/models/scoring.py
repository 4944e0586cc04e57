"""Label scores: the summed log-probability of each verbaliser as the start of the assistant's turn.

The tokens that all prompts of a run begin with are computed once and shared as a key/value cache. Rows are padded on
the right: with causal attention, what follows a token changes nothing before it, positions stay natural, and windows
of sliding attention keep their true widths.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

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
        cache = copy.copy(self._cache)
        cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        for layer in cache.layers:
            # A pass puts new tensors in the place of these, so that all copies may look at the same ones.
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
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

    Shapes: ``tokens`` and ``positions`` (rows, width); ``mask`` (rows, 1, width, prefix + width) in the model's dtype,
    to be added to attention scores, or None where attention is causal: padding on the right is seen by nothing that
    counts, and without a mask the fastest kernels can be used.
    """

    tokens: Tensor
    mask: Tensor | None
    positions: Tensor
    rows: Sequence[Row] = ()


def collate(rows: list[Row], prefix: Prefix, loaded: LoadedModel) -> Batch:
    """Pad ``rows`` on the right to one width."""
    suffixes = [row.tokens[prefix.length :] for row in rows]
    width = max(map(len, suffixes))
    tokens = torch.zeros((len(rows), width), dtype=torch.long)
    mask = None
    positions = torch.arange(prefix.length, prefix.length + width).repeat(len(rows), 1)
    for index, suffix in enumerate(suffixes):
        tokens[index, : len(suffix)] = torch.tensor(suffix)
    if any(len(row.branches) > 1 for row in rows):
        mask = additive(torch.stack([_branched(row, prefix.length, width) for row in rows]), loaded)
        for index, row in enumerate(rows):
            end = start = len(row.tokens) - sum(row.branches) - prefix.length
            for length in row.branches:
                positions[index, end : end + length] = torch.arange(length) + prefix.length + start
                end += length
    return Batch(tokens.to(loaded.device), mask, positions.to(loaded.device), rows)


def additive(sees: Tensor, loaded: LoadedModel) -> Tensor:
    """Which position sees which (rows, width, prefix + width), as a mask to be added to attention scores."""
    lowest = torch.finfo(loaded.model.dtype).min
    return torch.where(sees[:, None].to(loaded.device), 0.0, lowest).to(loaded.model.dtype)


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
    targets = [
        Target(index, place - prefix.length, row.owner, label, token)
        for index, row in enumerate(batch.rows)
        for label, place, token in row.targets
    ]
    return read_targets(loaded, prefix, batch, targets, (prompts, labels), embeddings)


class Target(NamedTuple):
    """``token`` after the position ``column`` of a batch's ``row``: its log-probability is a summand of a score."""

    row: int
    column: int
    owner: int
    label: int
    token: int


def read_targets(
    loaded: LoadedModel,
    prefix: Prefix,
    batch: Batch,
    targets: Sequence[Target],
    shape: tuple[int, int],
    embeddings: Tensor | None = None,
) -> Tensor:
    """The sums of ``targets`` and, in the same way, of the tokens' logits: float32, (2, owners, labels) with ``shape``.

    One forward pass.
    """
    device = loaded.device
    places = {place: index for index, place in enumerate(dict.fromkeys((one.row, one.column) for one in targets))}
    inputs = {"input_ids": batch.tokens} if embeddings is None else {"inputs_embeds": embeddings}
    cache = prefix.copy(len(batch.tokens))  # in training a pass of its own, which is not to be projected
    asked = torch.tensor(sorted({one.token for one in targets}), device=device)
    with projecting(loaded, torch.tensor(list(places), device=device), asked):
        logits = loaded.model(
            **inputs,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            past_key_values=cache,
            use_cache=prefix.length > 0,
        ).logits[0]
    kept = torch.tensor([places[one.row, one.column] for one in targets], device=device)
    token = torch.tensor([one.token for one in targets], device=device)
    raw = logits.float()
    found = torch.stack([raw.log_softmax(-1)[kept, token], raw[kept, token]], dim=-1)
    owner = torch.tensor([one.owner for one in targets], device=device)
    label = torch.tensor([one.label for one in targets], device=device)
    sums = torch.zeros((*shape, 2), dtype=torch.float32, device=device)
    return sums.index_put((owner, label), found, accumulate=True).permute(2, 0, 1)


@contextmanager
def projecting(loaded: LoadedModel, places: Tensor, exact: Tensor | None = None) -> Iterator[None]:
    """Let the model project on its vocabulary only ``places`` (n, 2), row and position: logits are (1, n, vocabulary).

    In a model of lower precision the logits of the tokens ``exact`` (m,) are computed in float32 from its last states,
    unless its output layer is no plain matrix (an adapter, say): bfloat16 has steps of 1/8 at a logit of 20, in which
    labels would tie. What models do to their logits after that (scaling, capping) is elementwise.
    """

    def select(_: Any, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rows, columns = places.to(states[0].device).unbind(1)
        return (states[0][rows, columns][None],)

    def refine(layer: Any, states: tuple[Tensor, ...], logits: Tensor) -> Tensor | None:
        if exact is None or logits.dtype == torch.float32 or type(layer) is not nn.Linear:
            return None
        with torch.autocast(logits.device.type, enabled=False):
            tokens = exact.to(logits.device)
            weight = layer.weight.to(logits.device)[tokens].float()
            bias = None if layer.bias is None else layer.bias.to(logits.device)[tokens].float()
            refined = nn.functional.linear(states[0].to(logits.device).float(), weight, bias)
        return logits.float().index_copy(-1, tokens, refined)

    output = loaded.model.get_output_embeddings()
    handles = [output.register_forward_pre_hook(select), output.register_forward_hook(refine)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
