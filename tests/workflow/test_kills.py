"""Runs killed at random moments, and a disk that fills up: what is there is whole, and nothing is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rationale_eval.tables import read_provenance

from .conftest import CELL, CORES, Workspace

pytestmark = pytest.mark.xdist_group("finished")

RESULTS = "results-smoke"


def killed_after(workspace: Workspace, seconds: float, *arguments: str) -> bool:
    """Start Snakemake and kill it with all its jobs after ``seconds``; False if it was done by then, and well."""
    with (workspace.folder / "run.txt").open("ab") as stream:
        run = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", CORES, "--configfile", *workspace.config, *arguments],
            cwd=workspace.folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = run.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            return True
    assert status == 0, (workspace.folder / "run.txt").read_text()
    return False


def whole_files(folder: Path) -> int:
    """The number of tables and cards below ``folder``, each of which is read. Hidden names are temporary ones."""
    files = [path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.parts)]
    for path in files:
        if path.suffix == ".parquet":
            read_provenance(path)
            pq.ParquetFile(path).read()
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    return len(files)


def timeless(provenance: object) -> object:
    """A record without what time it was, and without checksums of files that hold such a record."""
    if isinstance(provenance, dict):
        return {key: timeless(value) for key, value in provenance.items() if key not in ("created", "sha256")}
    return provenance


def content(folder: Path, *patterns: str) -> dict[str, object]:
    """The files below ``folder`` that match, but for how long jobs took: bytes of texts, what Parquet files hold."""
    found: dict[str, object] = {}
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        name = str(path.relative_to(folder))
        if path.stem == "cost":
            continue
        if path.suffix == ".parquet":
            found[name] = (pq.ParquetFile(path).read(), timeless(read_provenance(path)))
        elif path.suffix == ".json":
            found[name] = timeless(json.loads(path.read_text(encoding="utf-8")))
        else:
            found[name] = path.read_bytes()
    assert found
    return found


def test_a_cell_that_was_killed_twice_is_the_same_in_the_end(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "project")
    folder, cell = workspace.folder, workspace.folder / CELL
    for stage in ("evidence", "perturb"):
        shutil.rmtree(folder / "memo" / stage)
    for name in ("predictions", "perturbations", "faithfulness"):
        (cell / f"{name}.parquet").unlink()
    wanted = ("--", f"{CELL}/faithfulness.parquet")
    moments = random.Random(20)
    for longest in (9.0, 16.0):
        killed_after(workspace, moments.uniform(longest - 4, longest), *wanted)
        assert whole_files(folder / RESULTS) > 0
        workspace.snakemake("--unlock")
    workspace.snakemake(*wanted)
    patterns = ("*.parquet", "evidence/*.parquet", "rationales/*.parquet")
    assert content(cell, *patterns) == content(finished.folder / CELL, *patterns)


@pytest.mark.long
def test_a_study_that_was_killed_twenty_times_is_the_same_in_the_end(
    fresh: Workspace, finished: Workspace, tmp_path: Path
) -> None:
    workspace = fresh.copy(tmp_path / "project")
    moments = random.Random(20)
    kills = 0
    while kills < 20:
        # From before the first job on; what a run has done by then stays done.
        if not killed_after(workspace, moments.uniform(1, 14)):
            # All was done: another study of the same begins, without what the memo has.
            shutil.rmtree(workspace.folder / RESULTS)
            shutil.rmtree(workspace.folder / "memo")
            continue
        kills += 1
        if (workspace.folder / RESULTS).exists():
            whole_files(workspace.folder / RESULTS)
        workspace.snakemake("--unlock")
    workspace.snakemake()
    assert workspace.due() == {}
    patterns = ("**/[!.]*.parquet", "report/tables/*.csv", "report/claims.json", "report/figures/*.svg")
    assert content(workspace.folder / RESULTS, *patterns) == content(finished.folder / RESULTS, *patterns)


@contextmanager
def little_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own, of ``size``, at ``folder``. Skips the test where none may be mounted."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.long
@pytest.mark.parametrize("full", [RESULTS, "memo"])
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    full: str, fresh: Workspace, finished: Workspace, tmp_path: Path
) -> None:
    workspace = fresh.copy(tmp_path / "project")
    place = workspace.folder / full
    with little_disk(place, "64m"):
        # Room for the corpora and the model, but not for what is computed.
        filler = place / ".filler"
        workspace.snakemake("--until", "corpus", "model")
        room = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        filler.write_bytes(b"x" * (room - 16384))
        done = workspace.try_snakemake()
        assert done.returncode != 0
        # Where not even a job's log has room, Snakemake's end says it.
        assert "no room to write it; make room and run again" in done.stdout
        assert "Traceback" not in done.stdout
        whole_files(workspace.folder / RESULTS)
        filler.unlink()
        workspace.snakemake()
        patterns = ("*/*/*/*.parquet", "report/tables/*.csv")
        assert content(workspace.folder / RESULTS, *patterns) == content(finished.folder / RESULTS, *patterns)
