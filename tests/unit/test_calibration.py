"""Calibration on planted corpora: which word comes first, hits by hand, ranks against scipy, tables of a whole cell."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.rationales.schema import rationale_row
from rationale_eval.report import calibration
from rationale_eval.report.calibration import first_word, hits, rank_row
from rationale_eval.report.calibration_html import calibration_sections, calibration_table
from rationale_eval.report.flags import UNUSABLE
from rationale_eval.report.latex_short import SHORT
from rationale_eval.report.layout import Cell
from report_trees import ASKED, BUDGETS, INTERVAL, METHODS, VALIDITY, write_cell
from scipy import stats

TEXT = "one two three four"
WORDS = whitespace_words([TEXT])


def instance(name, cue):
    return Instance(name, "left", {"text": TEXT}, WORDS, tuple(place == cue for place in range(4)))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"scores": [0.1, 0.9, 0.9, -3.0]}, 1),  # of equals the earliest
        ({"scores": [-2.0, -1.0, -4.0, -3.0]}, 1),
        ({"selected": [True, False, True, False], "order": [2, 0]}, 2),  # not the first in the text
        ({"selected": [False] * 4, "order": []}, None),
        ({"selected": [True] * 4}, None),
    ],
)
def test_the_first_word_of_scores_of_a_reply_and_of_a_set_without_order(columns, expected):
    assert first_word(rationale_row("a", **columns)) == expected


def test_hits_average_draws_count_an_empty_reply_and_leave_out_what_is_missing():
    instances = {name: instance(name, 1) for name in "abcd"}
    rows = [
        rationale_row("a", 0, scores=[0.0, 1.0, 0.0, 0.0]),
        rationale_row("a", 1, scores=[1.0, 0.0, 0.0, 0.0]),
        rationale_row("b", selected=[False] * 4, order=[]),
        rationale_row("c", status="refusal"),
        rationale_row("d", selected=[False, True, True, False], order=[1, 2]),
        # A reply that scores no word: the first by position is none that it named.
        rationale_row("e", scores=[0.0] * 4, order=[], named=0),
    ]
    instances["e"] = instance("e", 0)
    assert hits(pd.DataFrame(rows), instances).to_dict() == {"a": 0.5, "b": 0.0, "d": 1.0, "e": 0.0}


def test_sets_without_an_order_have_no_first_word():
    assert hits(pd.DataFrame([rationale_row("a", selected=[True] * 4)]), {"a": instance("a", 0)}).empty


def row(kind, cue, flip, comprehensiveness, sufficiency):
    values = {"flip_rate": flip, "comprehensiveness": comprehensiveness, "sufficiency": sufficiency}
    return {"kind": kind, "budget": "top_var", "cue_words": cue, "flag": None} | values


def test_ranks_are_those_of_scipy_with_sufficiency_turned_round_and_references_left_out():
    rows = [
        row("gradients", 0.9, 0.8, 0.5, 0.1),
        row("attention", 0.4, 0.6, 0.7, 0.2),
        row("ablation", 0.7, 0.6, 0.6, 0.3),
        row("human", 1.0, 0.0, 0.0, 1.0),
        row("prompt", 1.0, 0.0, 0.0, 1.0) | {"flag": UNUSABLE},
    ]
    found = rank_row(rows)
    assert found["n_methods"] == 3
    assert found["tau_flip_rate"] == pytest.approx(stats.kendalltau([0.9, 0.4, 0.7], [0.8, 0.6, 0.6]).statistic)
    assert found["tau_comprehensiveness"] == pytest.approx(-1.0)
    assert found["tau_sufficiency"] == pytest.approx(1 / 3)


def test_no_rank_without_three_methods_or_without_differences():
    rows = [
        row("gradients", 0.9, 0.5, None, 0.1),
        row("attention", 0.4, 0.5, 0.7, 0.2),
        row("plugin", 0.3, 0.5, 0.7, 1),
    ]
    found = rank_row(rows)
    assert found["tau_flip_rate"] is None  # all equal
    assert found["tau_comprehensiveness"] is None  # two methods
    assert found["tau_sufficiency"] == pytest.approx(1.0)


def test_f1_and_auprc_have_each_their_own_chance_beside_them():
    frame = pd.DataFrame({"id": ["a", "b"], "f1": [0.0, 1.0], "f1_chance": 0.1, "auprc": 0.9, "auprc_chance": 0.3})
    flips = pd.DataFrame({"id": ["a", "b"], "flip": 1.0, "comprehensiveness": 0.7})
    masked = flips.assign(flip_when_kept=0.0, sufficiency=0.2)
    found = calibration.method_row(frame, masked, pd.Series({"a": 1.0, "b": 0.0}), INTERVAL)
    assert (found["cue_words_chance"], found["auprc_chance"]) == pytest.approx((0.1, 0.3))
    about = {"corpus": "c", "model": "m", "checkpoint": "base", "method": "grad", "kind": "gradients", "flag": None}
    table = pd.DataFrame([about | found | {"budget": "top_var", "accuracy": 1.0, "collapsed": False}])
    cells = re.findall(r"<td[^>]*>(.*?)</td>", calibration_table(table, "t"))
    # Each chance stands behind its estimate.
    assert [cells[place][:4] for place in (2, 3, 4, 5)] == ["0.50", "0.10", "0.90", "0.30"]
    (tex,) = SHORT["calibration"](table, {"level": 0.95})
    (line,) = (line for line in tex.splitlines() if line.startswith(r"\quad grad"))
    assert line.split(" & ")[4:6] == ["0.10", "0.30"]


def test_a_collapsed_cell_and_a_flagged_method_are_marked(tmp_path):
    """All texts get one label, and no reply names a word."""
    write_cell(tmp_path, "planted", "yes", TEXT, {}, named=False)
    cell = Cell("planted", "m", "base")
    spec = {"methods": METHODS, "budgets": BUDGETS, "main_budget": "top_var", "interval": INTERVAL}
    rows, ranks = calibration.collect([cell], tmp_path, spec | {"validity": VALIDITY, "unavailable": {"m": []}})
    assert all(row["collapsed"] for row in [*rows, *ranks])
    assert {row["method"]: row["flag"] for row in rows if row["flag"]} == {ASKED: UNUSABLE}
    assert ranks[0]["n_methods"] == 2  # the two attribution methods
    tables = {"calibration": pd.DataFrame(rows), "calibration_ranks": pd.DataFrame(ranks)}
    (part,) = calibration_sections([cell], tables)
    assert f"{ASKED}\N{NO-BREAK SPACE}\N{DOUBLE DAGGER}" in part["table"]
    assert "flip rate\N{NO-BREAK SPACE}\N{DAGGER}" in part["table"]
    assert "the model has collapsed" in part["sentence"]
    for name, table in tables.items():
        (tex,) = SHORT[name](table, {"level": 0.95})
        assert "\\textdagger" in tex
        assert "the model has collapsed, inconclusive" in tex
    assert "\\textbf" not in SHORT["calibration"](tables["calibration"], {"level": 0.95})[0]


def test_the_tables_of_a_cell(tmp_path):
    write_cell(tmp_path, "planted", "yes", TEXT, {})
    cell = {"corpus": "planted", "model": "m", "checkpoint": "base"}
    spec = {"cells": [cell], "methods": METHODS, "main_budget": "top_var", "interval": INTERVAL}
    spec |= {"budgets": BUDGETS, "validity": VALIDITY, "unavailable": {"m": []}}
    arguments = ["--results", str(tmp_path), "--output", str(tmp_path / "report")]
    calibration.main(["--spec", json.dumps(spec), *arguments])
    table = pd.read_parquet(tmp_path / "report" / "calibration.parquet").set_index("method")
    assert set(table.index) == set(METHODS)
    # Scores are 0 1 2 0 1 in turn and the first two words are marked; the second draw of `random` begins with 1.
    assert table.loc["grad", "first_word"] == 0.0
    assert table.loc["random", "first_word"] == 0.5
    assert table.loc["asked", "first_word"] == 1.0
    assert pd.isna(table.loc["human", "first_word"])
    # An F1 of 0.5 and a tenth of the id more in each of four instances.
    assert table.loc["grad", "cue_words"] == pytest.approx(0.65)
    ranks = pd.read_csv(tmp_path / "report" / "calibration_ranks.csv")
    assert ranks[["corpus", "model", "checkpoint", "n_methods"]].to_numpy().tolist() == [["planted", "m", "base", 3]]
