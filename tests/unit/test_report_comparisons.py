"""Prompting, matched sizes and checkpoints in the report: hand-worked tables, paired sentences, figures."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.claims.registry import UNITS
from rationale_eval.errors import UserError
from rationale_eval.rationales.replies import OUTCOMES
from rationale_eval.rationales.schema import rationale_row
from rationale_eval.report.comparisons import accuracy_change, by_course, sides_text
from rationale_eval.report.course_figures import trajectory_figure
from rationale_eval.report.examples import shown_methods
from rationale_eval.report.flags import INCOMPLETE, UNUSABLE
from rationale_eval.report.html_tables import alignment_table, prompting_table, trajectory_table
from rationale_eval.report.layout import Cell, epoch_and_seed, family, one_row_each
from rationale_eval.report.marked import MARKED
from rationale_eval.report.measured import Measured
from rationale_eval.report.method_figures import matched_figure
from rationale_eval.report.prompting import OUTCOMES as REPORTED
from rationale_eval.report.prompting import prompting_row
from rationale_eval.report.table_files import write
from rationale_eval.report.tables import COLUMNS
from rationale_eval.report.trajectory import trajectory_rows
from rationale_eval.report.wording import budget_text
from report_trees import ASKED, ATTENTION, BUDGETS, HOSTILE, IMAGE, INTERVAL, METHODS, SCRIPT, estimate, run, write_cell

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
    names = {"corpus": "c", "model": "m", "checkpoint": "base", "method": "p", "collapsed": False, "flag": None}
    html = str(prompting_table(pd.DataFrame([names | row]), "t"))
    for head in ("label only", "form only", "name a word"):
        assert head in html


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


def measured(values, correct):
    """``values``: {(method, budget): [(F1 above chance, flip) per instance]}; random words flip a quarter."""
    frames = {"f1": {}, "f1_corrected": {}, "flip": {}, "flip_beyond_random": {}}
    for (method, budget), found in values.items():
        for name, (f1, flip) in enumerate(found):
            key = method, budget, str(name)
            frames["f1"][key], frames["f1_corrected"][key], frames["flip"][key] = f1, f1, flip
            frames["flip_beyond_random"][key] = flip - 0.25
    names = ["method", "budget", "id"]
    series = {name: pd.Series(found, dtype=float).rename_axis(names) for name, found in frames.items() if found}
    return Measured(pd.Series(correct, index=[str(name) for name in range(len(correct))], dtype=float), series, 0.5)


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


# Checkpoints


def test_checkpoint_names_are_read():
    assert epoch_and_seed("base") == (0, None)
    assert epoch_and_seed("epoch-10-seed-3") == (10, 3)
    with pytest.raises(UserError, match="neither 'base' nor of the form"):
        epoch_and_seed("epoch-10")


def rows_of(checkpoint, accuracy, f1, flip):
    names = {"corpus": "c", "model": "m", "checkpoint": checkpoint}
    spread = {
        "accuracy": accuracy,
        "macro_f1": 0.5,
        "majority_predicted_share": 0.6,
        "predicted_entropy": 0.9,
        "n": 4,
        "collapsed": False,
    }
    method = names | {"method": "grad", "kind": "gradients", "budget": "top_var", "n": 3}
    scored = {"f1": f1, "f1_corrected": f1 - 0.1}
    return {
        "accuracy": [names | spread],
        "alignment": [method | scored | {"flag": None}],
        "faithfulness": [
            method | {"flip_rate": flip, "comprehensiveness": 0.2, "n_random": 2, "flip_beyond_random": flip - 0.1}
        ],
    }


def test_trajectory_rows_by_hand():
    parts = [rows_of("base", 0.5, 0.2, 0.5), rows_of("epoch-01-seed-0", 0.7, 0.3, 0.4)]
    parts.append(rows_of("epoch-01-seed-1", 0.8, 0.5, 0.2))
    tables = {name: [row for part in parts for row in part[name]] for name in parts[0]}
    key = ("grad", "top_var")
    cells = {
        Cell("c", "m", "base"): measured({key: [(0.1, 1.0), (0.3, 0.0), (0.2, 1.0)]}, [1, 1, 0]),
        Cell("c", "m", "epoch-01-seed-0"): measured({key: [(0.5, 0.0), (0.1, 0.0), (0.3, 1.0)]}, [1, 0, 1]),
        Cell("c", "m", "epoch-01-seed-1"): measured({key: [(0.7, 1.0), (0.5, 0.0), (0.3, 0.0)]}, [1, 1, 0]),
    }
    base, trained = trajectory_rows(tables, cells)
    assert (base["epoch"], base["seeds"], trained["epoch"], trained["seeds"]) == (0, 1, 1, 2)
    assert (base["family"], base["f1"], base["f1_min"], base["f1_max"]) == ("gradients", 0.2, 0.2, 0.2)
    assert (trained["accuracy"], trained["accuracy_min"], trained["accuracy_max"]) == (pytest.approx(0.75), 0.7, 0.8)
    assert (trained["f1"], trained["f1_corrected"], trained["flip_rate"]) == pytest.approx((0.4, 0.3, 0.3))
    # The runs flip 0.4 and 0.2, random words 0.1.
    beyond = [trained[f"flip_beyond_random{end}"] for end in ("", "_min", "_max")]
    assert beyond == pytest.approx([0.2, 0.1, 0.3])
    assert trained["n_flip_beyond_random"] == 2
    assert (trained["n_accuracy"], trained["n_f1"]) == (4, 3)
    # The base is right on 0 and 1. Seed 0 shares instance 0 with it: 0.5 and no flip; seed 1 both: 0.6 and a half.
    assert (base["f1_both"], base["n_f1_both"]) == (pytest.approx(0.2), 2)
    assert (trained["f1_both"], trained["f1_both_min"], trained["f1_both_max"]) == pytest.approx((0.55, 0.5, 0.6))
    # No flip, and a half, less a quarter by random words.
    assert (trained["flip_beyond_random_both"], trained["n_flip_beyond_random_both"]) == (pytest.approx(0.0), 1)
    # The base on these: 0.1, and 0.2.
    assert (trained["f1_both_base_min"], trained["f1_both_base_max"]) == pytest.approx((0.1, 0.2))


def test_without_the_base_there_is_nothing_that_both_classify():
    tables = rows_of("epoch-01-seed-0", 0.7, 0.3, 0.4)
    cells = {Cell("c", "m", "epoch-01-seed-0"): measured({("grad", "top_var"): [(0.1, 1.0)]}, [1])}
    (row,) = trajectory_rows(tables, cells)
    assert (row["f1"], row["f1_both"], row["n_f1_both"]) == (0.3, None, 0)
    assert by_course({cell: values.correct for cell, values in cells.items()}) == {}


def right(correct):
    """Of each text whether it is classified correctly."""
    return measured({}, correct).correct


def course(seeds):
    """Base and two epochs of a model whose accuracy rises from half to 0.9 (seed 0) or 1 (seed 1)."""
    found = {Cell("c", "m", "base"): right([i % 2 for i in range(40)])}
    found |= {Cell("c", "m", f"epoch-01-seed-{seed}"): right([0] * 40) for seed in range(seeds)}
    later = [[max(i % 2, i % 5 > 0) for i in range(40)], [1] * 40]
    return found | {Cell("c", "m", f"epoch-02-seed-{seed}"): right(later[seed]) for seed in range(seeds)}


def test_accuracy_is_compared_with_the_base_text_by_text():
    ((title, cells),) = by_course(course(1)).items()
    assert title == "c, m"
    (accuracy,) = accuracy_change(cells, INTERVAL)
    assert accuracy.startswith("Accuracy after 2 epochs of fine-tuning, with one seed: 90")
    assert "+40\N{NO-BREAK SPACE}points [" in accuracy
    assert accuracy.endswith("One seed cannot tell what another run would do.")
    assert "a rise" not in accuracy


def test_seeds_are_averaged_and_said():
    ((_, cells),) = by_course(course(2)).items()
    (accuracy,) = accuracy_change(cells, INTERVAL)
    assert "mean of 2 seeds: 95\N{NO-BREAK SPACE}% instead of 50\N{NO-BREAK SPACE}%" in accuracy
    assert accuracy.endswith(": a rise with each seed.")


def test_a_rise_of_the_mean_alone_is_none_of_the_seeds():
    cells = course(1) | {Cell("c", "m", "epoch-02-seed-1"): right([i % 2 * (i % 5 > 0) for i in range(40)])}
    (accuracy,) = accuracy_change(cells, INTERVAL)
    # 90 and 40 % after 50 %: the mean is 65 %, and rises text by text; one seed falls.
    assert "65\N{NO-BREAK SPACE}% instead of 50\N{NO-BREAK SPACE}%" in accuracy
    assert accuracy.endswith(": not in the same direction with each seed.")


def table_by_epoch(epochs, seeds):
    rows = []
    for epoch in epochs:
        for method, kind, budget in (("grad", "gradients", "top_var"), ("said", "prompt", "as_given")):
            row = {"corpus": "c", "model": "m", "epoch": epoch, "method": method, "kind": kind, "budget": budget}
            for value in ("accuracy", "majority_predicted_share", "f1_corrected", "flip_rate"):
                row |= {value: 0.3, f"{value}_min": 0.2, f"{value}_max": 0.4}
            row |= {"flip_beyond_random": -0.1, "flip_beyond_random_min": -0.2, "flip_beyond_random_max": 0.1}
            rows.append(row | {"seeds": seeds if epoch else 1, "collapsed": False, "flag": None})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("seeds", "bands", "said"), [(1, 0, "one seed"), (3, 2, "3 seeds")])
def test_the_trajectory_has_a_band_only_over_several_seeds(seeds, bands, said):
    figure = trajectory_figure(table_by_epoch([0, 1, 3], seeds), SCORED, "top_var", MARKED["people"])
    answers, alignment, _ = figure.axes
    assert len(alignment.collections) == len(answers.collections) == bands
    assert alignment.get_title(loc="left").startswith(said)
    assert [tick.get_text() for tick in answers.get_xticklabels()] == ["base", "1", "3"]


def test_the_trajectory_draws_flips_beyond_those_of_random_words():
    """Replies get shorter over fine-tuning: fewer flips, but no fewer beyond as many random words."""
    figure = trajectory_figure(table_by_epoch([0, 1], 1), SCORED, "top_var", MARKED["people"])
    axes = figure.axes[2]
    drawn = {round(float(value), 6) for line in axes.lines for value in line.get_ydata()}
    assert drawn == {-10.0, 0.0}  # the values, and the line of random words
    assert "beyond random" in axes.get_title(loc="left")
    table = table_by_epoch([0], 1).assign(n_flip_rate=9, n_f1=9, n_f1_both=9, family="f")
    both = ("f1_both", "f1_both_base", "flip_beyond_random_both", "flip_beyond_random_both_base")
    means = {f"{name}{end}": 0.2 for name in ("f1", "comprehensiveness", *both) for end in ("", "_min", "_max")}
    counts = {"n_flip_beyond_random": 8, "n_flip_beyond_random_both": 7}
    shown = trajectory_table(table.assign(**means, **counts), "t").replace("\N{NO-BREAK SPACE}", " ")
    assert "\N{MINUS SIGN}10 points (n = 8)" in shown
    assert "+20 points (n = 7)" in shown


def test_the_trajectory_of_the_base_alone_is_words():
    figure = trajectory_figure(table_by_epoch([0], 1), SCORED, "top_var", MARKED["people"])
    assert "no checkpoint but the base model" in figure.texts[0].get_text()


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
