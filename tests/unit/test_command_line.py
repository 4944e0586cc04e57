"""The command line: messages without tracebacks, the exit status, help."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
from rationale_eval import code_digest
from rationale_eval.__main__ import STAGES, main


def test_help_lists_every_stage(capsys):
    assert main(["--help"]) == main([]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in STAGES)


def test_an_unknown_stage_is_a_usage_error(capsys):
    assert main(["alignement"]) == 2
    assert "unknown stage 'alignement'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["fetch", "corpus", "rationale", "alignment", "faithfulness", "model", "evidence", "perturb"]
)
def test_every_stage_explains_its_options(name, capsys):
    module = importlib.import_module(f"rationale_eval.{STAGES[name][0]}")
    with pytest.raises(SystemExit) as caught:
        module.main(["--help"])
    assert caught.value.code == 0
    assert f"rationale_eval {name}" in capsys.readouterr().out


def test_a_users_mistake_is_one_message_and_exit_status_one(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rationale_eval",
            "faithfulness",
            "--spec",
            json.dumps({}),
            "--predictions",
            str(tmp_path / "none.parquet"),
            "--perturbations",
            str(tmp_path / "none.parquet"),
            "--output",
            str(tmp_path / "out.parquet"),
        ],
        env={"PYTHONPATH": str(code_digest.PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "there is no such table" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.parquet").exists()
