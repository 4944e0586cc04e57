"""F1 above chance of rationales that rarely hit, whose true mean is known, and how often its intervals hold it."""

from __future__ import annotations

import numpy as np
from rationale_eval.statistics.comparison import compare
from rationale_eval.statistics.intervals import corrected_interval
from rationale_eval.statistics.resampling import stratified_interval


def texts(rng, n):
    """The number of words and of marked ones in ``n`` texts of 8 to 39 words."""
    words = rng.integers(8, 40, n)
    return words, np.minimum(1 + rng.binomial(6, 0.25, n), words // 2)


def hitting(rate):
    """F1 and its chance level of sets as large as the marked ones, of which a share of ``rate`` holds any of these."""

    def draw(rng, n):
        words, marked = texts(rng, n)
        hits = np.where(rng.random(n) < rate, np.maximum(1, rng.binomial(marked, 0.3)), 0)
        return hits / marked, marked / words

    return draw


def random_words(rng, n):
    """F1 and its chance level of random words: their true difference is 0."""
    words, marked = texts(rng, n)
    return rng.hypergeometric(marked, words - marked, marked) / marked, marked / words


HITS = {f"hits in {100 * rate:.0f} % of texts": hitting(rate) for rate in (0.01, 0.02, 0.05, 0.1, 0.3, 0.6)}
HITS["`random`, which hits in 31 %"] = random_words


def above_chance(f1, chance, interval):
    """The interval of mean F1 above chance."""
    return corrected_interval(f1, chance, interval)


def bootstrap(f1, chance, interval):
    """The BCa bootstrap interval, which does not cover here."""
    return stratified_interval([f1 - chance], interval)


def fall_to_nothing(f1, chance, interval):
    """The interval of the change where afterwards no word is named: minus what was above chance before."""
    found = compare([chance - f1], interval, chance=[-chance])
    return -found.high, -found.low


def true_mean(draw):
    """The mean of F1 minus chance over a million texts."""
    f1, chance = draw(np.random.default_rng(1), 1_000_000)
    return float((f1 - chance).mean())


def hit_coverage(name, n, simulations, interval, of=above_chance):
    """The share of simulations in which the interval of ``HITS[name]`` holds the mean, and its mean width."""
    draw, rng, widths, held = HITS[name], np.random.default_rng(20), [], 0
    mean = true_mean(draw)
    for _ in range(simulations):
        low, high = of(*draw(rng, n), interval)
        widths.append(high - low)
        held += low <= mean <= high
    return held / simulations, float(np.mean(widths))
