"""Which numbers of the report have an interval, and which are constants by definition."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from rationale_eval.alignment import MEASURES
from rationale_eval.report import tables
from rationale_eval.report.html_tables import alignment_table
from rationale_eval.statistics.labels import macro_f1_interval
from report_trees import INTERVAL
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


def test_macro_f1_has_the_interval_of_its_resamples():
    rng = random.Random(3)
    gold = [rng.choice("ab") for _ in range(40)]
    predicted = [label if rng.random() < 0.8 else "c" for label in gold]
    low, high = macro_f1_interval(gold, predicted, INTERVAL)
    drawn = []
    for _ in range(4000):
        ids = [rng.randrange(40) for _ in range(40)]
        found = [predicted[place] for place in ids]
        labels = sorted({gold[place] for place in ids} | set(found))
        drawn.append(f1_score([gold[place] for place in ids], found, labels=labels, average="macro", zero_division=0))
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
    assert macro_f1_interval(["a", "b"], ["a", "b"], INTERVAL) == (None, None)
    assert macro_f1_interval([], [], INTERVAL) == (None, None)
