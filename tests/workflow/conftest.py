"""Real Snakemake runs of the smoke study in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "configs", "profiles", "slurm", "envs", "workflow")
CELL = "results-smoke/smoke_sentences/tiny-llama/base"
# Of a run unless it says otherwise, and so the threads of its model jobs. The workers of pytest share the machine, and
# model jobs with more threads than there are cores get in each other's way.
CORES = "1"

# Every Python process of the run writes down at its end which modules it has imported.
RECORDER = """
import atexit, json, os, sys

def record():
    arguments = sys.orig_argv
    if "rationale_eval" in arguments and os.environ.get("RECORD_MODULES"):
        stage = arguments[arguments.index("rationale_eval") + 1]
        with open(os.path.join(os.environ["RECORD_MODULES"], f"{stage}.{os.getpid()}.json"), "w") as stream:
            json.dump(sorted(sys.modules), stream)

atexit.register(record)
"""


@dataclass
class Workspace:
    """A copy of the project in which Snakemake runs, with these configuration files over config.yaml."""

    folder: Path
    config: tuple[str, ...] = ("configs/smoke.yaml",)

    def snakemake(self, *arguments: str, **environment: str) -> str:
        """Run Snakemake; its output. Fails the test if Snakemake fails."""
        done = self.try_snakemake(*arguments, **environment)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def try_snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake, output and errors in one text, whatever comes of it."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", CORES, "--configfile", *self.config, *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    def due(self, *arguments: str, **environment: str) -> dict[str, int]:
        """How many jobs of each rule a run would start now (without the target rule)."""
        output = self.snakemake("-n", *arguments, **environment)
        if "Nothing to be done" in output:
            return {}
        table = output[output.rindex("Job stats:") :]
        counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}
        return {rule: count for rule, count in counts.items() if rule not in ("all", "total")}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace ``old``, which must occur, by ``new`` in a file."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}"
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")

    def computed(self, stage: str) -> tuple[int, int]:
        """From the log of a model stage: how many inputs it had and how many of them it had to compute."""
        log = (self.folder / f"results-smoke/logs/smoke_sentences/tiny-llama/base/{stage}.log").read_text()
        found = re.search(rf"{Path(stage).name}: (\d+) inputs, \d+ in the memo, (\d+) to compute", log)
        assert found, log
        return int(found[1]), int(found[2])

    def copy(self, target: Path) -> Workspace:
        """A copy with the modification times of the original, as `cp -a` makes it."""
        shutil.copytree(self.folder, target, symlinks=True)
        return Workspace(target, self.config)


def new_workspace(folder: Path) -> Workspace:
    """The project's own files and the smoke material, without results."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    subprocess.run([sys.executable, ROOT / "tests/tiny_models.py", folder / "smoke"], check=True, capture_output=True)
    return Workspace(folder)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which nothing has run. Not to be changed: copy it."""
    return new_workspace(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which each job writes down what it imported, for ``modules_of``."""
    recorder = tmp_path_factory.mktemp("recorder")
    (recorder / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
    return {"PYTHONPATH": str(recorder), "RECORD_MODULES": str(tmp_path_factory.mktemp("imported"))}


@pytest.fixture(scope="session")
def finished(fresh: Workspace, recording: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the smoke study has run to its report. Not to be changed: copy it."""
    workspace = fresh.copy(tmp_path_factory.mktemp("finished") / "project")
    workspace.snakemake(**recording)
    # Stages that the study does not need, for what they import. In a copy: what they score would fill the study's memo.
    copy = workspace.copy(tmp_path_factory.mktemp("attributions") / "project")
    (copy.folder / "operators.yaml").write_text("study: { operators: [delete] }\n", encoding="utf-8")
    copy.config += ("operators.yaml",)
    wanted = (f"{CELL}/evidence/attributions/leave_one_out.parquet", "results-smoke/report/tables/sensitivity.parquet")
    copy.snakemake("--", *wanted, **recording)
    return workspace


@pytest.fixture
def study(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished study that a test may change."""
    return finished.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def modules_of(recording: dict[str, str]) -> Callable[[str], set[str]]:
    """``modules_of(stage)``: all modules that the recorded jobs of a stage had imported at their end."""

    def read(stage: str) -> set[str]:
        files = list(Path(recording["RECORD_MODULES"]).glob(f"{stage}.*.json"))
        assert files, f"no job of stage {stage} was recorded"
        return {module for file in files for module in json.loads(file.read_text())}

    return read
