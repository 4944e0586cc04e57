"""Batches by token count, skipped where the memo holds them, halved when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from rationale_eval.errors import UserError
from rationale_eval.memo import Memo
from rationale_eval.models.memory import lacks_memory
from rationale_eval.progress import Progress, say

Item = TypeVar("Item")


def plan(lengths: Sequence[int], max_tokens: int, max_rows: int) -> list[list[int]]:
    """Indices in batches of similar length: at most ``max_tokens`` including padding and ``max_rows`` rows each.

    Longest first, so that a batch that does not fit in memory fails at the start. A row longer than ``max_tokens`` is
    a batch of its own.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        width = lengths[batches[-1][0]] if batches else 0
        if batches and len(batches[-1]) < max_rows and width * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def run(
    what: str,
    items: Mapping[str, Item],
    length: Callable[[Item], int],
    compute: Callable[[list[Item]], list[Any]],
    memo: Memo,
    max_tokens: int,
    max_rows: int,
) -> None:
    """See that ``memo`` holds a result for every item, in batches of similar ``length``; see ``run_batches``."""
    keys = list(items)
    batches = plan([length(items[key]) for key in keys], max_tokens, max_rows)
    run_batches(what, items, [[keys[index] for index in batch] for batch in batches], compute, memo)


def run_batches(
    what: str,
    items: Mapping[str, Item],
    batches: Sequence[Sequence[str]],
    compute: Callable[[list[Item]], list[Any]],
    memo: Memo,
) -> None:
    """See that ``memo`` holds a result for every item, computing what it lacks batch by batch.

    ``items`` maps memo keys to what is to be computed; ``batches`` hold each key once. They are planned over *all*
    items before the memo is asked: a resumed run repeats the batches of the one that was killed, and so gives identical
    numbers. Raises ``UserError`` where a number of a result is not finite; the memo keeps none such.
    """
    known = sum(key in memo for key in items)
    say(f"{what}: {len(items)} inputs, {known} in the memo, {len(items) - known} to compute")
    progress = Progress(what, len(items), "inputs", skipped=known)
    for batch in batches:
        missing = [(key, items[key]) for key in batch if key not in memo]
        for part, results in _shrinking(missing, compute):
            if not all(map(_finite, results)):
                raise UserError(
                    f"{what}: a result is not finite: the model's numbers leave the range of their dtype, or its "
                    "weights are damaged; use dtype bfloat16 or float32"
                )
            memo.put(dict(zip(part, results, strict=True)))
            progress.advance(len(part))
    if computed := len(items) - known:
        seconds = progress.elapsed()
        say(
            f"{what}: {computed} inputs computed in {seconds:.1f} s, {1000 * seconds / computed:.1f} s per 1,000 inputs"
        )


def _shrinking(
    batch: list[tuple[str, Item]], compute: Callable[[list[Item]], list[Any]]
) -> Iterator[tuple[list[str], list[Any]]]:
    if not batch:
        return
    try:
        results = compute([item for _, item in batch])
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        if len(batch) == 1:
            raise UserError("out of memory with a single input; use a smaller dtype or a device with more") from None
    else:
        yield [key for key, _ in batch], results
        return
    # Outside the handler: inside it, the exception would keep the failed attempt's tensors alive.
    torch.cuda.empty_cache()
    half = (len(batch) + 1) // 2
    say(f"out of memory with {len(batch)} inputs: trying {half} at a time")
    yield from _shrinking(batch[:half], compute)
    yield from _shrinking(batch[half:], compute)


def _finite(result: Any) -> bool:
    """Whether all numbers of a result are finite; what is no number counts as such."""
    if isinstance(result, Mapping):
        return all(map(_finite, result.values()))
    return not isinstance(result, float | np.ndarray) or bool(np.isfinite(result).all())
