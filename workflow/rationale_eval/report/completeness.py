"""How far the integrated gradients of each cell are from adding up to what they should."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from rationale_eval.evidence.attribution_schema import INTEGRATED_GRADIENTS
from rationale_eval.report.aggregate import Row, status_counts
from rationale_eval.report.layout import CELL, ordered

# `change`: mean size of the target's change from baseline to input. `error`: the sum of all attributions minus that
# change, of which the mean and the largest size are given; `error_share` is the mean as a share of `change`.
COMPLETENESS_COLUMNS = (
    *(*CELL, "method", "baseline", "steps", "instances", "n", "change", "error_mean", "error_max", "error_share"),
)


def integrated(methods: Mapping[str, Mapping[str, Any]], unavailable: Collection[str]) -> list[str]:
    """The methods that are integrated gradients, without those that are ``unavailable`` of a model."""
    kinds = {name: methods[name]["kind"] for name in ordered(methods)}
    return [name for name, kind in kinds.items() if kind == INTEGRATED_GRADIENTS and name not in unavailable]


def completeness_row(evidence: pd.DataFrame, method: Mapping[str, Any]) -> Row:
    """The row of one method in one cell, from its table of integrated gradients."""
    known = evidence[evidence["completeness_error"].notna()]
    change, errors = known["difference"].abs().astype(float), known["completeness_error"].abs().astype(float)
    n = len(known)
    return {
        **{name: method[name] for name in ("baseline", "steps")},
        **status_counts(evidence),
        "n": n,
        "change": float(change.mean()) if n else None,
        "error_mean": float(errors.mean()) if n else None,
        "error_max": float(errors.max()) if n else None,
        "error_share": float(errors.mean() / change.mean()) if change.sum() else None,
    }
