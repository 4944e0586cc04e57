"""The environment in which rules run ``python -m rationale_eval``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from rationale_eval.errors import NO_ROOM


def prepare(package_parent: Path) -> None:
    """Let child processes import the package of this checkout with the Python that runs Snakemake.

    Done where the Snakefile is parsed, so that it holds in every process that parses it: on the cluster's nodes too.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package_parent), os.environ.get("PYTHONPATH")]))
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def full_disks(folders: Iterable[str]) -> list[str]:
    """A message for each of ``folders`` that is there and on a disk with less than 1 MB free.

    For the end of a run that failed: on such a disk a job's log may have had no room for the message either.
    """
    there = [folder for folder in folders if Path(folder).exists()]
    return [f"error: {folder}: {NO_ROOM}" for folder in there if shutil.disk_usage(folder).free < 10**6]
