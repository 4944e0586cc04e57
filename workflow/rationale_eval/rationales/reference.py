"""Reference rows: what any rationale must be compared with, as methods like any other."""

from __future__ import annotations

import hashlib

import numpy as np

from rationale_eval.corpora.instances import Instance


def random_scores(instance: Instance, seed: int) -> list[float]:
    """Independent uniform scores: under every budget a uniformly drawn set of words.

    The draw depends on the seed and the instance's id alone, so that other rows coming or going change nothing.
    """
    key = int.from_bytes(hashlib.sha256(instance.id.encode()).digest()[:8], "big")
    scores: list[float] = np.random.default_rng([seed, key]).random(len(instance.words)).tolist()
    return scores


def first_words_scores(instance: Instance) -> list[float]:
    """Scores that fall with the position: under every budget the first words."""
    return [-float(position) for position in range(len(instance.words))]


def last_words_scores(instance: Instance) -> list[float]:
    """Scores that rise with the position: under every budget the last words."""
    return [float(position) for position in range(len(instance.words))]
