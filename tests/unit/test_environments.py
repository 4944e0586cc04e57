"""The environments of `--sdm conda` and the one that `make setup` installs: the same packages in the same versions."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
CONDA = ["cpu", "gpu"]


def pinned(lines):
    """Versions by package of lines of a requirements file; files that it names are read too."""
    found = {}
    for line in lines:
        text = line.split("#")[0].strip()
        if text.startswith("-r "):
            found |= pinned((ENVS / text.removeprefix("-r ").strip()).read_text(encoding="utf-8").splitlines())
        elif text and not text.startswith("--"):
            exact = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[\w,]+\])?==([^\s;\\]+)( ; [^\\]+)?( \\)?", text)
            assert exact, f"{text!r} is not pinned to one version"
            name = normal(exact[1])
            assert found.setdefault(name, exact[2]) == exact[2], f"{name} is pinned twice"
    return found


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def lock(torch):
    """What `make setup` installs, with the build of torch of that file."""
    return pinned([f"-r {torch}.txt", "-r requirements.txt"])


def conda(name):
    """The dependencies of a conda file without pip's, and what its pip part pins."""
    dependencies = yaml.safe_load((ENVS / f"{name}.yaml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return [entry for entry in dependencies if isinstance(entry, str)], pinned(pip)


@pytest.mark.parametrize("name", CONDA)
def test_conda_and_make_install_the_same_versions(name):
    assert conda(name)[1] == lock(f"torch-{name}"), f"run `make envs/{name}.yaml`"


@pytest.mark.parametrize("name", CONDA)
def test_a_conda_file_stands_alone(name):
    """Snakemake copies it to a folder of its own before conda reads it."""
    assert "-r " not in (ENVS / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONDA)
def test_conda_has_the_python_that_the_package_is_written_for(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (version,) = [entry.split("=")[1].strip() for entry in conda(name)[0] if entry.startswith("python ")]
    assert project["tool"]["mypy"]["python_version"] == version
    assert project["tool"]["ruff"]["target-version"] == f"py{version.replace('.', '')}"


def test_both_builds_of_torch_are_of_one_version():
    cpu, gpu = pinned(["-r torch-cpu.txt"]), pinned(["-r torch-gpu.txt"])
    assert cpu == {"torch": gpu["torch"]}
    # Installed without dependencies, so that it must hold all that the other lock does not.
    assert {"triton", "nvidia-cudnn-cu13"} <= gpu.keys()
    assert not gpu.keys() & pinned(["-r requirements.txt"]).keys()


@pytest.mark.parametrize("name", ["requirements", "dev", "torch-cpu", "torch-gpu"])
def test_every_file_of_a_lock_is_known_by_its_hash(name):
    """As pip's --require-hashes wants it; one that cannot write outside where it unpacks."""
    text = (ENVS / f"{name}.txt").read_text(encoding="utf-8").replace(" \\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.startswith(("#", "--"))]
    assert entries
    for entry in entries:
        assert re.search(r"==\S+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+$", entry), entry
    if name == "requirements":
        assert int(pinned(["-r requirements.txt"])["pip"].split(".")[0]) >= 26


def test_all_that_is_asked_for_is_locked():
    for wanted, locked in {
        "requirements.in": lock("torch-cpu"),
        "dev.in": pinned(["-r requirements.txt", "-r dev.txt"]),
    }.items():
        names = [line.split("#")[0].strip() for line in (ENVS / wanted).read_text(encoding="utf-8").splitlines()]
        asked = {normal(re.split(r"[\[<>=!~ ]", name)[0]) for name in names if name}
        assert asked <= locked.keys(), f"{wanted}: run `make lock`"


def test_what_the_checks_need_is_locked_beside_what_runs():
    assert not pinned(["-r dev.txt"]).keys() & lock("torch-cpu").keys()


def test_every_rule_names_one_of_these_environments():
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        named = set(re.findall(r"envs/(\w+)\.yaml", path.read_text(encoding="utf-8")))
        assert named <= set(CONDA), path


def test_the_installed_torch_is_the_locked_one():
    """What the tests here run with, the build's suffix aside."""
    assert metadata.version("torch").split("+")[0] == lock("torch-cpu")["torch"]
