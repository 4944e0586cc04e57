"""Generation of many replies at a time, greedy or sampled.

Greedy replies equal those to one prompt at a time token for token on a CPU in float32; elsewhere rounding depends on
the batch, and two tokens that are nearly alike may change places.

A fixed number of replies grows side by side. Where some are done, prompts that wait take their places, so that a long
reply does not keep the others waiting, nor leave the pass that it needs for each token to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rationale_eval.errors import UserError
from rationale_eval.models.chat import turn_end
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.sampling import Sampling, pick, uniform_numbers
from rationale_eval.models.scoring import Prefix
from rationale_eval.models.slots import Slots, takes_masks

STOP, LIST_END, LENGTH = "stop", "list_end", "length"
# New prompts are read when so large a part of the slots is free: reading several at once costs little more than one.
REFILL = 1 / 4


@dataclass(frozen=True)
class Generated:
    """The tokens of a reply without the end-of-turn token, and why it ended: stop, list_end or length."""

    tokens: tuple[int, ...]
    finish: str


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokens that end a turn, from the model's generation settings, its tokenizer and its chat template."""
    configured = loaded.model.generation_config.eos_token_id
    found = configured if isinstance(configured, list) else [configured]
    tokenizer = loaded.tokenizer
    return frozenset(token for token in (*found, tokenizer.eos_token_id, turn_end(tokenizer)) if token is not None)


@dataclass
class _Reply:
    """A reply that grows. ``numbers`` decide on its tokens where they are drawn."""

    prompt: Sequence[int]
    numbers: Sequence[float] = ()
    tokens: list[int] = field(default_factory=list)
    finish: str | None = None


def generate(
    loaded: LoadedModel,
    prefix: Prefix,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    ended: Callable[[str], bool],
    rows: int,
    sampling: Sampling | None = None,
    keys: Sequence[str] = (),
) -> list[Generated]:
    """A continuation of each prompt (token ids, the shared prefix included): greedy, or drawn by ``sampling``.

    ``rows`` replies grow at a time, and prompts are taken in their order. A reply ends with a token that ends the turn,
    when ``ended`` says so of its text, or after ``max_new_tokens``. Where replies are drawn, ``keys`` has the digest of
    each request, which alone decides on its numbers.
    """
    stops = end_tokens(loaded)
    if sampling is None:
        replies = [_Reply(prompt) for prompt in prompts]
    else:
        drawn = [uniform_numbers(key, max_new_tokens).tolist() for key in keys]
        replies = [_Reply(prompt, numbers) for prompt, numbers in zip(prompts, drawn, strict=True)]
    waiting = replies[::-1]
    rows = min(rows, len(replies)) if takes_masks(loaded) else 1
    slots = Slots(loaded, prefix, rows, max(map(len, prompts)) + max_new_tokens)
    active: list[_Reply] = []

    def extend(grown: Sequence[_Reply], logits: Tensor) -> None:
        for reply, token in zip(grown, _choose(grown, logits, sampling), strict=True):
            if token in stops:
                reply.finish = STOP
                continue
            reply.tokens.append(token)
            if ended(loaded.tokenizer.decode(reply.tokens, skip_special_tokens=True)):
                reply.finish = LIST_END
            elif len(reply.tokens) >= max_new_tokens:
                reply.finish = LENGTH

    while waiting or active:
        if waiting and rows - len(active) >= min(len(waiting), max(1, REFILL * rows)):
            new = [waiting.pop() for _ in range(min(len(waiting), rows - len(active)))]
            places = range(len(active), len(active) + len(new))
            active += new
            extend(new, slots.admit(places, [reply.prompt for reply in new]))
        else:
            extend(active, slots.next([reply.tokens[-1] for reply in active]))
        for place in reversed(range(len(active))):
            if active[place].finish is not None:
                # The last row takes its slot: those in use stay the first ones.
                last = active.pop()
                if place < len(active):
                    active[place] = last
                    slots.move(len(active), place)
    return [Generated(tuple(reply.tokens), str(reply.finish)) for reply in replies]


def _choose(replies: Sequence[_Reply], logits: Tensor, sampling: Sampling | None) -> list[int]:
    """The next token of each reply. Raises ``UserError`` where the logits are no numbers."""
    if not bool(logits.amax(-1).isfinite().all()):
        raise UserError("the logits of a reply are not finite; use dtype bfloat16 or float32")
    if sampling is None:
        return list(map(int, logits.argmax(-1)))
    uniform = torch.tensor([reply.numbers[len(reply.tokens)] for reply in replies], dtype=torch.float64)
    return list(map(int, pick(logits, sampling, uniform.to(logits.device))))
