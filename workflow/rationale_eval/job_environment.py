"""The environment in which rules run ``python -m rationale_eval``."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def prepare(package_parent: Path) -> None:
    """Let child processes import the package of this checkout with the Python that runs Snakemake.

    Done where the Snakefile is parsed, so that it holds in every process that parses it: on the cluster's nodes too.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package_parent), os.environ.get("PYTHONPATH")]))
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
