"""Python, packages, torch and its device, memory and disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rationale_eval.checks.finding import OK, PROBLEM, WARNING, Finding

# Not at run time: that packages are missing must be told without any of them.
if TYPE_CHECKING:
    from rationale_eval.config import Config

PYTHON = (3, 11)
# Less is little for downloads and results of any study but the smallest.
LITTLE_GB = 5.0
# Of importing torch: a slow disk takes half a minute; a driver that hangs, for ever.
TORCH_SECONDS = 300.0
# In a process of its own: importing torch takes seconds and memory that nothing else here needs.
TORCH = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(json.dumps([torch.__version__, torch.version.cuda, [torch.cuda.get_device_name(i) for i in range(count)]]))
"""


def python() -> Finding:
    """Whether this Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON:
        return Finding(PROBLEM, "python", f"{version}; 3.11 or newer is needed")
    return Finding(OK, "python", f"{version} at {sys.executable}")


def packages(lock: Path) -> Finding:
    """Whether the installed packages are those of ``lock``, a requirements file of name==version lines."""
    if not lock.is_file():
        return Finding(PROBLEM, "packages", f"there is no {lock} here; run this in the folder of the project")
    pinned = [line.split("==") for line in lock.read_text(encoding="utf-8").split() if "==" in line]
    absent, other = [], []
    for name, version in pinned:
        try:
            if (found := metadata.version(name)) != version:
                other.append(f"{name} {found} for {version}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    advice = f"; pip install -r {lock}"
    if absent:
        return Finding(PROBLEM, "packages", f"{_some(absent)} not installed{advice}")
    if other:
        return Finding(WARNING, "packages", f"{_some(other)}: not the versions that were tested{advice}")
    return Finding(OK, "packages", f"all {len(pinned)} as in {lock}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def torch(gpus: int) -> Iterator[Finding]:
    """Whether torch can be imported, and sees the GPUs of this machine; ``gpus`` is the most that a model wants."""
    command = [sys.executable, "-c", TORCH]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TORCH_SECONDS)
    except subprocess.TimeoutExpired:
        text = f"not imported, nor GPUs counted, in {TORCH_SECONDS:g} s; see whether the disk or the GPU's driver hangs"
        yield Finding(PROBLEM, "torch", text)
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding(PROBLEM, "torch", f"cannot be imported ({last}); pip install -r envs/torch-cpu.txt or -gpu.txt")
        return
    version, cuda, devices = json.loads(done.stdout.splitlines()[-1])
    yield Finding(OK, "torch", f"{version}, {f'CUDA {cuda}' if cuda else 'for the CPU'}")
    if devices:
        kinds = ", ".join(f"{devices.count(kind)} x {kind}" for kind in dict.fromkeys(devices))
        lacking = len(devices) < gpus
        advice = f"; a model wants {gpus} (`gpus`): only jobs of a cluster can have them" if lacking else ""
        yield Finding(WARNING if lacking else OK, "GPU", kinds + advice)
    elif shutil.which("nvidia-smi"):
        yield Finding(WARNING, "GPU", "there is nvidia-smi, but torch sees no GPU; pip install -r envs/torch-gpu.txt")
    else:
        yield Finding(OK, "GPU", "none here: models run on the CPU in float32, which suits small ones")


def memory(config: Config) -> Finding:
    """Whether this machine has the memory that a model job asks for."""
    have, want = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20, config.compute.mem_mb
    if have < want:
        return Finding(WARNING, "memory", f"{have:,.0f} MiB here; a model job asks for {want:,} (compute.mem_mb)")
    return Finding(OK, "memory", f"{have:,.0f} MiB here, {want:,} for a model job")


def snakemake_cache() -> Iterator[Finding]:
    """A problem where Snakemake cannot make its cache: it would end in a traceback before it reads the Snakefile."""
    from platformdirs import user_cache_path

    if not _can_be_made(cache := user_cache_path("snakemake", "snakemake")):
        text = f"{cache}: Snakemake cannot make its cache there; set XDG_CACHE_HOME to a folder that can be written to"
        yield Finding(PROBLEM, "home folder", text)


def _can_be_made(folder: Path) -> bool:
    place = _nearest(folder)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _nearest(folder: Path) -> Path:
    """The folder itself or, before there is one, what it will be made in."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))


def disk(config: Config) -> Iterator[Finding]:
    """Whether there is room, and leave to write, where results, downloads and computed results go."""
    for key in ("results_dir", "cache_dir", "memo_dir"):
        name = getattr(config, key)
        place = _nearest(Path(name))
        if not _can_be_made(Path(name)):
            yield Finding(PROBLEM, key, f"{name}: nothing can be written to {place}; name another folder")
            continue
        free = shutil.disk_usage(place).free / 1e9
        advice = "; make room, or name a folder on a larger disk" if free < LITTLE_GB else ""
        yield Finding(WARNING if free < LITTLE_GB else OK, key, f"{name}: {free:,.1f} GB free{advice}")
