"""Write the report's tables as LaTeX for a paper: of each what fits a page, the best in bold; all is in the CSV."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rationale_eval.progress import say
from rationale_eval.report.latex import head, write_floats
from rationale_eval.report.latex_claims import claims
from rationale_eval.report.latex_grids import GRIDS, course_grids, grids
from rationale_eval.report.latex_short import SHORT
from rationale_eval.report.layout import read_claims, read_summary


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval latex", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"tables": [name], "methods": {name: {"kind"}}, "main_budget": name, '
        '"budgets": {name: entry} with that one, "level": of the intervals, '
        '"marked_by": {corpus: who marked its words}}',
    )
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the report's tables")
    parser.add_argument("--claims", type=Path, required=True, help="what came of the claims (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the LaTeX files")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    for name in spec["tables"]:
        if name == "claims":
            floats = claims(read_claims(args.claims))
        else:
            table = read_summary(args.tables / f"{name}.parquet")
            if name in GRIDS:
                floats = grids(name, table, spec)
            else:
                floats = course_grids(table, spec) if name == "trajectory" else SHORT[name](table, spec)
        about = [f"A selection; all columns and rows are in {name}.csv."]
        write_floats(args.output / f"{name}.tex", head(f"{name}.tex", about, ["booktabs"]), floats)
    say(f"{args.output}: {', '.join(spec['tables'])}, as LaTeX")
