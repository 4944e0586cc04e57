"""Test the claims of the paper on the study: results/report/claims.json, and a table with a row for each verdict.

What is tested stands in ``registry``, the same for every study; a claim that needs what the study lacks is not tested,
and says so.
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
from rationale_eval.claims.ranking import of_ranking, rankings
from rationale_eval.claims.registry import (
    ASSOCIATION,
    CLAIMS,
    DIFFERENCE,
    EXISTENCE,
    HIGHER,
    NON_SUPERIORITY,
    RANKING,
    UNITS,
    Claim,
    claimed_words,
    contrast_words,
)
from rationale_eval.claims.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    Row,
    decisive,
    existence_p,
    judge,
    of_existence,
    verdict_of,
)
from rationale_eval.home_paths import without_home
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.report.belonging import check_belonging
from rationale_eval.report.cell_flags import flag_inputs
from rationale_eval.report.layout import BEYOND, CELL, Cell
from rationale_eval.report.measured import Measured, read_measured
from rationale_eval.report.table_files import write
from rationale_eval.report.wording import percent_with_interval
from rationale_eval.statistics.comparison import holm
from rationale_eval.statistics.intervals import proportion_interval
from rationale_eval.tables import write_json

POOLED = "(pooled)"
# `decides`: whether the claim's verdict rests on this row, whose `p_corrected` is corrected over all claims; that of
# other rows over the cells of the claim.
COLUMNS = ("claim", "version", "kind", "measure", *CELL, "decides", *VALUES)


def _described(claim: Claim, spec: Mapping[str, Any]) -> Row:
    unit = UNITS[claim.measure] if claim.kind not in (ASSOCIATION, RANKING) else "Kendall's tau-b"
    return {
        **{"name": claim.name, "version": claim.version, "text": claim.text, "kind": claim.kind},
        **{"measure": claim.measure, "unit": unit, "contrast": contrast_words(claim)},
        "claimed": claimed_words(claim, spec["claims"]["margins"]),
        "margin": spec["claims"]["margins"][claim.measure] if claim.kind == NON_SUPERIORITY else None,
        **{"terms": [], "methods": [], "pooled": None, "decisive": None, "cells": [], "reason": ""},
    }


def test(claim: Claim, cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> Row:
    """A claim with what the study says of it in each corpus with each model, and pooled; the pooled row is not judged.

    Holm's correction of the cells is over the cells of the claim.
    """
    found = _described(claim, spec)
    try:
        if claim.measure == BEYOND and all(here.values[BEYOND].empty for here in cells.values()):
            raise NotTestedError("no random words were masked to compare flips with (faithfulness.random_seeds)")
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
    rows = [cell_row(part, claim, spec) for part in parts]
    judge([(claim, row) for row in rows], spec["claims"])
    return found | {"pooled": pooled_row(parts, claim, spec), "cells": rows}


def verdicts(claims: Sequence[Claim], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> list[Row]:
    """Every claim with its verdict, and the row whose numbers it rests on (``decisive``).

    One correction by Holm is over all claims of the study, so that the chance of any false verdict among those that
    rest on a test is ``alpha`` at most.
    """
    found = [test(claim, cells, spec) for claim in claims]
    tested = [(claim, row) for claim, row in zip(claims, found, strict=True) if row["pooled"] is not None]
    corrected = holm([_p(claim, row, spec["claims"]["alpha"]) for claim, row in tested])
    for (claim, row), p in zip(tested, corrected, strict=True):
        settings, pooled = spec["claims"], row["pooled"]
        counted = [cell for cell in row["cells"] if not cell["excluded"]]
        if claim.kind == EXISTENCE and counted and p is not None:
            row["decisive"] = dict(decisive(claim, counted, settings["alpha"]))
            verdict = of_existence(claim, counted, p, settings["alpha"])
            pooled["reason"] = "the claim is of single cells: the pooled contrast decides nothing"
        elif claim.kind == RANKING:
            verdict = of_ranking(pooled, p, settings)
            row["decisive"] = pooled
            if verdict[0] == SUPPORTED:  # a reversal is that of one cell
                titles = {", ".join(cell[name] for name in CELL): cell for cell in row["cells"]}
                row["decisive"] = dict(titles[pooled["reversal_in"]])
                pooled["reason"] = "the order is reversed in a single cell: the pooled correlation decides nothing"
        else:
            row["decisive"] = pooled
            pooled["p_corrected"] = p
            verdict = verdict_of(claim, pooled, settings)
        row["verdict"], row["reason"] = verdict
        row["decisive"] |= {"p_corrected": p if claim.kind != RANKING else None, "verdict": verdict[0]}
    _mind_the_margin(tested, spec)
    for claim, row in tested:
        out = sum(bool(cell["excluded"] or cell.get("floor")) for cell in row["cells"])
        if 0 < out < len(row["cells"]):
            row["reason"] += f"; {out} of {len(row['cells'])} cells have no verdict and are left out"
        if claim.where:
            row["reason"] += f"; {_accuracies(row['cells'], cells, spec['interval']['level'])}"
        row["decisive"] |= {"verdict": row["verdict"], "reason": row["reason"]}
        _follow(row)
    return found


def _accuracies(rows: Sequence[Row], cells: Mapping[Cell, Measured], level: float) -> str:
    """How often the models of ``rows`` are right, in words."""
    found = []
    for row in rows:
        correct = cells[Cell(*(row[name] for name in CELL))].correct
        ends = proportion_interval(int(correct.sum()), len(correct), level)
        right = percent_with_interval(float(correct.mean()), *ends, len(correct))
        found.append(f"{row['corpus']}, {row['model']} is right on {right}")
    return "; ".join(found)


def _follow(row: Row) -> None:
    """Let cells decide no more than their claim, whose verdict alone is corrected over all claims."""
    for cell in row["cells"]:
        alone = cell["verdict"]
        if alone in (SUPPORTED, CONTRADICTED) and alone != row["verdict"]:
            cell["verdict"] = INCONCLUSIVE
            cell["reason"] = f"by itself {alone}, but the claim, corrected over all claims, is {row['verdict']}"


def _p(claim: Claim, row: Row, alpha: float) -> float | None:
    """The p value of a claim before the correction over claims; None without a test."""
    if claim.kind == EXISTENCE:
        counted = [cell for cell in row["cells"] if not cell["excluded"]]
        return existence_p(claim, counted, alpha) if counted else None
    if claim.kind == RANKING:
        return None if row["pooled"]["reversal_p"] is None else float(row["pooled"]["reversal_p"])
    return None if row["pooled"]["excluded"] else row["pooled"]["p"]


def _mind_the_margin(tested: Sequence[tuple[Claim, Row]], spec: Mapping[str, Any]) -> None:
    """Hold the margins of non-superiority against what the same study calls a rise of the same measure.

    A study cannot say of one family that .03 is a rise, and of another that .03 is none: where a supported rise is no
    larger than the margin, "does not rise" is inconclusive; else the smallest such rise is named beside the margin.
    """
    rises = [
        (row["decisive"]["estimate"], claim.measure)
        for claim, row in tested
        if claim.kind == DIFFERENCE and claim.direction == HIGHER and row["verdict"] == SUPPORTED and claim.changes
    ]
    for claim, row in tested:
        known = [rise for rise, measure in rises if measure == claim.measure]
        if claim.kind != NON_SUPERIORITY or row["verdict"] != SUPPORTED or not known:
            continue
        margin, least = spec["claims"]["margins"][claim.measure], min(known)
        if least <= margin:
            row["verdict"] = INCONCLUSIVE
            row["reason"] = f"the margin of {margin:g} is no smaller than the change in a supported claim of a rise"
        row["reason"] += f" (the smallest change in a supported claim of a rise: {least:+.3f})"


def table_rows(found: Sequence[Row]) -> list[Row]:
    """The rows of the table: for each claim its pooled row, then its cells; one row for a claim that is not tested."""
    rows = []
    for claim in found:
        names = {name: claim[name] for name in ("version", "kind", "measure")} | {"claim": claim["name"]}
        pooled = claim["pooled"] or {"verdict": claim["verdict"], "reason": claim["reason"]}
        carrier = claim["decisive"] or pooled
        rows.append(names | dict.fromkeys(CELL, POOLED) | _of(pooled, "corpus" not in carrier))
        for cell in claim["cells"]:
            decides = [cell[name] for name in CELL] == [carrier.get(name) for name in CELL]
            rows.append(names | {name: cell[name] for name in CELL} | _of(carrier if decides else cell, decides))
    return rows


def _of(row: Mapping[str, Any], decides: bool) -> Row:
    return {"decides": decides} | {name: row.get(name) for name in VALUES} | {"n": row.get("n") or 0}


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval claims", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, "budgets": {name: entry}, '
        '"unavailable": {model: [method]}, "main_budget": name, "interval": {"resamples", "seed", "level"}, '
        '"validity": {"max_majority_share", "min_usable_replies", "max_completeness_error"}, '
        '"claims": {"alpha", "margins": {measure: margin}, "min_instances", "same_ranking"}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--tables", type=Path, required=True, help="output: the folder of the report's tables")
    parser.add_argument("--output", type=Path, required=True, help="output: the claims (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    cells = [Cell(**cell) for cell in spec["cells"]]
    measured = {cell: read_measured(cell, args.results, spec) for cell in cells}
    gc.freeze()  # statsmodels collects garbage at each correction: all that is there by now need not be searched
    found = verdicts(CLAIMS, measured, spec)
    inputs = {
        f"{cell.title}: {name}": cell.folder(args.results) / f"{name}.parquet"
        for cell in cells
        for name in ("predictions", "alignment", "faithfulness")
    }
    inputs |= flag_inputs(cells, args.results, spec)
    check_belonging(inputs.values(), args.results)
    made = provenance("claims", spec, inputs, ("numpy", "pandas", "scipy", "statsmodels"))
    write(args.tables, "claims", COLUMNS, table_rows(found), made)
    settings = spec["claims"] | {"level": spec["interval"]["level"], "correction": "Holm"} | spec["validity"]
    write_json(args.output, {"settings": settings, "claims": found, "provenance": without_home(made)})
    counts = Counter(claim["verdict"] for claim in found)
    say(f"{args.output}: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}")
