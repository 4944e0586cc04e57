"""The course of training, all of it a function of settings, seed, epoch and step: no state has to be kept for it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from rationale_eval.finetuning.settings import Settings

# Rows are sorted by length within groups of at most so many optimizer steps, and at least this many groups: large
# enough to save padding, small enough that what is learnt together differs from epoch to epoch.
MOST_STEPS_PER_GROUP, LEAST_GROUPS = 32, 4


def plan(lengths: Sequence[int], batch_rows: int, accumulation: int, seed: int, epoch: int) -> list[list[list[int]]]:
    """The epoch's optimizer steps, each a list of batches, each a list of row indices. Every row comes once.

    Rows are shuffled, sorted by length within groups, cut into steps of ``batch_rows * accumulation`` rows and the
    steps shuffled: a function of the lengths, ``seed`` and ``epoch`` alone. A step holds the same rows however it is
    divided into batches.
    """
    chance = random.Random(f"order {seed} {epoch}")
    order = list(range(len(lengths)))
    chance.shuffle(order)
    per_step = batch_rows * accumulation
    per_group = per_step * max(1, min(MOST_STEPS_PER_GROUP, len(order) // (per_step * LEAST_GROUPS)))
    steps = []
    for start in range(0, len(order), per_group):
        group = sorted(order[start : start + per_group], key=lambda index: -lengths[index])
        steps += [group[place : place + per_step] for place in range(0, len(group), per_step)]
    chance.shuffle(steps)
    return [[step[place : place + batch_rows] for place in range(0, len(step), batch_rows)] for step in steps]


def learning_rate(settings: Settings, step: int) -> float:
    """The rate of optimizer step ``step``, counted from 1 over all epochs.

    It rises linearly over the first ``warmup_steps`` and then is constant, or falls as 1/sqrt(step) (Vaswani et al.
    2017) from there; neither depends on how many epochs will follow.
    """
    warm = max(settings.warmup_steps, 1)
    if step <= warm or settings.schedule == "constant":
        return settings.learning_rate * min(1.0, step / warm)
    return settings.learning_rate * math.sqrt(warm / step)


def dropout_seed(seed: int, epoch: int, number: int) -> int:
    """The seed of the dropout in step ``number`` of an epoch, counted from 0: 63 bits, another one for each step."""
    return random.Random(f"dropout {seed} {epoch} {number}").getrandbits(63)
