"""Is every conclusion the same under another way to mask words? One table over the main operator and the others.

For each cell and operator: the flip rate and comprehensiveness of each method at the main budget and of sets as given,
with the method's rank among those that are compared; Kendall's tau-b of these methods' order with that under the main
operator; and prompting against attribution at equal sizes, paired by instance, with its verdict. Compared are methods
that are cut to the main budget: sets as given have other sizes, and only the main operator masks equally many random
words to set them against; references are no contestants. Other operators score rationales alone, chosen by evidence
that no operator touches.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.budgets import AS_GIVEN, MATCHED
from rationale_eval.report.aggregate import Row, by_method, informative, of_method, with_interval
from rationale_eval.report.cell_flags import flag_inputs, read_flags
from rationale_eval.report.cells import faithfulness_path, read_faithfulness, read_predictions
from rationale_eval.report.conclusions import (
    COLLAPSED,
    CONTRAST,
    FEW,
    HIGHER,
    LEVEL,
    LOWER,
    MAIN,
    OPEN,
    RANKING,
    UNUSABLE,
)
from rationale_eval.report.flags import Flags
from rationale_eval.report.layout import CELL, PROMPT, PROMPTING, REFERENCE, Cell, family, of_cell, ordered
from rationale_eval.report.table_files import write
from rationale_eval.report.validity import has_collapsed
from rationale_eval.statistics.comparison import compare
from rationale_eval.statistics.intervals import DIFFERENCE, SHARE

MEASURES = {"flip": SHARE, "comprehensiveness": DIFFERENCE}

# `conclusion` level: `value` is the mean of `measure` over `n` instances, `rank` that of the method (`subject`), 1 the
# highest. ranking: tau-b of `n` methods with their order under the main operator. contrast: prompted method (`subject`)
# minus the mean of the attribution methods at its sizes, with `n_informative` of the `n` instances, see
# `aggregate.can_differ`. `budget`: what methods were cut to (of a ranking:
# those that are cut), or that they were not.
SENSITIVITY_COLUMNS = (
    *(*CELL, "operator", "conclusion", "subject", "measure", "n", "n_informative", "value", "value_low", "value_high"),
    *("rank", "budget", "verdict", "collapsed", "flag"),
)


def levels(values: pd.Series, measure: str, spec: Mapping[str, Any], flags: Flags) -> Iterator[Row]:
    """A row for each method: its mean at the main budget, or as given, and its rank among those compared.

    References, sets as given (their sizes differ) and flagged methods are not compared.
    """
    found, budgets = {}, {}
    for method in ordered(spec["methods"]):
        given = len(mine := of_method(values, method, AS_GIVEN)) > 0
        mine = mine if given else of_method(values, method, spec["main_budget"])
        if len(mine):
            found[method] = mine
            budgets[method] = AS_GIVEN if given else spec["main_budget"]
    compared = {
        method: mine.mean()
        for method, mine in found.items()
        if family(spec["methods"][method]["kind"]) != REFERENCE and method not in flags and budgets[method] != AS_GIVEN
    }
    ranks = pd.Series(compared, dtype=float).rank(ascending=False, method="min")
    for method, mine in found.items():
        row = {"conclusion": LEVEL, "subject": method, "n": len(mine), "value": float(mine.mean())}
        row["budget"] = budgets[method]
        row |= with_interval("value", mine, spec["interval"], MEASURES[measure])
        yield row | {"rank": float(ranks[method]) if method in ranks else None, "flag": flags.get(method)}


def ranking(rows: Sequence[Row], main: Sequence[Row]) -> Row | None:
    """Tau-b of the methods' values with those under the main operator; None where there is no order to compare."""
    first = {row["subject"]: row["value"] for row in main if row["rank"] is not None}
    second = {row["subject"]: row["value"] for row in rows if row["rank"] is not None}
    both = [name for name in first if name in second]
    if len(both) < 2:
        return None
    tau = float(stats.kendalltau([first[name] for name in both], [second[name] for name in both]).statistic)
    value = None if np.isnan(tau) else tau
    return {"conclusion": RANKING, "subject": "methods", "n": len(both), "value": value}


def contrasts(
    values: pd.Series, some: pd.Series, spec: Mapping[str, Any], collapsed: bool, flags: Flags
) -> Iterator[Row]:
    """A row for each matched budget: the prompted method minus the mean of the attribution methods at its sizes.

    ``some`` says by the index of ``values`` what is ``informative``. Flagged attribution methods are left out; of a
    flagged prompted method, and with fewer than ``min_instances`` informative instances, there is no verdict.
    """
    scored = [
        name
        for name, entry in spec["methods"].items()
        if family(entry["kind"]) not in (REFERENCE, PROMPTING) and name not in flags
    ]
    for budget, entry in spec["budgets"].items():
        if entry["kind"] != MATCHED or spec["methods"].get(entry["to"], {}).get("kind") != PROMPT:
            continue
        matched = [found for method in scored if len(found := of_method(values, method, budget))]
        sides = [of_method(some, entry["to"], AS_GIVEN), *(of_method(some, method, budget) for method in scored)]
        if not matched:
            continue
        asked, attributed = of_method(values, entry["to"], AS_GIVEN), pd.concat(matched, axis=1).mean(axis=1)
        differences = (asked - attributed).dropna()
        found = compare([differences.to_numpy()], spec["interval"]) if len(differences) else None
        if found is None:
            continue
        verdict = HIGHER if found.low > 0 else LOWER if found.high < 0 else OPEN
        row = {"conclusion": CONTRAST, "subject": entry["to"], "budget": budget, "n": found.n, "value": found.value}
        told = {name for side in sides for name in side.index[side]} & set(differences.index)
        verdict = FEW if len(told) < spec["min_instances"] else verdict
        verdict = COLLAPSED if collapsed else UNUSABLE if entry["to"] in flags else verdict
        yield row | {
            "n_informative": len(told),
            "value_low": found.low,
            "value_high": found.high,
            "verdict": verdict,
            "flag": flags.get(entry["to"]),
        }


def collect(cells: Sequence[Cell], results: Path, spec: Mapping[str, Any]) -> list[Row]:
    """The rows of the table. Raises ``UserError`` for tables that are missing or lack a method."""
    rows: list[Row] = []
    whole = spec
    for cell in cells:
        spec = of_cell(whole, cell)
        collapsed = has_collapsed(read_predictions(cell, results), spec["validity"])
        names = {"corpus": cell.corpus, "model": cell.model, "checkpoint": cell.checkpoint, "collapsed": collapsed}
        flags = read_flags(cell, results, spec)
        main: dict[str, list[Row]] = {}
        for operator in (None, *spec["operators"]):
            frame = read_faithfulness(cell, results, spec["methods"], operator)
            for measure in MEASURES:
                values = by_method(frame, measure)
                mine = list(levels(values, measure, spec, flags))
                order = ranking(mine, main.setdefault(measure, mine))
                orders = [] if order is None else [order | {"budget": spec["main_budget"]}]
                found = [*mine, *orders, *contrasts(values, informative(frame, measure), spec, collapsed, flags)]
                rows += [names | {"operator": operator or MAIN, "measure": measure} | row for row in found]
    return rows


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval sensitivity", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, "budgets": {name: entry}, '
        '"main_budget": name, "operators": {name: entry}, "interval": {"resamples", "seed", "level"}, '
        '"min_instances": how many informative instances a verdict needs, '
        '"unavailable": {model: [method]}, '
        '"validity": {"max_majority_share", "min_usable_replies", "max_completeness_error"}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the tables")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    cells = [Cell(**cell) for cell in spec["cells"]]
    inputs = {f"{cell.title}: predictions": cell.folder(args.results) / "predictions.parquet" for cell in cells}
    inputs |= flag_inputs(cells, args.results, spec)
    for operator in (None, *spec["operators"]):
        name = "faithfulness" if operator is None else f"faithfulness by {operator}"
        inputs |= {f"{cell.title}: {name}": faithfulness_path(cell, args.results, operator) for cell in cells}
    rows = collect(cells, args.results, spec)
    made = provenance("sensitivity", spec, inputs, ("numpy", "pandas", "scipy"))
    write(args.output, "sensitivity", SENSITIVITY_COLUMNS, rows, made)
    say(f"{args.output / 'sensitivity'}: {len(rows)} rows")
