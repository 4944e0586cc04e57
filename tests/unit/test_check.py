"""The check before a study: real faults of set-ups are told with what to do, and end in exit status 1."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from rationale_eval.__main__ import main
from rationale_eval.checks import cluster as cluster_check
from rationale_eval.checks import environment
from rationale_eval.checks.cluster import cluster
from rationale_eval.checks.study import findings
from rationale_eval.config_files import merged
from rationale_eval.errors import UserError

ROOT = Path(__file__).parents[2]
KEY = "sk-never-to-be-shown"
PROFILE = ROOT / "slurm/config.yaml"
VARIABLES = ("SBATCH_ACCOUNT", "SBATCH_PARTITION", "GPU_PARTITION", "GPU_MODEL")
STUDY = {
    "results_dir": "results-here",
    "cache_dir": "cache-here",
    "memo_dir": "memo-here",
    "models": {
        "own-model": {"source": {"path": "own/model"}},
        "asked": {"source": {"api": "http://127.0.0.1:9/v1", "model": "m", "key": "FAKE_KEY"}},
    },
    "methods": {"elsewhere": {"kind": "external", "path": "own/{corpus}-{model}.jsonl"}},
    "study": {
        "corpora": ["editorials"],
        "models": ["own-model"],
        "methods": ["random", "human"],
        "budgets": ["top_var"],
        "not_available": "show",
    },
}


@pytest.fixture
def here(project, monkeypatch):
    """``here(**study)``: the lines of a check, by what they are about, in a folder with the project's configuration."""
    for name in ("envs", "slurm"):
        (project / name).symlink_to(ROOT / name)
    (project / "bin").mkdir()
    monkeypatch.setenv("PATH", str(project / "bin"))
    for name in (*VARIABLES, "FAKE_KEY"):
        monkeypatch.delenv(name, raising=False)
    # Importing torch is tested by itself.
    monkeypatch.setattr(environment, "TORCH", "print('[\"2.0\", null, []]')")

    def lines(**study):
        made = {**STUDY, "study": {**STUDY["study"], **study}}
        Path("study.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")
        return {what: (level, text) for level, what, text in findings(merged([Path("study.yaml")]))}

    return lines


def model_files(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}", encoding="utf-8")


def test_a_missing_model_is_a_problem_and_one_that_is_there_is_not(here, tmp_path, capsys):
    level, text = here()["models.own-model"]
    assert (level, text) == ("problem", "own/model: is not there; set models.own-model.source.path to where it is")
    assert main(["check", "--configfile", "study.yaml"]) == 1
    shown = capsys.readouterr()
    assert "problem   models.own-model " in shown.out
    assert "1 problem(s) to be solved" in shown.err
    model_files(tmp_path / "own/model")
    assert here()["models.own-model"][0] == "ok"
    assert main(["check", "--configfile", "study.yaml"]) == 0
    assert "\nready, with 1 warning(s)\n" in capsys.readouterr().out
    assert not Path("results-here").exists()


def test_settings_of_the_command_line_go_over_those_of_files(here, tmp_path, capsys):
    here()
    (tmp_path / "bin/which").symlink_to(shutil.which("which", path=os.defpath))  # Snakemake's plugins look for it
    model_files(tmp_path / "own/model")
    model_files(tmp_path / "copies/again")
    Path("local.yaml").write_text("models: {own-model: {local: again}}", encoding="utf-8")
    files = ["--configfile", "study.yaml", "local.yaml"]
    assert main(["check", *files, "--config", "data_root=copies", "study={'title': 'Once more', 'corpora': []}"]) == 1
    assert "study.corpora: list should have" in capsys.readouterr().err
    assert main(["check", *files, "--config", "data_root=copies", "study={'title': 'Once more'}"]) == 0
    shown = capsys.readouterr().out
    assert "\nOnce more\n" in shown
    assert "copies/again: is here" in shown
    for wrong in ("data_root", "1x=3"):
        assert main(["check", *files, "--config", wrong]) == 1
        assert f"error: --config {wrong}: Invalid config definition" in capsys.readouterr().err


def test_what_is_to_be_fetched_is_a_warning_until_it_is_there(here):
    level, text = here()["corpora.editorials"]
    assert (level, text) == ("warning", "1 of 1 downloads to come; snakemake --cores 2 fetch")
    plan = merged([Path("study.yaml")])
    (file,) = plan.sources.fetched([plan.config.corpora["editorials"]])
    Path(file).parent.mkdir(parents=True)
    Path(file).write_bytes(b"whole")
    assert here()["corpora.editorials"][0] == "ok"


def test_a_key_is_asked_for_and_never_shown(here, monkeypatch, capsys):
    level, text = here(models=["asked"])["models.asked"]
    assert level == "problem"
    assert "FAKE_KEY, which models.asked.source.key names, is not set" in text
    monkeypatch.setenv("FAKE_KEY", KEY)
    assert here(models=["asked"])["models.asked"][0] == "ok"
    assert main(["check", "--configfile", "study.yaml"]) == 0
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err
    # Nothing is opened, so torch does not matter.
    assert "torch" not in shown.out


def test_rationales_from_elsewhere_must_be_there(here, tmp_path):
    level, text = here(methods=["random", "elsewhere"])["methods.elsewhere"]
    assert level == "problem"
    assert "own/editorials-own-model.jsonl: is not there (1 of 1 files)" in text
    (tmp_path / "own").mkdir()
    (tmp_path / "own/editorials-own-model.jsonl").write_text("", encoding="utf-8")
    assert here(methods=["random", "elsewhere"])["methods.elsewhere"][0] == "ok"


def test_a_folder_that_cannot_be_written_to_is_a_problem(here, tmp_path):
    assert here()["memo_dir"][0] == "ok"
    (tmp_path / "memo-here").write_text("a file", encoding="utf-8")
    level, text = here()["memo_dir"]
    assert level == "problem"
    assert "nothing can be written to" in text


def test_a_place_that_python_cannot_import_from_is_told(here, monkeypatch):
    monkeypatch.setattr("rationale_eval.study.PACKAGE", Path("/data/a:b/workflow/rationale_eval"))
    with pytest.raises(UserError, match="a colon in the path of the project parts it in two for Python"):
        here()


def test_a_home_without_room_for_the_cache_of_snakemake_is_a_problem(here, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert "home folder" not in here()
    monkeypatch.setenv("HOME", "/dev/null/nobody")
    level, text = here()["home folder"]
    assert level == "problem"
    assert "set XDG_CACHE_HOME to a folder that can be written to" in text
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "home folder" not in here()


def test_little_room_is_a_warning(here, monkeypatch):
    monkeypatch.setattr(environment, "LITTLE_GB", 1e9)
    assert here()["results_dir"][0] == "warning"


def test_packages_are_held_against_the_lock(tmp_path):
    lock = tmp_path / "lock.txt"
    here = metadata.version("pyarrow")
    lock.write_text(f"pyarrow=={here}\n", encoding="utf-8")
    assert environment.packages(lock).level == "ok"
    lock.write_text("pyarrow==0.1\n", encoding="utf-8")
    level, _, text = environment.packages(lock)
    assert level == "warning"
    assert f"pyarrow {here} for 0.1: not the versions that were tested; pip install -r {lock}" in text
    lock.write_text("no-such-package-here==1.0\npyarrow==0.1\n", encoding="utf-8")
    level, _, text = environment.packages(lock)
    assert (level, text) == ("problem", f"no-such-package-here not installed; pip install -r {lock}")


def test_missing_packages_are_told_without_them():
    done = subprocess.run(
        [sys.executable, "-S", "-m", "rationale_eval", "check"],  # -S: no installed package is found
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    python, packages = done.stdout.splitlines()
    assert python.startswith("ok        python")
    assert packages.startswith("problem   packages")
    assert packages.endswith("more not installed; pip install -r envs/requirements.txt")
    assert done.stderr == "error: 1 problem(s) to be solved before anything else can be looked at\n"


def test_elsewhere_than_in_the_project_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    assert "there is no envs/requirements.txt here; run this in the folder of the project" in capsys.readouterr().out


def test_the_real_torch_is_asked():
    first, second = environment.torch(1)
    assert (first.level, first.text.split(",")[0]) == ("ok", metadata.version("torch"))
    assert second.what == "GPU"


def test_a_torch_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setattr(environment, "TORCH", "import no_such_torch")
    ((level, _, text),) = environment.torch(1)
    assert level == "problem"
    assert "No module named 'no_such_torch'" in text


def test_a_torch_that_hangs_is_a_problem(monkeypatch):
    monkeypatch.setattr(environment, "TORCH", "import time; time.sleep(60)")
    monkeypatch.setattr(environment, "TORCH_SECONDS", 0.2)
    ((level, _, text),) = environment.torch(1)
    assert level == "problem"
    assert "in 0.2 s" in text


def test_fewer_gpus_than_a_model_wants_is_a_warning(monkeypatch):
    monkeypatch.setattr(environment, "TORCH", 'print(\'["2.0", "13", ["H100", "H100"]]\')')
    assert list(environment.torch(2))[1] == ("ok", "GPU", "2 x H100")
    assert list(environment.torch(4))[1].level == "warning"


def command(folder: Path, name: str, script: str) -> None:
    """Put a command ``name`` into ``folder``: a stand-in for Slurm's."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder of commands that stand for Slurm's, and a clean environment; what a check says by subject."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    for name, script in (("sbatch", ":"), ("sacct", ":"), ("sinfo", "echo cpu; echo gpu")):
        command(tmp_path, name, script)
    return lambda profile=PROFILE: {what: (level, text) for level, what, text in cluster(profile)}


def test_account_and_partitions_are_those_of_the_profile(slurm, monkeypatch):
    assert {level for level, _ in slurm().values()} == {"ok"}
    assert "the cluster's default, as SBATCH_ACCOUNT is not set" in slurm()["account"][1]
    monkeypatch.setenv("SBATCH_ACCOUNT", "physics")
    monkeypatch.setenv("SBATCH_PARTITION", "cpu")
    assert slurm()["account"] == ("ok", "physics")
    # Where no other is named, GPU jobs go where all go.
    assert (slurm()["partition"], slurm()["GPU partition"]) == (("ok", "cpu"), ("ok", "cpu"))
    monkeypatch.setenv("GPU_PARTITION", "gpus")
    assert slurm()["GPU partition"] == ("problem", "there is no 'gpus'; set GPU_PARTITION to one of cpu, gpu")


@pytest.mark.parametrize("plugin", [cluster_check.PLUGIN, "no-such-plugin-here"])
def test_a_slurm_that_does_not_answer_is_a_warning_with_or_without_the_plugin(slurm, tmp_path, monkeypatch, plugin):
    monkeypatch.setattr(cluster_check, "PLUGIN", plugin)
    command(tmp_path, "sinfo", "exit 1")
    ((what, (level, text)),) = slurm().items()
    assert (what, level) == ("cluster", "warning")
    assert "no cluster answers sinfo: jobs run on this machine" in text


def test_a_cluster_without_the_plugin_is_a_problem(slurm, monkeypatch):
    monkeypatch.setattr(cluster_check, "PLUGIN", "no-such-plugin-here")
    assert slurm()["cluster"] == (
        "problem",
        "no-such-plugin-here is not installed; pip install -r envs/requirements.txt",
    )


def test_without_accounting_the_option_that_is_needed_is_named(slurm, tmp_path):
    command(tmp_path, "sacct", "exit 1")
    level, text = slurm()["cluster"]
    assert level == "warning"
    assert "--slurm-status-command squeue" in text


def test_a_profile_that_was_edited_to_nonsense_is_a_problem(slurm, tmp_path):
    profile = tmp_path / "profile.yaml"
    for text in ("jobs: 3\n", "[", "- a list\n", "?if no_such_name:\n  jobs: 3\n"):
        profile.write_text(text, encoding="utf-8")
        level, message = slurm(profile)["cluster"]
        assert level == "problem"
        assert str(profile) in message
