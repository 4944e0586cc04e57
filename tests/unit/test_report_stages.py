"""The report's stages on a small tree of results: tables, figures, and a page into which nothing can be injected."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from urllib.parse import unquote

import pandas as pd
import pytest
from rationale_eval.errors import UserError
from rationale_eval.report import figures, page, tables
from rationale_eval.report.layout import Cell, read_claims
from rationale_eval.report.method_figures import alignment_figure
from rationale_eval.report.record import Record, differences
from rationale_eval.tables import read_provenance
from report_trees import (
    ATTENTION,
    BIDI,
    BUDGETS,
    HOSTILE,
    IMAGE,
    INTERVAL,
    METHODS,
    SCRIPT,
    Elements,
    estimate,
    run,
    write_cell,
)

# One worker makes the report that the tests share.
pytestmark = pytest.mark.xdist_group("report_stages")

TABLES = ("accuracy", "alignment", "faithfulness", "prompting", "completeness", "positions", "trajectory")
FIGURES = ("alignment", "faithfulness", "matched", "trajectory", "collapse")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on two hostile corpora, whose tables were made with different versions; one has an epoch too."""
    results = tmp_path_factory.mktemp("results")
    other = f"two {BIDI} $x"
    write_cell(results, "one", HOSTILE, f"{SCRIPT} {IMAGE} {BIDI}", {"torch": "1"})
    write_cell(results, "one", HOSTILE, f"{SCRIPT} {IMAGE} {BIDI}", {"torch": "1"}, "epoch-01-seed-0")
    write_cell(results, other, HOSTILE, "plain words of a text", {"torch": "2"})
    return run(results, [("one", "base"), ("one", "epoch-01-seed-0"), (other, "base")])


@pytest.fixture(scope="module")
def html(report):
    return (report / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(html):
    elements = Elements()
    elements.feed(html)
    assert elements.open == []
    return elements


def test_a_figure_has_a_panel_for_each_cell():
    cells = [(corpus, "m", checkpoint) for corpus in ("a", "b", "c") for checkpoint in ("base", "epoch-01", "epoch-02")]
    rows = []
    for corpus, model, checkpoint in cells[:-1]:
        row = estimate("grad", 0.3, 0.2, 0.4) | {"f1_chance": 0.1}
        rows.append({"corpus": corpus, "model": model, "checkpoint": checkpoint, **row})
    card = {"marked_per_row": 2, "words_per_row": 20, "test_rows": 70}
    cards = {name: card | {"marked_by": kind} for name, kind in (("a", "people"), ("b", "proxy"), ("c", "people"))}
    drawn = alignment_figure(pd.DataFrame(rows), {"grad": {"kind": "gradients"}}, "top_var", 0.95, cards)
    shown = [axes for axes in drawn.axes if axes.get_visible()]
    assert len(shown) == 8
    # A row of panels is one checkpoint, although the table goes through one corpus after the other.
    title = " ".join(shown[4].get_title(loc="left").split())
    # The mean of the card is over all texts, the panel's n counts those with a value.
    assert title == "b, epoch-01 n = 60, 53 informative 70 texts: 2.00 of 20.00 words marked by a proxy"
    assert "token F1 with the proxy for people’s words" in " ".join(shown[4].get_xlabel().split())
    assert "token F1 with people" in " ".join(shown[3].get_xlabel().split())


def test_tables_count_what_was_left_out(report):
    accuracy = pd.read_csv(report / "tables" / "accuracy.csv")
    assert accuracy[["instances", "n", "status_ok", "status_too_long"]].to_numpy().tolist() == [[4, 3, 3, 1]] * 3
    alignment = pd.read_parquet(report / "tables" / "alignment.parquet")
    # Two scored methods at three budgets, the prompted one at two, random at one, people's words as given.
    assert len(alignment) == 3 * (2 * 3 + 2 + 1 + 1)
    asked = alignment["kind"] == "prompt"
    matched = alignment["budget"] == "matched_asked"
    assert set(alignment[asked | matched]["n"]) == {2}
    assert set(alignment[asked]["status_refusal"]) == {1}
    assert set(alignment[matched]["status_no_reply"]) == {2}
    rest = alignment[~asked & ~matched]
    assert set(rest["n"]) == {4}
    # Over the three instances with a prediction only.
    assert set(rest["n_correct"] + rest["n_wrong"]) == {3}
    faithfulness = pd.read_parquet(report / "tables" / "faithfulness.parquet")
    few = (faithfulness["kind"] == "prompt") | (faithfulness["budget"] == "matched_asked")
    assert set(faithfulness[few]["n"]) == {2}
    assert set(faithfulness[few]["flip_rate"]) == {0.5}
    assert set(faithfulness[~few]["n"]) == {3}
    assert faithfulness[~few]["flip_rate"].tolist() == pytest.approx([1 / 3] * sum(~few))
    assert set(faithfulness[~few]["status_too_long"]) == {1}


def test_csv_and_parquet_say_the_same(report):
    for name in TABLES:
        written = pd.read_csv(report / "tables" / f"{name}.csv")
        stored = pd.read_parquet(report / "tables" / f"{name}.parquet")
        pd.testing.assert_frame_equal(written, stored, rtol=1e-5, check_dtype=False)
    assert read_provenance(report / "tables" / "alignment.parquet")["spec"]["interval"]["level"] == 0.95


def test_no_element_or_handler_comes_from_data(parsed):
    tags = {tag for tag, _ in parsed.started}
    assert not tags & {"script", "iframe", "object", "form", "link", "base"}
    names = {name for _, attributes in parsed.started for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    sources = [attributes["src"] for tag, attributes in parsed.started if tag == "img"]
    assert len(sources) == 5
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)


def test_examples_are_few_and_from_each_corpus(parsed):
    assert sum(tag == "article" for tag, _ in parsed.started) == 6
    # The human rationale and the better method of two families in each example; of the prompted one where it replied.
    assert sum(attributes.get("class") == "source" for _, attributes in parsed.started) == 24
    assert sum(attributes.get("class") == "reply" for _, attributes in parsed.started) == 6


def test_hostile_text_is_shown_as_text(parsed, html):
    text = "".join(parsed.text)
    for place in (SCRIPT, IMAGE, "{{ 7 * 7 }}", "[U+202E]gnol[U+2066]", ATTENTION, "Corpus two [U+202E]gnol"):
        assert place in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", html)


def test_the_page_needs_nothing_from_elsewhere(parsed, html):
    links = [attributes["href"] for tag, attributes in parsed.started if tag == "a"]
    assert {"tables/accuracy.csv", "tables/alignment.parquet", "figures/faithfulness.svg"} <= set(links)
    assert not [link for link in links if re.match("[a-z]+:|//", link)]
    assert "@import" not in html
    assert "url(" not in html


def test_links_of_the_page_lead_to_files(parsed, report):
    links = [attributes["href"] for tag, attributes in parsed.started if tag == "a"]
    ids = {attributes.get("id") for _, attributes in parsed.started}
    for link in links:
        assert link[1:] in ids if link.startswith("#") else (report / unquote(link)).is_file(), link


def test_headings_and_ids_are_in_order(parsed):
    levels = [int(tag[1]) for tag, _ in parsed.started if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tables_and_sections = [a["id"] for tag, a in parsed.started if tag in ("section", "table") and "id" in a]
    assert len(set(tables_and_sections)) == len(tables_and_sections)


def test_different_versions_are_told(parsed):
    text = "".join(parsed.text)
    assert "were not all made alike" in text
    assert "version of torch: 1 in" in text


def test_figures_repeat_byte_for_byte_and_keep_names_as_text(report, tmp_path):
    spec = json.dumps({"methods": METHODS, "main_budget": "top_var"})
    arguments = ["--spec", spec, "--tables", str(report / "tables"), "--results", str(report.parent)]
    figures.main([*arguments, "--output", str(tmp_path)])
    for name in (f"{figure}.{end}" for figure in FIGURES for end in ("svg", "pdf", "png")):
        assert (tmp_path / name).read_bytes() == (report / "figures" / name).read_bytes()
    drawn = (tmp_path / "alignment.svg").read_text(encoding="utf-8")
    assert ">grad<" in drawn
    assert "<img" not in drawn
    assert "m &quot;&gt;&lt;img" in drawn or 'm "&gt;&lt;img' in drawn


def test_pdf_figures_have_their_fonts_in_them(report):
    for name in FIGURES:
        drawn = (report / "figures" / f"{name}.pdf").read_bytes()
        assert b"/FontFile2" in drawn
        assert b"/Type3" not in drawn
        assert b"/CreationDate" not in drawn


def test_records_that_agree_have_no_differences(report):
    cell = Cell("c", "m", "base")
    made = {"versions": {"torch": "1"}, "device": "cpu", "stage": "evidence", "attention": "eager"}
    one = Record(cell, "predictions", report, "0", made)
    other = Record(cell, "perturbations", report, "0", made | {"stage": "perturb", "attention": "sdpa"})
    assert differences([one, other]) == []
    third = Record(cell, "faithfulness", report, "0", made | {"device": "cuda"})
    assert differences([one, third]) == [
        "device of m: cpu in 1 tables (first: c, m, base: predictions); "
        "cuda in 1 tables (first: c, m, base: faithfulness)"
    ]


def test_a_method_without_rows_is_an_error(tmp_path):
    write_cell(tmp_path, "one", "yes", "some words", {})
    spec = {"cells": [{"corpus": "one", "model": "m", "checkpoint": "base"}], "budgets": BUDGETS, "interval": INTERVAL}
    spec["methods"] = METHODS | {"other": {"kind": "gradients"}}
    with pytest.raises(UserError, match=r"alignment\.parquet: has no row of method 'other'"):
        tables.main(["--spec", json.dumps(spec), "--results", str(tmp_path), "--output", str(tmp_path / "out")])


def test_a_missing_table_or_figure_is_named(tmp_path):
    spec = json.dumps({"methods": METHODS, "main_budget": "top_var"})
    with pytest.raises(UserError, match=r"alignment\.parquet: there is no such table"):
        figures.main(
            ["--spec", spec, "--tables", str(tmp_path), "--results", str(tmp_path), "--output", str(tmp_path / "out")]
        )
    with pytest.raises(UserError, match="there is no such figure"):
        page.picture(tmp_path / "alignment.svg")
    with pytest.raises(UserError, match=r"claims\.json: there is no such file; the stage `claims` writes it"):
        read_claims(tmp_path / "claims.json")
    (tmp_path / "claims.json").write_text('{"claims": [', encoding="utf-8")
    with pytest.raises(UserError, match=r"claims\.json: not whole"):
        read_claims(tmp_path / "claims.json")


def test_the_page_says_what_was_left_out_and_how_many_examples_are_misclassified(report):
    elements = Elements()
    elements.feed((report / "index.html").read_text(encoding="utf-8"))
    text = " ".join("".join(elements.text).split())
    accuracy = text.split("All of this is over the test rows.")[1].split("Labels: how often")[0]
    assert accuracy.count(" 3 ") + accuracy.endswith(" 3") == len({row["corpus"] for row in cells_of(report)})
    shown = text.split("Not picked by eye")[1].split("Provenance and files")[0]
    wrong, right = (len(re.findall(f"predicted: .{{0,200}}?, {outcome} ", shown)) for outcome in ("wrong", "right"))
    assert f"{wrong} of the {wrong + right} shown are misclassified" in shown
    assert "about half" not in text
    assert "not a floor: a method can fall below" in text
    # Each panel has its n, which the caption does not repeat with the cell's.
    assert "texts in each cell" not in text
    assert text.count("n: above each panel.") == 3


def test_the_page_explains_what_stands_in_it(parsed):
    text = " ".join("".join(parsed.text).split())
    for said in (
        # Which interval a mean has, and which texts tell two sides apart.
        "Gaffke's where few differ from the rest",
        "A text without a reply is left out of both. Where a reply names no word of the text, or every one, both sides "
        "choose the same words and can only be equal: such texts count in n, but are not informative.",
        "form only: the empty list that the question shows, which name nothing even where the text holds that word",
        # A collapsed model may flip often.
        "decides little by its words, however often it flips",
        "flip rates there, low or high, say little of which words decide",
    ):
        assert said in text
    assert "hardly flips" not in text
    assert "nothing flips" not in text


def cells_of(report):
    return pd.read_csv(report / "tables/accuracy.csv").to_dict("records")
