"""What the next start takes for up to date after a run that failed, and in a copy of the project."""

from __future__ import annotations

import shutil

import pytest

from .conftest import CELL, Workspace
from .test_incremental import READ

pytestmark = pytest.mark.xdist_group("finished")


def test_tables_below_a_failed_job_are_not_called_up_to_date(study: Workspace) -> None:
    snippets = study.folder / "smoke/corpus/snippets.tsv"
    whole = snippets.read_text(encoding="utf-8")
    snippets.write_text("", encoding="utf-8")
    # Of both sides the test rows are tried alone, whatever Snakemake would begin with.
    failed = study.try_snakemake("--", f"{CELL}/predictions.parquet")
    assert failed.returncode != 0
    assert "error: " in failed.stdout
    assert "note: " not in failed.stdout
    assert study.due() == READ
    assert study.due("--", f"{CELL}/alignment.parquet")["alignment"] == 1
    # With its cause gone too: what lies below the missing table is older than the attempt to make it. The table of the
    # train rows is there, and of this content.
    snippets.write_text(whole, encoding="utf-8")
    assert study.due() == {rule: jobs for rule, jobs in (READ | {"corpus": 1}).items() if rule != "finetune"}
    assert study.due("--", f"{CELL}/alignment.parquet")["alignment"] == 1
    output = study.snakemake("--", f"{CELL}/predictions.parquet")
    assert "are older than an attempt to make their inputs, which did not succeed" in output
    # Only what this target needed was made; the rest of the study is still due.
    assert study.due("--", f"{CELL}/predictions.parquet") == {}
    assert study.due("--", f"{CELL}/alignment.parquet")["alignment"] == 1


def test_a_copy_with_new_times_has_nothing_to_do(study: Workspace, tmp_path) -> None:
    copy = Workspace(tmp_path / "copy", study.config)
    shutil.copytree(study.folder, copy.folder, symlinks=True, copy_function=shutil.copy)
    assert copy.due() == {}
