"""The smoke study with a model behind an API beside the local one, to its report; the API is one on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import loopback_api
import pandas as pd
import pytest
from rationale_eval.code_digest import UNTRACKED
from rationale_eval.code_digest import modules_of as tracked_of
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.models.task import task_slice
from rationale_eval.tables import read_provenance, read_table
from tiny_models import sentences

from .conftest import ROOT, Workspace

pytestmark = pytest.mark.xdist_group("apis")

ENTRY = """
methods:
  prompt_twice: {{ kind: prompt, strategy: unbound, samples: 2, temperature: 0.7, max_new_tokens: 64 }}
  prompt_before: {{ kind: prompt, strategy: unbound, order: before, max_new_tokens: 64 }}
models:
  asked:
    source: {{ api: "{address}", model: fake-1, key: FAKE_KEY }}
    limits: {{ concurrency: 4, retries: 1, timeout: 2 }}
study:
  models: [tiny-llama, asked]
  checkpoints: [base]
  methods: [saliency_l2, leave_one_out, prompt_unbound, prompt_guided, random, human, all_words]
  not_available: show
"""
CELL = "results-smoke/smoke_sentences/asked/base"
STAGES_OF_APIS = ("model_api", "predictions_api", "replies_api", "perturb_api")


@pytest.fixture(scope="module")
def api() -> Iterator[loopback_api.Api]:
    with loopback_api.running() as server:
        yield server


class Watch:
    """Looks for a secret in the command lines of all processes while it is entered as a context."""

    def __enter__(self) -> Watch:
        self.seen: set[str] = set()
        self.looked = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self) -> None:
        while not self.ending.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                self.looked += b"rationale_eval" in line
                if loopback_api.KEY.encode() in line:
                    self.seen.add(line.decode(errors="replace"))

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()


@pytest.fixture(scope="module")
def mixed(
    fresh: Workspace, api: loopback_api.Api, recording: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """The study with a model behind an API that fails in every way. Not to be changed: copy it."""
    workspace = fresh.copy(tmp_path_factory.mktemp("mixed") / "project")
    (workspace.folder / "api.yaml").write_text(ENTRY.format(address=api.address))
    workspace.config = ("configs/smoke.yaml", "api.yaml")
    workspace.snakemake("--", "results-smoke/corpora/smoke_sentences/test.parquet")
    texts = [row["field_texts"][0] for row in _test_rows(workspace)]
    api.retry_after = "0"
    # Only whole texts: masked ones are others.
    once = ["429", "500", "502", "reset", "half", "empty"]
    api.faults = {f"Text: {text}": [fault] for text, fault in zip(texts, once, strict=False)}
    lasting = ["large", "filtered", "drip"]
    api.always = {f"Text: {text}": fault for text, fault in zip(texts[6:], lasting, strict=False)}
    with Watch() as watch:
        workspace.snakemake("--config", "memo_dir=memo-api", **recording, FAKE_KEY=loopback_api.KEY)
    assert watch.looked
    assert not watch.seen
    return workspace


def _test_rows(workspace: Workspace) -> list[dict[str, list[str]]]:
    frame = pd.read_parquet(workspace.folder / "results-smoke/corpora/smoke_sentences/test.parquet")
    rows: list[dict[str, list[str]]] = frame.to_dict("records")
    return rows


def _table(workspace: Workspace, name: str) -> pd.DataFrame:
    frame = pd.read_csv(workspace.folder / f"results-smoke/report/tables/{name}.csv")
    return frame[frame["model"] == "asked"]


def test_every_row_is_accounted_for_by_its_status(mixed: Workspace) -> None:
    (accuracy,) = _table(mixed, "accuracy").to_dict("records")
    counts = {key.removeprefix("status_"): value for key, value in accuracy.items() if key.startswith("status_")}
    assert {status: count for status, count in counts.items() if count} == {"ok": 9, "api_error": 2, "filtered": 1}
    assert (accuracy["instances"], accuracy["n"]) == (12, 9)
    # A row without a prediction says so in the faithfulness, whatever the method.
    for table, missing in (("alignment", 12), ("faithfulness", 9)):
        frame = _table(mixed, table)
        statuses = frame[[column for column in frame if column.startswith("status_")]]
        assert (statuses.sum(axis=1) == 12).all()
        for method in ("saliency_l2", "leave_one_out"):
            mine = frame[frame["method"] == method]
            assert len(mine)
            assert (mine["status_not_available"] == missing).all()
    prompting = _table(mixed, "prompting").set_index("method")
    assert prompting.loc["prompt_unbound", "n"] == 9


def test_the_page_says_what_is_not_available(mixed: Workspace) -> None:
    page = (mixed.folder / "results-smoke/report/index.html").read_text(encoding="utf-8")
    assert "12 not available" in page
    assert "not available" in (mixed.folder / "results-smoke/report/figures/alignment.svg").read_text()
    assert "2 api error, 1 filtered" in page


def test_no_model_job_was_started_for_what_is_not_available(mixed: Workspace) -> None:
    evidence = {str(path.relative_to(mixed.folder / CELL)) for path in (mixed.folder / CELL / "evidence").rglob("*.*")}
    assert evidence == {"evidence/answers.parquet"} | {
        f"evidence/{part}/{method}.parquet"
        for part in ("replies", "readings")
        for method in ("prompt_unbound", "prompt_guided")
    }
    assert not list((mixed.folder / "results-smoke/smoke_sentences/asked").glob("epoch*"))


def test_the_model_that_answered_is_recorded(mixed: Workspace) -> None:
    made = read_provenance(mixed.folder / CELL / "predictions.parquet")
    assert made["served"] == {"fake-1-2026, fp_1": 10}
    assert "openai" in made["versions"]


def test_no_trace_of_the_key_is_left(mixed: Workspace) -> None:
    files = [path for path in mixed.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files)
    assert not [path for path in files if loopback_api.KEY.encode() in path.read_bytes()]


def test_nothing_was_asked_twice_but_what_failed(mixed: Workspace, api: loopback_api.Api) -> None:
    assert api.replied()
    assert max(api.replied().values()) == 1


@pytest.mark.parametrize("stage", STAGES_OF_APIS)
def test_the_digest_covers_what_the_stage_imports(
    stage: str, mixed: Workspace, modules_of: Callable[[str], set[str]]
) -> None:
    prefix = "rationale_eval."
    imported = {name.removeprefix(prefix).replace(".", "/") for name in modules_of(stage) if name.startswith(prefix)}
    packages = {name for name in imported if (ROOT / "workflow/rationale_eval" / name / "__init__.py").exists()}
    assert imported - packages - UNTRACKED == tracked_of(stage)
    # The client has models of its own on pydantic; the configuration stays out.
    assert not {"torch", "transformers", "rationale_eval.config", "rationale_eval.study"} & modules_of(stage)


def test_limits_prices_and_budgets_run_nothing_again(mixed: Workspace, tmp_path: Path) -> None:
    workspace = mixed.copy(tmp_path / "project")
    memo = ("--config", "memo_dir=memo-api")
    assert workspace.due(*memo) == {}
    workspace.edit("api.yaml", "concurrency: 4", "concurrency: 8")
    workspace.edit(
        "api.yaml", "    limits:", "    budget: { money: 1 }\n    price: { input: 1, output: 2 }\n    limits:"
    )
    workspace.edit("api.yaml", "key: FAKE_KEY", "key: OTHER_KEY")
    assert workspace.due(*memo) == {}
    workspace.edit("api.yaml", "fake-1", "fake-2")
    assert {"predictions_api", "replies_api", "perturb_api"} <= set(workspace.due(*memo))
    assert not {"evidence", "replies", "perturb"} & set(workspace.due(*memo))


def test_a_spent_budget_stops_cleanly_and_more_goes_on(mixed: Workspace, api: loopback_api.Api, tmp_path: Path) -> None:
    workspace = mixed.copy(tmp_path / "project")
    workspace.edit("api.yaml", "    limits:", "    budget: { requests: 5 }\n    limits:")
    arguments = ("--config", "memo_dir=memo-new", "--forcerun", "predictions_api", "--", f"{CELL}/predictions.parquet")
    before = len(api.received)
    done = workspace.try_snakemake(*arguments, FAKE_KEY=loopback_api.KEY)
    assert done.returncode
    assert "models.asked.budget.requests (5)" in done.stdout
    assert "raise it" in done.stdout
    assert len(api.received) - before == 5


def test_samples_and_the_label_after_the_reply(mixed: Workspace, api: loopback_api.Api, tmp_path: Path) -> None:
    workspace = mixed.copy(tmp_path / "project")
    before = len(api.received)
    targets = [f"{CELL}/evidence/replies/{method}.parquet" for method in ("prompt_twice", "prompt_before")]
    workspace.snakemake("--config", "memo_dir=memo-api", "--", *targets, FAKE_KEY=loopback_api.KEY)
    twice, once = (pd.read_parquet(workspace.folder / target) for target in targets)
    assert list(twice["sample"]) == [0, 1] * 12
    asked = [json.loads(body) for body in api.received[before:]]
    seeds = [body["seed"] for body in asked if "seed" in body]
    assert sorted(seeds) == [0] * 9 + [1] * 9
    assert (once[once["status"] == "ok"]["answer"].isin(["positive", "negative"])).all()
    follow_ups = [body for body in asked if len(body["messages"]) == 3]
    assert len(follow_ups) == 9
    assert [message["role"] for message in follow_ups[0]["messages"]] == ["user", "assistant", "user"]


def test_a_study_of_the_api_alone_has_a_report_too(mixed: Workspace, tmp_path: Path) -> None:
    workspace = mixed.copy(tmp_path / "project")
    workspace.edit("api.yaml", "models: [tiny-llama, asked]", "models: [asked]")
    workspace.snakemake("--config", "memo_dir=memo-api")
    page = (workspace.folder / "results-smoke/report/index.html").read_text(encoding="utf-8")
    assert "predicted: " in page
    assert "(probability" not in page
    assert "12 not available" in page


def test_without_leave_to_show_it_the_study_is_refused(mixed: Workspace, tmp_path: Path) -> None:
    workspace = mixed.copy(tmp_path / "project")
    workspace.edit("api.yaml", "not_available: show", "not_available: refuse")
    done = workspace.try_snakemake("-n")
    assert done.returncode
    for index, method in enumerate(("saliency_l2", "leave_one_out")):
        assert f"study.methods[{index}]: '{method}' needs" in done.stdout
    assert "set study.not_available: show" in done.stdout


def test_a_missing_key_stops_the_stage_with_a_message_and_planning_needs_none(fresh: Workspace, tmp_path: Path) -> None:
    workspace = fresh.copy(tmp_path / "project")
    (workspace.folder / "api.yaml").write_text(ENTRY.format(address="http://127.0.0.1:9/v1"))
    workspace.config = ("configs/smoke.yaml", "api.yaml")
    assert workspace.due()["predictions_api"] == 1
    done = workspace.try_snakemake("--", f"{CELL}/predictions.parquet")
    assert done.returncode
    assert "the environment variable FAKE_KEY, which models.asked.source.key names, is not set" in done.stdout


CONCURRENCY, ROWS = 4, 120


def test_after_a_kill_nothing_that_was_answered_is_asked_again(api: loopback_api.Api, tmp_path: Path) -> None:
    stream = sentences(seed=5)
    rows = []
    for number in range(ROWS):
        rating, text = next(stream)
        words = whitespace_words([text])
        label = "positive" if rating > 0 else "negative"
        rows.append(Instance(str(number), label, {"text": text}, words, (False,) * len(words)))
    write_instances(tmp_path / "test.parquet", rows, {})
    settings = {"address": api.address, "model": loopback_api.MODEL, "token_limit": "max_tokens", "options": {}}
    spec = {
        "api": settings | {"predict": "text", "answer_tokens": 16},
        "system_prompt": None,
        "shots": {"count": 0, "seed": 0},
    }
    spec["task"] = task_slice(ROOT / "workflow/prompts/sentiment.yaml", None, [])
    limits = {"name": "asked", "key": "FAKE_KEY", "concurrency": CONCURRENCY, "timeout": 5, "retries": 1, "price": None}
    limits |= {"requests_per_minute": None, "tokens_per_minute": None}
    limits |= {"budget": {"requests": None, "tokens": None, "money": None}}
    command = [sys.executable, "-m", "rationale_eval", "predictions_api", "--spec", json.dumps(spec)]
    command += ["--test", str(tmp_path / "test.parquet"), "--memo", str(tmp_path / "memo")]
    command += ["--limits", json.dumps(limits), "--predictions", str(tmp_path / "predictions.parquet")]
    command += ["--answers", str(tmp_path / "answers.parquet")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "FAKE_KEY": loopback_api.KEY}
    api.latency = 0.1
    try:
        before = len(api.received)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while len(api.received) - before < ROWS // 3:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        api.settle()
        kept = len("".join(path.read_text() for path in (tmp_path / "memo").rglob("*.jsonl")).splitlines())
        first = len(api.received) - before
        assert ROWS // 4 < kept <= first < ROWS
        assert not (tmp_path / "predictions.parquet").exists()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    finally:
        api.latency = 0.0
    assert f"{ROWS} requests, {kept} in the memo, {ROWS - kept} to send" in done.stderr
    asked = api.received[before:]
    assert len(asked) - first == ROWS - kept, "a request whose reply was received was sent again"
    repeated = len(asked) - len(set(asked))
    assert repeated <= CONCURRENCY
    assert first - kept <= CONCURRENCY
    found = read_table(tmp_path / "predictions.parquet", PREDICTIONS)
    assert [row["status"] for row in found] == ["ok"] * ROWS
