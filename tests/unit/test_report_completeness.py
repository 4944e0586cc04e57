"""The completeness of integrated gradients in the report."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.evidence.attribution_schema import INTEGRATED
from rationale_eval.report.completeness import completeness_row, integrated
from rationale_eval.report.html_tables import completeness_table
from rationale_eval.report.tables import COLUMNS
from rationale_eval.tables import write_table
from report_trees import METHODS, SCRIPT, run, write_cell

METHOD = {"kind": "integrated_gradients", "baseline": "pad", "steps": 20}


def evidence(*rows):
    """Rows of (status, difference, completeness error)."""
    found = []
    for number, (status, difference, error) in enumerate(rows):
        row = dict.fromkeys(INTEGRATED.columns.names) | {"id": str(number), "status": status}
        found.append(row | {"difference": difference, "completeness_error": error})
    return found


ROWS = evidence(("ok", 2.0, -0.5), ("ok", -4.0, 0.25), ("too_long", None, None))


def test_the_row_by_hand():
    row = completeness_row(pd.DataFrame(ROWS), METHOD)
    assert row == {
        "baseline": "pad",
        "steps": 20,
        "instances": 3,
        "status_ok": 2,
        "status_too_long": 1,
        "n": 2,
        "change": 3.0,
        "error_mean": 0.375,
        "error_max": 0.5,
        "error_share": 0.125,
    }


def test_nothing_computed_and_nothing_changed_are_missing_values():
    none = completeness_row(pd.DataFrame(evidence(("too_long", None, None))), METHOD)
    assert (none["n"], none["change"], none["error_mean"], none["error_share"]) == (0, None, None, None)
    flat = completeness_row(pd.DataFrame(evidence(("ok", 0.0, 0.0))), METHOD)
    assert (flat["n"], flat["error_mean"], flat["error_share"]) == (1, 0.0, None)


def test_small_errors_are_not_rounded_away_and_names_are_text():
    names = {"corpus": "c", "model": "m", "checkpoint": "base", "method": SCRIPT}
    row = names | completeness_row(pd.DataFrame(evidence(("ok", 0.02, 0.00031))), METHOD)
    html = completeness_table(pd.DataFrame([row]), "t")
    assert "0.00031" in html
    assert SCRIPT not in html


def test_a_study_with_integrated_gradients_shows_them(tmp_path):
    write_cell(tmp_path, "one", "yes", "some words", {})
    write_table(tmp_path / "one/m/base/evidence/attributions/grad.parquet", ROWS, INTEGRATED, {})
    # The tree's method `grad` is said to be integrated gradients; its rationales are what they are.
    report = run(tmp_path, [("one", "base")], METHODS | {"grad": METHOD | {"statistic": "ig_dot"}})
    (row,) = pd.read_csv(report / "tables/completeness.csv").to_dict("records")
    assert (row["method"], row["n"], row["error_max"]) == ("grad", 2, pytest.approx(0.5))
    html = (report / "index.html").read_text(encoding="utf-8")
    assert 'id="completeness"' in html
    assert "0.38" in html


def test_a_study_without_them_has_an_empty_table_and_no_section(tmp_path):
    write_cell(tmp_path, "one", "yes", "some words", {})
    report = run(tmp_path, [("one", "base")])
    table = pd.read_csv(report / "tables/completeness.csv")
    assert table.empty
    assert table.columns.tolist() == list(COLUMNS["completeness"])
    assert "add up?" not in (report / "index.html").read_text(encoding="utf-8")
    assert integrated(METHODS, ()) == []
