"""The smoke study with finer curves, each word left out, and other ways to mask: what runs for it, and what it says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from .conftest import CELL, Workspace

pytestmark = pytest.mark.xdist_group("finished")

OPERATORS = "study: { operators: [delete, redacted_announced] }\n"
SHOWN = {"report_latex": 1, "report_page": 1}  # what reads the table of sensitivity
FINER = "faithfulness: { curve_ratios: [0.3, 0.7], leave_one_out: true }\n"


@pytest.fixture(scope="module")
def masked(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, int]]:
    """The finished study run again with all that, and the jobs that the operators alone made due."""
    workspace = finished.copy(tmp_path_factory.mktemp("operators") / "project")
    workspace.config += ("more.yaml",)
    (workspace.folder / "more.yaml").write_text(OPERATORS, encoding="utf-8")
    due = workspace.due()
    (workspace.folder / "more.yaml").write_text(OPERATORS + FINER, encoding="utf-8")
    workspace.snakemake()
    return workspace, due


def _read(workspace: Workspace, path: str) -> pd.DataFrame:
    return pd.read_parquet(workspace.folder / path)


def test_another_operator_runs_its_own_jobs_alone(masked: tuple[Workspace, dict[str, int]]) -> None:
    own = {"perturb_otherwise": 4, "faithfulness_otherwise": 4, "cost": 1, "sensitivity": 1}
    assert masked[1] == own | SHOWN
    assert masked[0].due() == {}


def test_finer_curves_score_new_inputs_alone(masked: tuple[Workspace, dict[str, int]], finished: Workspace) -> None:
    before, _ = finished.computed("perturb")
    asked, computed = masked[0].computed("perturb")
    assert 0 < computed <= asked - before


def test_every_scored_method_has_every_measure_of_its_order(masked: tuple[Workspace, dict[str, int]]) -> None:
    curves = _read(masked[0], f"{CELL}/curves.parquet")
    ordered = curves[curves["status"] == "ok"]
    assert set(ordered["method"]) == {"saliency_l2", "input_x_gradient_dot", "attention_rollout", "random"}
    assert set(curves[curves["method"] == "human"]["status"]) == {"no_order"}
    for measure in ("aopc_comprehensiveness", "aopc_sufficiency", "deletion_auc", "insertion_auc", "leave_one_out_tau"):
        assert ordered[measure].notna().all(), measure
    assert (ordered["words_to_flip"].notna() == ordered["flips"].astype(bool)).all()


def test_the_announced_mask_stands_before_the_whole_text_and_changes_scores(
    masked: tuple[Workspace, dict[str, int]],
) -> None:
    tables = {
        name: _read(masked[0], f"{CELL}/perturbations/{name}.parquet") for name in ("delete", "redacted_announced")
    }
    whole = tables["redacted_announced"].query("method == '(whole)'").set_index("id")["scores"]
    predictions = _read(masked[0], f"{CELL}/predictions.parquet").set_index("id")["scores"]
    assert len(whole) == 12
    assert all(list(whole[name]) != list(predictions[name]) for name in whole.index)
    assert tables["delete"].query("method == '(whole)'").empty
    # other operators score rationales alone
    assert not {"(random)", "(left_out)"} & set(tables["delete"]["method"])


def test_the_report_compares_the_conclusions(masked: tuple[Workspace, dict[str, int]]) -> None:
    report = masked[0].folder / "results-smoke/report"
    sensitivity = pd.read_parquet(report / "tables/sensitivity.parquet")
    assert set(sensitivity["operator"]) == {"(main)", "delete", "redacted_announced"}
    assert set(sensitivity["conclusion"]) == {"level", "ranking", "contrast"}
    main = sensitivity[sensitivity["operator"] == "(main)"]
    assert all(value == pytest.approx(1) for value in main[main["conclusion"] == "ranking"]["value"].dropna())
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "Another way to mask: do the conclusions hold?" in page
    assert "redacted_announced: replaced by [REDACTED], announced" in page


def test_deleting_an_operator_leaves_nothing_due_but_the_report(
    masked: tuple[Workspace, dict[str, int]], tmp_path: Path
) -> None:
    workspace = masked[0].copy(tmp_path / "project")
    (workspace.folder / "more.yaml").write_text("study: { operators: [delete] }\n" + FINER, encoding="utf-8")
    assert workspace.due() == {"sensitivity": 1, "cost": 1, **SHOWN}
