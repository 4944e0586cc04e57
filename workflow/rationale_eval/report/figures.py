"""Draw the study's figures from its tables, as SVG, PDF and PNG: by method, epoch, and against accuracy and collapse.

Repeated runs write the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.report.course_figures import collapse_figure, trajectory_figure
from rationale_eval.report.drawing import STYLE, save
from rationale_eval.report.layout import read_card, read_summary
from rationale_eval.report.marked import said_of
from rationale_eval.report.method_figures import alignment_figure, faithfulness_figure, matched_figure
from rationale_eval.tables import read_provenance


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval figures", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"methods": {name: entry}, "main_budget": name}')
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the report's tables")
    parser.add_argument(
        "--results", type=Path, required=True, help="the folder of the results, for the corpora's cards"
    )
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the figures")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    methods, budget = spec["methods"], spec["main_budget"]
    alignment = read_summary(args.tables / "alignment.parquet")
    faithfulness = read_summary(args.tables / "faithfulness.parquet")
    accuracy = read_summary(args.tables / "accuracy.parquet")
    if budget not in set(alignment["budget"]):
        found = sorted(set(alignment["budget"]))
        raise UserError(f"{args.tables / 'alignment.parquet'}: has no row of the main budget {budget!r}, only {found}")
    trajectory = read_summary(args.tables / "trajectory.parquet")
    asked = read_provenance(args.tables / "alignment.parquet")["spec"]
    level = asked["interval"]["level"]
    cards = {name: read_card(args.results / "corpora" / name) for name in alignment["corpus"].unique()}
    marked = said_of(card["marked_by"] for card in cards.values())
    with mpl.rc_context(STYLE):
        drawn = {
            "alignment": alignment_figure(alignment, methods, budget, level, cards),
            "faithfulness": faithfulness_figure(faithfulness, accuracy, methods, budget, level, marked),
            "matched": matched_figure(alignment, methods, asked["budgets"], level),
            "trajectory": trajectory_figure(trajectory, methods, budget, marked),
            "collapse": collapse_figure(faithfulness, methods, budget),
        }
        for name, figure in drawn.items():
            save(figure, args.output / name)
    say(f"{args.output}: {', '.join(drawn)}, as SVG, PDF and PNG")
