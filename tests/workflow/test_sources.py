"""A study whose corpora and model come from elsewhere: `fetch` gets them, and the rest needs no network.

The servers are on this machine: one of plain files, one that speaks the API of the Hugging Face hub.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback_hub import FileServer, Hub, Repository
from rationale_eval.code_digest import UNTRACKED
from rationale_eval.code_digest import modules_of as tracked_of

from .conftest import Workspace

pytestmark = pytest.mark.xdist_group("sources")

TOKEN = "hf_NeverToBeWritten"
COMMIT = "c" * 40
REVIEWS = [
    {"key": f"r{number}", "review": f"{text} number {number}", "verdict": verdict, "marks": [1]}
    for number, (text, verdict) in enumerate([("A charming film", "good"), ("A tedious story", "bad")] * 3)
]
TRAIN = "".join(
    f"{json.dumps({**row, 'marks': None, 'review': row['review'] + ' again'})}\n" for row in REVIEWS
).encode()
TEST = "".join(f"{json.dumps(row)}\n" for row in REVIEWS).encode()
CONFIG = """
results_dir: results-sources
corpora:
  from_web: &reviews
    format: table
    source: {{ url: "{web}/reviews", files: {{ train.jsonl: {sha256}, test.jsonl: null }} }}
    train: [train.jsonl]
    test: [test.jsonl]
    fields: {{ text: review }}
    label: verdict
    id: key
    rationale: {{ kind: word_indices, column: marks }}
    task: reviews
    train_rows: null
    test_rows: null
  from_hub:
    <<: *reviews
    source: {{ hub: lab/reviews, revision: main, files: ["data/*.jsonl"] }}
  not_in_the_study:
    <<: *reviews
    source: {{ url: "{web}/other.zip" }}
models:
  from_hub:
    source: {{ hub: lab/tiny, revision: main }}
    dtype: float32
  not_in_the_study:
    source: {{ hub: lab/other, revision: main }}
tasks:
  reviews:
    prompts: workflow/prompts/generic.yaml
    verbalisers: {{ bad: bad, good: good }}
study:
  corpora: [from_web, from_hub]
  models: [from_hub]
  checkpoints: [base]
  methods: [saliency_l2, human]
  budgets: [top_var]
"""


@dataclass
class Fetched:
    """A workspace after `fetch`, what it said, and what the servers, which are down now, were asked for."""

    workspace: Workspace
    environment: dict[str, str]
    log: str
    web: set[str]
    hub: set[str]


def workspace_of(fresh: Workspace, folder: Path, web: str, hub: Hub) -> tuple[Workspace, dict[str, str]]:
    """A workspace with the study, and the environment of a machine with a cache of its own."""
    workspace = fresh.copy(folder / "project")
    sha256 = hashlib.sha256(TRAIN).hexdigest()
    (workspace.folder / "sources.yaml").write_text(CONFIG.format(web=web, sha256=sha256), encoding="utf-8")
    workspace.config = ("sources.yaml",)
    place = {"HF_HOME": str(folder / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    return workspace, place


@pytest.fixture(scope="session")
def servers(fresh: Workspace) -> Iterator[tuple[FileServer, Hub]]:
    """The two servers, each with more than the study asks for."""
    model = {path.name: path.read_bytes() for path in (fresh.folder / "smoke/model").iterdir()}
    data = {"data/train.jsonl": TRAIN, "data/test.jsonl": TEST, "README.md": b"About", "images/a.png": b"PNG"}
    repositories = {
        ("model", "lab/tiny"): Repository({COMMIT: {**model, "pytorch_model.bin": b"pickle"}}, {"main": COMMIT}, True),
        ("dataset", "lab/reviews"): Repository({COMMIT: data}, {"main": COMMIT}),
    }
    files = {"/reviews/train.jsonl": TRAIN, "/reviews/test.jsonl": TEST, "/other.zip": b"zip"}
    with FileServer(files) as web, Hub(repositories, TOKEN) as hub:
        yield web, hub


@pytest.fixture(scope="session")
def fetched(
    fresh: Workspace,
    recording: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    servers: tuple[FileServer, Hub],
) -> Fetched:
    web, hub = servers
    workspace, environment = workspace_of(fresh, tmp_path_factory.mktemp("sources"), web.url, hub)
    log = workspace.snakemake("--", "fetch", HF_TOKEN=TOKEN, **environment, **recording)
    asked = {seen.path for seen in web.asked("/")}
    # Of a large file the hub itself is asked by HEAD alone, and then its storage.
    resolved = [*hub.asked("/resolve/"), *hub.asked("/resolve/", "HEAD")]
    files = {seen.path.split(f"{COMMIT}/")[1] for seen in resolved}
    web.files.clear()
    hub.down = True
    return Fetched(workspace, environment, log, asked, files)


def test_a_gated_model_without_a_token_is_told_before_anything_is_computed(
    fresh: Workspace, tmp_path: Path, servers: tuple[FileServer, Hub]
) -> None:
    web, hub = servers
    workspace, environment = workspace_of(fresh, tmp_path, web.url, hub)
    done = workspace.try_snakemake("--keep-going", "--", "fetch", HF_TOKEN="", **environment)
    assert done.returncode != 0
    assert "model lab/tiny of the hub: is gated and no HF_TOKEN is set; accept the terms on" in done.stdout
    assert "Traceback" not in done.stdout
    assert len(list((workspace.folder / "cache/hub").glob("*.hub.json"))) == 1  # the data set's


def test_fetch_gets_exactly_what_the_study_needs(fetched: Fetched) -> None:
    assert fetched.web == {"/reviews/train.jsonl", "/reviews/test.jsonl"}
    data = {"data/train.jsonl", "data/test.jsonl"}
    assert data <= fetched.hub
    assert fetched.hub - data == {
        path.name for path in (fetched.workspace.folder / "smoke/model").iterdir() if path.name != "README.md"
    }
    cache = fetched.workspace.folder / "cache"
    assert sorted(path.name for path in (cache / "urls").rglob("*") if path.is_file()) == ["test.jsonl", "train.jsonl"]
    assert len(list((cache / "hub").glob("*.hub.json"))) == 2
    assert not (cache / "packages").exists()
    assert not (fetched.workspace.folder / "results-sources").exists()


def test_the_study_runs_from_the_cache_without_a_network(fetched: Fetched, tmp_path: Path) -> None:
    # Not a copy: the cards name the hub's cache by its place.
    offline = {**fetched.environment, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "fetch" not in fetched.workspace.due(**offline)
    fetched.workspace.snakemake(**offline)
    results = fetched.workspace.folder / "results-sources"
    assert (results / "report/index.html").stat().st_size > 0
    for corpus in ("from_web", "from_hub"):
        assert (results / corpus / "from_hub/base/predictions.parquet").exists()
    assert fetched.workspace.due(**offline) == {}


def test_the_token_is_written_nowhere(fetched: Fetched) -> None:
    assert TOKEN not in fetched.log
    folder = fetched.workspace.folder
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert any(".snakemake" in path.parts for path in files)
    assert any(path.name.endswith(".log") for path in files)
    assert [str(path) for path in files if TOKEN.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("stage", ["fetch_url", "fetch_hub"])
def test_downloads_load_what_the_code_map_says_and_no_torch(
    stage: str, fetched: Fetched, modules_of: Callable[[str], set[str]]
) -> None:
    modules = modules_of(stage)
    own = {name.removeprefix("rationale_eval.").replace(".", "/") for name in modules if "rationale_eval." in name}
    tracked = {name for name in own - UNTRACKED if name not in ("models", "sources", "corpora")}
    assert tracked >= tracked_of(stage)
    assert not {"torch", "transformers", "rationale_eval.config", "pydantic"} & modules
