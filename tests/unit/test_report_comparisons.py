"""Prompting and matched sizes in the report: hand-worked tables, paired sentences, figures."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.claims.registry import UNITS
from rationale_eval.rationales.replies import OUTCOMES
from rationale_eval.rationales.schema import rationale_row
from rationale_eval.report.comparisons import sides_text
from rationale_eval.report.examples import shown_methods
from rationale_eval.report.flags import INCOMPLETE, UNUSABLE
from rationale_eval.report.html_tables import alignment_table, prompting_table
from rationale_eval.report.latex_short import SHORT
from rationale_eval.report.layout import family, one_row_each
from rationale_eval.report.method_figures import matched_figure
from rationale_eval.report.prompting import OUTCOMES as REPORTED
from rationale_eval.report.prompting import prompting_row
from rationale_eval.report.table_files import write
from rationale_eval.report.tables import COLUMNS
from rationale_eval.report.wording import budget_text
from report_trees import ASKED, ATTENTION, BUDGETS, HOSTILE, IMAGE, METHODS, SCRIPT, estimate, run, write_cell

SCORED = {"grad": {"kind": "gradients"}, "att": {"kind": "attention"}, "said": {"kind": "prompt"}}
MATCHED = {"matched_said": {"kind": "matched", "to": "said"}}


# Prompting


def answer(name, outcome, listed=0, hallucinated=(), selected=None, copied=False):
    status = "refusal" if outcome == "refusal" else "ok"
    values = {"listed": listed, "hallucinated": list(hallucinated), "selected": selected, "copied": copied}
    return rationale_row(name, status=status, outcome=outcome, named=selected and sum(selected), **values)


def prompting(rows, replies):
    """The row of a method whose replies are its rationales, where the model predicts "no" for every text."""
    frame = pd.DataFrame(rows)
    predictions = pd.DataFrame({"id": frame["id"].unique(), "predicted": "no"})
    return prompting_row(frame, frame, pd.DataFrame([{"answer": None} | reply for reply in replies]), predictions)


@pytest.mark.parametrize(
    ("measure", "first", "said"),
    [
        ("flip", 0.25, "25\N{NO-BREAK SPACE}% against 30\N{NO-BREAK SPACE}%"),
        (
            "flip_beyond_random",
            -0.03,
            "\N{MINUS SIGN}3\N{NO-BREAK SPACE}points against +30\N{NO-BREAK SPACE}points",
        ),
        ("flip_beyond_random", -0.001, "0\N{NO-BREAK SPACE}points against +30\N{NO-BREAK SPACE}points"),
        ("f1_corrected", -0.03, "\N{MINUS SIGN}0.03 against 0.30"),
    ],
)
def test_the_means_of_a_contrast_are_in_its_unit(measure, first, said):
    assert sides_text({"unit": UNITS[measure]}, {"first": first, "second": 0.3, "n": 48}) == said


def test_prompting_row_by_hand():
    rationales = [
        answer("a", "ok", 2, (), [True, True, False]),
        answer("b", "partly_matched", 3, ("x", "y"), [True, False, False]),
        answer("c", "refusal"),
        answer("d", "truncated", 3, (), [True, True, True], copied=True),
        rationale_row("e", status="no_gold"),
    ]
    asked = {"a": (2, False), "b": (3, True), "c": (1, False), "d": (2, False), "e": (None, None)}
    replies = [
        {"id": name, "sample": 0, "asked": k, "capped": capped, "reply_tokens": None if k is None else 10 * k}
        | {"finish": "length" if name == "d" else None if k is None else "stop"}
        for name, (k, capped) in asked.items()
    ]
    row = prompting(rationales, replies)
    assert (row["instances"], row["n"], row["status_ok"], row["status_refusal"], row["status_no_gold"]) == (
        5,
        4,
        3,
        1,
        1,
    )
    # All but the refusal name a word.
    assert (row["usable"], row["n_usable"]) == (0.75, 3)
    assert (row["outcome_ok"], row["outcome_empty"], row["share_refusal"], row["share_empty"]) == (1, 0, 0.25, 0)
    # 2 + 3 + 0 + 3 things in four replies, two of them in one reply are not in the text.
    assert (row["listed"], row["hallucinated"], row["any_hallucinated"], row["copied"]) == (2, 0.5, 0.25, 0.25)
    # 2, 1 and 3 words; the refusal has none. Only "a" named as many words as it was asked for.
    assert (row["selected"], row["n_selected"], row["asked"], row["n_asked"], row["exact"]) == (2, 3, 2, 4, 0.25)
    assert (row["capped"], row["finish_stop"], row["finish_length"], row["reply_tokens"]) == (1, 3, 1, 20)


def test_replies_that_only_give_back_the_question_are_counted_and_not_usable():
    rationales = [
        answer("a", "label_only", selected=[False, False]),
        answer("b", "label_only", selected=[False, False]),
        answer("c", "form_only", selected=[False, False]),
        answer("d", "truncated", 1, (), [True, False]),
        rationale_row("e", status="too_long"),
    ]
    shared = {"sample": 0, "asked": None, "capped": None, "reply_tokens": 4, "finish": "stop"}
    row = prompting(rationales, [{"id": name} | shared for name in "abcde"])
    assert (row["n"], row["outcome_label_only"], row["outcome_form_only"], row["share_label_only"]) == (4, 2, 1, 0.5)
    assert (row["usable"], row["n_usable"]) == (0.25, 1)
    names = {"corpus": "c", "model": "m", "checkpoint": "base", "method": "p", "collapsed": False, "flag": UNUSABLE}
    table = pd.DataFrame([names | row])
    html = str(prompting_table(table, "t"))
    for text in ("label only", "form only", "name a word", ">p\N{NO-BREAK SPACE}\N{DOUBLE DAGGER}<"):
        assert text in html
    (tex,) = SHORT["prompting"](table, {})
    heads, cells = (line.removesuffix(r" \\").split(" & ") for line in tex.splitlines() if line.count("&") > 9)
    shown = dict(zip(heads, cells, strict=True))
    assert (shown["method"], shown["label"], shown["form"]) == ("p~\N{DOUBLE DAGGER}", r"50~\%", r"25~\%")


def test_every_outcome_of_reading_has_a_column():
    assert set(REPORTED) == set(OUTCOMES)


def test_a_request_without_a_number_has_nothing_to_be_exact_about():
    replies = [{"id": "a", "sample": 0, "asked": None, "capped": None, "reply_tokens": 4, "finish": "stop"}]
    row = prompting([answer("a", "empty", selected=[False])], replies)
    assert (row["n_asked"], row["asked"], row["exact"], row["capped"], row["share_empty"]) == (0, None, None, 0, 1)


def test_the_label_given_after_a_reply_is_held_against_the_predicted_one():
    given = {"a": "no", "b": "yes", "c": "no", "d": None}
    replies = [
        {"id": name, "sample": 0, "asked": None, "capped": None, "reply_tokens": 4, "finish": "stop", "answer": label}
        for name, label in given.items()
    ]
    row = prompting([answer(name, "ok", 1, (), [True]) for name in given], replies)
    assert (row["n_answers"], row["answers_agree"]) == (3, pytest.approx(2 / 3))


def test_a_study_without_prompted_methods_has_an_empty_table_with_its_columns(tmp_path):
    write(tmp_path, "prompting", COLUMNS["prompting"], [], {})
    assert pd.read_parquet(tmp_path / "prompting.parquet").columns.tolist() == list(COLUMNS["prompting"])
    assert pd.read_csv(tmp_path / "prompting.csv").empty


def test_a_hostile_name_in_the_prompting_table_is_text():
    replies = [{"id": "a", "sample": 0, "asked": 1, "capped": False, "reply_tokens": 4, "finish": "stop"}]
    row = prompting([answer("a", "ok", 1, (SCRIPT,), [True])], replies)
    names = {
        "corpus": SCRIPT,
        "model": IMAGE,
        "checkpoint": "base",
        "method": HOSTILE,
        "collapsed": False,
        "flag": None,
    }
    html = prompting_table(pd.DataFrame([names | row]), "t")
    assert "<script" not in html
    assert "<img" not in html


# Matched sizes


def test_the_matched_figure_has_a_group_for_each_budget_or_says_that_there_is_none():
    names = {"corpus": "c", "model": "m", "checkpoint": "base"}
    rows = [
        estimate("grad", 0.3, 0.2, 0.4, budget="matched_said"),
        estimate("said", 0.2, 0.1, 0.3, "prompt", "as_given"),
    ]
    rows.append(estimate("grad", 0.3, 0.2, 0.4))
    table = pd.DataFrame([names | row for row in rows])
    (axes,) = [axes for axes in matched_figure(table, SCORED, MATCHED, 0.95).axes if axes.get_visible()]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["matched_said:", "said (as given)", "grad"]
    none = matched_figure(table, SCORED, {"top_var": {"kind": "top_var"}}, 0.95)
    assert "no matched budget" in none.texts[0].get_text()
    assert not none.axes


# Families and examples


def test_prompting_is_a_family_with_one_row_each():
    assert family("prompt") == "prompting"
    rows = [estimate("said", 0.2, 0.1, 0.3, "prompt"), estimate("said", 0.3, 0.1, 0.4, "prompt", "as_given")]
    rows.append(estimate("grad", 0.1, 0.0, 0.2))
    table = pd.DataFrame(rows)
    assert one_row_each(table)["budget"].tolist() == ["as_given", "top_var"]
    # Examples show a reply's whole set.
    assert shown_methods(table, "top_var") == [("said", "as_given"), ("grad", "top_var")]


def test_a_flagged_method_is_no_example():
    rows = [estimate("said", 0.9, 0.8, 1.0, "prompt") | {"flag": UNUSABLE}, estimate("ig", 0.5, 0.4, 0.6)]
    rows += [estimate("grad", 0.1, 0.0, 0.2), estimate("att", 0.2, 0.1, 0.3, "attention")]
    rows[1]["flag"] = INCOMPLETE
    # The family of prompts has no other method.
    assert shown_methods(pd.DataFrame(rows), "top_var") == [("att", "top_var"), ("grad", "top_var")]


def test_sets_of_different_sizes_are_not_bold():
    means = ("iou", "f1_correct", "f1_wrong", "precision", "recall")
    rest = {"selected": 2} | {f"{name}{end}": 0.1 for name in means for end in ("", "_low", "_high")}
    rows = [estimate("a", 0.5, 0.4, 0.6, "prompt", "as_given"), estimate("b", 0.2, 0.1, 0.3, "prompt", "as_given")]
    table = pd.DataFrame([row | rest | {"n_correct": 1, "n_wrong": 1} for row in rows])
    assert alignment_table(table, "t", False).count("bold") == 0


def test_matched_budgets_in_words():
    assert budget_text(BUDGETS["matched_asked"]) == "as many words as the reply of asked names in the text"


# The stages


def test_a_study_of_the_base_without_prompting_runs(tmp_path):
    """No reply, no matched budget, one checkpoint: the figures and the page say so."""
    write_cell(tmp_path, "one", "yes", "some words", {})
    methods = {name: METHODS[name] for name in METHODS if name != ASKED}
    report = run(tmp_path, [("one", "base")], methods, {"top_var": BUDGETS["top_var"]})
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "The study has no prompted method" in html
    assert "no model with both its base and a fine-tuned checkpoint" in html
    assert "no matched budget" in (report / "figures/matched.svg").read_text(encoding="utf-8")
    assert "no checkpoint but the base" in (report / "figures/trajectory.svg").read_text(encoding="utf-8")
    assert pd.read_csv(report / "tables/prompting.csv").empty
    assert len(pd.read_csv(report / "tables/trajectory.csv")) == 2 + 1 + 1


def test_a_study_with_an_epoch_says_what_changed(tmp_path):
    for checkpoint in ("base", "epoch-01-seed-0"):
        write_cell(tmp_path, "one", "yes", "some words", {}, checkpoint)
    report = run(tmp_path, [("one", "base"), ("one", "epoch-01-seed-0")])
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "one, m: what fine-tuning changed" in html
    assert "Accuracy after 1 epoch of fine-tuning, with one seed:" in html
    assert "<strong>One seed.</strong>" in html
    assert "reply read as: partly matched; not in the text: “" in html
    prompting = pd.read_parquet(report / "tables/prompting.parquet").to_dict("records")
    assert [row["checkpoint"] for row in prompting] == ["base", "epoch-01-seed-0"]
    assert (prompting[0]["n"], prompting[0]["share_refusal"], prompting[0]["exact"]) == (3, pytest.approx(1 / 3), 1 / 3)
    trajectory = pd.read_parquet(report / "tables/trajectory.parquet").set_index(["epoch", "method", "budget"])
    both = trajectory.loc[(1, ATTENTION, "top_var")]
    # Instance 1 alone is right at both checkpoints: F1 0.6 and then 0.7, and its prediction flips.
    assert (both["n_f1_both"], both["f1_both"], both["f1_both_base"]) == (1, pytest.approx(0.7), pytest.approx(0.6))
    # No random words were drawn, so nothing stands against its flips.
    assert (both["n_flip_beyond_random_both"], both["flip_rate"]) == (0, pytest.approx(1 / 3))
    assert pd.isna(both["flip_beyond_random_both"])
    assert both["seeds"] == 1
