"""A newcomer's six corpora through Snakemake to the report."""

from __future__ import annotations

import json
from pathlib import Path

import newcomer
import pytest
import yaml
from tiny_models import make_tiny

from .conftest import Workspace


@pytest.mark.long
def test_six_corpora_and_a_base_model_run_to_their_report(fresh: Workspace, tmp_path: Path) -> None:
    own = fresh.copy(tmp_path / "project")
    newcomer.make(own.folder / "mine")
    make_tiny(own.folder / "mine/model", "gemma3", "sentencepiece_base", positions=2048)
    study = yaml.safe_dump(newcomer.study(Path("mine/model")), allow_unicode=True)
    (own.folder / "mine.yaml").write_text(study, encoding="utf-8")
    own.config = ("mine.yaml",)
    own.snakemake("--", "results-mine/report/index.html", "results-mine/report/explorer.html")
    page = (own.folder / "results-mine/report/index.html").read_text(encoding="utf-8")
    for corpus in newcomer.MADE:
        card = json.loads((own.folder / f"results-mine/corpora/{corpus}/card.json").read_text(encoding="utf-8"))
        assert card["test_rows"] >= 2
        assert f"Corpus {corpus}" in page
    assert "none is of “normal”, of which no train row has a marked word" in page
    assert own.due("--", "results-mine/report/index.html") == {}
