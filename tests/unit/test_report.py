"""The report: statistics against hand-worked cases, counts, figures, and a page into which nothing can be injected."""

from __future__ import annotations

import json
import math
import re
import warnings
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from rationale_eval.alignment import ALIGNMENT, MEASURES
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import FAITHFULNESS, PERTURBATIONS
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report import figures, page, tables
from rationale_eval.report.examples import choose, pieces
from rationale_eval.report.findings import accuracy_finding, alignment_finding, clear_of, faithfulness_finding
from rationale_eval.report.html_tables import alignment_table, render
from rationale_eval.report.layout import Cell, ordered
from rationale_eval.report.record import Record, differences
from rationale_eval.report.statistics import entropy, macro_f1, majority, mean_interval, proportion_interval
from rationale_eval.report.wording import number, percent, percent_with_interval, visible
from rationale_eval.tables import read_provenance, write_json, write_table
from scipy import stats

INTERVAL = {"resamples": 2000, "seed": 0, "level": 0.95}
SCRIPT, IMAGE, BIDI = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202egnol\u2066"
HOSTILE = f"{SCRIPT} {IMAGE} {BIDI} $x_ & {{{{ 7 * 7 }}}}"
METHODS = {
    "grad": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max"},
    f"m {IMAGE} $_$": {"kind": "attention", "statistic": "last", "aggregation": "max"},
    "random": {"kind": "random", "seeds": [0, 1]},
    "human": {"kind": "human"},
}
BUDGETS = {"top_var": {"kind": "top_var"}, "half": {"kind": "top_ratio", "ratio": 0.5}}


# Statistics


def test_macro_f1_by_hand():
    # a: 2 hits of 3 gold and 2 predicted, 4/5; b: 1 hit of 1 gold and 2 predicted, 2/3.
    assert macro_f1(["a", "a", "a", "b"], ["a", "a", "b", "b"]) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert macro_f1(["a", "b"], ["c", "c"]) == 0
    assert macro_f1([], []) is None


def test_macro_f1_counts_a_label_that_is_predicted_only():
    assert macro_f1(["a", "a"], ["a", "c"]) == pytest.approx((2 / 3 + 0) / 2)


def test_entropy_is_in_bits():
    assert entropy(["a"] * 5) == 0
    assert entropy(["a", "b"]) == 1
    assert entropy(["a", "a", "b", "c"]) == 1.5
    assert entropy([]) is None


def test_majority_of_equals_is_the_first_by_name():
    assert majority(["b", "a"]) == ("a", 0.5)
    assert majority([]) == (None, None)


@pytest.mark.parametrize("values", [[0.3] * 7, [0.0, 0.0], [1.0]])
def test_interval_of_constant_data_is_the_value(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval(values, INTERVAL) == (values[0], values[0])


def test_interval_of_nothing_is_none():
    assert mean_interval([], INTERVAL) == (None, None)
    assert proportion_interval(0, 0, 0.95) == (None, None)


def test_bootstrap_interval_is_that_of_a_binomial():
    # The resampled mean of 0/1 data is exactly binomial, so the quantiles are known.
    values = [1.0] * 30 + [0.0] * 70
    low, high = mean_interval(values, INTERVAL | {"resamples": 20_000})
    known = stats.binom(100, 0.3).ppf([0.025, 0.975]) / 100
    assert (low, high) == pytest.approx(tuple(known), abs=0.0101)


def test_bootstrap_interval_is_seeded_and_independent_of_other_calls():
    values = np.random.default_rng(1).random(50).tolist()
    first = mean_interval(values, INTERVAL)
    mean_interval(values[:20], INTERVAL)
    assert mean_interval(values, INTERVAL) == first != mean_interval(values, INTERVAL | {"seed": 1})


def test_wilson_interval_by_hand():
    n, p, z = 40, 0.75, stats.norm.ppf(0.975)
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
    assert proportion_interval(30, 40, 0.95) == pytest.approx(expected)


# Rows of the tables


def scored(name, sample, status, value=None, correct=None):
    measures = dict.fromkeys(MEASURES, value)
    return {"id": name, "sample": sample, "status": status, "selected": 1 if value is not None else None, **measures}


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
    assert tables.status_counts(frame) == {"instances": 2, "status_ok": 1, "status_too_long": 1}


def test_a_row_of_which_nothing_was_computed_has_no_values():
    row = tables.alignment_row(pd.DataFrame([scored("a", 0, "no_gold")]), pd.Series(dtype=float), INTERVAL)
    assert (row["n"], row["f1"], row["f1_low"], row["f1_corrected_high"]) == (0, None, None, None)


def flipped(name, flip, kept=None, status="ok"):
    return {
        "id": name,
        "sample": 0,
        "status": status,
        "selected": 2,
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


def test_accuracy_row_by_hand():
    labels = ["yes", "no"]
    rows = [(f"{i}", "ok", gold, "yes") for i, gold in enumerate(["yes", "yes", "yes", "no"])]
    rows.append(("4", "too_long", "no", None))
    frame = pd.DataFrame(rows, columns=["id", "status", "gold", "predicted"]).assign(labels=[labels] * 5)
    row = tables.accuracy_row(frame, INTERVAL)
    assert (row["instances"], row["n"], row["labels"], row["status_too_long"]) == (5, 4, 2, 1)
    assert (row["accuracy"], row["predicted_entropy"]) == (0.75, 0)
    assert (row["majority_predicted"], row["majority_predicted_share"]) == ("yes", 1.0)
    assert (row["majority_gold"], row["majority_gold_share"]) == ("yes", 0.75)


# Wording and findings


def test_numbers_as_printed():
    assert number(-0.001) == "0.00"
    assert number(-0.126) == "\N{MINUS SIGN}0.13"
    assert number(None) == number(float("nan")) == percent(None, 10) == "\N{EN DASH}"
    assert percent(0.345, 200) == "34\N{NO-BREAK SPACE}%"
    assert percent(0.345, 201) == "34.5\N{NO-BREAK SPACE}%"
    assert percent_with_interval(0.3, 0.2, 0.41, 60) == "30\N{NO-BREAK SPACE}% [20, 41]"


def test_controls_are_spelled_out():
    assert visible("a\u202eb\x00c\nd") == "a[U+202E]b[U+0000]c\nd"
    assert visible(3) == 3


def estimate(method, f1, low, high, kind="gradients", budget="top_var"):
    row = {"method": method, "kind": kind, "budget": budget, "n": 60, "f1": f1, "f1_low": low, "f1_high": high}
    row |= {f"f1_corrected{end}": value - 0.1 for end, value in (("", f1), ("_low", low), ("_high", high))}
    return row | {f"flip_rate{end}": row[f"f1{end}"] for end in ("", "_low", "_high")}


def test_a_finding_names_the_best_and_those_that_overlap_with_it():
    rows = [estimate("a", 0.5, 0.4, 0.6), estimate("b", 0.45, 0.35, 0.55), estimate("c", 0.2, 0.1, 0.3)]
    rows.append(estimate("everything", 0.9, 0.8, 1.0, kind="all_words"))
    text = alignment_finding(pd.DataFrame(rows), "top_var")
    assert "is that of a: F1 0.50 [0.40, 0.60]" in text
    assert "above random sets of the same size by 0.40 [0.30, 0.50]" in text
    assert "do not set it apart from 1 of 2 others: b." in text


def test_a_finding_hedges_what_chance_explains():
    text = alignment_finding(pd.DataFrame([estimate("a", 0.12, 0.05, 0.2)]), "top_var")
    assert "cannot be told from random sets of the same size" in text
    assert "No other method was run" in text


def test_a_finding_names_all_that_are_equally_good():
    rows = [estimate("a", 0.5, 0.4, 0.6), estimate("b", 0.5, 0.45, 0.6), estimate("c", 0.1, 0.05, 0.2)]
    text = alignment_finding(pd.DataFrame(rows), "top_var")
    assert "a and b (equal)" in text
    assert "set it apart from every other method" in text


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "do not overlap"), (0.1, 0.45, "the intervals overlap"), (0.2, 0.2, "cannot be compared")],
)
def test_flip_rates_are_compared_with_random_by_their_intervals(low, high, verdict):
    rows = [estimate("a", 0.5, 0.4, 0.6), estimate("chance", 0.2, low, high, kind="random")]
    assert verdict in faithfulness_finding(pd.DataFrame(rows), "top_var")


def test_an_interval_without_width_sets_nothing_apart():
    assert clear_of(estimate("a", 0.0, 0.0, 0.0), estimate("b", 0.5, 0.4, 0.6), "f1") is None


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


# The stages, on a small tree of results


def write_cell(results, corpus, label, text, versions):
    """A cell of four instances, the last one without a prediction."""
    instances = [
        Instance(f"{i}", label if i % 2 else "no", {"text": f"{text} {i}"}, whitespace_words([f"{text} {i}"]), None)
        for i in range(4)
    ]
    instances = [
        Instance(one.id, one.label, one.fields, one.words, tuple(j < 2 for j in range(len(one.words))))
        for one in instances
    ]
    made = {"stage": "test", "spec": {"note": HOSTILE}, "versions": versions, "example_prompt": HOSTILE, "inputs": {}}
    write_instances(results / "corpora" / corpus / "test.parquet", instances, made)
    card = dict.fromkeys(("description", "annotation", "licence", "citation"), HOSTILE)
    numbers = {"test_rows": 4, "words_per_row": 9.0, "marked_per_row": 2.0, "test_labels": {label: 2, "no": 2}}
    write_json(results / "corpora" / corpus / "card.json", card | numbers)
    model = {"source": {"path": HOSTILE}, "architecture": "A", "layers": 1, "hidden_size": 2}
    write_json(results / "models" / "m" / "card.json", model | {"licence": HOSTILE, "citation": ""})
    folder = results / corpus / "m" / "base"
    predictions, alignment, faithfulness, perturbations = [], [], [], []
    for i, one in enumerate(instances):
        known = i < 3
        status = "ok" if known else "too_long"
        predictions.append(
            {
                "id": one.id,
                "status": status,
                "gold": one.label,
                "predicted": label if known else None,
                "labels": ["no", label],
                "scores": [-2.0, -1.0] if known else None,
                "probabilities": [0.25, 0.75] if known else None,
                "tokens": 9,
            }
        )
    for method, entry in METHODS.items():
        rationales = []
        for one in instances:
            words = len(one.words)
            for sample in range(2 if method == "random" else 1):
                row = {"id": one.id, "sample": sample, "status": "ok", "scores": None, "selected": None}
                if entry["kind"] == "human":
                    row["selected"] = list(one.rationale)
                else:
                    row["scores"] = [float((j + sample) % 3) for j in range(words)]
                rationales.append(row)
                for budget in ["as_given"] if entry["kind"] == "human" else BUDGETS:
                    key = {"id": one.id, "method": method, "sample": sample, "budget": budget}
                    values = dict.fromkeys(MEASURES, 0.5 + 0.1 * int(one.id))
                    alignment.append(key | {"status": "ok", "words": words, "gold": 2, "selected": 2} | values)
                    done = one.id != "3"
                    shared = {"status": "ok" if done else "too_long", "words": words, "selected": 2}
                    flip = one.id == "1" if done else None
                    drop = 0.1 if done else None
                    measured = {"flip": flip, "comprehensiveness": drop, "sufficiency": drop, "flip_when_kept": flip}
                    faithfulness.append(key | shared | measured)
                    perturbations.append(key | shared | {"operation": "mask", "scores": None})
        write_table(folder / "rationales" / f"{method}.parquet", rationales, RATIONALES, made)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS, made)
    write_table(folder / "alignment.parquet", alignment, ALIGNMENT, made)
    write_table(folder / "faithfulness.parquet", faithfulness, FAITHFULNESS, made)
    write_table(folder / "perturbations.parquet", perturbations, PERTURBATIONS, made)


def run(results, corpora):
    """The three stages; their output lies in ``results/report``."""
    report = results / "report"
    cells = [{"corpus": corpus, "model": "m", "checkpoint": "base"} for corpus in corpora]
    prompts = results / "prompts.yaml"
    prompts.write_text(json.dumps(PROMPT), encoding="utf-8")
    reads = ["--results", str(results)]
    reads_tables = [*reads, "--tables", str(report / "tables")]
    spec = {"cells": cells, "methods": METHODS, "budgets": BUDGETS}
    collected = json.dumps(spec | {"interval": INTERVAL | {"resamples": 50}})
    tables.main(["--spec", collected, *reads, "--output", str(report / "tables")])
    drawn = json.dumps({"methods": METHODS, "main_budget": "top_var"})
    figures.main(["--spec", drawn, *reads_tables, "--output", str(report / "figures")])
    spec |= {"main_budget": "top_var", "perturbation": {"operator": "replace", "mask": SCRIPT}}
    spec |= {"tasks": dict.fromkeys(corpora, str(prompts))}
    reads_all = [*reads_tables, "--figures", str(report / "figures")]
    page.main(["--spec", json.dumps(spec), *reads_all, "--output", str(report / "index.html")])
    return report


PROMPT = {
    "version": 1,
    "fields": ["text"],
    "classify": f"{SCRIPT} {{text}}",
    "verbalisers": {"no": "no", HOSTILE: IMAGE},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on two hostile corpora, whose tables were made with different versions."""
    results = tmp_path_factory.mktemp("results")
    write_cell(results, "one", HOSTILE, f"{SCRIPT} {IMAGE} {BIDI}", {"torch": "1"})
    write_cell(results, f"two {BIDI} $x", HOSTILE, "plain words of a text", {"torch": "2"})
    return run(results, ["one", f"two {BIDI} $x"])


class Elements(HTMLParser):
    """Collects start tags with their attributes, the open elements at each end, and all text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self):
        super().__init__()
        self.started, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.started.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html(report):
    return (report / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(html):
    elements = Elements()
    elements.feed(html)
    assert elements.open == []
    return elements


def test_tables_count_what_was_left_out(report):
    accuracy = pd.read_csv(report / "tables" / "accuracy.csv")
    assert accuracy[["instances", "n", "status_ok", "status_too_long"]].to_numpy().tolist() == [[4, 3, 3, 1]] * 2
    alignment = pd.read_parquet(report / "tables" / "alignment.parquet")
    assert len(alignment) == 2 * (3 * 2 + 1)
    assert set(alignment["n"]) == {4}
    # Over the three instances with a prediction only.
    assert set(alignment["n_correct"] + alignment["n_wrong"]) == {3}
    faithfulness = pd.read_parquet(report / "tables" / "faithfulness.parquet")
    assert set(faithfulness["n"]) == {3}
    assert faithfulness["flip_rate"].tolist() == pytest.approx([1 / 3] * len(faithfulness))
    assert set(faithfulness["status_too_long"]) == {1}


def test_csv_and_parquet_say_the_same(report):
    for name in ("accuracy", "alignment", "faithfulness"):
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
    assert len(sources) == 2
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)


def test_examples_are_few_and_from_each_corpus(parsed):
    assert sum(tag == "article" for tag, _ in parsed.started) == 6
    # The human rationale and the better method of each of two families, in each example.
    assert sum(attributes.get("class") == "source" for _, attributes in parsed.started) == 18


def test_hostile_text_is_shown_as_text(parsed, html):
    text = "".join(parsed.text)
    for place in (SCRIPT, IMAGE, "{{ 7 * 7 }}", "[U+202E]gnol[U+2066]", f"m {IMAGE} $_$", "Corpus two [U+202E]gnol"):
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
    for name in ("alignment.svg", "alignment.png", "faithfulness.svg", "faithfulness.png"):
        assert (tmp_path / name).read_bytes() == (report / "figures" / name).read_bytes()
    drawn = (tmp_path / "alignment.svg").read_text(encoding="utf-8")
    assert ">grad<" in drawn
    assert "<img" not in drawn
    assert "m &quot;&gt;&lt;img" in drawn or 'm "&gt;&lt;img' in drawn


def test_a_figure_has_a_panel_for_each_cell():
    cells = [(corpus, "m", checkpoint) for corpus in ("a", "b", "c") for checkpoint in ("base", "epoch-01", "epoch-02")]
    rows = []
    for corpus, model, checkpoint in cells[:-1]:
        row = estimate("grad", 0.3, 0.2, 0.4) | {"f1_chance": 0.1}
        rows.append({"corpus": corpus, "model": model, "checkpoint": checkpoint, **row})
    cards = {corpus: {"marked_per_row": 2, "words_per_row": 20} for corpus in "abc"}
    drawn = figures.alignment_figure(pd.DataFrame(rows), {"grad": {"kind": "gradients"}}, "top_var", 0.95, cards)
    shown = [axes for axes in drawn.axes if axes.get_visible()]
    assert len(shown) == 8
    # A row of panels is one checkpoint, although the table goes through one corpus after the other.
    assert shown[4].get_title(loc="left").startswith("b, epoch-01\nn = 60; 2.00 of 20.00 words")


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


def test_a_table_escapes_cells_heads_and_groups():
    html = render([{"g": SCRIPT, "s": IMAGE, HOSTILE: SCRIPT}], "t", "s", "g")
    elements = Elements()
    elements.feed(html)
    assert not {tag for tag, _ in elements.started} - {"table", "thead", "tbody", "tr", "th", "td"}


def test_only_a_method_apart_from_all_others_is_bold():
    rest = dict.fromkeys(("selected", "iou", "auprc", "f1_correct", "f1_wrong"), 0.1) | {"n_correct": 1, "n_wrong": 1}
    apart = [estimate("a", 0.5, 0.4, 0.6) | rest, estimate("b", 0.2, 0.1, 0.3) | rest]
    tied = [estimate("a", 0.5, 0.4, 0.6) | rest, estimate("b", 0.45, 0.35, 0.55) | rest]
    assert alignment_table(pd.DataFrame(apart), "t", True).count("bold") == 1
    assert alignment_table(pd.DataFrame(tied), "t", True).count("bold") == 0


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
