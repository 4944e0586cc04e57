"""The paper's grid, its corpora on the embedded model, ten thousand jobs, a corpus of full size: mostly long."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import ROOT, new_workspace

DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "e-snli").is_dir(), reason=f"{DATA}: there are no local copies of the paper's corpora"
)
MINUTES = 40


@pytest.mark.long
@needs_data
def test_the_papers_corpora_run_to_their_report_in_time(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "configs/paper-corpora-small.yaml"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--config", f"data_root={DATA}"],
        cwd=workspace.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - start < 60 * MINUTES
    report = workspace.folder / "results-paper-corpora-small/report"
    with (report / "tables/accuracy.csv").open(encoding="utf-8") as stream:
        found = {(row["corpus"], row["checkpoint"]): int(row["instances"]) for row in csv.DictReader(stream)}
    rows = {"e_snli": 40, "fever": 12, "medical_bios": 40}
    expected = {(name, point): count for name, count in rows.items() for point in ("base", "epoch-01-seed-0")}
    assert found == expected
    assert "coastalcph" not in done.stdout  # nothing was fetched from elsewhere
    assert (report / "index.html").stat().st_size > 0


def test_the_papers_grid_can_be_planned_in_seconds(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "project")
    workspace.config = ("configs/paper.yaml",)
    start = time.monotonic()
    due = workspace.due()
    assert time.monotonic() - start < 30
    opened, apis, corpora, epochs = 3, 2, 3, 10
    trained, asked = opened * corpora * (epochs + 1), apis * corpora
    assert due["finetune"] == opened * corpora * epochs
    assert due["evidence"] == due["perturb"] == trained
    assert due["predictions_api"] == due["perturb_api"] == asked
    assert due["alignment"] == trained + asked
    assert (due["replies"], due["replies_api"]) == (2 * trained, 2 * asked)
    assert due["prompted_rationale"] == 2 * (trained + asked)
    assert (due["fetch_hub"], due["model_api"]) == (opened + 1, apis)


def test_what_the_papers_grid_takes_is_estimated_in_seconds_without_a_model(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "project")
    command = [sys.executable, "-X", "importtime", "-m", "rationale_eval", "estimate", "--words", "60", "fever=330"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--configfile", "configs/paper.yaml"],
        cwd=workspace.folder,
        env={**os.environ, "PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - start < 20
    assert not re.search(r"\| +(torch|transformers)$", done.stderr, flags=re.MULTILINE)
    assert "gpt-4-turbo: gpt-4-turbo-2024-04-09 at https://api.openai.com/v1" in done.stdout
    # Of each row one classification; nothing is attributed, so that only prompted and reference rows are masked.
    calls = re.findall(r"^  e_snli +predictions +(\d+) ", done.stdout, flags=re.MULTILINE)
    assert calls == ["500", "500"]
    assert re.search(r"^  e_snli +finetune +50,000 ", done.stdout, flags=re.MULTILINE)


@pytest.mark.long
def test_ten_thousand_jobs_can_be_planned_in_a_minute() -> None:
    command = [sys.executable, ROOT / "benchmarks/dag.py", "--seeds", "6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    found = re.search(r"(\d+) jobs planned in ([\d.]+) s \([\d.]+ s of one core\), (\d+) MB", done.stdout)
    assert found, done.stdout
    assert int(found[1]) >= 10_000
    assert float(found[2]) < 60
    assert int(found[3]) < 1000


@pytest.mark.long
def test_a_corpus_of_full_size_is_read_in_two_gigabytes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/corpora.py"], capture_output=True, text=True, timeout=1200, check=True
    )
    peaks = [float(peak) for peak in re.findall(r"([\d.]+) GB at most", done.stdout)]
    assert len(peaks) == 4
    assert max(peaks) < 2, done.stdout
    assert "549367 train rows" in done.stdout
