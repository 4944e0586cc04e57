"""Generation in batches: greedy, equal token for token to generating one prompt at a time, or sampled.

Prompts are padded on the left, between the shared prefix and the rest, with positions counted without the padding. A
row that is done leaves the batch, so that a long reply does not keep the short ones busy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rationale_eval.models.growing_cache import make_room
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.sampling import Sampling, pick, uniform_numbers
from rationale_eval.models.scoring import Prefix

STOP, LIST_END, LENGTH = "stop", "list_end", "length"


@dataclass(frozen=True)
class Generated:
    """The tokens of a reply without the end-of-turn token, and why it ended: stop, list_end or length."""

    tokens: tuple[int, ...]
    finish: str


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokens that end a turn, from the model's generation settings and its tokenizer."""
    configured = loaded.model.generation_config.eos_token_id
    found = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*found, loaded.tokenizer.eos_token_id) if token is not None)


def generate(
    loaded: LoadedModel,
    prefix: Prefix,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    ended: Callable[[str], bool],
    sampling: Sampling | None = None,
    keys: Sequence[str] = (),
) -> list[Generated]:
    """A continuation of each prompt (token ids, the shared prefix included): greedy, or drawn by ``sampling``.

    A reply ends with a token that ends the turn, when ``ended`` says so of its text, or after ``max_new_tokens``. Where
    replies are drawn, ``keys`` has the digest of each request, which alone decides on its numbers.
    """
    rows = _Rows(loaded, prefix, prompts, max_new_tokens)
    numbers = [uniform_numbers(key, max_new_tokens) for key in keys]
    stops = end_tokens(loaded)
    replies: list[list[int]] = [[] for _ in prompts]
    finished: dict[int, str] = {}

    def choose(logits: Tensor) -> Tensor:
        if sampling is None:
            return logits.argmax(-1)
        place = len(replies[rows.indices[0]])
        uniform = torch.tensor([numbers[index][place] for index in rows.indices], dtype=torch.float64)
        return pick(logits, sampling, uniform.to(logits.device))

    tokens = choose(rows.first())
    while True:
        kept = []
        for place, (index, token) in enumerate(zip(rows.indices, tokens.tolist(), strict=True)):
            if token in stops:
                finished[index] = STOP
                continue
            replies[index].append(token)
            if ended(loaded.tokenizer.decode(replies[index], skip_special_tokens=True)):
                finished[index] = LIST_END
            elif len(replies[index]) >= max_new_tokens:
                finished[index] = LENGTH
            else:
                kept.append(place)
        if not kept:
            break
        if len(kept) < len(rows.indices):
            rows.keep(kept)
            tokens = tokens[torch.tensor(kept, device=tokens.device)]
        tokens = choose(rows.next(tokens))
    return [Generated(tuple(reply), finished[index]) for index, reply in enumerate(replies)]


class _Rows:
    """The rows of a batch that still generate, with their cache."""

    def __init__(self, loaded: LoadedModel, prefix: Prefix, prompts: Sequence[Sequence[int]], room: int) -> None:
        self._loaded = loaded
        self._room = room
        self.indices = list(range(len(prompts)))
        suffixes = [list(prompt)[prefix.length :] for prompt in prompts]
        width = max(map(len, suffixes))
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.zeros((len(prompts), prefix.length + width), dtype=torch.long)
        mask[:, : prefix.length] = 1
        for row, suffix in enumerate(suffixes):
            ids[row, width - len(suffix) :] = torch.tensor(suffix)
            mask[row, prefix.length + width - len(suffix) :] = 1
        self._ids = ids.to(loaded.device)
        self._mask = mask.to(loaded.device)
        # The position of a token is the number of real tokens before it; padding gets any valid one.
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)[:, prefix.length :]
        self._cache: Any = prefix.copy(len(prompts))

    @torch.no_grad()
    def _step(self, ids: Tensor, positions: Tensor) -> Tensor:
        output = self._loaded.model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values
        return torch.as_tensor(output.logits[:, -1])

    def first(self) -> Tensor:
        """Process the prompts; the logits of the first new token of each row, shape (rows, vocabulary)."""
        logits = self._step(self._ids, self._positions)
        make_room(self._cache, self._room)
        return logits

    def next(self, tokens: Tensor) -> Tensor:
        """Append ``tokens`` (rows,); the logits of the token after each."""
        self._positions = self._positions[:, -1:] + 1
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(tokens), 1))], dim=1)
        return self._step(tokens[:, None], self._positions)

    def keep(self, places: list[int]) -> None:
        """Leave only the rows at ``places``."""
        chosen = torch.tensor(places)  # on the CPU: the layers' caches may be on several devices
        self.indices = [self.indices[place] for place in places]
        self._mask, self._positions = self._mask[chosen], self._positions[chosen]
        self._cache.batch_select_indices(chosen)
