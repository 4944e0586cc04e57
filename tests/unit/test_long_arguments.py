"""Slices that no command takes go through a file."""

from __future__ import annotations

import json
import subprocess

import pytest
from rationale_eval.__main__ import main
from rationale_eval.errors import UserError
from rationale_eval.long_arguments import MOST_BYTES, as_argument, expanded

LONG = json.dumps({"cells": ["ü"] * MOST_BYTES}, ensure_ascii=False)


def test_a_short_slice_stays_in_the_command(tmp_path):
    assert as_argument('{"a": 1}', tmp_path) == '{"a": 1}'
    assert expanded(["--spec", '{"a": 1}', "--other", "@b"]) == ["--spec", '{"a": 1}', "--other", "@b"]
    assert list(tmp_path.iterdir()) == []


def test_a_long_one_is_in_a_file_named_by_its_content(tmp_path):
    given = as_argument(LONG, tmp_path / "slices")
    assert expanded(["--spec", given]) == ["--spec", LONG]
    assert as_argument(LONG, tmp_path / "slices") == given
    assert as_argument(LONG + " ", tmp_path / "slices") != given
    assert len(list((tmp_path / "slices").iterdir())) == 2
    # A shell takes the whole of its line as one argument.
    assert subprocess.run(["bash", "-c", f"test -n '{given}'"], check=False).returncode == 0
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["bash", "-c", f"test -n '{LONG}'"], check=False)


def test_a_slice_that_is_gone_is_told(tmp_path, capsys):
    with pytest.raises(UserError, match=r"gone\.json: cannot be read"):
        expanded(["--spec", f"@{tmp_path}/gone.json"])
    assert main(["tables", "--spec", f"@{tmp_path}/gone.json"]) == 1
    assert "error: " in capsys.readouterr().err
