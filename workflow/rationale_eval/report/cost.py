"""What the study's jobs took: time and peak memory, from the records that Snakemake keeps of its jobs.

A record is of a job's last run. What that run found in the memo it did not compute again, so that a resumed or repeated
study shows less than it has cost in all.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.report.aggregate import Row
from rationale_eval.report.layout import CELL, Cell
from rationale_eval.report.table_files import write

# `stage`: the job; `part`: the method, side, table or operator that it is about, where there is one job for each;
# `shard`: which of the jobs that share it (`1-of-4`), or the one that puts them together (`merge-of-4`). Names that do
# not apply are empty. `seconds` is wall time, `cpu_seconds` that of all processors, `peak_mb` the largest resident
# memory, in 10^6 bytes.
COST_COLUMNS = (*CELL, "stage", "part", "shard", "seconds", "cpu_seconds", "peak_mb")
# Of Snakemake's records, which count memory in MiB.
MEASURED = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "peak_mb"}
MIB = 2**20 / 1e6
_SHARD = re.compile(r"(\d+|merge)-of-(\d+)")


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


def _of_cell(folder: Path, names: Mapping[str, str], parts: Mapping[str, Collection[str]]) -> Iterator[Row]:
    """The records of one cell below ``folder``; the path says which job each is of.

    ``parts`` names for some stages all that the study asks of them: records of others are of an earlier study. Where a
    job was split into another number of shards before, the records of the last number count.
    """
    jobs: dict[tuple[str, str], dict[str, list[tuple[str, Path]]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        stage, *rest = path.relative_to(folder).with_suffix("").parts
        split = _SHARD.fullmatch(rest[-1]) if rest else None
        if split:
            rest.pop()
        part = "/".join(rest)
        if not part or part in parts.get(stage, {part}):
            shard, count = (split[0], split[2]) if split else ("", "1")
            jobs.setdefault((stage, part), {}).setdefault(count, []).append((shard, path))
    for (stage, part), by_count in jobs.items():
        for shard, path in max(by_count.values(), key=lambda found: max(path.stat().st_mtime_ns for _, path in found)):
            yield {**names, "stage": stage, "part": part, "shard": shard} | record(path)


def cost_rows(spec: Mapping[str, Any], results: Path) -> list[Row]:
    """A row for each job of the study of which there is a record, in the order in which jobs run.

    ``spec``: ``cells``, and the ``methods``, ``attributions`` (tables) and ``operators`` that have jobs of their own.
    """
    cells, folder = [Cell(**cell) for cell in spec["cells"]], results / "benchmarks"
    nothing = dict.fromkeys((*CELL, "part", "shard"), "")
    parts = {"replies": spec["methods"], "rationales": spec["methods"], "attributions": spec["attributions"]}
    parts |= {"perturbations": spec["operators"], "faithfulness": spec["operators"]}
    rows: list[Row] = []
    for corpus in dict.fromkeys(cell.corpus for cell in cells):
        for path in sorted((folder / "corpora" / corpus).glob("*.tsv")):
            rows.append({**nothing, "corpus": corpus, "stage": "corpus", "part": path.stem} | record(path))
    for model in dict.fromkeys(cell.model for cell in cells):
        if (path := folder / "models" / f"{model}.tsv").exists():
            rows.append({**nothing, "model": model, "stage": "model"} | record(path))
    # All checkpoints on the way to the study's, which need not be its own.
    for corpus, model in dict.fromkeys((cell.corpus, cell.model) for cell in cells):
        for path in sorted((folder / corpus / model / "checkpoints").glob("*.tsv")):
            names = {"corpus": corpus, "model": model, "checkpoint": path.stem}
            rows.append({**nothing, **names, "stage": "finetune"} | record(path))
    for cell in cells:
        rows += _of_cell(cell.folder(folder), vars(cell), parts)
    return rows


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval cost", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "methods": names, "attributions": names of tables, '
        '"operators": names}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder for the table")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    rows = cost_rows(spec, args.results)
    write(args.output, "cost", COST_COLUMNS, rows, provenance("cost", spec, {}, ("pandas",)))
    say(f"{args.output}: records of {len(rows)} jobs")
