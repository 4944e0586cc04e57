"""Shards in real runs: which jobs there are, what they compute, and that their number re-runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from same_tables import columns, differences, provenance

from .conftest import CELL, Workspace

pytestmark = pytest.mark.xdist_group("finished")

SHARDED = {"evidence": 2, "replies": 4, "perturb": 2}  # jobs without shards
PREDICTIONS = f"{CELL}/predictions.parquet"


def test_jobs_that_ask_a_model_are_split_and_merged(fresh: Workspace, tmp_path: Path) -> None:
    workspace = fresh.copy(tmp_path / "project")
    whole = workspace.due()
    workspace.edit("config.yaml", "shards: 1", "shards: 3")
    split = {f"{rule}_shard": 3 * count for rule, count in SHARDED.items()}
    merged = {f"{rule}_merge": count for rule, count in SHARDED.items()}
    assert workspace.due() == {
        **{rule: count for rule, count in whole.items() if rule not in SHARDED},
        **split,
        **merged,
    }


def test_shards_find_what_one_job_has_computed(study: Workspace, finished: Workspace) -> None:
    (study.folder / PREDICTIONS).unlink()
    study.edit("config.yaml", "shards: 1", "shards: 2")
    assert study.due("--", PREDICTIONS) == {"evidence_shard": 2, "evidence_merge": 1}
    study.snakemake("--", PREDICTIONS)
    for shard in ("1-of-2", "2-of-2"):
        assert study.computed(f"shards/{shard}/evidence") == (6, 0)
    assert columns(study.folder / PREDICTIONS) == columns(finished.folder / PREDICTIONS)
    assert provenance(study.folder / PREDICTIONS) == provenance(finished.folder / PREDICTIONS)
    assert not list((study.folder / CELL / "shards").rglob("*.parquet"))
    # Where the table of costs looks for what jobs took.
    records = {path.name for path in (study.folder / CELL.replace("/", "/benchmarks/", 1) / "evidence").iterdir()}
    assert records == {"1-of-2.tsv", "2-of-2.tsv", "merge-of-2.tsv"}
    # Another number of shards, or none, re-runs nothing of it.
    for before, after in (("shards: 2", "shards: 7"), ("shards: 7", "shards: 1")):
        study.edit("config.yaml", before, after)
        assert study.due("--", PREDICTIONS) == {}


@pytest.mark.long
def test_a_study_in_shards_ends_in_the_same_report(fresh: Workspace, finished: Workspace, tmp_path: Path) -> None:
    workspace = fresh.copy(tmp_path / "project")
    workspace.edit("config.yaml", "shards: 1", "shards: 3")
    workspace.snakemake()
    tables = sorted((finished.folder / "results-smoke").rglob("*.parquet"))
    tables = [table for table in tables if table.name != "cost.parquet"]
    assert len(tables) > 40
    different = {}
    for table in tables:
        path = table.relative_to(finished.folder)
        different[path] = differences(workspace.folder / path, table)
    assert {path: names for path, names in different.items() if names} == {}
    workspace.edit("config.yaml", "shards: 3", "shards: 1")
    assert workspace.due() == {}
