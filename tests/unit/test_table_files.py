"""The report's tables as files."""

from __future__ import annotations

import csv

import pandas as pd
import pytest
from rationale_eval.report.table_files import write

COLUMNS = ("corpus", "model", "checkpoint", "label", "n", "f1")


def written(folder, label):
    """The row with this label as a CSV file has it, and as Parquet has it."""
    row = {"corpus": "c", "model": "m", "checkpoint": "base", "label": label, "n": 3, "f1": -0.25}
    write(folder, "labels", COLUMNS, [row], {})
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        (found,) = csv.DictReader(stream)
    assert (found["n"], found["f1"]) == ("3", "-0.25")
    return found["label"], pd.read_parquet(folder / "labels.parquet")["label"][0]


@pytest.mark.parametrize(
    "label", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "=cmd|' /C calc'!A0", "-", "=1", "+"]
)
def test_a_text_that_a_spreadsheet_would_run_has_an_apostrophe_before_it(tmp_path, label):
    assert written(tmp_path, label) == (f"'{label}", label)


@pytest.mark.parametrize("label", ["-1", "+1", "-0.5", "positive", "1-2", "a=b", "'=1", ""])
def test_other_texts_and_numbers_stay_as_they_are(tmp_path, label):
    assert written(tmp_path, label) == (label, label)


@pytest.mark.parametrize("label", ["x;=1+1", "x; =1+1", "x\t@SUM(A1)", "x|+1"])
def test_no_cell_begins_as_a_formula_where_another_separator_is_taken(tmp_path, label):
    text, stored = written(tmp_path, label)
    assert stored == label
    assert "'" in text
    assert text.replace("'", "") == label
