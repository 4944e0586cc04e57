"""A newcomer's six corpora through Snakemake to the report."""

from __future__ import annotations

import csv
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
    # On one corpus fewer methods are run.
    fewer = {"study": {"methods_of": {"moods": ["saliency_l2", "random", "human"]}}}
    (own.folder / "fewer.yaml").write_text(yaml.safe_dump(fewer), encoding="utf-8")
    own.config = ("mine.yaml", "fewer.yaml")
    own.snakemake("--", "results-mine/report/index.html", "results-mine/report/explorer.html")
    page = (own.folder / "results-mine/report/index.html").read_text(encoding="utf-8")
    for corpus in newcomer.MADE:
        card = json.loads((own.folder / f"results-mine/corpora/{corpus}/card.json").read_text(encoding="utf-8"))
        assert card["test_rows"] >= 2
        assert f"Corpus {corpus}" in page
    with (own.folder / "results-mine/report/tables/alignment.csv").open(encoding="utf-8", newline="") as stream:
        methods = {(row["corpus"], row["method"]) for row in csv.DictReader(stream)}
    assert {method for corpus, method in methods if corpus == "moods"} == {"saliency_l2", "random", "human"}
    assert ("hate", "prompt_few_shot") in methods
    assert "none is of “normal”, of which no train row has a marked word" in page
    assert own.due("--", "results-mine/report/index.html") == {}
