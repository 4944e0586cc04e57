"""What the jobs took: Snakemake's records, their table, and the page's tables of them."""

from __future__ import annotations

import json
import os
import re

import pandas as pd
import pytest
from rationale_eval.errors import UserError
from rationale_eval.report import cost
from rationale_eval.report.cost_html import cost_tables, duration

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
LONG = "90.5\t0:01:30\t1000.00\t2000.00\t900.00\t950.00\t1.00\t2.00\t150.00\t135.75\n"
SHORT = "0.2\t0:00:00\t-\t-\t-\t-\t-\t-\t0.00\t0.00\n"  # too short to be measured
CELLS = [{"corpus": "films", "model": "small", "checkpoint": name} for name in ("base", "epoch-02-seed-0")]
RECORDS = {
    "corpora/films/test.tsv": SHORT,
    "corpora/others/test.tsv": LONG,
    "models/small.tsv": LONG,
    "films/small/checkpoints/epoch-01-seed-0.tsv": LONG,
    "films/small/checkpoints/epoch-02-seed-0.tsv": SHORT + LONG,  # of a job that was repeated the last counts
    "films/small/base/evidence.tsv": LONG,
    "films/small/base/replies/asked.tsv": LONG,
    "films/small/epoch-02-seed-0/replies/asked.tsv": LONG,
    "films/small/epoch-01-seed-0/evidence.tsv": LONG,  # of no cell of the study
    "films/small/base/replies/dropped.tsv": LONG,  # of a method that the study had before
    "films/small/base/perturbations/deleted.tsv": LONG,  # and of an operator
}
SPEC = {"cells": CELLS, "methods": ["asked"], "attributions": ["ablation"], "operators": []}


@pytest.fixture
def results(tmp_path):
    for name, text in RECORDS.items():
        path = tmp_path / "benchmarks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + text, encoding="utf-8")
    return tmp_path


def table(results) -> pd.DataFrame:
    cost.main(["--spec", json.dumps(SPEC), "--results", str(results), "--output", str(results / "tables")])
    return pd.read_parquet(results / "tables" / "cost.parquet")


def test_there_is_a_row_for_each_job_of_the_study(results):
    found = table(results)
    keys = found[["corpus", "model", "checkpoint", "stage", "part"]].agg("|".join, axis=1).tolist()
    assert keys == [
        "films|||corpus|test",
        "|small||model|",
        "films|small|epoch-01-seed-0|finetune|",
        "films|small|epoch-02-seed-0|finetune|",
        "films|small|base|evidence|",
        "films|small|base|replies|asked",
        "films|small|epoch-02-seed-0|replies|asked",
    ]
    assert found["seconds"].tolist() == [0.2, *[90.5] * 6]
    assert found["cpu_seconds"].tolist() == [0.0, *[135.75] * 6]
    assert found["peak_mb"].isna().tolist() == [True, *[False] * 6]
    assert found["peak_mb"].max() == pytest.approx(1048.576)
    assert (
        (results / "tables" / "cost.csv").read_text(encoding="utf-8").startswith("corpus,model,checkpoint,stage,part,")
    )


def test_the_page_adds_up_jobs_and_takes_the_highest_memory(results):
    shown = cost_tables(table(results))
    assert (shown["jobs"], shown["total"]) == (7, "9 min 03 s")
    rows = re.findall(r"<tr>(.*?)</tr>", shown["stages"], re.DOTALL)
    texts = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    by_stage = {found[0].partition(":")[0]: found[1:] for found in texts if found}
    assert [name for name in by_stage if name != "stage"] == ["corpus", "model", "finetune", "evidence", "replies"]
    assert by_stage["finetune"] == ["2", "3 min 01 s", "1 min 30 s", "4 min 32 s", "1,049 MB"]
    assert by_stage["corpus"][-1] == "–"
    assert ">asked<" in shown["parts"]


def test_of_a_job_that_was_split_the_last_number_of_shards_counts(results):
    folder = results / "benchmarks/films/small/base"
    names = ["ablation/1-of-3", "ablation/2-of-3", "ablation/3-of-3", "ablation/merge-of-3", "ablation"]
    for age, name in enumerate([*names, "ablation/1-of-2", "ablation/2-of-2", "ablation/merge-of-2"]):
        path = folder / "attributions" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + LONG, encoding="utf-8")
        os.utime(path, (1000 + age, 1000 + age))
    found = table(results)
    mine = found[found["stage"] == "attributions"]
    assert mine["part"].tolist() == ["ablation"] * 3
    assert mine["shard"].tolist() == ["1-of-2", "2-of-2", "merge-of-2"]
    os.utime(folder / "attributions/ablation.tsv", (2000, 2000))  # run again, all in one
    assert table(results).query("stage == 'attributions'")["shard"].tolist() == [""]


def test_carried_tables_without_records_are_no_error(tmp_path):
    assert cost_tables(table(tmp_path)) is None


@pytest.mark.parametrize("text", ["", HEAD, "no\trecord\n1\t2\n", "\0"])
def test_what_is_no_record_is_named(results, text):
    (results / "benchmarks/models/small.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"small\.tsv: no record of a job by Snakemake"):
        table(results)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (7325, "2 h 02 min")],
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
