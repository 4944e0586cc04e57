"""Other attributions and other ways of asking than the smoke study's, from the configuration to the report.

Attributions with passes of their own and other targets; an order of words, votes, words before the label.
"""

from __future__ import annotations

import csv
import json
from collections import Counter

import pandas as pd
import pytest
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import EVIDENCE, PREDICTIONS
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.tables import read_table

from .conftest import CELL, Workspace

pytestmark = pytest.mark.xdist_group("finished")

ATTRIBUTIONS = {
    "gold_l2": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max", "target": "gold"},
    "gold_dot": {"kind": "gradients", "statistic": "gxi_dot", "aggregation": "max", "target": "gold"},
    "gxa": {"kind": "gradient_x_attention", "aggregation": "max"},
    "ig": {
        **{"kind": "integrated_gradients", "aggregation": "sum", "target": "runner_up", "of": "logit"},
        **{"steps": 3, "max_steps": 6, "tolerance": 0.001},
    },
    "left_out": {"kind": "ablation", "of": "probability"},
}
ASKED = {
    "ranked": {"kind": "prompt", "strategy": "ranked", "max_new_tokens": 8},
    "voted": {"kind": "prompt", "strategy": "unbound", "samples": 3, "temperature": 0.7, "max_new_tokens": 8},
    "before": {"kind": "prompt", "strategy": "unbound", "order": "before", "max_new_tokens": 8},
}
# Both gold methods read one table.
TABLES = {"gradients@gold-log_odds", "gradient_x_attention@auto-log_odds", "ig", "left_out"}


@pytest.fixture(scope="module")
def run(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The finished study, run again with other methods to its report. Not to be changed."""
    study = finished.copy(tmp_path_factory.mktemp("other_methods") / "project")
    methods = ["saliency_l2", *ATTRIBUTIONS, *ASKED, "human"]
    more = {
        "methods": ATTRIBUTIONS | ASKED,
        "study": {"checkpoints": ["base"], "methods": methods, "budgets": ["top_var"]},
    }
    (study.folder / "methods.yaml").write_text(json.dumps(more), encoding="utf-8")
    run = Workspace(study.folder, (*study.config, "methods.yaml"))
    due = run.due()
    assert due["attributions"] == len(TABLES)
    assert "evidence" not in due  # what comes with the predictions is there already
    run.snakemake()
    return run


def test_a_study_of_other_targets_runs_to_its_report(run: Workspace) -> None:
    cell = run.folder / CELL
    assert {path.stem for path in (cell / "evidence/attributions").iterdir()} == TABLES
    for method in ATTRIBUTIONS:
        rows = read_table(cell / f"rationales/{method}.parquet", RATIONALES)
        assert {row["status"] for row in rows} == {"ok"}
        assert all(len(set(row["scores"])) > 1 for row in rows)
    # Of two labels the log-odds of the gold one are those of the predicted one, or their negative.
    gold, default = (
        {row["id"]: row for row in read_table(cell / f"evidence/{name}.parquet", EVIDENCE["gradients"])}
        for name in ("attributions/gradients@gold-log_odds", "gradients")
    )
    predictions = read_table(cell / "predictions.parquet", PREDICTIONS)
    assert {row["gold"] == row["predicted"] for row in predictions} == {True, False}
    for row in predictions:
        sign = 1 if row["gold"] == row["predicted"] else -1
        expected = [sign * value for value in default[row["id"]]["gxi_dot"]]
        assert gold[row["id"]]["gxi_dot"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    report = run.folder / "results-smoke/report"
    with (report / "tables/completeness.csv").open(encoding="utf-8") as file:
        (found,) = csv.DictReader(file)
    assert (found["method"], found["steps_max"], found["n"]) == ("ig", "6", "12")
    assert 3 <= float(found["steps_mean"]) <= 6
    assert float(found["error_max"]) >= float(found["error_mean"]) > 0
    assert "do they add up?" in (report / "index.html").read_text(encoding="utf-8")


def test_other_ways_of_asking_run_to_the_report(run: Workspace) -> None:
    cell = run.folder / CELL
    instances = {row["id"] for row in read_table(cell / "rationales/saliency_l2.parquet", RATIONALES)}
    for method, samples in (("ranked", 1), ("voted", 3), ("before", 1)):
        asked = read_table(cell / f"evidence/replies/{method}.parquet", REPLIES)
        readings = read_table(cell / f"evidence/readings/{method}.parquet", RATIONALES)
        assert [(row["id"], row["sample"]) for row in readings] == [(row["id"], row["sample"]) for row in asked]
        assert Counter(row["id"] for row in asked) == dict.fromkeys(instances, samples)
        assert [row["id"] for row in read_table(cell / f"rationales/{method}.parquet", RATIONALES)] == list(
            dict.fromkeys(row["id"] for row in asked)
        )
    before = read_table(cell / "evidence/replies/before.parquet", REPLIES)
    answers = Counter(row["answer"] for row in before)
    assert answers.total() == len(instances)
    assert set(answers) <= {"negative", "positive"}

    tables = run.folder / "results-smoke/report/tables"
    budgets = pd.read_csv(tables / "alignment.csv").groupby("method")["budget"].agg(set)
    assert budgets["ranked"] == budgets["voted"] == {"top_var"}
    assert budgets["before"] == {"as_given"}
    pairs = pd.read_csv(tables / "agreement.csv")[["method", "other"]]
    found = {tuple(sorted(pair)) for pair in pairs.itertuples(index=False)}
    assert found == {("before", "ranked"), ("before", "voted"), ("ranked", "voted"), ("voted", "voted")}
    assert run.due() == {}
