"""Data whose truth is known: values with a known mean for intervals, and tables with a planted effect for claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rationale_eval.claims.contrasts import Contrast
from rationale_eval.claims.estimates import cell_row
from rationale_eval.claims.verdicts import judge
from rationale_eval.report.measured import Measured
from rationale_eval.statistics.comparison import compare
from rationale_eval.statistics.intervals import mean_interval
from rationale_eval.statistics.resampling import hierarchical_interval

SETTINGS = {"alpha": 0.05, "margins": {"f1_corrected": 0.02}, "min_instances": 30, "same_ranking": 0.8}
FEW = {"resamples": 400, "seed": 0, "level": 0.95}
SPEC = {"interval": FEW, "claims": SETTINGS, "validity": {"max_majority_share": 0.95, "min_usable_replies": 0.5}}
METHODS = {
    "att": {"kind": "attention", "statistic": "last", "aggregation": "max"},
    "sal": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max"},
    "ixg": {"kind": "gradients", "statistic": "gxi_dot", "aggregation": "max"},
    "said": {"kind": "prompt", "strategy": "unbound", "max_words": 20},
    "random": {"kind": "random", "seeds": [0]},
}
BUDGETS = {"top_var": {"kind": "top_var"}, "cut": {"kind": "matched", "to": "said"}}


# Values with a known mean


def flips(rate):
    """Flips at a known rate."""
    return lambda rng, n: (rng.random(n) < rate).astype(float)


def random_draws(rng, n):
    """The mean of three flips of random words; instances differ in how easily they flip, by 0.1 on average."""
    return rng.binomial(3, rng.beta(0.3, 2.7, n)) / 3


def f1(rng, n):
    """F1 of which four in ten are 0: 0.2 on average."""
    return rng.beta(2, 4, n) * (rng.random(n) < 0.6)


def flip_difference(more, less):
    """Differences of two flips, of which ``more`` are 1 and ``less`` are -1."""

    def draw(rng, n):
        u = rng.random(n)
        return (u < more).astype(float) - (u > 1 - less).astype(float)

    return draw


def f1_difference(rng, n):
    """Differences of two F1: 0 for every third instance, 0.05 on average."""
    return np.where(rng.random(n) < 1 / 3, 0.0, np.clip(rng.normal(0.075, 0.3, n), -1, 1))


def rare_difference(more, less):
    """Differences of two F1 of which a share of ``more`` are above 0 and ``less`` below, by 2/3 on average."""

    def draw(rng, n):
        return flip_difference(more, less)(rng, n) * rng.beta(4, 2, n)

    return draw


def skewed(rng, n):
    """Differences of which 3 % are 1 and all others a little below 0, so that their mean is 0."""
    return np.where(rng.random(n) < 0.03, 1.0, -0.03 / 0.97 * rng.uniform(0.5, 1.5, n))


def skewed_few(rng, n):
    """Differences of which 3 % are 0.9, 9 % are -0.3 and all others 0, so that their mean is 0."""
    u = rng.random(n)
    return np.where(u < 0.03, 0.9, np.where(u < 0.12, -0.3, 0.0))


# What is estimated, of how many instances: (a draw, its mean, whether it is a difference).
MEANS = {
    "flip rate 0.05": (flips(0.05), 0.05, False),
    "flip rate 0.1": (flips(0.1), 0.1, False),
    "flip rate 0.3": (flips(0.3), 0.3, False),
    "flip rate 0.1 of three random draws": (random_draws, 0.1, False),
    "F1, four in ten 0": (f1, 0.2, False),
    "difference of flip rates 0.05 and 0.02": (flip_difference(0.05, 0.02), 0.03, True),
    "difference of flip rates 0.15 and 0.05": (flip_difference(0.15, 0.05), 0.1, True),
    "difference of F1": (f1_difference, 0.05, True),
    "difference of F1, 5 % of texts differ": (rare_difference(0.03, 0.02), 0.01 * 2 / 3, True),
    "difference, 3 % of 0.9 and 9 % of -0.3": (skewed_few, 0.0, True),
    "difference, 3 % of 1 and all others just below 0": (skewed, 0.0, True),
}


def coverage(name, n, simulations, interval):
    """The share of simulations in which the interval of ``MEANS[name]`` from ``n`` instances holds the mean."""
    draw, mean, difference = MEANS[name]
    rng = np.random.default_rng(17)
    if name == "difference of F1":  # clipping moves the mean a little
        mean = float(draw(np.random.default_rng(1), 1_000_000).mean())
    found = 0
    for _ in range(simulations):
        values = draw(rng, n)
        if difference:
            one = compare([values], interval)
            low, high = one.low, one.high
        else:
            low, high = mean_interval(values.tolist(), interval)
        found += low <= mean <= high
    return found / simulations


def stratified_coverage(n, simulations, interval):
    """As ``coverage``, of a difference of flip rates over two corpora of ``n`` instances, 0.1 and 0.3."""
    rng = np.random.default_rng(18)
    draws, found = (flip_difference(0.15, 0.05), flip_difference(0.4, 0.1)), 0
    for _ in range(simulations):
        one = compare([draw(rng, n) for draw in draws], interval)
        found += one.low <= 0.2 <= one.high
    return found / simulations


def hierarchical_coverage(corpora, models, seeds, n, simulations, interval):
    """As ``coverage``, of the hierarchical interval, for units with effects of their own around a mean of 0.1.

    Corpora and models have a standard deviation of 0.1, seeds of 0.05, instances of 0.3.
    """
    rng, found = np.random.default_rng(19), 0
    for _ in range(simulations):
        of_model = rng.normal(0, 0.1, (models, 1, 1))
        tables = [
            0.1
            + rng.normal(0, 0.1)
            + of_model
            + rng.normal(0, 0.05, (models, seeds, 1))
            + rng.normal(0, 0.3, (models, seeds, n))
            for _ in range(corpora)
        ]
        low, high = hierarchical_interval(tables, interval)
        found += low <= 0.1 <= high
    return found / simulations


# Tables with a planted effect


def contrast(values, excluded=""):
    """A contrast in one cell."""
    return Contrast("c", "m", pd.DataFrame({0: values}), None, None, 0, excluded)


def verdicts_of(claim, draw, n, simulations, cells=1):
    """The verdicts of the cells of a claim in each simulation; ``draw(rng, n, cell)`` gives a cell's differences."""
    rng = np.random.default_rng(23)
    found = []
    for _ in range(simulations):
        rows = [cell_row(contrast(draw(rng, n, cell)), claim, SPEC) for cell in range(cells)]
        judge([(claim, row) for row in rows], SETTINGS)
        found.append(rows)
    return found


def cell(rng, n, effect=0.0, rise=0.0, correct=0.7, majority=0.6):
    """A cell of ``n`` instances in which prompting is ``effect`` better than attribution, and all are ``rise`` better.

    Alignment (F1 above chance) is normal around 0.3, flips are drawn at that rate.
    """
    ids = [str(i) for i in range(n)]
    hard = rng.normal(0.0, 0.1, n)
    tables = {"f1_corrected": {}, "flip": {}, "flip_beyond_random": {}}
    pairs = [(name, budget) for name in ("att", "sal", "ixg") for budget in BUDGETS] + [("said", "as_given")]
    for method, budget in pairs:
        level = np.clip(0.3 + rise + hard + (effect if method == "said" else 0.0) + rng.normal(0, 0.15, n), 0, 1)
        tables["f1_corrected"][method, budget] = level
        tables["flip"][method, budget] = (rng.random(n) < level).astype(float)
        tables["flip_beyond_random"][method, budget] = tables["flip"][method, budget] - rng.binomial(3, 0.1, n) / 3
    values = {
        measure: pd.concat(
            {key: pd.Series(one, index=ids) for key, one in found.items()}, names=["method", "budget", "id"]
        )
        for measure, found in tables.items()
    }
    right = pd.Series((rng.random(n) < correct).astype(float), index=ids)
    return Measured(right, values | {"f1": values["f1_corrected"]}, majority, gold_share=0.5)


def in_cells(draw):
    """Cells of such differences."""
    return lambda rng, n, cell: draw(rng, n)


def flips_moved(more, less):
    """Cells of flip differences."""
    return in_cells(flip_difference(more, less))


def moved(mean):
    """Cells of alignment differences with a mean and a standard deviation of 0.2, clipped to -1 and 1."""
    return lambda rng, n, cell: np.clip(rng.normal(mean, 0.2, n), -1, 1)


VERDICTS = ("supported", "contradicted", "inconclusive")
# By claim and what is planted: a draw of the differences.
PLANTED = {
    ("alignment_prompting_better", "0.1 higher"): moved(0.1),
    ("alignment_prompting_better", "no difference"): moved(0.0),
    ("alignment_prompting_better", "0.1 lower"): moved(-0.1),
    ("faithfulness_prompting_lower", "20 points lower"): flips_moved(0.05, 0.25),
    ("faithfulness_prompting_lower", "no difference"): flips_moved(0.15, 0.15),
    ("faithfulness_prompting_lower", "20 points higher"): flips_moved(0.25, 0.05),
    ("alignment_prompting_better", "no difference: 3 % of 0.9, 9 % of -0.3"): in_cells(skewed_few),
    ("alignment_prompting_better", "no difference: 3 % of 1, others just below 0"): in_cells(skewed),
    ("faithfulness_prompting_lower", "no difference: 2 % flip, 2 % no longer"): flips_moved(0.02, 0.02),
    ("tuning_prompting_alignment", "no difference"): moved(0.0),
    ("tuning_prompting_alignment", "as much as the margin"): moved(0.02),
    ("tuning_prompting_alignment", "as much as the margin: 2 % of 1"): flips_moved(0.02, 0.0),
    ("tuning_prompting_alignment", "0.15 higher"): moved(0.15),
    ("tuning_prompting_alignment", "0.15 lower"): moved(-0.15),
}
