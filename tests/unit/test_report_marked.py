"""Who marked words, in every part of the report: people, a proxy for them, or the construction of the texts."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from config_faults import faults_of
from rationale_eval.config_checks import parse
from rationale_eval.report.explorer import study_values
from rationale_eval.report.findings import alignment_finding, faithfulness_finding
from rationale_eval.report.layout import Cell
from rationale_eval.report.marked import MARKED, PEOPLE, PROXY, listed, said_of, who_marked
from rationale_eval.report.method_figures import faithfulness_figure
from rationale_eval.report.page import beside
from rationale_eval.study import StudyPlan
from report_trees import BUDGETS, METHODS, Elements, estimate, run, write_cell

# One worker makes the report that the tests share.
pytestmark = pytest.mark.xdist_group("report_marked")

AS_GIVEN = {"budget": "as_given", "kind": "human"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on a corpus that a proxy marked and one that people marked."""
    results = tmp_path_factory.mktemp("results")
    for corpus, marked_by in (("films", "proxy"), ("pairs", "people")):
        write_cell(results, corpus, "yes", "some words", {}, marked_by=marked_by)
    return run(results, [("films", "base"), ("pairs", "base")])


def test_headlines_name_a_proxy():
    rows = pd.DataFrame([estimate("a", 0.5, 0.4, 0.6), estimate("human", 0.3, 0.2, 0.4) | AS_GIVEN])
    people, proxy = (MARKED[kind] for kind in (PEOPLE, PROXY))
    assert "highest agreement with people at" in alignment_finding(rows, "top_var", people)
    text = alignment_finding(rows, "top_var", proxy)
    assert "highest agreement with the proxy for people’s words at" in text
    assert "agreement with people" not in text
    text = faithfulness_finding(rows, "top_var", 0.05, proxy)
    assert "Masking the words of a proxy for people flips 30" in text
    assert "people marked" not in text


def test_what_flip_rates_are_read_beside_names_a_proxy():
    proxy = MARKED[PROXY]
    row = estimate("human", 0.3, 0.2, 0.4) | AS_GIVEN
    names = {"corpus": "c", "model": "m", "checkpoint": "base", "accuracy": 0.9, "majority_predicted_share": 0.6}
    names |= dict.fromkeys(("predicted_entropy", "margin_q10", "margin_q50", "margin_q90"), 0.5)
    flips = {f"flip_{kind}{end}": 0.3 for kind in ("all_words", "human") for end in ("", "_low", "_high")}
    said = "masking the words of a proxy for people"
    assert f"{said} flips 30" in beside(names | row | flips, proxy)
    table = pd.DataFrame([names | row])
    figure = faithfulness_figure(table, table, {"human": {"kind": "human"}}, "top_var", 0.95, proxy)
    assert said in [text.get_text() for text in figure.legends[0].get_texts()]


def test_several_kinds_have_neutral_words_and_are_told_apart_by_name():
    assert said_of(["proxy", "proxy"]) == MARKED["proxy"]
    assert said_of(["proxy", "people"]).words == "the marked words"
    assert who_marked({"a": "people", "b": "people"}) == ""
    assert who_marked({"a": "proxy", "b": "people", "c": "construction", "d": "proxy"}) == (
        "Nobody marked words in a and d: a proxy stands for people there. In c the construction of the texts says "
        "which words are marked. People marked the words of b."
    )
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_the_page_says_it_corpus_by_corpus(report):
    elements = Elements()
    elements.feed((report / "index.html").read_text(encoding="utf-8"))
    text = " ".join("".join(elements.text).split())
    said = "Nobody marked words in films: a proxy stands for people there. People marked the words of pairs."
    # At the head, beside the claims, and above the figure of alignment.
    assert text.count(said) == 3
    assert "Alignment: do they point at the marked words?" in text
    _, films, pairs = re.split(r"(?:films|pairs), m, base † The model is right", text)
    assert "agreement with the proxy for people’s words" in films.split("How to read it")[0]
    assert "agreement with people" not in films
    assert "agreement with people" in pairs
    # In the tables of the one, and not of the other.
    assert text.count("human, proxy (as given)") > 2
    assert text.count("human (as given)") == text.count("human, proxy (as given)")
    assert "Proxy for a human rationale, films:" in text
    assert "Human rationale, pairs:" in text


def test_latex_captions_name_a_proxy(report):
    alignment = (report / "tables/alignment.tex").read_text(encoding="utf-8")
    assert "Alignment with the marked words: token F1" in alignment
    assert "Nobody marked words in films: a proxy stands for people there." in alignment
    assert "Alignment with people" not in alignment
    examples = (report / "examples.tex").read_text(encoding="utf-8")
    assert examples.count("underlined: marked by a proxy.") == examples.count("underlined: marked by people.") == 2


def test_figures_name_a_proxy(report):
    drawn = (report / "figures/alignment.svg").read_text(encoding="utf-8")
    assert "words marked by a proxy" in drawn
    assert "words marked by people" in drawn
    assert "token F1 with the proxy for people" in drawn


def test_the_explorer_names_a_proxy(report):
    cells = [Cell(corpus, "m", "base") for corpus in ("films", "pairs")]
    spec = {"methods": METHODS, "budgets": BUDGETS, "main_budget": "top_var"}
    values = study_values(cells, spec | {"perturbation": {"operator": "delete", "announce": False}}, report.parent)
    said = {name: corpus["marked"] for name, corpus in values["corpora"].items()}
    assert (said["films"]["rationale"], said["films"]["by"]) == ("Proxy for a human rationale", "marked by a proxy")
    assert (said["pairs"]["rationale"], said["pairs"]["by"]) == ("Human rationale", "marked by people")
    html = (report / "explorer.html").read_text(encoding="utf-8")
    assert "people marked" not in html
    assert "People marked" not in html


@pytest.mark.parametrize(("corpus", "kind"), [("movie_reviews", "proxy"), ("e_snli", "people")])
def test_a_card_is_told_and_no_instance_is_read_anew(corpus, kind, raw):
    plan = StudyPlan(parse(raw))
    assert json.loads(plan.corpus_card(corpus))["marked_by"] == kind
    assert "marked_by" not in json.loads(plan.corpus(corpus, "test"))
    assert json.loads(plan.report.latex(["alignment"]))["marked_by"] == dict.fromkeys(plan.study.corpora, "proxy")


def test_rated_snippets_are_always_a_proxy(raw):
    assert "corpora.movie_reviews.marked_by" in faults_of(raw, ["corpora", "movie_reviews", "marked_by"], "people")
