"""Where the words that a method chooses stand: how often the first and the last word of a text are among them.

A method that finds the end of a text by itself, since the full stop there collects attention, has little to say of the
words that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.corpora.instances import read_instances
from rationale_eval.rationales.choices import choices
from rationale_eval.rationales.schema import OK
from rationale_eval.report.aggregate import Row, instance_means, means, status_counts, with_interval
from rationale_eval.report.cells import rationales_path
from rationale_eval.report.layout import CELL, Cell, by_definition

# The status of a choice of no words or of all of them, which says nothing of positions.
NONE_OR_ALL = "none_or_all_chosen"
# `first`, `last`: share of the n instances in which the first, or the last, word is chosen. `random`: the share that
# equally many random words would have, of either: the mean of k / words over instances in which k words are chosen.
POSITION_COLUMNS = (
    *(*CELL, "method", "kind", "budget", "instances", "n", "selected"),
    *("first", "first_low", "first_high", "last", "last_low", "last_high", "random", "collapsed", "flag"),
)


def position_inputs(cell: Cell, results: Path, spec: Mapping[str, Any]) -> dict[str, Path]:
    """The tables that ``read_positions`` reads, by what they are."""
    found = {f"rationales of {method}": rationales_path(cell, results, method) for method in spec["methods"]}
    return found | {"test": results / "corpora" / cell.corpus / "test.parquet"}


def read_positions(cell: Cell, results: Path, spec: Mapping[str, Any]) -> pd.DataFrame:
    """One row per instance, method, sample and budget of one cell.

    Columns: ``id``, ``method``, ``sample``, ``budget``, ``status``, ``words``, ``selected``, and as numbers, NaN unless
    the status is ok, ``first`` and ``last`` (0.0 or 1.0) and ``random``. ``spec`` lists under ``evaluated`` the methods
    with their budgets. Raises ``UserError`` for tables that are missing or of other instances.
    """
    instances = {instance.id: instance for instance in read_instances(position_inputs(cell, results, spec)["test"])}
    paths = [rationales_path(cell, results, method["name"]) for method in spec["evaluated"]]
    rows = []
    for choice in choices(spec["evaluated"], paths, instances):
        row = choice.key | {"first": None, "last": None, "random": None}
        if choice.selected is not None:
            if 0 < row["selected"] < row["words"]:
                row |= {"first": float(choice.selected[0]), "last": float(choice.selected[-1])}
                row["random"] = row["selected"] / row["words"]
            else:
                row["status"] = NONE_OR_ALL
        rows.append(row)
    columns = ("id", "method", "sample", "budget", "status", "words", "selected", "first", "last", "random")
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype(dict.fromkeys(("first", "last", "random"), float))


def position_row(frame: pd.DataFrame, kind: str, interval: Mapping[str, Any]) -> Row:
    """The row of one method of this ``kind`` under one budget, from its rows of ``read_positions``."""
    values = instance_means(frame[frame["status"] == OK], "first", ("selected", "first", "last", "random"))
    bounds = {
        name: bound
        for place in ("first", "last")
        for name, bound in with_interval(place, values[place], interval).items()
        if not by_definition(kind, place)
    }
    return {**status_counts(frame), "n": len(values), **means(values), **bounds}
