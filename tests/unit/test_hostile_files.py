"""Files of kilobytes that would take gigabytes: a job that reads one refuses it, and stays within little memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import bad_files
import pytest
from hostile_files import KINDS, MiB

PACKAGE = Path(__file__).parents[2] / "workflow"
CAP = 2 * 1024 * MiB  # of address space, which Arrow takes more of than it uses
PEAK = 400 * MiB
# Smaller limits than the true ones, as smaller files are made sooner. What ``getrusage`` tells begins with what the
# parent had.
CHILD = """
import re, sys
from pathlib import Path
from rationale_eval.__main__ import main
from rationale_eval.corpora import containers, rows
containers.MAX_MEMBERS, rows.PARQUET_BYTES = 20_000, 96 << 20
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(status)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_refuses_what_would_fill_the_memory(tmp_path, kind):
    name, changed, file, made, words = KINDS[kind]
    source, output = tmp_path / "source", tmp_path / "out" / "test.parquet"
    source.mkdir()
    (source / file).write_bytes(made())
    assert (source / file).stat().st_size < 10 * MiB
    spec = {"name": "mine", **getattr(bad_files, name), **changed}
    arguments = ["corpus", "--spec", json.dumps(spec), "--source", str(source), "--side", "test"]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments, "--output", str(output)],
        env={"PYTHONPATH": str(PACKAGE), "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (CAP, CAP)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 2000
    assert words in done.stderr
    assert int(done.stdout) * 1024 < PEAK
    assert not output.parent.exists() or list(output.parent.iterdir()) == []
