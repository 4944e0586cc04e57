"""The examples of docs/adding.md, run as the page says, from its files to the report, on the tiny model."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import loopback_api
import pyarrow.parquet as pq
import pytest

from .conftest import ROOT, Workspace

pytestmark = pytest.mark.xdist_group("adding")

PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
# The page's study has a real model; this one takes its place.
LAST = """
models:
  tiny-llama:
    source: { path: smoke/model }
    dtype: float32
study:
  models: [tiny-llama]
"""
CELL = "results-my/my_reviews/tiny-llama/base"
REPORT = {"cost": 1, "report_explorer": 1, "report_tables": 1, "claims": 1, "report_figures": 1}
REPORT |= {"report_page": 1, "report_latex": 1, "report_examples": 1}
JUDGING = {"alignment": 1, "perturb": 1, "faithfulness": 1, "curves": 1, "measure_tables": 1, **REPORT}


@pytest.fixture(scope="session")
def mine(fresh: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the page's command has run. Not to be changed: copy it."""
    workspace = fresh.copy(tmp_path_factory.mktemp("mine") / "project")
    for name, text in re.findall(r"^```\w+ (my/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        (workspace.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.folder / name).write_text(text, encoding="utf-8")
    (workspace.folder / "my/last.yaml").write_text(LAST, encoding="utf-8")
    command = re.search(r"^snakemake .*--configfile (.*)$", PAGE, re.MULTILINE)
    assert command
    workspace.config = (*command[1].split(), "my/last.yaml")
    assert len(workspace.config) == 7
    workspace.snakemake()
    return workspace


def table(workspace: Workspace, name: str) -> list[dict[str, str]]:
    with (workspace.folder / f"results-my/report/tables/{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_method_stands_in_the_tables(mine: Workspace) -> None:
    methods = {"saliency_l2", "my_scores", "my_lengths", "my_gradients", "random", "human"}
    assert {row["method"] for row in table(mine, "alignment")} == methods
    assert {row["method"] for row in table(mine, "faithfulness")} == methods


def test_the_metric_is_a_column_with_its_values(mine: Workspace) -> None:
    rows = {row["method"]: row for row in table(mine, "alignment") if row["budget"] in ("top_var", "as_given")}
    assert float(rows["human"]["metric_hit"]) == 1.0
    # my_scores gives scores for r1 (both marked words first) and r2 (never, get of never get back.), none for r3
    assert (float(rows["my_scores"]["metric_hit"]), rows["my_scores"]["n"]) == (1.0, "2")
    assert all(0 <= float(row["metric_hit"]) <= 1 for row in rows.values())


def test_the_words_are_those_that_the_examples_say(mine: Workspace) -> None:
    def rationales(method: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = (
            pq.ParquetFile(mine.folder / f"{CELL}/rationales/{method}.parquet").read().to_pylist()
        )
        return rows

    given = {row["id"]: (row["status"], row["scores"]) for row in rationales("my_scores")}
    assert given["r1"] == ("ok", pytest.approx([0.0, 0.1, 0.0, 0.9, 0.8]))
    assert given["r3"] == ("not_given", None)
    lengths = {row["id"]: row["scores"] for row in rationales("my_lengths")}
    assert lengths["r1"] == [1.0, 16.0, 16.0, 25.0, 49.0]
    assert {row["status"] for row in rationales("my_gradients")} == {"ok"}


def test_the_report_shows_the_corpus_and_who_marked_it(mine: Workspace) -> None:
    card = json.loads((mine.folder / "results-my/corpora/my_reviews/card.json").read_text(encoding="utf-8"))
    assert card["annotation"] == "One person marked the words that decide."
    page = (mine.folder / "results-my/report/index.html").read_text(encoding="utf-8")
    for expected in ("my_reviews", "One person marked the words that decide.", "my_gradients", "hit"):
        assert expected in page


@pytest.fixture
def own(mine: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished study that a test may change."""
    return mine.copy(tmp_path / "project")


def test_the_model_behind_an_api_is_asked(own: Workspace) -> None:
    labels = {"Positive.": "good", "Negative.": "bad"}
    with loopback_api.running() as api:
        api.reply = lambda messages: labels.get(found := loopback_api.answer(messages), found)
        own.edit("my/models.yaml", "https://api.openai.com/v1", api.address)
        own.edit("my/models.yaml", "model: gpt-4-turbo-2024-04-09", f"model: {loopback_api.MODEL}")
        own.edit("my/models.yaml", "requests_per_minute: 500, tokens_per_minute: 30000, ", "")
        target = "results-my/my_reviews/my_api_model/base/rationales/prompt_unbound.parquet"
        own.snakemake("--", target, OPENAI_API_KEY=loopback_api.KEY)
    rows = pq.ParquetFile(own.folder / target).read().to_pylist()
    assert {row["id"]: row["status"] for row in rows} == {"r1": "ok", "r2": "ok", "r3": "ok"}


def test_a_plugins_corpus_is_read(own: Workspace) -> None:
    own.snakemake("--", "results-my/corpora/my_lines/card.json")
    card = json.loads((own.folder / "results-my/corpora/my_lines/card.json").read_text(encoding="utf-8"))
    rows = pq.ParquetFile(own.folder / "results-my/corpora/my_lines/test.parquet").read().to_pylist()
    assert [row["rationale"] for row in sorted(rows, key=lambda row: row["id"])] == [
        [False, False, True],
        [False, False, False, True],
    ]
    assert "too_short" in json.dumps(card)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("my/plugin.py", "corpus_format, method, metric", "corpus_format, method, metric  # a comment", {}),
        ("my/plugin.py", '"""Longer words', '"""Say that longer words', {}),
        ("my/plugin.py", "float(any(", "2.0 * float(any(", {"rationale": 2, **JUDGING}),
        ("my/plugins.yaml", "power: 2", "power: 3", {"rationale": 1, **JUDGING}),
        ("my/plugins.yaml", "min_words: 2", "min_words: 3", {}),
        ("my/scores/my_reviews.jsonl", "0.9", "0.7", {"rationale": 1, **JUDGING}),
        ("my/study.yaml", "metrics: [hit]", "metrics: []", {"alignment": 1, **REPORT}),
    ],
    ids=["comment", "docstring", "code", "option", "option of a corpus outside the study", "scores", "metric"],
)
def test_an_edit_runs_exactly_the_jobs_that_it_serves(
    path: str, old: str, new: str, expected: dict[str, int], own: Workspace
) -> None:
    own.edit(path, old, new)
    assert own.due() == expected
