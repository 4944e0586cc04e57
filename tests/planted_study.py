"""A study with planted gaps and rises, and what the claims say of it."""

from __future__ import annotations

import numpy as np
from planted import BUDGETS, METHODS, SPEC, cell
from rationale_eval.claims.registry import CLAIMS
from rationale_eval.claims.stage import verdicts
from rationale_eval.report.layout import Cell
from scipy import stats

BY_NAME = {claim.name: claim for claim in CLAIMS}
STUDY = SPEC | {"methods": METHODS, "budgets": BUDGETS, "main_budget": "top_var"}
BASE_A = Cell("a", "m", "base")
SIMULATIONS = 400


def at_most(rate):
    """The most of ``SIMULATIONS`` that an event of this rate has in 999 of 1000 runs."""
    return stats.binom(SIMULATIONS, rate).ppf(0.999)


def study(effect=0.0, rise=0.0, n=150, seeds=1, **changes):
    """Two corpora, a model, base and an epoch, with a planted gap of prompting and a planted rise by fine-tuning."""
    rng = np.random.default_rng(7)
    found = {}
    for corpus in ("a", "b"):
        found[Cell(corpus, "m", "base")] = cell(rng, n, effect, **changes)
        for seed in range(seeds):
            found[Cell(corpus, "m", f"epoch-03-seed-{seed}")] = cell(rng, n, effect, rise)
    return found


def by_name(cells, spec=STUDY):
    return {claim["name"]: claim for claim in verdicts(CLAIMS, cells, spec)}
