"""Test the claims of the paper on the study: results/report/claims.json, and a table with a row for each verdict.

What is tested was written down beforehand (``registry``); a claim that needs what the study lacks is not tested, and
says so.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.claims.association import association_row
from rationale_eval.claims.contrasts import NotTestedError, contrasts, resolve
from rationale_eval.claims.estimates import VALUES, cell_row, pooled_row
from rationale_eval.claims.ranking import rankings
from rationale_eval.claims.registry import (
    ASSOCIATION,
    CLAIMS,
    EXISTENCE,
    RANKING,
    TUNED,
    UNITS,
    Claim,
    claimed_words,
    contrast_words,
)
from rationale_eval.claims.verdicts import INCONCLUSIVE, NOT_TESTED, Row, judge, of_existence
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.report.aggregate import Measured, read_measured
from rationale_eval.report.layout import CELL, Cell, epoch_and_seed
from rationale_eval.report.table_files import write
from rationale_eval.tables import write_json

POOLED = "(pooled)"
COLUMNS = ("claim", "version", "kind", "measure", *CELL, *VALUES)


def _described(claim: Claim, spec: Mapping[str, Any]) -> Row:
    unit = UNITS[claim.measure] if claim.kind not in (ASSOCIATION, RANKING) else "Kendall's tau-b"
    return {
        **{"name": claim.name, "version": claim.version, "text": claim.text, "kind": claim.kind},
        **{"measure": claim.measure, "unit": unit, "contrast": contrast_words(claim)},
        "claimed": claimed_words(claim, spec["claims"]["margins"][claim.measure]),
        **{"terms": [], "methods": [], "pooled": None, "cells": [], "reason": ""},
    }


def test(claim: Claim, cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> Row:
    """A claim with what the study says of it in each corpus with each model, and pooled; the pooled row is not judged.

    Holm's correction of the cells is over the cells of the claim.
    """
    found = _described(claim, spec)
    try:
        if claim.kind == RANKING:
            pooled, rows, found["methods"] = rankings(claim, cells, spec)
            return found | {"pooled": pooled, "cells": rows}
        terms = resolve(claim, spec["methods"], spec["budgets"], spec["main_budget"])
        found |= {
            "terms": [vars(term) for term in terms],
            "methods": list(dict.fromkeys(term.method for term in terms)),
        }
        if claim.kind == ASSOCIATION:
            return found | {"pooled": association_row(claim, terms, cells, spec)}
        parts = contrasts(claim, terms, cells, spec)
    except NotTestedError as lack:
        return found | {"verdict": NOT_TESTED, "reason": str(lack)}
    last = max(epoch_and_seed(cell.checkpoint)[0] for cell in cells)
    label = f"epoch {last}" if any(term.checkpoint == TUNED for term in terms) else "base"
    rows = [cell_row(part, claim, spec) | {"checkpoint": label} for part in parts]
    judge([(claim, row) for row in rows], spec["claims"])
    return found | {"pooled": pooled_row(parts, claim, spec), "cells": rows}


def verdicts(claims: Sequence[Claim], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> list[Row]:
    """Every claim with its verdict: that of its pooled row. Holm's correction of these is over all claims."""
    found = [test(claim, cells, spec) for claim in claims]
    tested = [(claim, row) for claim, row in zip(claims, found, strict=True) if row["pooled"] is not None]
    judge([(claim, row["pooled"]) for claim, row in tested if claim.kind not in (RANKING, EXISTENCE)], spec["claims"])
    for claim, row in tested:
        pooled = row["pooled"]
        if claim.kind == EXISTENCE:
            counted = [cell for cell in row["cells"] if not cell["excluded"]]
            verdict = of_existence(counted) if counted else (INCONCLUSIVE, pooled["excluded"])
            pooled["verdict"], pooled["reason"] = verdict
            pooled["p_corrected"] = min((cell["p_corrected"] for cell in counted), default=None)
        out = sum(bool(cell["excluded"]) for cell in row["cells"])
        if 0 < out < len(row["cells"]):
            pooled["reason"] += f"; {out} of {len(row['cells'])} cells have no verdict and are left out"
        row |= {"verdict": pooled["verdict"], "reason": pooled["reason"]}
    return found


def table_rows(found: Sequence[Row]) -> list[Row]:
    """The rows of the table: for each claim its pooled row, then its cells; one row for a claim that is not tested."""
    rows = []
    for claim in found:
        names = {
            "claim": claim["name"],
            "version": claim["version"],
            "kind": claim["kind"],
            "measure": claim["measure"],
        }
        pooled = claim["pooled"] or {"verdict": claim["verdict"], "reason": claim["reason"]}
        rows.append(names | dict.fromkeys(CELL, POOLED) | _of(pooled))
        rows += [names | {name: cell[name] for name in CELL} | _of(cell) for cell in claim["cells"]]
    return rows


def _of(row: Mapping[str, Any]) -> Row:
    return {name: row.get(name) for name in VALUES} | {"n": row.get("n") or 0}


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval claims", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, "budgets": {name: entry}, '
        '"main_budget": name, "interval": {"resamples", "seed", "level"}, "validity": {"max_majority_share"}, '
        '"claims": {"alpha", "margins": {measure: margin}, "min_instances", "same_ranking"}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--tables", type=Path, required=True, help="output: the folder of the report's tables")
    parser.add_argument("--output", type=Path, required=True, help="output: the claims (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    cells = [Cell(**cell) for cell in spec["cells"]]
    measured = {cell: read_measured(cell, args.results, spec["methods"]) for cell in cells}
    gc.freeze()  # statsmodels collects garbage at each correction: all that is there by now need not be searched
    found = verdicts(CLAIMS, measured, spec)
    inputs = {
        f"{cell.title}: {name}": cell.folder(args.results) / f"{name}.parquet"
        for cell in cells
        for name in ("predictions", "alignment", "faithfulness")
    }
    made = provenance("claims", spec, inputs, ("numpy", "pandas", "scipy", "statsmodels"))
    write(args.tables, "claims", COLUMNS, table_rows(found), made)
    settings = spec["claims"] | {"level": spec["interval"]["level"], "correction": "Holm"} | spec["validity"]
    write_json(args.output, {"settings": settings, "claims": found, "provenance": made})
    counts = Counter(claim["verdict"] for claim in found)
    say(f"{args.output}: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}")
