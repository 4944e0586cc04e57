"""Planted corpora, whose deciding words are known by construction: does a method name them, and is it scored for it?

For each method of a cell: how often its first word is one that decides (the cue), the share of cue words among as many
words as there are, and beside these the faithfulness scores that the same method is given. Then over the methods of a
cell Kendall's tau-b between the first and each of the latter: whether a faithfulness measure ranks methods as the truth
does. All of it means something only where the model is right nearly always, and so must use the cue.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.aggregate import Row, correctness, instance_means, with_interval
from rationale_eval.report.cell_flags import flag_inputs, read_flags
from rationale_eval.report.cells import (
    rationales_path,
    read_alignment,
    read_faithfulness,
    read_predictions,
    read_rationales,
)
from rationale_eval.report.flags import flag_of, has_flag
from rationale_eval.report.layout import REFERENCE_KINDS, Cell, of_cell, ordered
from rationale_eval.report.table_files import write
from rationale_eval.report.validity import has_collapsed

# A faithfulness measure, and whether more of it is held to be better.
MEASURES = {"flip_rate": 1, "comprehensiveness": 1, "sufficiency": -1}
COLUMNS = (
    *("corpus", "model", "checkpoint", "method", "kind", "budget", "n", "accuracy"),
    *("first_word", "first_word_low", "first_word_high", "cue_words", "cue_words_low", "cue_words_high"),
    *("cue_words_chance", "auprc", "auprc_low", "auprc_high", "auprc_chance", *MEASURES, "collapsed", "flag"),
)
RANK_COLUMNS = ("corpus", "model", "checkpoint", "n_methods", *(f"tau_{measure}" for measure in MEASURES), "collapsed")


def first_word(rationale: Mapping[str, Any]) -> int | None:
    """The word that a rationale names first: of the highest score (of equals the earliest), or first in a reply.

    None for a set without an order and where there is no rationale.
    """
    if rationale["scores"] is not None:
        return int(np.argmax(rationale["scores"]))
    order = rationale["order"]
    return int(order[0]) if order is not None and len(order) else None


def hits(rationales: pd.DataFrame, instances: Mapping[str, Instance]) -> pd.Series:
    """By id how often the first word is a cue (mean over samples); a reply that names no word has 0."""
    found: dict[str, list[float]] = {}
    for row in rationales.to_dict("records"):
        ordered_set = row["scores"] is not None or row["order"] is not None
        if row["status"] == "ok" and ordered_set:
            # Words that were all scored 0 have a first one by position alone.
            word = None if row["named"] == 0 else first_word(row)
            marks = instances[row["id"]].rationale
            found.setdefault(row["id"], []).append(float(word is not None and marks is not None and marks[word]))
    return pd.Series({name: float(np.mean(values)) for name, values in found.items()}, dtype=float)


def method_row(
    alignment: pd.DataFrame, faithfulness: pd.DataFrame, first: pd.Series, interval: Mapping[str, Any]
) -> Row:
    """The row of one method under one budget."""
    aligned = instance_means(alignment, "f1", ("f1", "f1_chance", "auprc", "auprc_chance"))
    masked = instance_means(faithfulness, "flip", ("flip", "comprehensiveness"))
    kept = instance_means(faithfulness, "flip_when_kept", ("sufficiency",))

    def mean(values: pd.Series) -> float | None:
        return float(values.mean()) if values.notna().any() else None

    return {
        "n": len(aligned),
        "first_word": mean(first),
        **with_interval("first_word", first, interval),
        "cue_words": mean(aligned["f1"]),
        **with_interval("cue_words", aligned["f1"], interval),
        "cue_words_chance": mean(aligned["f1_chance"]),
        "auprc": mean(aligned["auprc"]),
        **with_interval("auprc", aligned["auprc"], interval),
        "auprc_chance": mean(aligned["auprc_chance"]),
        "flip_rate": mean(masked["flip"]),
        "comprehensiveness": mean(masked["comprehensiveness"]),
        "sufficiency": mean(kept["sufficiency"]),
    }


def rank_row(rows: Sequence[Row]) -> Row:
    """Kendall's tau-b of the cue words found and each faithfulness measure.

    References, sets as given, which have other sizes than what is cut, and flagged methods are left out. None where
    fewer than three methods have both, or one of the two is the same for all.
    """
    methods = [
        row
        for row in rows
        if row["kind"] not in REFERENCE_KINDS and row["budget"] != AS_GIVEN and not has_flag(row["flag"])
    ]
    found: Row = {"n_methods": len(methods)}
    for measure, sign in MEASURES.items():
        pairs = [
            (row["cue_words"], sign * row[measure])
            for row in methods
            if row["cue_words"] is not None and row[measure] is not None
        ]
        tau = stats.kendalltau(*zip(*pairs, strict=True)).statistic if len(pairs) > 2 else np.nan
        found[f"tau_{measure}"] = None if np.isnan(tau) else float(tau)
    return found


def collect(cells: Sequence[Cell], results: Path, spec: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
    """The rows of both tables. Raises ``UserError`` for tables that are missing or lack a method."""
    rows, ranks = [], []
    for cell in cells:
        methods = of_cell(spec, cell)["methods"]
        instances = {row.id: row for row in read_instances(results / "corpora" / cell.corpus / "test.parquet")}
        alignment = read_alignment(cell, results, methods)
        faithfulness = read_faithfulness(cell, results, methods)
        predictions = read_predictions(cell, results)
        correct = correctness(predictions)
        collapsed = has_collapsed(predictions, spec["validity"])
        flags = read_flags(cell, results, spec)
        accuracy = float(correct.mean()) if len(correct) else None
        mine = []
        for method in ordered(methods):
            # Scores are cut to the number of cue words; sets have no other size than their own.
            chosen = alignment[(alignment["method"] == method)]
            budget = spec["main_budget"] if spec["main_budget"] in set(chosen["budget"]) else AS_GIVEN
            row = method_row(
                chosen[chosen["budget"] == budget],
                faithfulness[(faithfulness["method"] == method) & (faithfulness["budget"] == budget)],
                hits(read_rationales(cell, results, method), instances),
                spec["interval"],
            )
            about = {"method": method, "kind": methods[method]["kind"], "budget": budget, "accuracy": accuracy}
            about |= {"collapsed": collapsed, "flag": flag_of(method, budget, flags, spec["budgets"])}
            mine.append(vars(cell) | about | row)
        rows += mine
        ranks.append(vars(cell) | rank_row(mine) | {"collapsed": collapsed})
    return rows, ranks


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval calibration", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}] of planted corpora, "methods": {name: entry}, '
        '"budgets": {name: entry}, "main_budget": name, "interval": {"resamples", "seed", "level"}, '
        '"unavailable": {model: [method]}, '
        '"validity": {"max_majority_share", "min_usable_replies", "max_completeness_error"}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the tables")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    cells = [Cell(**cell) for cell in spec["cells"]]
    rows, ranks = collect(cells, args.results, spec)
    inputs = {
        f"{cell.title}: {name}": cell.folder(args.results) / f"{name}.parquet"
        for cell in cells
        for name in ("predictions", "alignment", "faithfulness")
    }
    inputs |= flag_inputs(cells, args.results, spec)
    for cell in cells:
        inputs[f"{cell.corpus}: test"] = args.results / "corpora" / cell.corpus / "test.parquet"
        for method in of_cell(spec, cell)["methods"]:
            inputs[f"{cell.title}: {method}"] = rationales_path(cell, args.results, method)
    made = provenance("calibration", spec, inputs, ("numpy", "pandas", "scipy"))
    write(args.output, "calibration", COLUMNS, rows, made)
    write(args.output, "calibration_ranks", RANK_COLUMNS, ranks, made)
    say(f"{args.output / 'calibration'}: {len(rows)} rows, {len(ranks)} cells")
