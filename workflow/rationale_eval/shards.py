"""Shards: the parts in which several jobs, each with a GPU of its own, share out the instances of a corpus.

A shard only says which instances a job asks about. It is in no spec and no key of the memo: what one number of shards
has computed, another finds.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Part ``number`` of ``count``, counted from 1; written ``2-of-7``."""

    number: int
    count: int

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every ``count``-th of ``items``: long and short ones, which corpora have in runs, fall into all shards."""
        return list(items[self.number - 1 :: self.count])


WHOLE = Shard(1, 1)


def parse(text: str) -> Shard:
    """``2-of-7`` as a shard. Raises ``argparse.ArgumentTypeError`` for anything else."""
    found = re.fullmatch(r"(\d+)-of-(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard; write the second of seven as 2-of-7")
    return Shard(int(found[1]), int(found[2]))


def add_shard_argument(parser: argparse.ArgumentParser) -> None:
    """Which of the instances a job asks about."""
    parser.add_argument("--shard", type=parse, default=WHOLE, help="part of the instances, such as 2-of-7; else all")
