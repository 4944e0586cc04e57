"""Whether a study can be run from here, before hours are spent: environment, sources and cluster on one screen.

Each line is ok, a warning or a problem, with what to do. Nothing is fetched, sent or written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from rationale_eval.checks import environment
from rationale_eval.checks.cluster import cluster
from rationale_eval.checks.finding import PROBLEM, WARNING, Finding
from rationale_eval.checks.sources import external_files, sources
from rationale_eval.errors import UserError
from rationale_eval.estimate import merged
from rationale_eval.study import StudyPlan

LOCK, PROFILE = Path("envs/requirements.txt"), Path("slurm/config.yaml")


def findings(plan: StudyPlan) -> Iterator[Finding]:
    """All lines for a study, in the order in which they are shown."""
    yield environment.python()
    yield environment.packages(LOCK)
    opened = [plan.opened[name] for name in plan.study.models if name in plan.opened]
    if opened:
        yield from environment.torch(max(model.gpus for model in opened))
        yield environment.memory(plan.config)
    yield from environment.disk(plan.config)
    yield from sources(plan)
    yield from external_files(plan)
    yield from cluster(PROFILE)


def main(argv: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="rationale_eval check", description=__doc__)
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="merged over config.yaml, in this order")
    args = parser.parse_args(argv)
    plan = merged(args.configfile)
    print(f"{plan.study.title}\n")
    levels = []
    for level, what, text in findings(plan):
        levels.append(level)
        print(f"{level:<8}  {what:<30}  {text}", flush=True)
    if count := levels.count(PROBLEM):
        raise UserError(f"{count} problem(s) to be solved before this study can run")
    warned = levels.count(WARNING)
    print(f"\nready, with {warned} warning(s)" if warned else "\nready")
