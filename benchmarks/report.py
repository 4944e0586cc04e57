"""The stages that make the report: seconds and highest memory of each, in a process of its own.

    python benchmarks/report.py                                        a made-up cell: 3,000 instances of 20 methods
    python benchmarks/report.py --results results [--configfile FILE]  a study that was run, from its tables

The report is written to a folder that is gone afterwards; the study is only read. The made-up tables are those of
benchmarks/explorer.py, with orders of words and provenance beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests"), str(ROOT / "benchmarks")]

Stage = tuple[str, str, list[str]]


def stages_of(specs: dict[str, str], results: Path, report: Path) -> Iterator[Stage]:
    """Name, spec and further arguments of each stage, in their order."""
    reads, tables = ["--results", str(results)], ["--tables", str(report / "tables")]
    claims = ["--claims", str(report / "claims.json")]
    figures = ["--figures", str(report / "figures")]
    into_tables = ["--output", str(report / "tables")]
    for name in ("tables", "measure_tables", "sensitivity", "calibration", "cost"):
        if name in specs:
            yield name, specs[name], [*reads, *into_tables]
    yield "claims", specs["claims"], [*reads, *tables, "--output", str(report / "claims.json")]
    yield "latex", specs["latex"], [*tables, *claims, *into_tables]
    yield "latex_examples", specs["latex_examples"], [*reads, *tables, "--output", str(report / "examples.tex")]
    yield "figures", specs["figures"], [*reads, *tables, "--output", str(report / "figures")]
    yield "explorer", specs["explorer"], [*reads, "--output", str(report / "explorer.html")]
    yield "page", specs["page"], [*reads, *tables, *figures, *claims, "--output", str(report / "index.html")]


def measured(stage: Stage) -> tuple[float, float]:
    """Seconds and megabytes (10^6 bytes) of one stage."""
    name, spec, arguments = stage
    command = [sys.executable, "-m", "rationale_eval", name, "--spec", spec, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    start = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as job:
        _, status, usage = os.wait4(job.pid, 0)
        job.returncode = os.waitstatus_to_exitcode(status)
    if job.returncode:
        raise SystemExit(f"{name} failed")
    return time.monotonic() - start, usage.ru_maxrss * 1024 / 1e6


def specs_of_study(configfiles: list[Path]) -> dict[str, str]:
    """The slices of a configured study."""
    from rationale_eval.config_files import merged

    plan = merged(configfiles)
    names = ["tables", "measure_tables", "cost", "claims", "figures", "page", "explorer", "latex_examples"]
    names += ["sensitivity"] if plan.study.operators else []
    names += ["calibration"] if plan.planted_cells else []
    specs = {name: getattr(plan.report, name)() for name in names}
    known = ["accuracy", "labels", "alignment", "faithfulness", "splits", "prompting", "agreement", "completeness"]
    known += ["positions", "trajectory", "faithfulness_curves", "faithfulness_normalised", "cost", "claims"]
    return specs | {"latex": plan.report.latex(known)}


def complete(results: Path, cell: tuple[str, str, str], methods: dict[str, Any]) -> None:
    """What else the report reads: the corpus's card with its train rows, and orders of words."""
    from explorer import MADE
    from rationale_eval.corpora import card
    from rationale_eval.corpora.instances import read_instances, write_instances
    from rationale_eval.faithfulness.schema import CURVES, NO_ORDER
    from rationale_eval.tables import write_table

    folder = results / "corpora" / cell[0]
    instances = read_instances(folder / "test.parquet")
    write_instances(folder / "train.parquet", instances[:100], MADE)
    about: dict[str, Any] = dict.fromkeys(("description", "annotation", "licence", "privacy", "citation"), "made up")
    spec = json.dumps(about | {"name": cell[0], "caveats": [], "marked_by": "construction"})
    sides = ["--train", str(folder / "train.parquet"), "--test", str(folder / "test.parquet")]
    card.main(["--spec", spec, *sides, "--card", str(folder / "card.json")])
    draw = random.Random(1)
    rows = []
    for method in methods:
        for one in instances:
            known = {"id": one.id, "method": method, "sample": 0, "words": len(one.words)}
            if methods[method]["kind"] == "gradients":
                measures: dict[str, Any] = {name: draw.random() for name in CURVES.columns.names[6:]}
                known |= measures | {"flips": draw.random() < 0.5, "points": 6, "aopc_thresholds": 5, "status": "ok"}
            else:
                known |= dict.fromkeys(CURVES.columns.names[5:]) | {"status": NO_ORDER}
            rows.append(known)
    write_table(results.joinpath(*cell) / "curves.parquet", rows, CURVES, MADE)


def made_up(results: Path, count: int, words: int) -> dict[str, str]:
    """A made-up study of one cell in ``results``; its slices."""
    import explorer
    import report_trees
    from rationale_eval.tables import write_json

    explorer.write_study(results, count, words)
    complete(results, explorer.CELL, explorer.spec()["methods"])
    card = {"source": {"path": "none"}, "architecture": None}
    write_json(results / "models" / explorer.CELL[1] / "card.json", card)
    spec = explorer.spec()
    shared = {"interval": report_trees.INTERVAL, "validity": report_trees.VALIDITY, "unavailable": {"none": []}}
    compared = spec | shared | {"claims": report_trees.CLAIMS, "operators": {}, "planted": False}
    compared |= {"attributions": [], "marked_by": {explorer.CELL[0]: "construction"}}
    compared |= {"tasks": {explorer.CELL[0]: report_trees.PROMPT}, "level": 0.95, "tables": ["alignment", "claims"]}
    compared |= {"models": {explorer.CELL[1]: {"licence": "", "citation": ""}}}
    names = ("tables", "measure_tables", "cost", "claims", "latex", "latex_examples", "figures", "explorer", "page")
    return dict.fromkeys(names, json.dumps(compared))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="the results of a study")
    parser.add_argument("--configfile", type=Path, nargs="*", default=[], help="of the study, over config.yaml")
    parser.add_argument("--instances", type=int, default=3000)
    parser.add_argument("--words", type=int, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results: Path = args.results or Path(folder) / "results"
        # In a process of its own: a job's highest memory starts at that of the process that starts it.
        with get_context("spawn").Pool(1) as apart:
            if args.results is None:
                specs = apart.apply(made_up, (results, args.instances, args.words))
            else:
                specs = apart.apply(specs_of_study, (args.configfile,))
        seconds, highest = 0.0, 0.0
        for stage in stages_of(specs, results, Path(folder) / "report"):
            took, held = measured(stage)
            seconds, highest = seconds + took, max(highest, held)
            print(f"{stage[0]:<16}{took:8.1f} s{held:10.0f} MB", flush=True)
    print(f"{'all':<16}{seconds:8.1f} s{highest:10.0f} MB at most")


if __name__ == "__main__":
    main()
