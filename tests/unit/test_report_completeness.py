"""The completeness of integrated gradients in the report."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.evidence.attribution_schema import INTEGRATED
from rationale_eval.report.completeness import completeness_row, integrated, is_incomplete
from rationale_eval.report.html_tables import completeness_table
from rationale_eval.report.tables import COLUMNS
from rationale_eval.tables import write_table
from report_trees import METHODS, SCRIPT, VALIDITY, run, write_cell

METHOD = {"kind": "integrated_gradients", "baseline": "pad", "steps": 20, "tolerance": 0.1, "max_steps": 80}


def evidence(*rows):
    """Rows of (status, difference, completeness error) and, of those that have them, steps and within_tolerance."""
    found = []
    for number, (status, *values) in enumerate(rows):
        row = dict.fromkeys(INTEGRATED.columns.names) | {"id": str(number), "status": status}
        names = ("difference", "completeness_error", "steps", "within_tolerance")
        found.append(row | dict(zip(names, values, strict=True)))
    return found


LEFT_OUT = ("too_long", None, None, None, None)
ROWS = evidence(("ok", 2.0, -0.5, 80, False), ("ok", -4.0, 0.25, 20, True), LEFT_OUT)


def test_the_row_by_hand():
    row = completeness_row(pd.DataFrame(ROWS), METHOD, VALIDITY)
    assert row == {
        "baseline": "pad",
        "tolerance": 0.1,
        "steps_mean": 50.0,
        "steps_max": 80,
        "share_within": 0.5,
        "instances": 3,
        "status_ok": 2,
        "status_too_long": 1,
        "n": 2,
        "change": 3.0,
        "error_mean": 0.375,
        "error_max": 0.5,
        "error_share": 0.125,
        "incomplete": True,
    }


@pytest.mark.parametrize(
    ("error", "change", "expected"),
    [(0.1, 1.0, False), (0.11, 1.0, True), (0.0, 0.0, False), (0.01, 0.0, True), (None, None, False)],
)
def test_incomplete_is_an_error_that_is_a_large_share_of_the_change(error, change, expected):
    assert is_incomplete({"error_mean": error, "change": change}, VALIDITY) is expected


def test_what_20_steps_gave_on_the_default_model_is_incomplete():
    """A mean error of 1.78 on a mean change of 0.41."""
    row = completeness_row(pd.DataFrame(evidence(("ok", 0.41, 1.78, 20, False))), METHOD, VALIDITY)
    assert row["incomplete"]
    assert not completeness_row(pd.DataFrame(evidence(("ok", 0.41, 0.02, 160, True))), METHOD, VALIDITY)["incomplete"]


def test_nothing_computed_and_nothing_changed_are_missing_values():
    none = completeness_row(pd.DataFrame(evidence(LEFT_OUT)), METHOD, VALIDITY)
    assert (none["n"], none["change"], none["error_mean"], none["error_share"]) == (0, None, None, None)
    assert (none["steps_mean"], none["steps_max"], none["share_within"]) == (None, None, None)
    flat = completeness_row(pd.DataFrame(evidence(("ok", 0.0, 0.0, 20, True))), METHOD, VALIDITY)
    assert (flat["n"], flat["error_mean"], flat["error_share"]) == (1, 0.0, None)


def test_small_errors_are_not_rounded_away_and_names_are_text():
    names = {"corpus": "c", "model": "m", "checkpoint": "base", "method": SCRIPT, "collapsed": True}
    row = names | completeness_row(pd.DataFrame(evidence(("ok", 0.02, 0.00031, 20, True))), METHOD, VALIDITY)
    html = completeness_table(pd.DataFrame([row]), "t")
    assert "0.00031" in html
    assert "base\N{NO-BREAK SPACE}\N{DAGGER}" in html
    assert SCRIPT not in html


def test_a_study_with_integrated_gradients_shows_them(tmp_path):
    write_cell(tmp_path, "one", "yes", "some words", {})
    write_table(tmp_path / "one/m/base/evidence/attributions/grad.parquet", ROWS, INTEGRATED, {})
    # The tree's method `grad` is said to be integrated gradients; its rationales are what they are.
    report = run(tmp_path, [("one", "base")], METHODS | {"grad": METHOD | {"statistic": "ig_dot"}}, drawn=False)
    (row,) = pd.read_csv(report / "tables/completeness.csv").to_dict("records")
    assert (row["method"], row["n"], row["error_max"], row["incomplete"]) == ("grad", 2, pytest.approx(0.5), True)
    assert row["collapsed"]
    html = (report / "index.html").read_text(encoding="utf-8")
    assert 'id="completeness"' in html
    assert "0.38" in html
    assert "grad\N{NO-BREAK SPACE}\N{SECTION SIGN}: the attributions miss 12\N{NO-BREAK SPACE}% of the" in html
    assert ">grad\N{NO-BREAK SPACE}\N{SECTION SIGN}<" in html.split('id="completeness"')[1].split("</section>")[0]
    tex = (report / "tables/completeness.tex").read_text(encoding="utf-8")
    assert "grad~\N{SECTION SIGN} &" in tex
    assert "too far from adding up" in tex
    assert "the model has collapsed" in tex


def test_a_study_without_them_has_an_empty_table_and_no_section(tmp_path):
    write_cell(tmp_path, "one", "yes", "some words", {})
    report = run(tmp_path, [("one", "base")], drawn=False)
    table = pd.read_csv(report / "tables/completeness.csv")
    assert table.empty
    assert table.columns.tolist() == list(COLUMNS["completeness"])
    assert "add up?" not in (report / "index.html").read_text(encoding="utf-8")
    assert integrated(METHODS, ()) == []
