"""Whether the results of a study are what its configuration and their own inputs would make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from rationale_eval.checks.finding import OK, PROBLEM, Finding
from rationale_eval.provenance import sha256_file
from rationale_eval.study import StudyPlan
from rationale_eval.study_records import Made, expected, record_of, rules_of


def results(plan: StudyPlan) -> Iterator[Finding]:
    """A line for each rule whose files are stale, and what mends them; one line where there is none."""
    there = [made for made in expected(plan) if made.path.exists()]
    checksum = cache(sha256_file)
    stale: dict[str, list[tuple[Made, str]]] = {}
    for made in there:
        if why := fault(made, checksum):
            stale.setdefault(made.rule, []).append((made, why))
    where = plan.config.results_dir
    if not stale:
        text = f"{len(there)} files are of this configuration and of the inputs that they name"
        yield Finding(OK, "results", text if there else f"{where}: there are none yet")
        return
    for rule, found in stale.items():
        first, why = found[0]
        yield Finding(PROBLEM, f"rule {rule}", f"{len(found)} files, such as {first.path}: {why}")
    files = [made for found in stale.values() for made, _ in found]
    command = f"snakemake --cores all --forcerun {rules_of(files, plan.config.compute.shards)}"
    yield Finding(PROBLEM, "results", f"{len(files)} of {len(there)} files are stale; {command} makes them anew")


def fault(made: Made, checksum: Callable[[Path], str] = sha256_file) -> str | None:
    """Why a file is not what it should be; None if it is."""
    record = record_of(made.path)
    if record is None:
        return "cannot be read"
    if not made.agrees(record):
        return "made from another configuration"
    for entry in (record.get("inputs") or {}).values():
        path = Path(entry.get("path", ""))
        # A source of several files has one checksum over all, and may have been elsewhere.
        if path.is_file() and checksum(path) != entry.get("sha256"):
            return f"its input {path} has changed since"
    return None
