"""A planted corpus on the tiny model, through Snakemake to the calibration in its report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from rationale_eval.code_digest import UNTRACKED
from rationale_eval.code_digest import modules_of as tracked_of
from rationale_eval.report.layout import REFERENCE_KINDS

from .conftest import ROOT, Workspace

pytestmark = pytest.mark.xdist_group("finished")

STUDY = """
corpora:
  planted_decoy: { train_rows: 4, test_rows: 8 }
study:
  corpora: [smoke_sentences, planted_decoy]
  checkpoints: [base]
  methods: [saliency_l2, input_x_gradient_dot, attention_rollout, prompt_guided, random, human]
  budgets: [top_var]
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the jobs of this study write down what they import: apart from those of the smoke study."""
    return tmp_path_factory.mktemp("imported")


@pytest.fixture(scope="module")
def planted(
    fresh: Workspace, recording: dict[str, str], imported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """The smoke study with a planted corpus beside its own, run to its report."""
    workspace = fresh.copy(tmp_path_factory.mktemp("planted") / "project")
    (workspace.folder / "few.yaml").write_text(STUDY, encoding="utf-8")
    workspace.config = ("configs/planted.yaml", "configs/smoke.yaml", "few.yaml")
    workspace.snakemake(**{**recording, "RECORD_MODULES": str(imported)})
    return workspace


def test_the_calibration_is_of_the_planted_corpus_alone(planted: Workspace) -> None:
    tables = planted.folder / "results-smoke/report/tables"
    found = pd.read_parquet(tables / "calibration.parquet")
    assert set(found["corpus"]) == {"planted_decoy"}
    assert len(found) == 6
    assert found["n"].eq(8).all()
    human = found.set_index("method").loc["human"]
    assert human["cue_words"] == 1.0  # the cue is what is marked
    ranks = pd.read_parquet(tables / "calibration_ranks.parquet")
    assert ranks[["corpus", "checkpoint"]].to_numpy().tolist() == [["planted_decoy", "base"]]
    # A tiny model hardly answers: what is flagged is in no rank.
    told = found[found["flag"].isna() & ~found["kind"].isin(list(REFERENCE_KINDS))]
    assert ranks["n_methods"].item() == len(told)
    assert set(found.loc[found["flag"].notna(), "kind"]) <= {"prompt"}


def test_the_page_shows_it_and_says_when_nothing_follows(planted: Workspace) -> None:
    page = (planted.folder / "results-smoke/report/index.html").read_text(encoding="utf-8")
    assert '<section id="calibration">' in page
    accuracy = pd.read_parquet(planted.folder / "results-smoke/report/tables/calibration.parquet")["accuracy"].iloc[0]
    assert ("it need not go by the cue" in page) == (accuracy < 0.95)
    assert "calibration.csv" in page


def test_the_code_map_of_the_calibration_is_true(planted: Workspace, imported: Path) -> None:
    prefix = "rationale_eval."
    (job,) = imported.glob("calibration.*.json")
    names = set(json.loads(job.read_text()))
    own = {name.removeprefix(prefix).replace(".", "/") for name in names if name.startswith(prefix)}
    packages = {name for name in own if (ROOT / "workflow/rationale_eval" / name / "__init__.py").exists()}
    assert own - packages - UNTRACKED == tracked_of("calibration")
    assert not {"torch", "transformers", "pydantic"} & names


def test_a_study_without_a_planted_corpus_has_none(finished: Workspace) -> None:
    report = finished.folder / "results-smoke/report"
    assert not Path(report / "tables/calibration.csv").exists()
    assert 'id="calibration"' not in (report / "index.html").read_text(encoding="utf-8")
