"""Whether `snakemake --profile slurm` could send jobs from here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
import yte

from rationale_eval.checks.finding import OK, PROBLEM, WARNING, Finding

PLUGIN = "snakemake-executor-plugin-slurm"
GPU_RULE = "evidence"  # one of those that ask for a GPU


def cluster(profile: Path) -> Iterator[Finding]:
    """Lines on Slurm, the plugin, and account and partitions as ``profile`` sets them."""
    if shutil.which("sbatch") is None:
        yield Finding(OK, "cluster", "no Slurm here (no sbatch): jobs run on this machine")
        return
    partitions = _asked("sinfo", "--noheader", "--format=%R")
    if partitions is None:
        told = "there is sbatch, but no cluster answers sinfo: jobs run on this machine"
        yield Finding(WARNING, "cluster", f"{told}; `--profile slurm` needs a login node")
        return
    try:
        yield Finding(OK, "cluster", f"{PLUGIN} {metadata.version(PLUGIN)}")
    except metadata.PackageNotFoundError:
        yield Finding(PROBLEM, "cluster", f"{PLUGIN} is not installed; pip install -r envs/requirements.txt")
    if _asked("sacct", "--noheader") is None:
        yield Finding(WARNING, "cluster", "no accounting (sacct); add --slurm-status-command squeue, or runs never end")
    try:
        settings: dict[str, Any] = yte.process_yaml(profile.read_text(encoding="utf-8"))
        default, gpu = settings["default-resources"], settings["set-resources"][GPU_RULE] or {}
    except (OSError, yaml.YAMLError, yte.exceptions.YteError, KeyError, TypeError) as error:
        yield Finding(PROBLEM, "cluster", f"{profile}: cannot be read as the profile of this project ({error})")
        return
    account = default.get("slurm_account")
    yield Finding(OK, "account", f"{account}" if account else "the cluster's default, as SBATCH_ACCOUNT is not set")
    cpu = default.get("slurm_partition")
    yield _partition("partition", cpu, "SBATCH_PARTITION", partitions.split())
    yield _partition("GPU partition", gpu.get("slurm_partition", cpu), "GPU_PARTITION", partitions.split())


def _partition(what: str, name: str | None, variable: str, there: list[str]) -> Finding:
    if name is None:
        return Finding(OK, what, f"the cluster's default, as {variable} is not set; it has {', '.join(there)}")
    if unknown := [part for part in str(name).split(",") if part not in there]:
        return Finding(PROBLEM, what, f"there is no {unknown[0]!r}; set {variable} to one of {', '.join(there)}")
    return Finding(OK, what, str(name))


def _asked(*command: str) -> str | None:
    """The answer of one of Slurm's commands; None if it has none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
