"""Download one pinned file of a Python package with pip, and check its sha256. Nothing in it is executed.

pip knows the user's index, credentials, proxy and certificates. Yet before it hands over a source distribution it asks
the package's build backend for metadata, which runs ``setup.py``. So pip is given a stand-in for that backend, which
reads the static ``PKG-INFO`` of the archive instead: no code of the package runs, whatever is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import sha256_file

STATIC_BACKEND = '''
"""Stands in for a build backend: copies the static PKG-INFO, runs nothing of the package."""
import email, pathlib, shutil

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    about = email.message_from_string(pathlib.Path("PKG-INFO").read_text(encoding="utf-8"))
    folder = pathlib.Path(metadata_directory, f"{about['Name']}-{about['Version']}.dist-info")
    folder.mkdir()
    shutil.copy("PKG-INFO", folder / "METADATA")
    return folder.name

__legacy__ = type("Legacy", (), {
    "get_requires_for_build_wheel": staticmethod(get_requires_for_build_wheel),
    "prepare_metadata_for_build_wheel": staticmethod(prepare_metadata_for_build_wheel),
})
'''

# A package may name any backend, one of its own included. Python runs this at the start of each process of pip.
FORCE_BACKEND = """
import os
for prefix in ("_PYPROJECT_HOOKS", "PEP517"):
    if f"{prefix}_BUILD_BACKEND" in os.environ:
        os.environ[f"{prefix}_BUILD_BACKEND"] = "setuptools.build_meta"
    os.environ.pop(f"{prefix}_BACKEND_PATH", None)
"""


def download(package: str, version: str, sha256: str, target: Path) -> None:
    """Put the file named ``target.name`` of ``package`` at ``target``.

    Raises ``UserError`` when pip cannot get it, gets another file, or the file's sha256 differs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = "--only-binary" if target.suffix == ".whl" else "--no-binary"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        backend = Path(folder, "backend", "setuptools")
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(STATIC_BACKEND, encoding="utf-8")
        (backend.parent / "sitecustomize.py").write_text(FORCE_BACKEND, encoding="utf-8")
        wanted = Path(folder, "requirement.txt")
        wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"]
        command += ["--no-deps", kind, ":all:", "--require-hashes", "--no-build-isolation"]
        command += ["--dest", folder, "--requirement", str(wanted)]
        environment = {**os.environ, "PYTHONPATH": str(backend.parent)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        got = Path(folder, target.name)
        if done.returncode or not got.exists():
            found = sorted(path.name for path in Path(folder).iterdir() if path.is_file() and path != wanted)
            reason = done.stderr.strip() or f"pip downloaded {found} instead"
            raise UserError(f"could not fetch {target.name} ({package}=={version}, sha256 {sha256}):\n{reason}")
        if (actual := sha256_file(got)) != sha256:
            raise UserError(f"{target.name}: sha256 is {actual}, the configuration expects {sha256}")
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
