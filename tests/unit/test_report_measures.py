"""The report's tables of orders, of measures against random words, and of the sensitivity to the operator."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from rationale_eval.faithfulness.schema import FAITHFULNESS
from rationale_eval.report import page
from rationale_eval.report.aggregate import by_method, informative
from rationale_eval.report.conclusions import (
    COLLAPSED,
    CONTRAST,
    FEW,
    HIGHER,
    LEVEL,
    LOWER,
    MAIN,
    OPEN,
    RANKING,
    UNUSABLE,
)
from rationale_eval.report.flags import INCOMPLETE
from rationale_eval.report.measure_html import sensitivity_sentence, sensitivity_table
from rationale_eval.report.measure_tables import curves_row, normalised_row, ratio
from rationale_eval.report.sensitivity import contrasts, levels, ranking
from rationale_eval.report.wording import operator_text
from report_trees import ASKED, HOSTILE, IMAGE, INTERVAL, OTHER, SCRIPT, Elements, run, write_cell

# One worker makes the report that the tests share.
pytestmark = pytest.mark.xdist_group("report_measures")

N = 40


def faithfulness(method, values, budget="var", **columns):
    """Rows of one method with these flips, one per instance."""
    rows = []
    for place, value in enumerate(values):
        row = dict.fromkeys(FAITHFULNESS.columns.names) | {"id": str(place), "method": method, "sample": 0}
        row |= {"budget": budget, "status": "ok", "words": 9, "selected": 2, "flip": float(value)}
        rows.append(row | {name: float(given[place]) for name, given in columns.items()})
    return pd.DataFrame(rows)


def test_a_ratio_of_means_is_not_a_mean_of_ratios():
    reach = np.array([0.02, 0.98] * 20)
    reached = np.array([0.02, 0.0] * 20)
    value, low, high = ratio(reached, reach, INTERVAL)
    assert value == pytest.approx(0.02)  # the mean of ratios would be 0.5
    assert low < value < high


def test_a_ratio_whose_denominator_may_be_nothing_is_left_open():
    assert ratio(np.array([0.1] * 4), np.array([-0.5, 0.5, -0.4, 0.5]), INTERVAL) is None
    assert ratio(np.array([0.1]), np.array([0.5]), INTERVAL) is None
    assert ratio(np.array([0.1, 0.2, 0.1, 0.2]), np.array([0.3] * 4), INTERVAL)[0] == pytest.approx(0.5)


def test_normalised_measures_of_a_method_by_hand():
    half = [1, 0] * (N // 2)
    frame = faithfulness(
        "m",
        half,
        flip_random=[0.25] * N,
        flip_all=[1] * N,
        comprehensiveness=[0.2, 0.4] * (N // 2),
        comprehensiveness_random=[0.1] * N,
        comprehensiveness_all=[0.5] * N,
        sufficiency=[0.05, 0.15] * (N // 2),
        sufficiency_random=[0.4] * N,
    )
    row = normalised_row(frame, INTERVAL)
    assert row["flip_normalised"] == pytest.approx((0.5 - 0.25) / (1 - 0.25))
    assert row["flip_normalised_low"] < row["flip_normalised"] < row["flip_normalised_high"]
    assert row["comprehensiveness_normalised"] == pytest.approx(0.5)
    assert row["sufficiency_normalised"] == pytest.approx(0.75)
    assert (row["n_flip"], row["n_comprehensiveness"], row["n_sufficiency"]) == (N, N, N)


def test_instances_without_draws_are_not_in_a_normalised_measure():
    known = [0.0, 0.25, 0.5] * 10 + [np.nan] * 10
    frame = faithfulness("m", [1] * 30 + [0] * 10, flip_random=known, flip_all=[1] * N)
    row = normalised_row(frame, INTERVAL)
    assert (row["n_flip"], row["flip_normalised"]) == (30, pytest.approx(1))
    assert (row["n_sufficiency"], row["sufficiency_normalised"]) == (0, None)


def test_what_orders_nothing_has_no_row_among_orders():
    measures = ("points", "aopc_thresholds", "flips", "aopc_comprehensiveness", "aopc_sufficiency", "deletion_auc")
    measures += ("insertion_auc", "words_to_flip", "leave_one_out_tau")
    frame = pd.DataFrame([{"id": "a", "status": "no_order"} | dict.fromkeys(measures, np.nan)])
    assert curves_row(frame, INTERVAL) is None
    scored = pd.DataFrame(
        [
            {"id": name, "status": "ok"} | dict.fromkeys(measures, np.nan) | {"flips": flips, "words_to_flip": share}
            for name, flips, share in (("a", 1.0, 0.5), ("b", 0.0, np.nan), ("c", 1.0, 0.25))
        ]
    )
    row = curves_row(scored, INTERVAL)
    assert (row["n_words_to_flip"], row["words_to_flip"], row["flips"]) == (2, 0.375, pytest.approx(2 / 3))


METHODS = {
    "a": {"kind": "gradients"},
    "b": {"kind": "attention"},
    "asked": {"kind": "prompt"},
    "chance": {"kind": "random"},
}
SPEC = {
    "methods": METHODS,
    "budgets": {"var": {"kind": "top_var"}, "matched": {"kind": "matched", "to": "asked"}},
    "main_budget": "var",
    "interval": INTERVAL,
    "min_instances": 30,
}


def frame_of(a, b, asked, chance):
    """Flips of the methods, the two attribution methods at the prompted one's sizes too."""
    rates = {"a": a, "b": b, "chance": chance}
    frames = [faithfulness(name, np.arange(N) < round(rate * N)) for name, rate in rates.items()]
    frames += [faithfulness(name, np.arange(N) < round(rates[name] * N), "matched") for name in ("a", "b")]
    frames.append(faithfulness("asked", np.arange(N) < round(asked * N), "as_given"))
    return pd.concat(frames)


def values_of(a, b, asked, chance):
    """The flips of ``frame_of`` by method, budget and instance."""
    return by_method(frame_of(a, b, asked, chance), "flip")


def test_methods_of_one_size_are_ranked_without_references_and_sets_as_given():
    rows = {row["subject"]: row for row in levels(values_of(0.5, 0.25, 0.75, 0.9), "flip", SPEC, {})}
    assert {name: row["rank"] for name, row in rows.items()} == {"a": 1, "b": 2, "asked": None, "chance": None}
    assert rows["asked"]["value"] == 0.75
    assert (rows["a"]["n"], rows["a"]["value"]) == (N, 0.5)
    assert rows["a"]["value_low"] < 0.5 < rows["a"]["value_high"]


def test_a_flagged_method_has_no_rank_and_is_in_no_mean_of_attribution():
    flags = {"a": INCOMPLETE}
    rows = {row["subject"]: row for row in levels(values_of(0.5, 0.25, 0.75, 0.9), "flip", SPEC, flags)}
    assert [(rows[name]["rank"], rows[name]["flag"]) for name in "ab"] == [(None, INCOMPLETE), (1, None)]
    frame = frame_of(0.6, 0.4, 0.9, 0.9)
    (row,) = contrasts(by_method(frame, "flip"), informative(frame, "flip"), SPEC, False, flags)
    # Against b alone; against both it would be 0.4.
    assert row["value"] == pytest.approx(0.9 - 0.4)


def test_an_order_agrees_with_itself_and_not_with_its_reverse():
    main = list(levels(values_of(0.6, 0.4, 0.5, 0.9), "flip", SPEC, {}))
    assert ranking(main, main)["value"] == pytest.approx(1)
    # The set as given changes its place, and has none in the order.
    moved = list(levels(values_of(0.6, 0.4, 0.9, 0.9), "flip", SPEC, {}))
    assert ranking(moved, main)["value"] == pytest.approx(1)
    other = list(levels(values_of(0.2, 0.4, 0.3, 0.0), "flip", SPEC, {}))
    assert (ranking(other, main)["value"], ranking(other, main)["n"]) == (pytest.approx(-1), 2)
    equal = list(levels(values_of(0.4, 0.4, 0.4, 0.0), "flip", SPEC, {}))
    assert ranking(equal, main)["value"] is None


@pytest.mark.parametrize(
    ("asked", "collapsed", "verdict"),
    [(0.9, False, HIGHER), (0.1, False, LOWER), (0.5, False, OPEN), (0.9, True, COLLAPSED)],
)
def test_prompting_is_held_against_the_mean_of_all_attribution_methods(asked, collapsed, verdict):
    frame = frame_of(0.6, 0.4, asked, 0.9)
    (row,) = contrasts(by_method(frame, "flip"), informative(frame, "flip"), SPEC, collapsed, {})
    assert (row["subject"], row["n"], row["n_informative"], row["verdict"]) == ("asked", N, N, verdict)
    assert row["value"] == pytest.approx(asked - 0.5)


@pytest.mark.parametrize(("told", "verdict"), [(30, HIGHER), (29, FEW)])
def test_a_contrast_on_few_informative_texts_has_no_verdict(told, verdict):
    frame = frame_of(0.6, 0.4, 0.9, 0.9)
    # Replies about the other texts name every word, and so does what is cut to their sizes.
    frame.loc[(frame["id"].astype(int) >= told) & (frame["budget"] != "var"), "selected"] = 9
    (row,) = contrasts(by_method(frame, "flip"), informative(frame, "flip"), SPEC, False, {})
    assert (row["n"], row["n_informative"], row["verdict"]) == (N, told, verdict)
    (row,) = contrasts(by_method(frame, "flip"), informative(frame, "flip"), SPEC, False, {"asked": "unusable_replies"})
    assert row["verdict"] == UNUSABLE


def test_a_cell_of_the_table_says_on_how_many_texts_it_rests():
    frame = frame_of(0.6, 0.4, 0.9, 0.9)
    frame.loc[frame["id"] == "0", "selected"] = 0
    (row,) = contrasts(by_method(frame, "flip"), informative(frame, "flip"), SPEC, False, {})
    level = {
        "conclusion": LEVEL,
        "subject": "a",
        "value": 0.5,
        "value_low": 0.4,
        "value_high": 0.6,
        "n": 33,
        "rank": 1.0,
    }
    table = pd.DataFrame([row, level]).assign(measure="flip", operator=MAIN)
    text = sensitivity_table(table, "t", {MAIN: "main"}).replace("\N{NO-BREAK SPACE}", " ")
    assert f"n = {N} ({N - 1} informative)" in text
    assert "50 % [40, 60], n = 33" in text


def test_operators_in_words():
    assert operator_text({"operator": "replace", "mask": "[M]", "announce": True}) == "replaced by [M], announced"
    assert operator_text({"operator": "delete", "mask": "___", "announce": False}) == "deleted"


def conclusion(operator, kind, value, verdict=None, collapsed=False):
    row = {"corpus": "c", "model": "m", "checkpoint": "base", "operator": operator, "conclusion": kind}
    return row | {"subject": "asked", "measure": "flip", "value": value, "verdict": verdict, "collapsed": collapsed}


def test_the_sentence_counts_verdicts_that_hold():
    rows = [conclusion(MAIN, CONTRAST, 0.2, HIGHER), conclusion("x", CONTRAST, 0.2, OPEN)]
    rows += [conclusion(MAIN, RANKING, 1.0), conclusion("x", RANKING, 0.33), conclusion(MAIN, LEVEL, 0.2)]
    text = sensitivity_sentence(pd.DataFrame(rows))
    assert "0 of 1 contrasts" in text
    assert "tau 0.33 or more" in text
    rows[1]["verdict"] = HIGHER
    assert "1 of 1 contrasts" in sensitivity_sentence(pd.DataFrame(rows))


@pytest.mark.parametrize("verdict", [UNUSABLE, FEW])
def test_contrasts_that_are_inconclusive_are_no_agreement(verdict):
    rows = [conclusion(MAIN, CONTRAST, 0.2, verdict), conclusion("x", CONTRAST, 0.2, verdict)]
    assert sensitivity_sentence(pd.DataFrame(rows)) == ""
    rows[0]["verdict"] = HIGHER
    assert sensitivity_sentence(pd.DataFrame(rows)) == ""


def test_collapsed_cells_are_not_in_the_sentence():
    rows = [conclusion("x", RANKING, -0.5, collapsed=True), conclusion("x", CONTRAST, 0.2, HIGHER, collapsed=True)]
    assert sensitivity_sentence(pd.DataFrame(rows)) == ""
    rows.append(conclusion("x", RANKING, 0.8) | {"corpus": "d"})
    assert sensitivity_sentence(pd.DataFrame(rows)).endswith("by tau 0.80 or more")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    write_cell(results, "one", HOSTILE, f"{SCRIPT} {IMAGE}", {"torch": "1"})
    return run(results, [("one", "base")], drawn=False)


def test_the_tables_hold_both_operators_and_only_methods_with_an_order(report):
    sensitivity = pd.read_parquet(report / "tables/sensitivity.parquet")
    assert set(sensitivity["operator"]) == {MAIN, OTHER}
    asked = sensitivity[(sensitivity["conclusion"] == CONTRAST) & (sensitivity["measure"] == "flip")]
    # of the two texts with a reply one flips under either; under the other operator prompting flips both
    assert dict(zip(asked["operator"], asked["value"], strict=True)) == {MAIN: 0.0, OTHER: 0.5}
    assert set(asked["subject"]) == {ASKED}
    curves = pd.read_parquet(report / "tables/faithfulness_curves.parquet").set_index("method")
    assert ASKED not in curves.index
    assert "human" not in curves.index
    assert curves.loc["grad", "deletion_auc"] == pytest.approx(0.5)
    assert (curves.loc["grad", "n_words_to_flip"], curves.loc["grad", "words_to_flip"]) == (1, 0.25)


def test_the_sensitivity_says_who_marked_the_words(tmp_path):
    write_cell(tmp_path, "one", "yes", "plain words", {}, marked_by="proxy")
    html = (run(tmp_path, [("one", "base")], drawn=False) / "index.html").read_text(encoding="utf-8")
    part = html[html.index("sensitivity-0") :]
    assert "human, proxy" in part[: part.index("</table>")]


def test_the_page_shows_them_without_markup_from_data(report):
    elements = Elements()
    elements.feed((report / "index.html").read_text(encoding="utf-8"))
    text = "".join(elements.text)
    assert "Another way to mask: do the conclusions hold?" in text
    assert f"{OTHER}: replaced by {IMAGE}, announced" in text
    for expected in ("deletion AUC", "words to flip", "random words", "tau with the main operator"):
        assert expected in text
    assert not {tag for tag, _ in elements.started} & {"script", "iframe", "object"}
    names = [record["href"] for tag, record in elements.started if tag == "a" and "href" in record]
    assert any(name.endswith("tables/sensitivity.csv") for name in names)


def test_without_another_operator_nothing_is_said_of_one(tmp_path):
    write_cell(tmp_path, "one", "yes", "plain words", {"torch": "1"})
    report = run(tmp_path, [("one", "base")], operators={}, drawn=False)
    assert "Another way to mask" not in (report / "index.html").read_text(encoding="utf-8")
    assert not (report / "tables/sensitivity.csv").exists()
    assert page.MEASURE_TABLES[-1] == "sensitivity"
    assert json.loads((report / "claims.json").read_text(encoding="utf-8"))
