"""Other ways of asking in a real run: an order, votes, words before the label; to the tables of the report."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.tables import read_table

from .conftest import CELL, Workspace

pytestmark = pytest.mark.xdist_group("finished")

WAYS = """
methods:
  ranked: { kind: prompt, strategy: ranked, max_new_tokens: 8 }
  voted: { kind: prompt, strategy: unbound, samples: 3, temperature: 0.7, max_new_tokens: 8 }
  before: { kind: prompt, strategy: unbound, order: before, max_new_tokens: 8 }
study:
  checkpoints: [base]
  methods: [saliency_l2, ranked, voted, before, human]
  budgets: [top_var]
"""


def test_other_ways_of_asking_run_to_the_tables(study: Workspace) -> None:
    (study.folder / "ways.yaml").write_text(WAYS, encoding="utf-8")
    workspace = Workspace(study.folder, (*study.config, "ways.yaml"))
    wanted = [f"results-smoke/report/tables/{table}.csv" for table in ("alignment", "agreement")]
    workspace.snakemake("--", *wanted)
    cell = study.folder / CELL
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

    tables = study.folder / "results-smoke/report/tables"
    budgets = pd.read_csv(tables / "alignment.csv").groupby("method")["budget"].agg(set)
    assert budgets["ranked"] == budgets["voted"] == {"top_var"}
    assert budgets["before"] == {"as_given"}
    pairs = pd.read_csv(tables / "agreement.csv")[["method", "other"]]
    found = {tuple(sorted(pair)) for pair in pairs.itertuples(index=False)}
    assert found == {("before", "ranked"), ("before", "voted"), ("ranked", "voted"), ("voted", "voted")}
    assert workspace.due("--", *wanted) == {}
