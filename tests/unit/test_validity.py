"""Validity: collapse, random words of equal number, splits; and their marks in tables, figures and on the page."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from rationale_eval.report import tables
from rationale_eval.report.course_figures import collapse_figure, trajectory_figure
from rationale_eval.report.findings import collapse_note
from rationale_eval.report.html_tables import accuracy_table, faithfulness_table
from rationale_eval.report.marked import MARKED
from rationale_eval.report.method_figures import faithfulness_figure
from rationale_eval.report.validity import groups, is_collapsed, random_flips, reference_flips
from report_trees import INTERVAL, METHODS, VALIDITY, estimate, run, write_cell
from scipy import stats

# One worker makes the report that the tests share.
pytestmark = pytest.mark.xdist_group("validity")

ASKED = {"kind": "prompt", "strategy": "unbound"}
SPEC = {
    "methods": {
        "grad": {"kind": "gradients"},
        "said": ASKED,
        "voted": ASKED,
        "human": {"kind": "human"},
        "random": {"kind": "random", "seeds": [0, 1]},
        "everything": {"kind": "all_words"},
    },
    "interval": INTERVAL,
}


def row(method, name, flip, drawn, sample=0):
    """One choice of words; ``drawn``: the mean flip of equally many random words."""
    return {"method": method, "id": name, "sample": sample, "flip": flip, "flip_random": drawn}


FAITHFULNESS = pd.DataFrame(
    [
        *(row("grad", *one) for one in (("a", 1.0, 0.5), ("b", 1.0, 0.0), ("c", 0.0, 0.0), ("d", None, 0.5))),
        *(row("said", *one) for one in (("a", 1.0, 0.5), ("b", 1.0, None))),
        # Two samples of one instance, each with random words of its own number.
        *(row("voted", "a", flip, drawn, sample) for flip, drawn, sample in ((1.0, 1.0, 0), (0.0, 0.0, 1))),
        *(row("random", "a", flip, 0.5, sample) for flip, sample in ((1.0, 0), (0.0, 1))),
        *(row("human", name, 0.0, 0.5) for name in "abc"),
        *(row("everything", name, flip, flip) for name, flip in (("a", 1.0), ("b", 0.0))),
    ]
)


def of(method):
    return random_flips(FAITHFULNESS[FAITHFULNESS["method"] == method], SPEC)


def test_random_words_are_compared_instance_by_instance():
    found = of("grad")
    # Of a, b and c random words flip a half, none and none; the method flips a and b.
    assert found["n_random"] == 3
    assert found["flip_random"] == pytest.approx(1 / 6)
    assert found["flip_random_low"] < 1 / 6 < found["flip_random_high"]
    assert found["flip_beyond_random"] == pytest.approx(1 / 2)
    assert found["flip_beyond_random_low"] < 0.5 < found["flip_beyond_random_high"]
    # The differences are 1/2, 1 and 0: p is that of the sign-flip test, two of four choices of signs, above that of t.
    assert stats.ttest_1samp([0.5, 1.0, 0.0], 0).pvalue < 0.5
    assert (found["beyond_random_p"], found["beyond_random_effect"]) == pytest.approx((0.5, 1.0))


@pytest.mark.parametrize(
    ("method", "n", "random"),
    [
        ("said", 1, 1 / 2),  # only where random words were drawn
        ("voted", 1, 1 / 2),
        ("human", 3, 1 / 2),
        ("everything", 0, None),
        ("random", 0, None),
    ],
)
def test_random_words_are_drawn_or_not_compared(method, n, random):
    found = of(method)
    assert found["n_random"] == n
    assert found["flip_random"] == (None if random is None else pytest.approx(random))


def test_a_study_without_random_words_has_nothing_to_compare_with():
    found = random_flips(FAITHFULNESS[FAITHFULNESS["method"] == "grad"].assign(flip_random=None), SPEC)
    assert (found["n_random"], found["flip_beyond_random"]) == (0, None)
    references = reference_flips(FAITHFULNESS, {"grad": {"kind": "gradients"}}, INTERVAL)
    assert set(references.values()) == {None}


def test_reference_flips_by_hand():
    found = reference_flips(FAITHFULNESS, SPEC["methods"], INTERVAL)
    assert (found["flip_all_words"], found["flip_human"]) == (0.5, 0.0)
    assert found["flip_human_high"] == pytest.approx(1 - 0.025 ** (1 / 3))


@pytest.mark.parametrize(("share", "expected"), [(0.94, False), (0.95, True), (1.0, True), (None, True)])
def test_the_rule_of_collapse(share, expected):
    assert is_collapsed(share, VALIDITY) is expected


def test_splits_are_by_outcome_label_and_thirds_of_length():
    rows = [("a", "yes", "yes"), ("b", "no", "yes"), ("c", "no", "no"), ("d", "no", None), ("e", "yes", "yes")]
    predictions = pd.DataFrame(rows, columns=["id", "gold", "predicted"])
    words = pd.Series({"a": 4, "b": 4, "c": 7, "d": 9, "e": 30})
    found = {(split, group): list(ids) for split, group, ids in groups(predictions, words)}
    assert found == {
        ("outcome", "right"): ["a", "c", "e"],
        ("outcome", "wrong"): ["b"],
        ("label", "no"): ["b", "c", "d"],
        ("label", "yes"): ["a", "e"],
        ("length", "short: 4 words"): ["a", "b"],
        ("length", "medium: 7 to 9 words"): ["c", "d"],
        ("length", "long: 30 words"): ["e"],
    }


def test_texts_of_one_length_are_one_group():
    predictions = pd.DataFrame([("a", "yes", "yes"), ("b", "no", "yes")], columns=["id", "gold", "predicted"])
    lengths = [group for split, group, _ in groups(predictions, pd.Series({"a": 5, "b": 5})) if split == "length"]
    assert lengths == ["short: 5 words"]


# Marks


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A cell whose base gives all texts one label, and an epoch that does not."""
    results = tmp_path_factory.mktemp("results")
    for checkpoint in ("base", "epoch-01-seed-0"):
        write_cell(results, "one", "yes", "some words", {}, checkpoint)
    return run(results, [("one", "base"), ("one", "epoch-01-seed-0")])


def test_every_table_flags_the_collapsed_cell(report):
    for name in ("accuracy", "labels", "alignment", "faithfulness", "splits", "prompting"):
        flags = (
            pd.read_parquet(report / f"tables/{name}.parquet").groupby("checkpoint")["collapsed"].agg(["min", "max"])
        )
        assert flags.loc["base"].tolist() == [True, True]
        assert flags.loc["epoch-01-seed-0"].tolist() == [False, False]
        assert "the model has collapsed" in (report / f"tables/{name}.tex").read_text(encoding="utf-8")
    trajectory = pd.read_parquet(report / "tables/trajectory.parquet")
    assert trajectory.groupby("epoch")["collapsed"].all().tolist() == [True, False]
    claims = pd.read_parquet(report / "tables/claims.parquet")
    cells = claims[claims["checkpoint"].isin(["base", "epoch 1"])]
    assert len(cells)
    # Each of them has the base in it, or the epoch alone.
    assert set(cells.loc[cells["checkpoint"] == "base", "verdict"]) == {"inconclusive"}


def test_the_page_marks_it_in_words(report):
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "<h3>one, m, base\N{NO-BREAK SPACE}\N{DAGGER}</h3>" in html
    assert html.count("<strong>\N{DAGGER} Collapsed, so inconclusive.</strong>") == 1
    assert "Inconclusive, since the model has collapsed" in html
    box = re.search(r"Collapsed, so inconclusive\.</strong> (.*?)</p>", html, re.S)[1].replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert box.startswith("The model answers “yes” on 100 % of 3 texts. The ")
    assert " at the budget top_var: masking the words of " in box
    assert "flips 50 % [9, 91] (n = 2)" in box
    for figure in ("alignment", "faithfulness", "matched", "trajectory", "collapse"):
        drawn = (report / f"figures/{figure}.svg").read_text(encoding="utf-8")
        assert "\N{DAGGER} collapsed: inconclusive" in drawn


def test_what_a_collapsed_model_flipped_is_printed():
    """A model with one label everywhere that flips on 70 % of the texts, and on 40 % under random words."""
    accuracy = {"collapsed": True, "n": 48, "majority_predicted": "positive", "majority_predicted_share": 1.0}
    flips = [estimate("attention", 0.7, 0.56, 0.81), estimate("grad", 0.5, 0.36, 0.64)]
    rows = pd.DataFrame([row | {"n": 48, "n_random": 47, "flip_random": 0.4} for row in flips])
    text = collapse_note(accuracy, rows, "top_var").replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("The model answers “positive” on 100 % of 48 texts.")
    assert (
        "masking the words of attention flips 70 % [56, 81] (n = 48), masking as many random words 40 % (n = 47)"
        in text
    )
    assert "The most flips beyond random words at the budget top_var" in text
    assert text.endswith("not which words decided.")
    assert "hardly" not in text
    assert collapse_note(accuracy | {"collapsed": False}, rows, "top_var") == ""
    nothing = accuracy | {"majority_predicted_share": None, "n": 0}
    assert collapse_note(nothing, rows, "top_var") == "The model predicts nothing."


def test_a_figure_hatches_the_panel_and_a_table_has_no_winner(report):
    faithfulness = pd.read_parquet(report / "tables/faithfulness.parquet")
    accuracy = pd.read_parquet(report / "tables/accuracy.parquet")
    figure = faithfulness_figure(faithfulness, accuracy, METHODS, "top_var", 0.95, MARKED["people"])
    hatched = [any(patch.get_hatch() for patch in axes.patches) for axes in figure.axes if axes.get_visible()]
    assert hatched == [True, False]
    trajectory = pd.read_parquet(report / "tables/trajectory.parquet")
    assert all(axes.patches for axes in trajectory_figure(trajectory, METHODS, "top_var", MARKED["people"]).axes)
    whole = faithfulness[~faithfulness["collapsed"]]
    legends = [collapse_figure(rows, METHODS, "top_var").legends[0] for rows in (faithfulness, whole)]
    named = ["; ".join(text.get_text() for text in legend.get_texts()) for legend in legends]
    assert ["collapsed" in text for text in named] == [True, False]
    base = faithfulness[faithfulness["collapsed"]]
    html = faithfulness_table(base, "t")
    assert "flip rate\N{NO-BREAK SPACE}\N{DAGGER}" in html
    assert "bold" not in html
    assert "base\N{NO-BREAK SPACE}\N{DAGGER}" in accuracy_table(accuracy, "t")


def test_a_clear_winner_of_a_collapsed_cell_is_not_bold():
    rest = dict.fromkeys(("selected", "comprehensiveness", "sufficiency", "flip_when_kept"), 0.1)
    rest |= {
        f"{name}_{end}": 0.1
        for name in ("comprehensiveness", "sufficiency", "flip_random", "flip_when_kept")
        for end in ("low", "high")
    }
    rows = [estimate("a", 0.5, 0.4, 0.6) | rest, estimate("b", 0.2, 0.1, 0.3) | rest]
    table = pd.DataFrame([one | {"n_kept": 60} for one in rows])
    assert faithfulness_table(table, "t").count("bold") == 1
    assert faithfulness_table(table.assign(collapsed=True), "t").count("bold") == 0


def test_the_columns_beside_a_flip_rate_are_those_of_the_cell(report):
    faithfulness = pd.read_parquet(report / "tables/faithfulness.parquet")
    accuracy = pd.read_parquet(report / "tables/accuracy.parquet").set_index("checkpoint")
    for checkpoint, rows in faithfulness.groupby("checkpoint"):
        for column in tables._BESIDE:
            assert set(rows[column]) == {accuracy.loc[checkpoint, column]}
    assert faithfulness["flip_human"].tolist() == pytest.approx([1 / 3] * len(faithfulness))
