"""How much probability the labels have together, beside accuracy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.report.html_tables import accuracy_table
from rationale_eval.report.validity import LABEL_MASS, has_low_mass, label_mass_quantiles
from rationale_eval.statistics.labels import label_mass
from rationale_eval.tables import read_table, write_table
from report_trees import VALIDITY, run, write_cell

WARNING = "The labels together have little probability"


def test_the_mass_is_the_sum_of_the_labels_probabilities():
    scores = np.log([[0.02, 0.003], [0.5, 0.25]]).astype(np.float32)
    assert label_mass(list(scores)) == pytest.approx([0.023, 0.75])
    assert label_mass([]).tolist() == []


def test_where_a_verbaliser_begins_another_it_is_not_cut_to_1():
    """`no` and `no idea`: what begins with the second begins with both."""
    assert label_mass([np.log([0.9, 0.3])]) == pytest.approx([1.2])


def test_quantiles_are_over_texts_that_have_scores():
    masses = np.linspace(0.0, 1.0, 11)[1:]
    scores = [*(np.log([mass / 2, mass / 2]) for mass in masses), None]
    found = label_mass_quantiles(pd.DataFrame({"scores": scores}))
    assert found == pytest.approx(dict(zip(LABEL_MASS, np.quantile(masses, [0.1, 0.5, 0.9]), strict=True)))
    assert label_mass_quantiles(pd.DataFrame({"scores": [None, None]})) == dict.fromkeys(LABEL_MASS)


@pytest.mark.parametrize(("median", "expected"), [(0.023, True), (0.0999, True), (0.1, False), (None, False)])
def test_what_is_low(median, expected):
    assert has_low_mass({"label_mass_q50": median}, VALIDITY) is expected


def test_the_report_shows_it_and_warns_of_the_cells_where_it_is_low(tmp_path):
    for corpus in ("one", "two"):
        write_cell(tmp_path, corpus, "yes", "some words", {})
    path = tmp_path / "two/m/base/predictions.parquet"
    rows = read_table(path, PREDICTIONS)
    mass = {"0": 0.01, "1": 0.02, "2": 0.5}
    low = [row | {"scores": np.log([mass[row["id"]] / 2] * 2) if row["id"] in mass else None} for row in rows]
    write_table(path, low, PREDICTIONS, {})
    report = run(tmp_path, [("one", "base"), ("two", "base")], drawn=False)
    table = pd.read_csv(report / "tables/accuracy.csv").set_index("corpus")
    assert table.loc["two", list(LABEL_MASS)].tolist() == pytest.approx([0.012, 0.02, 0.404], rel=1e-5)
    assert table.loc["one", "label_mass_q50"] == pytest.approx(np.exp(-2) + np.exp(-1))
    html = (report / "index.html").read_text(encoding="utf-8")
    (told,) = [part.split("</p>")[0] for part in html.split(WARNING)[1:]]
    assert "two, m, base" in told
    assert "one, m, base" not in told
    assert ">0.02 (0.012 to 0.4)<" in html
    assert r"& 0.02 \\" in (report / "tables/accuracy.tex").read_text(encoding="utf-8")


def test_a_model_without_scores_has_none_and_no_warning(tmp_path):
    write_cell(tmp_path, "one", "yes", "some words", {})
    path = tmp_path / "one/m/base/predictions.parquet"
    write_table(path, [row | {"scores": None} for row in read_table(path, PREDICTIONS)], PREDICTIONS, {})
    report = run(tmp_path, [("one", "base")], drawn=False)
    table = pd.read_parquet(report / "tables/accuracy.parquet")
    assert table[list(LABEL_MASS)].isna().all(axis=None)
    assert "None" not in accuracy_table(table, "t")
    assert WARNING not in (report / "index.html").read_text(encoding="utf-8")
