"""Methods that say nothing in a cell are marked in tables, figures and LaTeX, and are in no headline and no verdict."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report.bold import Measure, best, competing
from rationale_eval.report.drawing import FLAGGED
from rationale_eval.report.findings import alignment_finding, faithfulness_finding
from rationale_eval.report.flags import INCOMPLETE, UNUSABLE, flag_notes, flag_of, method_flags
from rationale_eval.report.html_tables import method_name
from rationale_eval.report.latex_grids import GRIDS, shown
from rationale_eval.report.marked import MARKED
from rationale_eval.report.measured import measured
from rationale_eval.report.method_figures import alignment_figure
from rationale_eval.tables import read_table, write_table
from report_trees import estimate, run, run_tables, write_cell

VALIDITY = {"min_usable_replies": 0.5}
BUDGETS = {"top_var": {"kind": "top_var"}, "cut": {"kind": "matched", "to": "said"}}
METHODS = {"grad": {"kind": "gradients"}, "said": {"kind": "prompt"}}


def replies(usable, n=10):
    return pd.Series([place < usable for place in range(n)])


@pytest.mark.parametrize(("usable", "flags"), [(4, {"said": UNUSABLE}), (5, {}), (10, {})])
def test_a_prompted_method_is_flagged_below_the_share_of_usable_replies(usable, flags):
    assert method_flags({"said": replies(usable)}, {}, VALIDITY) == flags


def test_a_method_without_any_reply_has_a_status_and_no_flag():
    assert method_flags({"said": replies(0, 0)}, {"ig": {"incomplete": True}}, VALIDITY) == {"ig": INCOMPLETE}


def test_what_is_cut_to_the_sizes_of_unusable_replies_is_flagged_at_that_budget():
    flags = {"said": UNUSABLE}
    found = {(name, budget): flag_of(name, budget, flags, BUDGETS) for name in METHODS for budget in BUDGETS}
    assert found == {
        ("grad", "top_var"): None,
        ("grad", "cut"): UNUSABLE,
        ("said", "top_var"): UNUSABLE,
        ("said", "cut"): UNUSABLE,
    }


def test_a_flag_is_a_sign_by_the_name_on_the_page_and_by_the_value_in_latex():
    row = estimate("said", 0.5, 0.4, 0.6, "prompt", "as_given") | {"flag": UNUSABLE}
    assert method_name(row) == "said (as given)\N{NO-BREAK SPACE}\N{DOUBLE DAGGER}"
    measure = GRIDS["alignment"][0]
    assert "\N{DOUBLE DAGGER}" in shown(row, measure)
    assert "\N{DOUBLE DAGGER}" not in shown(row | {"flag": None}, measure)
    assert flag_notes(pd.Series([None, UNUSABLE, float("nan")])) == [
        "\N{DOUBLE DAGGER}: too few replies name a word of the text, inconclusive"
    ]


def test_a_flagged_method_is_neither_bold_nor_the_best_of_a_headline():
    rows = [estimate("said", 0.9, 0.85, 0.95, "prompt") | {"flag": UNUSABLE}, estimate("grad", 0.5, 0.4, 0.6)]
    table = pd.DataFrame([*rows, estimate("other", 0.2, 0.1, 0.3)])
    for text in (
        alignment_finding(table, "top_var", MARKED["people"]),
        faithfulness_finding(table, "top_var", 0.05, MARKED["people"]),
    ):
        assert " of grad" in text
        assert text.endswith("Left out: said (too few replies name a word of the text).")
    measure = Measure("f1", "F1", "", "n")
    assert best(competing(table, measure), measure) == {1}
    alone = alignment_finding(table[table["method"] == "said"], "top_var", MARKED["people"])
    assert alone.startswith("No method has an F1 at the budget top_var that can be told. Left out: said")


def test_the_headline_of_faithfulness_is_not_won_by_a_larger_set():
    # "many" flips more since its sets are larger; beyond equally many random words it flips less.
    many = estimate("many", 0.6, 0.5, 0.7)
    many |= {
        "flip_random": 0.55,
        "flip_beyond_random": 0.05,
        "flip_beyond_random_low": -0.1,
        "flip_beyond_random_high": 0.2,
    }
    table = pd.DataFrame([many, estimate("few", 0.5, 0.4, 0.6)])
    text = faithfulness_finding(table, "top_var", 0.05, MARKED["people"])
    assert "masking the words of few flips most predictions beyond those that random words flip" in text


def test_a_figure_crosses_out_the_points_of_a_flagged_method():
    names = {"corpus": "c", "model": "m", "checkpoint": "base"}
    rows = [estimate("said", 0.5, 0.4, 0.6, "prompt") | {"flag": UNUSABLE}, estimate("grad", 0.4, 0.3, 0.5)]
    table = pd.DataFrame([names | row | {"f1_chance": 0.1} for row in rows])
    card = {"marked_per_row": 1.0, "words_per_row": 4.0, "test_rows": 60, "marked_by": "people"}
    figure = alignment_figure(table, METHODS, "top_var", 0.95, {"c": card})
    markers = [line.get_marker() for line in figure.axes[0].lines]
    assert markers.count(FLAGGED) == 1
    assert "too few replies" in str([text.get_text() for text in figure.legends[0].get_texts()])


def test_words_that_could_not_have_been_others_do_not_inform():
    sizes = {"none": 0, "some": 2, "all": 4}
    faithfulness = pd.DataFrame(
        [
            {"id": name, "method": "m", "budget": "b", "selected": size, "words": 4, "flip": 0.0, "flip_random": 0.0}
            for name, size in sizes.items()
        ]
    )
    alignment = faithfulness.assign(gold=[1, 1, 1], f1=0.0, f1_corrected=0.0, f1_chance=0.0)
    everything = alignment.assign(gold=4)
    predictions = pd.DataFrame({"id": list(sizes), "predicted": "a", "gold": "a"})
    found = measured(predictions, alignment, faithfulness).informative
    for measure in ("flip", "flip_beyond_random", "f1_corrected"):
        assert found[measure].droplevel(["method", "budget"]).to_dict() == {"none": False, "some": True, "all": False}
    assert not measured(predictions, everything, faithfulness).informative["f1_corrected"].any()


def test_agreement_with_a_method_that_says_nothing_is_marked(tmp_path):
    write_cell(tmp_path, "c", "yes", "some words", {}, named=False)
    evidence = tmp_path / "c/m/base/evidence"
    for schema, path in (
        (RATIONALES, evidence / "readings/asked.parquet"),
        (REPLIES, evidence / "replies/asked.parquet"),
    ):
        rows = read_table(path, schema)
        write_table(path, [*rows, *(row | {"sample": 1} for row in rows)], schema, {})
    tables = run_tables(tmp_path, [("c", "base")]) / "tables"
    (row,) = pd.read_parquet(tables / "agreement.parquet").to_dict("records")
    assert (row["method"], row["other"], row["flag"], row["collapsed"]) == ("asked", "asked", UNUSABLE, True)
    tex = (tables / "agreement.tex").read_text(encoding="utf-8")
    assert "asked, samples~\N{DOUBLE DAGGER}" in tex
    for words in ("too few replies name a word", "the model has collapsed"):
        assert words in tex


def test_a_report_marks_a_method_whose_replies_name_no_word(tmp_path):
    write_cell(tmp_path, "c", "yes", "some words", {}, named=False)
    report = run(tmp_path, [("c", "base")], drawn=False)
    for name in ("alignment", "faithfulness", "splits"):
        table = pd.read_parquet(report / f"tables/{name}.parquet")
        flags = table.groupby("kind")["flag"].unique().map(list).to_dict()
        assert flags["prompt"] == [UNUSABLE]
        assert pd.isna(flags["human"]).all()
    cut = pd.read_parquet(report / "tables/alignment.parquet").query("budget == 'matched_asked'")
    assert set(cut["flag"]) == {UNUSABLE}
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "asked\N{NO-BREAK SPACE}\N{DOUBLE DAGGER}: 0 of 3 replies name a word of the text" in html
    part = html.split('<section id="alignment">')[1].split("</section>")[0]
    assert ">asked (as given)\N{NO-BREAK SPACE}\N{DOUBLE DAGGER}<" in part
    assert "Neither is in a headline, and claims that need one are inconclusive" in html
    tex = (report / "tables/alignment.tex").read_text(encoding="utf-8")
    assert "too few replies name a word of the text, inconclusive" in tex
