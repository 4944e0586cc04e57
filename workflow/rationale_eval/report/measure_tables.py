"""Collect what belongs to orders of words, and measures between random and all words, into two tables of the report.

`faithfulness_curves` has a row for each method that orders all words, `faithfulness_normalised` one for each method and
budget. Each is written as Parquet and as CSV; every mean is over instances, samples averaged within them first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rationale_eval.faithfulness.schema import LEAST_RANGE, NORMALISED
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.aggregate import Row, instance_means, n_informative, status_counts, with_interval
from rationale_eval.report.belonging import check_belonging
from rationale_eval.report.cell_flags import flag_inputs, read_flags
from rationale_eval.report.cells import read_curves, read_faithfulness, read_predictions
from rationale_eval.report.flags import flag_of
from rationale_eval.report.layout import CELL, Cell, by_definition, of_cell, ordered
from rationale_eval.report.table_files import write
from rationale_eval.report.validity import has_collapsed
from rationale_eval.statistics.intervals import DIFFERENCE, SHARE
from rationale_eval.statistics.rare import few_differ
from rationale_eval.statistics.resampling import resampled_means

# Measures of orders and where their values lie.
CURVE_MEASURES = {
    "aopc_comprehensiveness": DIFFERENCE,
    "aopc_sufficiency": DIFFERENCE,
    "deletion_auc": SHARE,
    "insertion_auc": SHARE,
    "words_to_flip": SHARE,
    "leave_one_out_tau": DIFFERENCE,
}


def _estimate(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


# `points`, `aopc_thresholds`: means of their numbers. Each measure is over its own `n_…` instances; `words_to_flip` is
# over those in which some point flips, `flips` is their share of the instances with curves.
CURVE_COLUMNS = (
    *(*CELL, "method", "kind", "instances", "points", "aopc_thresholds", "flips"),
    *(column for name in CURVE_MEASURES for column in (f"n_{name}", *_estimate(name))),
    *("collapsed", "flag"),
)
# `…_normalised`: the ratio of the means of (rationale - random words) and of (best - random words), over `n_…`
# instances in which all three are known; null where the denominator is not above 0 by its interval. `n_…_range`: the
# instances that have a normalised value of their own, `n_…_informative`: those of the n in which the words could have
# been others. `…_random` and its interval: what equally many random words do.
NORMALISED_COLUMNS = (
    *(*CELL, "method", "kind", "budget", "instances", "n_log_odds_drop", *_estimate("log_odds_drop")),
    *("flip_all", "comprehensiveness_all"),
    *(
        column
        for name in NORMALISED
        for column in (
            *(f"n_{name}", f"n_{name}_informative", *_estimate(f"{name}_random")),
            *(*_estimate(f"{name}_normalised"), f"n_{name}_range"),
        )
    ),
    *("collapsed", "flag"),
)
COLUMNS = {"faithfulness_curves": CURVE_COLUMNS, "faithfulness_normalised": NORMALISED_COLUMNS}


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if values.notna().any() else None


def _with_mean(name: str, values: pd.Series, interval: Mapping[str, Any], bounds: tuple[float, float] | None) -> Row:
    found = {f"n_{name}": len(values), name: _mean(values)}
    return found | with_interval(name, values, interval, bounds)


def curves_row(frame: pd.DataFrame, interval: Mapping[str, Any]) -> Row | None:
    """The row of one method in one cell; None where nothing of an order was measured."""
    if frame[list(CURVE_MEASURES)].isna().all(axis=None):
        return None
    row = status_counts(frame)
    for name in ("points", "aopc_thresholds", "flips"):
        row[name] = _mean(instance_means(frame, name, (name,))[name])
    for name, bounds in CURVE_MEASURES.items():
        row |= _with_mean(name, instance_means(frame, name, (name,))[name], interval, bounds)
    return row


def ratio(reached: np.ndarray, reach: np.ndarray, interval: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """The ratio of two means, one value of each per instance, with its percentile bootstrap interval.

    Where few values of ``reached`` differ from the rest resamples say too little, and it is ``_rare_ratio``. None with
    fewer than two instances, and where the mean of ``reach`` is not above ``LEAST_RANGE`` in all but the resamples
    outside of the interval's level: the ratio would have no bounds.
    """
    if len(reach) < 2:
        return None
    tail = (1 - interval["level"]) / 2
    below = resampled_means([reach], interval)
    if reach.mean() < LEAST_RANGE or np.quantile(below, tail) < LEAST_RANGE:
        return None
    if few_differ([reached]):
        low, high = _rare_ratio(reached, reach, interval)
    else:
        above = resampled_means([reached], interval)  # the same instances in each resample
        low, high = np.quantile(above / np.maximum(below, LEAST_RANGE), [tail, 1 - tail])
    return float(reached.mean() / reach.mean()), float(low), float(high)


def _rare_ratio(reached: np.ndarray, reach: np.ndarray, interval: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of an interval of the ratio of two means in the manner of Gaffke's bounds (see ``statistics.rare``).

    One more instance has the most extreme values that go together: where random words take all of the probability
    (reached -1, reach 0 or -1), and where they take none of it and the rationale all (reached 1, reach 0).
    """
    weights = np.random.default_rng(interval["seed"]).standard_exponential((interval["resamples"], len(reached) + 1))
    weights /= weights.sum(axis=1, keepdims=True)
    above, below, spare = weights[:, :-1] @ reached, weights[:, :-1] @ reach, weights[:, -1]
    lowest = np.minimum(*((above - spare) / np.maximum(one, LEAST_RANGE) for one in (below, below - spare)))
    tail = (1 - interval["level"]) / 2
    highest = (above + spare) / np.maximum(below, LEAST_RANGE)
    return float(np.quantile(lowest, tail)), float(np.quantile(highest, 1 - tail))


def normalised_row(frame: pd.DataFrame, interval: Mapping[str, Any], kind: str = "") -> Row:
    """The row of one method of this ``kind`` at one budget in one cell."""
    row = status_counts(frame)
    row |= _with_mean(
        "log_odds_drop", instance_means(frame, "log_odds_drop", ("log_odds_drop",))["log_odds_drop"], interval, None
    )
    for name in ("flip_all", "comprehensiveness_all"):
        row[name] = _mean(instance_means(frame, name, (name,))[name])
    for name in NORMALISED:
        values = frame.assign(best=0.0 if name == "sufficiency" else frame[f"{name}_all"])
        known = values[values[[name, f"{name}_random", "best"]].notna().all(axis=1)]
        found = known.groupby("id", sort=False)[[name, f"{name}_random", "best"]].mean().astype(float)
        random = found[f"{name}_random"]
        row |= {f"n_{name}": len(found), f"n_{name}_informative": n_informative(known, name)}
        row |= {f"{name}_random": _mean(random)}
        row |= with_interval(f"{name}_random", random, interval, SHARE if name == "flip" else DIFFERENCE)
        # A sufficiency is a loss, of which nothing is best: numerator and denominator change their signs.
        sign = -1.0 if name == "sufficiency" else 1.0
        reached, reach = (sign * (found[one] - random) for one in (name, "best"))
        estimate = ratio(reached.to_numpy(), reach.to_numpy(), interval) or (None, None, None)
        row |= dict(zip(_estimate(f"{name}_normalised"), estimate, strict=True))
        if by_definition(kind, f"{name}_normalised") and len(found):
            row |= dict(zip(_estimate(f"{name}_normalised"), (0.0, None, None), strict=True))
        row[f"n_{name}_range"] = frame.loc[frame[f"{name}_normalised"].notna(), "id"].nunique()
    return row


def collect(cells: Sequence[Cell], results: Path, spec: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The rows of both tables by name. Raises ``UserError`` for tables that are missing or lack a method."""
    rows: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    whole = spec
    for cell in cells:
        spec = of_cell(whole, cell)
        names: Row = {"corpus": cell.corpus, "model": cell.model, "checkpoint": cell.checkpoint}
        names["collapsed"] = has_collapsed(read_predictions(cell, results), spec["validity"])
        curves = dict(iter(read_curves(cell, results, spec["methods"]).groupby("method", sort=False)))
        measured = dict(
            iter(read_faithfulness(cell, results, spec["methods"]).groupby(["method", "budget"], sort=False))
        )
        flags = read_flags(cell, results, spec)
        for method in ordered(spec["methods"]):
            about = names | {"method": method, "kind": spec["methods"][method]["kind"]}
            found = curves_row(curves[method], spec["interval"])
            if found is not None:
                rows["faithfulness_curves"].append(about | found | {"flag": flags.get(method)})
            for budget in (*spec["budgets"], AS_GIVEN):
                if (method, budget) in measured:
                    row = normalised_row(measured[method, budget], spec["interval"], about["kind"])
                    flag = {"flag": flag_of(method, budget, flags, spec["budgets"])}
                    rows["faithfulness_normalised"].append(about | {"budget": budget} | row | flag)
    return rows


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval measure_tables", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, "budgets": {name: entry}, '
        '"unavailable": {model: [method]}, "interval": {"resamples", "seed", "level"}, '
        '"validity": {"max_majority_share", "min_usable_replies", "max_completeness_error"}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the tables")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    cells = [Cell(**cell) for cell in spec["cells"]]
    inputs = {
        f"{cell.title}: {name}": cell.folder(args.results) / f"{name}.parquet"
        for cell in cells
        for name in ("predictions", "curves", "faithfulness")
    }
    inputs |= flag_inputs(cells, args.results, spec)
    check_belonging(inputs.values(), args.results)
    made = provenance("measure_tables", spec, inputs, ("numpy", "pandas", "scipy"))
    for name, rows in collect(cells, args.results, spec).items():
        write(args.output, name, COLUMNS[name], rows, made)
        say(f"{args.output / name}: {len(rows)} rows")
