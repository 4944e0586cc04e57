"""Download one pinned file of a Python package, and check its sha256. It is not opened, nor is anything in it run."""

from __future__ import annotations

import argparse
import glob
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import sha256_file
from rationale_eval.sources import package_index


def download(package: str, version: str, sha256: str, target: Path) -> None:
    """Put the file named ``target.name`` of ``package`` at ``target``.

    Raises ``UserError`` when pip's indexes do not offer it, or when its sha256 differs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.fetch-"
    for leftover in target.parent.glob(f"{glob.escape(prefix)}*"):  # of a job that was killed: a file has one at a time
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as folder:
        got = Path(folder, target.name)
        # -I: the script's own folder, whose modules have common names, is not searched for what pip imports.
        command = [sys.executable, "-I", package_index.__file__, "--disable-pip-version-check", "--no-input", "--quiet"]
        command += [package, version, sha256, target.name, str(got)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"could not fetch {target.name} ({package}=={version}):\n{done.stderr.strip()}")
        if (actual := sha256_file(got)) != sha256:
            raise UserError(f"{target.name}: its sha256 is {actual}, the configuration expects {sha256}")
        got.replace(target)


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval fetch", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"package", "version", "sha256"}')
    parser.add_argument("--output", type=Path, required=True, help="where the file goes, under its own name")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    download(spec["package"], spec["version"], spec["sha256"], args.output)
    say(f"{args.output}: {args.output.stat().st_size} bytes, sha256 as pinned")
