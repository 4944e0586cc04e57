"""Agreement of ways of asking, and of samples, and the spread of labels: hand-worked."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.rationales.schema import rationale_row
from rationale_eval.report.asking_tables import agreement_table, labels_table
from rationale_eval.report.flags import UNUSABLE
from rationale_eval.report.label_spread import label_rows
from rationale_eval.report.word_agreement import agreement_rows, named_words

A, B, C = [True, True, False, False], [True, False, True, False], [False, False, False, True]
NONE = [False] * 4


def table(*rows):
    return pd.DataFrame(list(rows))


def sets(*selected):
    return table(*(rationale_row(str(place), selected=words) for place, words in enumerate(selected)))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (rationale_row("x", selected=A), A),
        (rationale_row("x", selected=NONE), None),
        (rationale_row("x", scores=[0.5, -1.0, 0.0, 9.0]), [True, False, False, True]),
        (rationale_row("x", scores=[0.5, 0.4, 0.0, 1.0], votes=5), [True, False, False, True]),
        (rationale_row("x", status="refusal"), None),
    ],
    ids=["set", "empty", "numbers", "votes", "refusal"],
)
def test_what_a_row_names(row, words):
    assert named_words(table(row).to_dict("records")[0]) == words


def test_methods_are_compared_where_both_name_a_word():
    found = {"one": sets(A, A, NONE, A), "two": sets(A, B, A, C)}
    ((row),) = agreement_rows(found, {})
    assert (row["method"], row["other"], row["instances"], row["n"]) == ("one", "two", 4, 3)
    # F1 of 1, 1/2 and 0; IoU of 1, 1/3 and 0; of four words two and two (twice), and two and one.
    assert row["f1"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert row["iou"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert row["f1_chance"] == pytest.approx((0.5 + 0.5 + 2 * 2 * 1 / (4 * 3)) / 3)


def test_samples_are_compared_in_pairs_within_the_text_and_refusals_left_out():
    votes = table(rationale_row("0", scores=[1.0, 0.5, 0.5, 0.0], votes=2), rationale_row("1", status="no_vote"))
    samples = table(
        *(rationale_row("0", sample, selected=words) for sample, words in enumerate((A, A, B))),
        *(rationale_row("1", sample, status="refusal") for sample in range(2)),
        rationale_row("1", 2, selected=A),
    )
    ((row),) = agreement_rows({"voted": votes}, {"voted": samples, "other": sets(A)})
    assert (row["method"], row["other"], row["instances"], row["n"]) == ("voted", "voted", 2, 1)
    assert row["f1"] == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_without_two_sets_there_is_no_agreement():
    ((row),) = agreement_rows({"one": sets(NONE), "two": sets(A)}, {})
    assert (row["n"], row["f1"], row["iou"]) == (0, None, None)
    names = {"corpus": "c", "model": "m", "checkpoint": "base", "collapsed": True, "flag": UNUSABLE}
    shown = pd.DataFrame([names | row])
    assert agreement_table(shown, "t", samples=True) is None
    html = agreement_table(shown, "t", samples=False)
    assert "one and two\N{NO-BREAK SPACE}\N{DOUBLE DAGGER}" in html
    assert "c, m, base\N{NO-BREAK SPACE}\N{DAGGER}" in html


def test_labels_are_counted_over_the_predicted():
    columns = {"gold": ["a", "b", "b", "a"], "predicted": ["a", "a", "b", None]}
    probabilities = [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], None]
    first, second = label_rows(pd.DataFrame(columns | {"labels": [["a", "b"]] * 4, "probabilities": probabilities}))
    assert (first["label"], first["n"], first["n_gold"], first["n_predicted"]) == ("a", 3, 1, 2)
    assert (first["share_gold"], first["share_predicted"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (first["probability"], second["probability"]) == (0.5, 0.5)
    names = {"corpus": "c", "model": "m", "checkpoint": "<b>", "collapsed": True}
    html = labels_table(pd.DataFrame([names | first, names | second]), "t")
    assert "<b>" not in html
    assert "\N{NO-BREAK SPACE}\N{DAGGER}" in html
