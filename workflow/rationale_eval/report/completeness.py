"""How far the integrated gradients of each cell are from adding up to what they should."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from rationale_eval.evidence.attribution_schema import INTEGRATED_GRADIENTS
from rationale_eval.report.aggregate import Row, status_counts
from rationale_eval.report.layout import CELL, ordered

# `steps`: nodes of the sum, of which the mean and the largest number over instances are given; `share_within`: of
# instances whose error is within the entry's `tolerance`. `change`: mean size of the target's change from baseline to
# input. `error`: the sum of all attributions minus that change, of which the mean and the largest size are given;
# `error_share` is the mean as a share of `change`. `incomplete`: see `is_incomplete`.
COMPLETENESS_COLUMNS = (
    *(*CELL, "method", "baseline", "instances", "n", "steps_mean", "steps_max", "tolerance", "share_within"),
    *("change", "error_mean", "error_max", "error_share", "incomplete", "collapsed"),
)


def integrated(methods: Mapping[str, Mapping[str, Any]], unavailable: Collection[str]) -> list[str]:
    """The methods that are integrated gradients, without those that are ``unavailable`` of a model."""
    kinds = {name: methods[name]["kind"] for name in ordered(methods)}
    return [name for name, kind in kinds.items() if kind == INTEGRATED_GRADIENTS and name not in unavailable]


def is_incomplete(row: Mapping[str, Any], validity: Mapping[str, Any]) -> bool:
    """Whether attributions are too far from adding up to be taken for integrated gradients.

    The rule: the mean error of the cell is more than ``max_completeness_error`` of the mean change. ``row`` is one of
    the table of completeness.
    """
    error, change = row["error_mean"], row["change"]
    return bool(pd.notna(error) and error > validity["max_completeness_error"] * change)


def completeness_row(evidence: pd.DataFrame, method: Mapping[str, Any], validity: Mapping[str, Any]) -> Row:
    """The row of one method in one cell, from its table of integrated gradients."""
    known = evidence[evidence["completeness_error"].notna()]
    change, errors = known["difference"].abs().astype(float), known["completeness_error"].abs().astype(float)
    n = len(known)
    row = {
        "baseline": method["baseline"],
        **status_counts(evidence),
        "n": n,
        "steps_mean": float(known["steps"].mean()) if n else None,
        "steps_max": int(known["steps"].max()) if n else None,
        "tolerance": method["tolerance"],
        "share_within": float(known["within_tolerance"].astype(float).mean()) if n else None,
        "change": float(change.mean()) if n else None,
        "error_mean": float(errors.mean()) if n else None,
        "error_max": float(errors.max()) if n else None,
        "error_share": float(errors.mean() / change.mean()) if change.sum() else None,
    }
    return row | {"incomplete": is_incomplete(row, validity)}
