"""Attributions with passes of their own, and targets other than the default, from the configuration to the report."""

from __future__ import annotations

import csv
import json

import pytest
from rationale_eval.evidence.schema import EVIDENCE, PREDICTIONS
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.tables import read_table

from .conftest import CELL, Workspace

pytestmark = pytest.mark.xdist_group("finished")

METHODS = {
    "gold_l2": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max", "target": "gold"},
    "gold_dot": {"kind": "gradients", "statistic": "gxi_dot", "aggregation": "max", "target": "gold"},
    "gxa": {"kind": "gradient_x_attention", "aggregation": "max"},
    "ig": {
        **{"kind": "integrated_gradients", "aggregation": "sum", "target": "runner_up", "of": "logit"},
        **{"steps": 3, "max_steps": 6, "tolerance": 0.001},
    },
    "left_out": {"kind": "ablation", "of": "probability"},
}
# Both gold methods read one table.
TABLES = {"gradients@gold-log_odds", "gradient_x_attention@auto-log_odds", "ig", "left_out"}


def test_a_study_of_other_targets_runs_to_its_report(study: Workspace) -> None:
    methods = ["saliency_l2", *METHODS, "human"]
    more = {"methods": METHODS, "study": {"checkpoints": ["base"], "methods": methods, "budgets": ["top_var"]}}
    (study.folder / "targets.yaml").write_text(json.dumps(more), encoding="utf-8")
    run = Workspace(study.folder, (*study.config, "targets.yaml"))
    due = run.due()
    assert due["attributions"] == len(TABLES)
    assert "evidence" not in due  # what comes with the predictions is there already
    run.snakemake()
    cell = run.folder / CELL
    assert {path.stem for path in (cell / "evidence/attributions").iterdir()} == TABLES
    for method in METHODS:
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
