"""How long Snakemake takes to plan large studies, and how much memory: dry runs in which nothing has been done yet.

    python benchmarks/dag.py                    the paper's grid, and with six seeds more than 10,000 jobs
    python benchmarks/dag.py --seeds 1 5 10     the paper's grid with these numbers of seeds of fine-tuning

Prints for each the number of jobs, seconds, seconds of one core and megabytes (resident, at most). That every job
is printed is included.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def plan(seeds: int, folder: Path) -> tuple[int, float, float, float]:
    """Dry-run the paper's grid with so many seeds; jobs, seconds, seconds of the processor, megabytes."""
    grid = folder / "grid.yaml"
    # No results there, whatever this checkout holds.
    grid.write_text(
        yaml.safe_dump({"results_dir": str(folder / "results"), "study": {"seeds": list(range(seeds))}}), "utf-8"
    )
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "--cores", "2"]
    start = time.monotonic()
    with (folder / "output").open("w+", encoding="utf-8") as stream:
        child = subprocess.Popen(
            [*command, "--configfile", "configs/paper.yaml", str(grid)],
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        stream.seek(0)
        output = stream.read()
    if status:
        sys.exit(output[-2000:])
    found = re.findall(r"^total +(\d+)$", output, flags=re.MULTILINE)
    return int(found[-1]), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 6], help="numbers of seeds of fine-tuning")
    args = parser.parse_args()
    for seeds in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            jobs, seconds, busy, megabytes = plan(seeds, Path(folder))
        print(
            f"{seeds} seed(s): {jobs} jobs planned in {seconds:.1f} s ({busy:.1f} s of one core), {megabytes:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
