"""Which numbers of the report have an interval, and which are constants by definition."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from rationale_eval.alignment import MEASURES
from rationale_eval.report import tables
from rationale_eval.report.html_tables import accuracy_table, alignment_table
from rationale_eval.report.latex_grids import GRIDS, shown
from rationale_eval.report.latex_short import SHORT
from rationale_eval.report.layout import Cell
from rationale_eval.statistics.labels import macro_f1_interval
from report_trees import BUDGETS, INTERVAL, METHODS, VALIDITY, write_cell
from sklearn.metrics import f1_score


def reference(kind, value, n=4):
    """A cell of ``n`` instances with four words, two of them marked: all that a reference row is measured by."""
    selected = 2 if kind == "human" else 4
    rows = []
    for place in range(n):
        row = {"id": str(place), "sample": 0, "status": "ok", "words": 4, "selected": selected, "short": False}
        rows.append(row | dict.fromkeys(MEASURES, value) | {"f1_corrected": 0.5 * (kind == "human"), "auprc": None})
    flips = {"flip": 1.0, "comprehensiveness": 0.1, "sufficiency": 0.0, "flip_when_kept": 0.0}
    return pd.DataFrame(rows), pd.DataFrame(rows).assign(**flips)


def test_a_constant_by_definition_has_no_bounds_and_says_so():
    correct = pd.Series(dict.fromkeys(map(str, range(4)), 1.0))
    for kind, constants, vary in (
        ("human", ("f1", "precision", "recall", "iou", "f1_correct"), ("f1_corrected",)),
        ("all_words", ("recall", "f1_corrected"), ("f1", "precision", "iou")),
        # Equal in all instances too, but by what was seen: another reply may name words.
        ("prompt", (), ("f1", "f1_corrected", "recall")),
    ):
        aligned, masked = reference(kind, 1.0 if kind == "human" else 0.5)
        row = tables._without_constants(tables.alignment_row(aligned, correct, INTERVAL), kind)
        assert {name: row[f"{name}_low"] for name in constants} == dict.fromkeys(constants)
        assert all(row[f"{name}_low"] < row[f"{name}_high"] for name in vary)
        flips = tables._without_constants(tables.faithfulness_row(masked, correct, INTERVAL), kind)
        kept = [flips[f"{name}_high"] for name in ("sufficiency", "flip_when_kept")]
        assert (kept == [None, None]) == (kind == "all_words")
        assert flips["flip_rate_low"] < 1
        html = alignment_table(
            pd.DataFrame(
                [{"method": "m", "kind": kind, "budget": "as_given"} | row | {"collapsed": False, "flag": None}]
            ),
            "t",
            False,
        )
        assert html.count("(by definition)") == len(set(constants))


def test_constants_have_no_bounds_in_the_tables_as_they_are_written(tmp_path):
    write_cell(tmp_path, "c", "yes", "some words", {})
    # The tree's method `grad` is said to be all words; its values are what they are.
    spec = {"methods": METHODS | {"grad": {"kind": "all_words"}}, "budgets": BUDGETS, "main_budget": "top_var"}
    spec |= {"interval": INTERVAL, "validity": VALIDITY, "unavailable": {"m": []}, "evaluated": []}
    rows = tables.collect([Cell("c", "m", "base")], tmp_path, spec)
    (human,) = (row for row in rows["alignment"] if row["method"] == "human")
    assert (human["f1_low"], human["f1_high"]) == (None, None)
    assert human["f1_corrected_low"] is not None
    for name, constant, varying in (
        ("alignment", "recall", "precision"),
        ("faithfulness", "flip_when_kept", "flip_rate"),
        ("splits", "f1_corrected", "flip_rate"),
    ):
        mine = [row for row in rows[name] if row["method"] == "grad"]
        assert {row[f"{constant}_low"] for row in mine} == {None}
        assert any(row[f"{varying}_low"] is not None for row in mine)


def test_a_constant_is_said_to_be_one_in_latex():
    row = {"kind": "human", "f1": 1.0, "f1_low": None, "f1_high": None, "n": 5}
    assert shown(row, GRIDS["alignment"][0]) == r"1.00 \rationaleinterval{by definition}"
    assert shown(row | {"kind": "prompt"}, GRIDS["alignment"][0]) == "1.00"


def test_f1_above_chance_where_no_word_agrees_has_an_interval_that_holds_a_rare_hit():
    """Five texts without a hit: what random words are expected to have varies, and is no spread of what was seen."""
    names = list("abcde")
    frame = pd.DataFrame({"id": names, "method": "m", "budget": "b", "status": "ok", "words": 4, "selected": 1})
    chance = [0.05, 0.12, 0.08, 0.07, 0.1]
    aligned = frame.assign(**dict.fromkeys(MEASURES, 0.0), short=False, gold=1)
    aligned = aligned.assign(f1_chance=chance, f1_corrected=[-value for value in chance])
    rows = [tables.alignment_row(aligned, pd.Series(1.0, index=names), INTERVAL)]
    predictions = pd.DataFrame({"id": names, "gold": "yes", "predicted": "yes"})
    spec = {"methods": {"m": {"kind": "gradients"}}, "main_budget": "b", "interval": INTERVAL}
    split = list(tables.split_rows(predictions, aligned, frame.assign(flip=0.0), spec))
    rows += [row for row in split if row["n_f1"]]
    assert len(rows) == 4  # of all texts, of those that the model has right, of the one label and of the one length
    for row in rows:
        assert row["f1_corrected"] == pytest.approx(-0.084)
        assert -0.12 <= row["f1_corrected_low"] < -0.084
        assert row["f1_corrected_high"] > 0


def test_macro_f1_is_shown_with_its_interval():
    row = dict.fromkeys(tables.ACCURACY_COLUMNS, 0.9) | {"corpus": "c", "model": "m", "checkpoint": "base", "n": 48}
    row |= {"macro_f1": 0.5, "macro_f1_low": 0.4, "macro_f1_high": 0.6, "collapsed": False}
    table = pd.DataFrame([row | {"majority_predicted": "yes", "majority_gold": "yes"}])
    assert ">0.50 [0.40, 0.60]<" in accuracy_table(table, "t")
    (tex,) = SHORT["accuracy"](table, {"level": 0.95})
    assert r"& 0.50 \rationaleinterval{0.40, 0.60} &" in tex


def test_macro_f1_has_the_interval_of_its_resamples():
    rng = random.Random(3)
    gold = [rng.choice("ab") for _ in range(40)]
    predicted = [label if rng.random() < 0.8 else "c" for label in gold]
    low, high = macro_f1_interval(gold, predicted, INTERVAL)
    drawn = []
    for _ in range(1500):
        ids = [rng.randrange(40) for _ in range(40)]
        found = [predicted[place] for place in ids]
        labels = sorted({gold[place] for place in ids} | set(found))
        drawn.append(f1_score([gold[place] for place in ids], found, labels=labels, average="macro", zero_division=0))
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
    assert macro_f1_interval(["a", "b"], ["a", "b"], INTERVAL) == (None, None)
    assert macro_f1_interval([], [], INTERVAL) == (None, None)
