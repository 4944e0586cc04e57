"""The benchmark of the report runs each of its stages, on a made-up study, to the end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_stage_of_the_report_is_timed():
    command = [sys.executable, ROOT / "benchmarks/report.py", "--instances", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    timed = dict(re.findall(r"^(\w+) +([\d.]+) s +\d+ MB", done.stdout, re.MULTILINE))
    stages = ["tables", "measure_tables", "cost", "claims", "latex", "latex_examples", "figures", "explorer", "page"]
    assert list(timed) == [*stages, "all"]
