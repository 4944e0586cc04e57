"""The positions of chosen words in the report, against counts by hand and a loop of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.rationales.reference import first_words_scores, last_words_scores
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.report.layout import Cell
from rationale_eval.report.positions import position_row, read_positions
from rationale_eval.report.positions_html import positions_table
from rationale_eval.report.tables import COLUMNS
from rationale_eval.tables import write_table
from report_trees import INTERVAL, run, write_cell
from scipy import stats

CELL = Cell("c", "m", "base")
TOP_VAR, TWO = {"top_var": {"kind": "top_var"}}, {"two": {"kind": "top_k", "k": 2}}
AS_GIVEN = {"as_given": {"kind": "as_given"}}


def instance(name: str, marks: str) -> Instance:
    """A row with a word for each sign of ``marks``; x is a marked one."""
    text = " ".join("w" * len(marks))
    return Instance(name, "yes", {"text": text}, whitespace_words([text]), tuple(sign == "x" for sign in marks))


def positions_of(results: Path, instances: list[Instance], methods: dict, rationales: dict) -> pd.DataFrame:
    write_instances(results / "corpora/c/test.parquet", instances, {})
    for name, rows in rationales.items():
        write_table(results / f"c/m/base/rationales/{name}.parquet", rows, RATIONALES, {})
    evaluated = [{"name": name, "budgets": budgets} for name, budgets in methods.items()]
    return read_positions(CELL, results, {"methods": methods, "evaluated": evaluated})


def test_shares_by_hand(tmp_path: Path) -> None:
    instances = [
        instance("a", "x..."),
        instance("b", ".xx."),
        instance("c", "....x"),
        instance("d", "..."),
        instance("e", "xx"),
    ]
    scores = {"a": [1, 2, 3, 4], "b": [9, 1, 1, 3], "c": [1, 2, 9, 3, 4], "d": [1, 2, 3], "e": [1, 2]}
    rows = [rationale_row(name, scores=list(map(float, values))) for name, values in scores.items()]
    frame = positions_of(tmp_path, instances, {"it": TOP_VAR}, {"it": rows})
    row = position_row(frame, "gradients", INTERVAL)
    # a: the last of 4; b: first and last of 4; c: the third of 5; d has no marked word; e: all words.
    assert (row["instances"], row["n"], row["status_no_gold"], row["status_none_or_all_chosen"]) == (5, 3, 1, 1)
    assert (row["first"], row["last"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert row["selected"] == pytest.approx((1 + 2 + 1) / 3)
    assert row["random"] == pytest.approx((1 / 4 + 2 / 4 + 1 / 5) / 3)
    wilson = stats.binomtest(2, 3).proportion_ci(method="wilson")
    assert (row["last_low"], row["last_high"]) == pytest.approx((wilson.low, wilson.high))


def test_rows_at_the_ends_have_them_by_definition_and_without_interval(tmp_path: Path) -> None:
    instances = [instance(str(number), "x" + "." * number) for number in range(3, 9)]
    methods = {"first_words": TWO, "last_words": TWO, "all_words": AS_GIVEN}
    rationales = {
        "first_words": [rationale_row(one.id, scores=first_words_scores(one)) for one in instances],
        "last_words": [rationale_row(one.id, scores=last_words_scores(one)) for one in instances],
        "all_words": [rationale_row(one.id, selected=[True] * len(one.words)) for one in instances],
    }
    frame = positions_of(tmp_path, instances, methods, rationales)
    rows = {name: position_row(frame[frame["method"] == name], name, INTERVAL) for name in methods}
    assert (rows["first_words"]["first"], rows["first_words"]["last"]) == (1, 0)
    assert (rows["last_words"]["first"], rows["last_words"]["last"]) == (0, 1)
    assert not [name for row in rows.values() for name in row if name.endswith("_high") and row[name] is not None]
    assert (rows["all_words"]["n"], rows["all_words"]["status_none_or_all_chosen"]) == (0, 6)
    bounds = dict.fromkeys(("first_low", "first_high", "last_low", "last_high"))
    shown = [bounds | rows[name] | {"method": name, "kind": name, "budget": "two", "flag": None} for name in rows]
    html = positions_table(pd.DataFrame(shown), "t")
    assert html.count("100\N{NO-BREAK SPACE}% (by definition)<") == 2


def test_random_words_stand_at_either_end_as_often_as_the_column_says(tmp_path: Path) -> None:
    chance = random.Random(3)
    instances = [instance(str(number), "x" * (1 + number % 3) + "." * (2 + number % 5)) for number in range(40)]
    rows = [
        rationale_row(one.id, sample, scores=[chance.random() for _ in one.words])
        for one in instances
        for sample in range(50)
    ]
    row = position_row(positions_of(tmp_path, instances, {"it": TOP_VAR}, {"it": rows}), "random", INTERVAL)
    assert row["n"] == 40
    # 2,000 draws at a rate near 0.36: a standard error of 0.011.
    assert row["first"] == pytest.approx(row["random"], abs=0.05)
    assert row["last"] == pytest.approx(row["random"], abs=0.05)


def test_the_report_shows_what_a_count_over_its_rationales_gives(tmp_path: Path) -> None:
    write_cell(tmp_path, "one", "yes", "some words of a text", {})
    report = run(tmp_path, [("one", "base")], drawn=False)
    table = pd.read_csv(report / "tables/positions.csv")
    assert set(table.columns) >= set(COLUMNS["positions"])
    (row,) = table[(table["method"] == "grad") & (table["budget"] == "half")].to_dict("records")
    # Six words with the scores 0 1 2 0 1 2, of which half are taken: the third, the sixth and the second.
    assert (row["n"], row["selected"], row["first"], row["last"], row["random"]) == (4, 3, 0, 1, 0.5)
    (human,) = table[table["method"] == "human"].to_dict("records")
    assert (human["first"], human["last"]) == (1, 0)
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "how often the first and the last word are chosen" in html
    assert "of either by equally many random words" in html
    tex = (report / "tables/positions.tex").read_text(encoding="utf-8")
    assert "Texts in which the last word is in the rationale" in tex
    assert "Bold" not in tex
