"""What the study's jobs took: time and peak memory, from the records that Snakemake keeps of its jobs.

A record is of a job's last run. What that run found in the memo it did not compute again, so that a resumed or repeated
study shows less than it has cost in all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.report.aggregate import Row
from rationale_eval.report.layout import CELL, Cell
from rationale_eval.report.table_files import write

# `stage`: the job; `part`: the method, side or operator that it is about, where there is one job for each. Names that
# do not apply are empty. `seconds` is wall time, `cpu_seconds` that of all processors, `peak_mb` the largest resident
# memory, in 10^6 bytes.
COST_COLUMNS = (*CELL, "stage", "part", "seconds", "cpu_seconds", "peak_mb")
# Of Snakemake's records, which count memory in MiB.
MEASURED = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "peak_mb"}
MIB = 2**20 / 1e6


def record(path: Path) -> Row:
    """The measures of one record (TSV); None for what Snakemake could not measure. Raises ``UserError`` if it is none.

    A job of well under a second has no measure of memory.
    """
    try:
        last = pd.read_csv(path, sep="\t").iloc[-1]
        found = {name: pd.to_numeric(last[column], errors="coerce") for column, name in MEASURED.items()}
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"{path}: no record of a job by Snakemake ({error}); delete it") from None
    found["peak_mb"] *= MIB
    return {name: None if pd.isna(value) else float(value) for name, value in found.items()}


def _below(folder: Path, names: Mapping[str, str], stage: str | None = None) -> Iterator[Row]:
    """The records below ``folder``; the path says which job each is of."""
    for path in sorted(folder.rglob("*.tsv")):
        first, *rest = path.relative_to(folder).with_suffix("").parts
        parts = (first, *rest) if stage else rest
        yield {**names, "stage": stage or first, "part": "/".join(parts)} | record(path)


def cost_rows(spec: Mapping[str, Any], results: Path) -> list[Row]:
    """A row for each job of the study of which there is a record, in the order in which jobs run."""
    cells, folder = [Cell(**cell) for cell in spec["cells"]], results / "benchmarks"
    nothing = dict.fromkeys(CELL, "")
    rows: list[Row] = []
    for corpus in dict.fromkeys(cell.corpus for cell in cells):
        rows += _below(folder / "corpora" / corpus, nothing | {"corpus": corpus}, "corpus")
    for model in dict.fromkeys(cell.model for cell in cells):
        if (path := folder / "models" / f"{model}.tsv").exists():
            rows.append({**nothing, "model": model, "stage": "model", "part": ""} | record(path))
    # All checkpoints on the way to the study's, which need not be its own.
    for corpus, model in dict.fromkeys((cell.corpus, cell.model) for cell in cells):
        for path in sorted((folder / corpus / model / "checkpoints").glob("*.tsv")):
            names = {"corpus": corpus, "model": model, "checkpoint": path.stem}
            rows.append({**names, "stage": "finetune", "part": ""} | record(path))
    for cell in cells:
        rows += _below(cell.folder(folder), vars(cell))
    return rows


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval cost", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"cells": [{"corpus", "model", "checkpoint"}]}')
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder for the table")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    rows = cost_rows(spec, args.results)
    write(args.output, "cost", COST_COLUMNS, rows, provenance("cost", spec, {}, ("pandas",)))
    say(f"{args.output}: records of {len(rows)} jobs")
