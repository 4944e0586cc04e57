"""The stages that ask a model, again with nothing in the memo: the same bytes, and with other threads equal numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from same_tables import differences, without_time

from .conftest import CELL, CORES, Workspace

pytestmark = pytest.mark.xdist_group("finished")

TABLES = {
    "evidence": ("predictions.parquet", "evidence/gradients.parquet", "evidence/attention.parquet"),
    "perturb": ("perturbations.parquet",),
}


def test_a_job_gives_the_same_bytes_again_and_equal_numbers_on_another_number_of_threads(
    study: Workspace, finished: Workspace
) -> None:
    printed = study.snakemake("-n", "-p", "--forcerun", "evidence", "perturb", "--", f"{CELL}/perturbations.parquet")
    environment = {
        **os.environ,
        "PYTHONPATH": "workflow",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for stage, names in TABLES.items():
        command = re.search(rf"Shell command: (python -m rationale_eval {stage} .*)", printed)
        assert command
        for threads in (CORES, "2"):
            alone = command[1].replace("--memo memo ", f"--memo memo-{stage}-{threads} ")
            assert alone != command[1]
            subprocess.run(
                ["bash", "-c", alone], cwd=study.folder, env={**environment, "OMP_NUM_THREADS": threads}, check=True
            )
            log = (study.folder / f"results-smoke/logs/smoke_sentences/tiny-llama/base/{stage}.log").read_text()
            assert f"on cpu, {threads} threads" in log
            assert " 0 in the memo, " in log
            for name in names:
                found, expected = study.folder / CELL / name, finished.folder / CELL / name
                assert differences(found, expected) == []
                if threads == CORES:
                    assert without_time(found) == without_time(expected)
