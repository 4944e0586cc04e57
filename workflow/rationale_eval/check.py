"""Whether a study can be run from here, before hours are spent: environment, sources and cluster on one screen.

Each line is ok, a warning or a problem, with what to do. Nothing is fetched, sent or written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from rationale_eval.checks import environment
from rationale_eval.checks.finding import PROBLEM, WARNING, Finding
from rationale_eval.config_files import add_arguments, merged
from rationale_eval.errors import UserError

LOCK = Path("envs/requirements.txt")


def _show(findings: Iterable[Finding]) -> list[str]:
    """Print a line for each as it is found; the levels."""
    levels: list[str] = []
    for level, what, text in findings:
        levels.append(level)
        print(f"{level:<8}  {what:<30}  {text}", flush=True)
    return levels


def main(argv: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="rationale_eval check", description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--results", action="store_true", help="only whether the results are of this configuration and of their inputs"
    )
    args = parser.parse_args(argv)
    if count := _show([environment.python(), environment.packages(LOCK)]).count(PROBLEM):
        raise UserError(f"{count} problem(s) to be solved before anything else can be looked at")
    # Not before: these need the packages.
    from rationale_eval.checks.results import results
    from rationale_eval.checks.study import findings

    plan = merged(args.configfile, args.config)
    print(f"\n{plan.study.title}\n")
    levels = _show(results(plan) if args.results else findings(plan))
    if args.results:
        if PROBLEM in levels:
            raise UserError("the results are not those of this study")
        return
    if count := levels.count(PROBLEM):
        raise UserError(f"{count} problem(s) to be solved before this study can run")
    warned = levels.count(WARNING)
    print(f"\nready, with {warned} warning(s)" if warned else "\nready")
