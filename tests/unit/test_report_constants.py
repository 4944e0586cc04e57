"""What the report's tables say of constants, and of ratios that rest on few texts: no interval that says nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rationale_eval.alignment import MEASURES
from rationale_eval.faithfulness.schema import FAITHFULNESS
from rationale_eval.report.latex_grids import SHARE, Measure, shown
from rationale_eval.report.measure_html import normalised_table
from rationale_eval.report.measure_tables import normalised_row
from rationale_eval.report.positions import position_row
from rationale_eval.report.positions_html import positions_table
from rationale_eval.report.tables import alignment_row, split_rows
from rationale_eval.statistics.intervals import mean_interval
from report_trees import INTERVAL

N = 48


def masked(flips, random, selected):
    """Rows of one method in texts of ten words, of which masking all always flips."""
    rows = []
    for place, (flip, drawn, chosen) in enumerate(zip(flips, random, selected, strict=True)):
        row = dict.fromkeys(FAITHFULNESS.columns.names) | {"id": str(place), "sample": 0, "status": "ok", "words": 10}
        rows.append(row | {"selected": chosen, "flip": float(flip), "flip_random": drawn, "flip_all": 1.0})
    return pd.DataFrame(rows)


def test_a_ratio_that_rests_on_few_informative_texts_has_a_wide_interval_and_says_so():
    # Two replies name a word, and one of them flips where one in three random words does.
    row = normalised_row(masked([1, 0] + [0] * 46, [1 / 3] * 2 + [0.0] * 46, [1, 1] + [0] * 46), INTERVAL)
    assert (row["n_flip"], row["n_flip_informative"]) == (N, 2)
    # One third of a text beyond random words, of 46 + 2 * 2/3 that masking all does.
    assert row["flip_normalised"] == pytest.approx((1 / 3) / (46 + 4 / 3))
    assert row["flip_normalised_low"] < -0.05
    assert row["flip_normalised_high"] > 0.05
    # What random words do has an interval: the mean is 2/3 of one text in 48.
    assert row["flip_random"] == pytest.approx(2 / 3 / N)
    assert row["flip_random_low"] < 2 / 3 / N < row["flip_random_high"]
    about = {"method": "asked", "kind": "prompt", "budget": "as_given", "flag": None}
    html = normalised_table(pd.DataFrame([about | row]), "t")
    assert "48 (2 informative)" in html
    assert "[0.00, 0.00]" not in html


def test_a_ratio_that_is_the_same_in_all_texts_has_the_interval_of_one_more():
    row = normalised_row(masked([0] * N, [0.0] * N, [2] * N), INTERVAL)
    assert (row["n_flip_informative"], row["flip_normalised"]) == (N, 0.0)
    # The weight of one more text is that of Clopper and Pearson's bound; what masking all does has the rest.
    most = 1 - 0.025 ** (1 / N)
    assert row["flip_normalised_high"] == pytest.approx(most / (1 - most), abs=0.01)
    assert row["flip_normalised_low"] == pytest.approx(-most / (1 - 2 * most), abs=0.01)


def test_a_ratio_of_many_texts_keeps_its_interval():
    half = [1, 0] * (N // 2)
    row = normalised_row(masked(half, [0.25] * N, [2] * N), INTERVAL)
    assert row["flip_normalised"] == pytest.approx((0.5 - 0.25) / (1 - 0.25))
    assert row["flip_normalised_low"] < 1 / 3 < row["flip_normalised_high"]


def test_random_words_are_0_by_definition_and_without_interval():
    draws = [1 / 3, 0.0, 2 / 3, 1.0] * (N // 4)
    row = normalised_row(masked(draws, draws, [2] * N), INTERVAL, "random")
    assert (row["flip_normalised"], row["flip_normalised_low"]) == (0.0, None)
    about = {"method": "random", "kind": "random", "budget": "top_var", "flag": None}
    assert "0.00 (by definition)" in normalised_table(pd.DataFrame([about | row]), "t")
    empty = normalised_row(masked(draws, [np.nan] * N, [2] * N), INTERVAL, "random")
    assert (empty["n_flip"], empty["flip_normalised"]) == (0, None)


def aligned(chance):
    """The marked words of texts with these F1 by chance, against themselves."""
    rows = [
        {"id": str(place), "method": "human", "budget": "as_given", "sample": 0, "status": "ok", "words": 10, "gold": 2}
        | {"selected": 2, "short": False, "flip": 0.0}
        | dict.fromkeys(MEASURES, 1.0)
        | {"f1_chance": one, "f1_corrected": 1 - one}
        for place, one in enumerate(chance)
    ]
    return pd.DataFrame(rows)


def test_of_the_marked_words_only_the_chance_varies():
    chance = [0.05, 0.1, 0.2] * 16
    row = alignment_row(aligned(chance), pd.Series(dtype=float), INTERVAL, "human")
    expected = mean_interval([1 - one for one in chance], INTERVAL)
    assert (row["f1_corrected_low"], row["f1_corrected_high"]) == pytest.approx(expected)
    # The standard error is 0.062 / sqrt(48) = 0.009; one more text with an F1 of 0 would reach far below.
    assert row["f1_corrected_low"] == pytest.approx(0.883 - 2 * 0.009, abs=0.003)


def test_of_the_marked_words_only_the_chance_varies_in_a_small_split():
    frame = aligned([0.05, 0.1, 0.1, 0.15, 0.2])
    predictions = pd.DataFrame({"id": frame["id"], "predicted": "a", "gold": "a"})
    spec = {"main_budget": "top_var", "methods": {"human": {"kind": "human"}}, "interval": INTERVAL}
    rows = [row for row in split_rows(predictions, frame, frame, spec) if row["split"] == "label"]
    assert rows[0]["f1_corrected"] == pytest.approx(0.88)
    assert rows[0]["f1_corrected_low"] > 0.8
    assert rows[0]["f1_corrected_high"] < 0.95


@pytest.mark.parametrize(("kind", "first", "last"), [("first_words", 1.0, 0.0), ("last_words", 0.0, 1.0)])
def test_the_ends_of_the_text_are_constants_of_the_rows_that_take_them(kind, first, last):
    frame = pd.DataFrame({"id": list("abcde"), "sample": 0, "status": "ok", "words": 9, "selected": 2})
    row = position_row(frame.assign(first=first, last=last, random=2 / 9), kind, INTERVAL)
    assert not [name for name in row if name.endswith(("_low", "_high"))]
    about = {"method": kind, "kind": kind, "budget": "two", "flag": None}
    row |= dict.fromkeys(("first_low", "first_high", "last_low", "last_high"))
    html = positions_table(pd.DataFrame([about | row]), "t").replace("\N{NO-BREAK SPACE}", " ")
    assert f"{100 * first:.0f} % (by definition)" in html
    assert f"{100 * last:.0f} % (by definition)" in html
    assert "by definition" in shown(about | row, Measure("last", "", SHARE, "n", 0))
