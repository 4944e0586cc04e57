"""The report's numbers and sentences: rows of the tables, counts, wording, findings, examples."""

from __future__ import annotations

import math
import re

import hidden_characters
import pandas as pd
import pytest
from rationale_eval.alignment import MEASURES
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.report import tables
from rationale_eval.report.aggregate import status_counts
from rationale_eval.report.bold import Measure, best, competing
from rationale_eval.report.drawing import instances_text
from rationale_eval.report.examples import choose, pieces
from rationale_eval.report.findings import accuracy_finding, alignment_finding, clear_of, faithfulness_finding
from rationale_eval.report.html_tables import alignment_table, render
from rationale_eval.report.layout import ordered
from rationale_eval.report.marked import MARKED
from rationale_eval.report.wording import (
    number,
    percent,
    percent_with_interval,
    points_with_interval,
    settings,
    visible,
)
from report_trees import HOSTILE, IMAGE, INTERVAL, SCRIPT, VALIDITY, Elements, estimate

PEOPLE = MARKED["people"]
# What a row of the table of alignment has besides an estimate.
REST = {"selected": 2, "n_correct": 1, "n_wrong": 1}
REST |= {f"{name}{end}": 0.1 for name in ("iou", "f1_correct", "f1_wrong") for end in ("", "_low", "_high")}

# Rows of the tables


def scored(name, sample, status, value=None, correct=None):
    measures = dict.fromkeys(MEASURES, value)
    chosen = {"selected": 1 if value is not None else None, "short": False, "words": 3, "gold": 1}
    return {"id": name, "sample": sample, "status": status, **chosen, **measures}


def test_samples_are_averaged_within_an_instance():
    rows = [scored("a", 0, "ok", 0.0), scored("a", 1, "ok", 1.0), scored("a", 2, "ok", 1.0), scored("b", 0, "ok", 0.0)]
    correct = pd.Series({"a": 1.0, "b": 0.0})
    row = tables.alignment_row(pd.DataFrame(rows), correct, INTERVAL)
    assert row["n"] == row["instances"] == row["status_ok"] == 2
    # Not the mean over the four rows, 1/2.
    assert row["f1"] == pytest.approx(1 / 3)
    assert (row["f1_correct"], row["n_correct"], row["f1_wrong"], row["n_wrong"]) == (pytest.approx(2 / 3), 1, 0.0, 1)


def test_what_is_not_computed_is_counted_and_not_averaged():
    rows = [scored("a", 0, "ok", 0.5), scored("b", 0, "no_gold"), scored("c", 0, "too_long"), scored("d", 0, "no_gold")]
    row = tables.alignment_row(pd.DataFrame(rows), pd.Series({"a": 1.0}), INTERVAL)
    assert (row["instances"], row["n"], row["f1"]) == (4, 1, 0.5)
    assert (row["status_ok"], row["status_no_gold"], row["status_too_long"]) == (1, 2, 1)
    assert (row["f1_wrong"], row["n_wrong"]) == (None, 0)


def test_an_instance_is_ok_if_one_of_its_samples_is():
    frame = pd.DataFrame([scored("a", 0, "too_long"), scored("a", 1, "ok", 0.5), scored("b", 0, "too_long")])
    assert status_counts(frame) == {"instances": 2, "status_ok": 1, "status_too_long": 1}


def test_a_row_of_which_nothing_was_computed_has_no_values():
    row = tables.alignment_row(pd.DataFrame([scored("a", 0, "no_gold")]), pd.Series(dtype=float), INTERVAL)
    assert (row["n"], row["f1"], row["f1_low"], row["f1_corrected_high"]) == (0, None, None, None)


def flipped(name, flip, kept=None, status="ok"):
    return {
        "id": name,
        "sample": 0,
        "status": status,
        "selected": 2,
        "words": 3,
        "flip": flip,
        "comprehensiveness": None if flip is None else 0.1,
        "sufficiency": None if kept is None else 0.2,
        "flip_when_kept": kept,
    }


def test_masking_and_keeping_have_counts_of_their_own():
    rows = [flipped("a", 1.0, 0.0), flipped("b", 0.0), flipped("c", 0.0, 1.0), flipped("d", None, status="too_long")]
    correct = pd.Series({"a": 1.0, "b": 1.0, "c": 0.0})
    row = tables.faithfulness_row(pd.DataFrame(rows), correct, INTERVAL)
    assert (row["instances"], row["n"], row["n_kept"], row["status_too_long"]) == (4, 3, 2, 1)
    assert (row["flip_rate"], row["flip_when_kept"]) == (pytest.approx(1 / 3), 0.5)
    assert (row["flip_rate_correct"], row["flip_rate_wrong"]) == (0.5, 0.0)


def test_texts_of_which_no_word_or_every_word_is_chosen_count_and_do_not_inform():
    sizes = {"a": 0, "b": 2, "c": 4}
    correct = pd.Series(dict.fromkeys(sizes, 1.0))
    aligned = [scored(name, 0, "ok", 0.5) | {"selected": size, "words": 4} for name, size in sizes.items()]
    masked = [flipped(name, 1.0) | {"selected": size, "words": 4} for name, size in sizes.items()]
    for row in (
        tables.alignment_row(pd.DataFrame(aligned), correct, INTERVAL),
        tables.faithfulness_row(pd.DataFrame(masked), correct, INTERVAL),
    ):
        assert (row["n"], row["n_informative"]) == (3, 1)


def test_n_is_shown_with_how_many_texts_inform_in_tables_and_above_figures():
    row = estimate("a", 0.5, 0.4, 0.6) | {"n": 48, "n_informative": 23} | REST
    assert ">48 (23 informative)<" in alignment_table(pd.DataFrame([row]), "t", True)
    rows = pd.DataFrame([row, estimate("everything", 0.5, 0.4, 0.6, "all_words") | {"n": 48, "n_informative": 0}])
    # All words never inform.
    assert instances_text(rows) == "n = 48, 23 informative"


def test_accuracy_row_by_hand():
    labels, sure = ["yes", "no"], [0.9, 0.1]
    scores = [math.log(0.45), math.log(0.05)]  # half of what the model would say is a label
    rows = [(f"{i}", "ok", gold, "yes", sure, scores) for i, gold in enumerate(["yes", "yes", "yes", "no"])]
    rows.append(("4", "too_long", "no", None, None, None))
    columns = ["id", "status", "gold", "predicted", "probabilities", "scores"]
    frame = pd.DataFrame(rows, columns=columns).assign(labels=[labels] * 5)
    row = tables.accuracy_row(frame, INTERVAL, VALIDITY)
    assert (row["instances"], row["n"], row["labels"], row["status_too_long"]) == (5, 4, 2, 1)
    assert (row["accuracy"], row["predicted_entropy"]) == (0.75, 0)
    assert (row["majority_predicted"], row["majority_predicted_share"]) == ("yes", 1.0)
    assert (row["majority_gold"], row["majority_gold_share"]) == ("yes", 0.75)
    assert (row["margin_q10"], row["margin_q90"]) == pytest.approx((0.8, 0.8))
    assert (row["label_mass_q10"], row["label_mass_q90"]) == pytest.approx((0.5, 0.5))
    assert row["collapsed"]


# Wording and findings


def test_numbers_as_printed():
    assert number(-0.001) == "0.00"
    assert number(-0.126) == "\N{MINUS SIGN}0.13"
    assert number(None) == number(float("nan")) == percent(None, 10) == "\N{EN DASH}"
    assert percent(0.345, 200) == "34\N{NO-BREAK SPACE}%"
    assert percent(0.345, 201) == "34.5\N{NO-BREAK SPACE}%"
    assert percent_with_interval(0.3, 0.2, 0.41, 60) == "30\N{NO-BREAK SPACE}% [20, 41]"
    assert points_with_interval(0.163, -0.001, 0.28, 60) == "+16\N{NO-BREAK SPACE}points [0, 28]"
    assert points_with_interval(-0.163, -0.2, -0.1, 60)[:3] == "\N{MINUS SIGN}16"


def test_settings_leave_out_what_is_not_set():
    assert settings({"kind": "random", "seeds": [0, 1], "budgets": None}) == "seeds 0, 1"


def test_controls_are_spelled_out():
    assert visible("a\u202eb\x00c\nd") == "a[U+202E]b[U+0000]c\nd"
    assert visible(3) == 3


def test_every_character_that_cannot_be_seen_is_spelled_out():
    for character in hidden_characters.every():
        assert visible(f"a{character}b") == f"a[U+{ord(character):04X}]b"


@pytest.mark.parametrize(("text", "shown"), hidden_characters.KEPT)
def test_a_joiner_or_selector_stays_only_where_its_neighbours_look_otherwise_without_it(text, shown):
    assert visible(text) == shown


def test_a_finding_names_the_best_and_those_that_overlap_with_it():
    rows = [estimate("a", 0.5, 0.4, 0.6), estimate("b", 0.45, 0.35, 0.55), estimate("c", 0.2, 0.1, 0.3)]
    rows.append(estimate("everything", 0.9, 0.8, 1.0, kind="all_words"))
    text = alignment_finding(pd.DataFrame(rows), "top_var", PEOPLE)
    assert "is that of a: F1 0.50 [0.40, 0.60]" in text
    assert "above random sets of the same size by 0.40 [0.30, 0.50]" in text
    assert "do not set it apart from 1 of 2 others: b." in text


def test_a_finding_says_what_is_below_chance():
    beyond = {"f1_corrected": -0.05, "f1_corrected_low": -0.08, "f1_corrected_high": -0.02}
    text = alignment_finding(pd.DataFrame([estimate("a", 0.12, 0.05, 0.2) | beyond]), "top_var", PEOPLE)
    minus = "\N{MINUS SIGN}"
    assert f"below random sets of the same size: by {minus}0.05 [{minus}0.08, {minus}0.02]." in text


def test_a_finding_hedges_what_chance_explains():
    text = alignment_finding(pd.DataFrame([estimate("a", 0.12, 0.05, 0.2)]), "top_var", PEOPLE)
    assert "cannot be told from random sets of the same size" in text
    assert "No other method was run" in text


def test_a_finding_names_all_that_are_equally_good():
    rows = [estimate("a", 0.5, 0.4, 0.6), estimate("b", 0.5, 0.45, 0.6), estimate("c", 0.1, 0.05, 0.2)]
    text = alignment_finding(pd.DataFrame(rows), "top_var", PEOPLE)
    assert "a and b (equal)" in text
    assert "set it apart from every other method" in text


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (
            0.3,
            0.6,
            0.04,
            "+30\N{NO-BREAK SPACE}points [10, 40], n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}47, p 0.040, corrected over "
            "all methods and budgets of the cell: more",
        ),
        (0.3, 0.6, 0.2, "p 0.200, corrected over all methods and budgets of the cell: not told apart"),
        (0.1, 0.6, 0.04, ": not told apart"),
    ],
)
def test_flip_rates_are_compared_with_random_words_text_by_text(low, high, p, verdict):
    row = estimate("a", 0.5, low, high) | {"beyond_random_p_corrected": p}
    text = faithfulness_finding(pd.DataFrame([row]), "top_var", 0.05, PEOPLE)
    assert "As many random words flip 20\N{NO-BREAK SPACE}% of the same texts" in text
    assert verdict in text


def test_methods_that_flip_no_more_than_random_words_are_not_said_to_flip_most():
    rows = [estimate("a", 0.2, 0.1, 0.3), estimate("b", 0.2, 0.05, 0.35), estimate("c", 0.1, 0.0, 0.2)]
    text = faithfulness_finding(pd.DataFrame(rows), "top_var", 0.05, PEOPLE)
    assert "no method's words flip more predictions than as many random words do" in text
    assert "flips most" not in text
    # Equal means have intervals of their own.
    for name, end in (("a", 10), ("b", 15)):
        ends = f"(difference 0\N{NO-BREAK SPACE}points [\N{MINUS SIGN}{end}, {end}]"
        assert f"as {name} chooses flip 20\N{NO-BREAK SPACE}% of the same texts {ends}" in text


def test_what_is_said_of_a_collapsed_cell_begins_with_that():
    rows = pd.DataFrame([estimate("a", 0.5, 0.4, 0.6) | {"collapsed": True}])
    for text in (alignment_finding(rows, "top_var", PEOPLE), faithfulness_finding(rows, "top_var", 0.05, PEOPLE)):
        assert text.startswith("Inconclusive, since the model has collapsed")


def test_a_missing_interval_sets_nothing_apart():
    missing = estimate("a", 0.0, 0.0, 0.0) | {"f1_low": None, "f1_high": None}
    assert clear_of(missing, estimate("b", 0.5, 0.4, 0.6), "f1") is None


def test_a_model_no_better_than_one_label_is_said_to_be():
    row = {"n": 50, "accuracy": 0.6, "accuracy_low": 0.46, "accuracy_high": 0.72, "majority_predicted": "yes"}
    row |= {"majority_predicted_share": 1.0, "majority_gold": "yes", "majority_gold_share": 0.6}
    text = accuracy_finding(row)
    assert "it answers “yes” on 100\N{NO-BREAK SPACE}%" in text
    assert text.endswith("which the interval includes.")


def test_references_stand_last_whatever_their_names():
    assert ordered({"a": {"kind": "random"}, "z": {"kind": "gradients"}, "y": {"kind": "attention"}}) == ["y", "z", "a"]


# Examples


def test_pieces_add_up_to_the_text_and_join_neighbours():
    fields = {"premise": " a  b c ", "claim": "d e"}
    instance = Instance("1", "yes", fields, whitespace_words(fields.values()), None)
    cut = pieces(instance, [True, True, False, True, False])
    assert cut == {
        "premise": [(" ", False), ("a  b", True), (" c ", False)],
        "claim": [("d", True), (" e", False)],
    }
    across = pieces(instance, [False, False, True, True, False])
    assert across == {"premise": [(" a  b ", False), ("c", True), (" ", False)], "claim": cut["claim"]}
    assert {name: "".join(text for text, _ in found) for name, found in cut.items()} == fields


@pytest.mark.parametrize(("wrong", "expected"), [(0, 0), (1, 1), (5, 2), (10, 4)])
def test_examples_are_half_misclassified_where_there_are_any(wrong, expected):
    predicted = ["no"] * wrong + ["yes"] * (10 - wrong)
    frame = pd.DataFrame({"id": [str(i) for i in range(10)], "predicted": predicted, "gold": "yes"})
    ids = choose(frame, 4)
    assert len(ids) == 4
    assert sum(frame.set_index("id")["predicted"][name] == "no" for name in ids) == expected


def test_a_table_escapes_cells_heads_and_groups():
    html = render([{"g": SCRIPT, "s": IMAGE, HOSTILE: SCRIPT}], "t", "s", "g")
    elements = Elements()
    elements.feed(html)
    assert not {tag for tag, _ in elements.started} - {"table", "thead", "tbody", "tr", "th", "td"}


def bold_rows(html):
    return [row.split("</th>")[0].split(">")[-1] for row in html.split("<tr>") if "bold" in row]


def test_bold_is_the_best_with_all_that_overlap_on_the_page_and_in_latex():
    rows = [estimate("a", 0.5, 0.4, 0.6), estimate("b", 0.45, 0.35, 0.55), estimate("c", 0.2, 0.1, 0.3)]
    rows += [estimate("d", 0.1, 0.0, 0.2, budget="half"), estimate("e", 0.3, 0.25, 0.35, budget="half")]
    rows += [estimate("all", 0.9, 0.8, 1.0, kind="all_words"), estimate("few", 0.8, 0.7, 0.9) | {"n": 29}]
    table = pd.DataFrame([row | REST for row in rows])
    page = alignment_table(table, "t", True)
    assert bold_rows(page) == ["a", "b", "e"]
    # AUPRC has its interval, and what random orders have stands beside it.
    assert re.search(r"0\.45 \[0\.35, 0\.55\]</td>\s*<td[^>]*>0\.30</td>", page)
    f1 = Measure("f1", "", "", "n")
    main = table[table["budget"] == "top_var"]
    assert {main.iloc[place]["method"] for place in best(competing(main, f1), f1)} == {"a", "b"}
