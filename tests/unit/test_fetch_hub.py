"""Repositories of the hub, against a loopback server that speaks its API; each run is a process of its own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import Hub, Repository
from rationale_eval.errors import UserError
from rationale_eval.sources.hub import fetch, snapshot_of

PACKAGE = Path(__file__).parents[2] / "workflow"
MAIN, OLD = "a" * 40, "b" * 40
TOKEN = "hf_NeverShowThisOne"
WEIGHTS = random.Random(1).randbytes(300_000)
MODEL = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "consolidated.safetensors": WEIGHTS + b"again",
    "pytorch_model.bin": b"pickle",
    "onnx/config.json": b"{}",
    "model-q8.gguf": b"GGUF",
}
ROWS = {"data/train.jsonl": b'{"text": "a"}\n', "data/test.jsonl": b'{"text": "b"}\n', "cache.pkl": b"pickle"}
LOADED = ["config.json", "model.safetensors", "tokenizer.json"]
STORED = f"/storage/{hashlib.sha256(WEIGHTS).hexdigest()}"


@pytest.fixture
def hub():
    repositories = {
        ("model", "lab/tiny"): Repository({MAIN: MODEL, OLD: {**MODEL, "config.json": b"{}"}}, {"main": MAIN}),
        ("model", "lab/gated"): Repository({MAIN: MODEL}, {"main": MAIN}, gated=True),
        ("model", "lab/pickled"): Repository({MAIN: {"pytorch_model.bin": b"p", "config.json": b"{}"}}, {"main": MAIN}),
        ("dataset", "lab/rows"): Repository({MAIN: ROWS}, {"main": MAIN, "refs/pr/1": MAIN}),
    }
    with Hub(repositories, token=TOKEN) as running:
        yield running


class Machine:
    """Runs of the stage that share a cache and a place for the card."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub, self.home, self.card = hub, folder / "hf", folder / "cards" / "card.json"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": hub.url,
            "PYTHONPATH": str(PACKAGE),
            "NO_PROXY": "*",
        }

    def start(self, repo: str, kind: str = "model", revision: str = "main", files=None, **environment: str):
        spec = json.dumps({"repo": repo, "kind": kind, "revision": revision, "files": files})
        command = [sys.executable, "-m", "rationale_eval", "fetch_hub", "--spec", spec, "--output", str(self.card)]
        return subprocess.Popen(
            command,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, repo: str, **asked) -> tuple[int, str]:
        """Exit status and log."""
        with self.start(repo, **asked) as job:
            log = job.communicate(timeout=60)[0]
        assert "Traceback" not in log
        return job.returncode, log

    def get(self, repo: str, **asked) -> dict:
        """The card of a run that must succeed."""
        status, log = self.run(repo, **asked)
        assert status == 0, log
        return json.loads(self.card.read_text())

    def refused(self, repo: str, **asked) -> str:
        """The one line of a run that must fail without a card."""
        status, log = self.run(repo, **asked)
        assert status == 1, log
        assert not self.card.exists()
        return next(line for line in log.splitlines() if line.startswith("error: "))


@pytest.fixture
def machine(hub, tmp_path):
    return Machine(hub, tmp_path)


def test_a_model_is_fetched_without_pickles_copies_and_subfolders(hub, machine):
    card = machine.get("lab/tiny")
    assert {key: card[key] for key in ("repo", "kind", "revision", "commit")} == {
        "repo": "lab/tiny",
        "kind": "model",
        "revision": "main",
        "commit": MAIN,
    }
    assert card["files"] == {
        name: {"bytes": len(MODEL[name]), "sha256": hashlib.sha256(MODEL[name]).hexdigest()} for name in LOADED
    }
    folder = snapshot_of(machine.card)
    assert folder == machine.home / "hub" / "models--lab--tiny" / "snapshots" / MAIN
    assert sorted(path.name for path in folder.iterdir()) == LOADED
    assert all(path.read_bytes() == MODEL[path.name] for path in folder.iterdir())
    assert not hub.asked("telemetry")
    assert not hub.asked("agent-harnesses")


def test_the_second_run_of_a_pinned_commit_asks_the_hub_nothing(hub, machine):
    first = machine.get("lab/tiny", revision=OLD)
    assert first["commit"] == OLD
    hub.seen.clear()
    assert machine.get("lab/tiny", revision=OLD) == first
    assert hub.seen == []


def test_a_branch_that_moved_is_followed_and_shares_unchanged_files(hub, machine):
    machine.get("lab/tiny")
    hub.repositories["model", "lab/tiny"].branches["main"] = OLD
    assert machine.get("lab/tiny")["commit"] == OLD
    assert len(hub.asked("/storage/")) == 1


@pytest.mark.parametrize("revision", ["main", MAIN, "refs/pr/1"])
def test_a_data_set_is_fetched_whole_but_for_pickles(machine, revision):
    card = machine.get("lab/rows", kind="dataset", revision=revision)
    assert (card["commit"], card["revision"]) == (MAIN, revision)
    assert sorted(card["files"]) == ["data/test.jsonl", "data/train.jsonl"]
    assert (snapshot_of(machine.card) / "data" / "test.jsonl").read_bytes() == ROWS["data/test.jsonl"]


def test_patterns_choose_files(machine):
    assert list(machine.get("lab/rows", kind="dataset", files=["data/te*.jsonl"])["files"]) == ["data/test.jsonl"]
    machine.card.unlink()
    assert list(machine.get("lab/tiny", files=["*.gguf"])["files"]) == ["model-q8.gguf"]


REFUSED = {
    "unknown repository": ({"repo": "lab/none"}, "there is none of that name and kind"),
    "unknown repository with token": ({"repo": "lab/none", "HF_TOKEN": TOKEN}, "there is none of that name"),
    "other kind": ({"repo": "lab/tiny", "kind": "dataset"}, "there is none of that name and kind"),
    "wrong branch": ({"repo": "lab/tiny", "revision": "v2"}, "model lab/tiny of the hub: has no revision 'v2'"),
    "wrong commit": ({"repo": "lab/tiny", "revision": "c" * 40}, f"has no revision '{'c' * 40}'"),
    "no match": (
        {"repo": "lab/rows", "kind": "dataset", "files": ["data/*.jsonl", "*.csv"]},
        "no file matches '*.csv'",
    ),
    "asked for a pickle": ({"repo": "lab/tiny", "files": ["*.bin"]}, "no file matches '*.bin' (pickles"),
    "only pickles": ({"repo": "lab/pickled"}, "has no .safetensors weights"),
    "malformed name": ({"repo": "lab/a/b"}, "is not a name of the form owner/name"),
    "gated": ({"repo": "lab/gated"}, "is gated and no HF_TOKEN is set; accept the terms on "),
    "gated for this account": ({"repo": "lab/gated", "HF_TOKEN": "hf_other"}, "the account of HF_TOKEN has no access"),
    "broken token": ({"repo": "lab/gated", "HF_TOKEN": "hf_a\nb"}, "HF_TOKEN: has a space, line break"),
    "offline": ({"repo": "lab/tiny", "HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and the cache"),
    "offline by commit": ({"repo": "lab/tiny", "revision": MAIN, "HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    "no network": ({"repo": "lab/tiny", "HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached (["),
    "password": ({"repo": "lab/tiny", "HF_ENDPOINT": "http://u:hf_a@127.0.0.1:9"}, "HF_ENDPOINT: carries a user name"),
}


@pytest.mark.parametrize(("asked", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_had_is_told_in_one_line(machine, asked, words):
    message = machine.refused(**asked)
    assert words in message
    assert "hf_" not in message


def everything_written(machine: Machine) -> bytes:
    paths = [path for root in (machine.home, machine.card.parent) for path in root.rglob("*") if path.is_file()]
    return b"\n".join(str(path).encode() + path.read_bytes() for path in paths)


def test_the_token_goes_into_the_authorization_header_of_the_hub_alone(hub, machine):
    status, log = machine.run("lab/gated", HF_TOKEN=TOKEN, HF_HUB_VERBOSITY="debug", HF_DEBUG="1")
    assert status == 0, log
    assert snapshot_of(machine.card).is_dir()
    to_hub = [seen for seen in hub.seen if not seen.path.startswith("/storage/")]
    assert to_hub
    assert all(seen.headers["authorization"] == f"Bearer {TOKEN}" for seen in to_hub)
    elsewhere = [seen.path + str({**seen.headers, "authorization": ""}) for seen in to_hub]
    elsewhere += [str(seen) for seen in hub.asked("/storage/")]
    assert not any(TOKEN in text for text in elsewhere)
    assert TOKEN not in log
    assert TOKEN.encode() not in everything_written(machine)


def test_a_token_file_is_not_read(hub, machine):
    machine.home.mkdir()
    (machine.home / "token").write_text(TOKEN)
    assert "no HF_TOKEN is set" in machine.refused("lab/gated")
    assert not any("authorization" in seen.headers for seen in hub.seen)


NO_NETWORK = {
    "told so": {"HF_HUB_OFFLINE": "1"},
    "cannot connect": {"HF_ENDPOINT": "http://127.0.0.1:9"},
    "no proxy": {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""},
}


@pytest.mark.parametrize("revision", ["main", MAIN])
@pytest.mark.parametrize("environment", NO_NETWORK.values(), ids=NO_NETWORK.keys())
def test_a_warm_cache_serves_without_a_network(hub, machine, environment, revision):
    first = machine.get("lab/tiny", revision=revision)
    machine.card.unlink()
    hub.seen.clear()
    assert machine.get("lab/tiny", revision=revision, **environment) == first
    assert hub.seen == []


def test_a_warm_cache_serves_when_the_hub_is_down(hub, machine):
    first = machine.get("lab/rows", kind="dataset")
    hub.down = True
    assert machine.get("lab/rows", kind="dataset") == first
    machine.card.unlink()
    assert "the hub answers 503" in machine.refused("lab/tiny")


@pytest.mark.parametrize("revision", ["main", MAIN])
def test_a_cache_that_lacks_a_file_does_not_count_as_warm(machine, revision):
    machine.get("lab/tiny", revision=revision, files=["*.json"])
    machine.card.unlink()
    message = machine.refused("lab/tiny", revision=revision, HF_HUB_OFFLINE="1")
    assert "does not have all of revision" in message


def test_a_cache_that_cannot_say_what_belongs_to_it_is_not_used(machine):
    """As left by other tools and older versions: nobody knows whether the snapshot is whole."""
    machine.get("lab/rows", kind="dataset")
    machine.card.unlink()
    (machine.home / "hub" / "datasets--lab--rows" / "trees" / f"{MAIN}.json").unlink()
    assert "has no list of its files" in machine.refused("lab/rows", kind="dataset", HF_HUB_OFFLINE="1")


def test_a_dropped_connection_is_taken_up_within_the_run(hub, machine):
    block = 10 * 2**20  # what the library writes at once; less is not kept
    weights = random.Random(2).randbytes(block + 1000)
    hub.repositories["model", "lab/large"] = Repository({MAIN: {"model.safetensors": weights}}, {"main": MAIN})
    sha256 = hashlib.sha256(weights).hexdigest()
    hub.cut[f"/storage/{sha256}"] = [block + 500]
    assert machine.get("lab/large")["files"] == {"model.safetensors": {"bytes": block + 1000, "sha256": sha256}}
    assert [seen.headers.get("range") for seen in hub.asked("/storage/")] == [None, f"bytes={block}-"]


def test_a_killed_run_keeps_whole_files_and_leaves_no_card(hub, machine):
    hub.hold[STORED] = 200_000
    with machine.start("lab/tiny") as job:
        assert hub.holding.wait(20)
        folder = machine.home / "hub" / "models--lab--tiny" / "snapshots" / MAIN
        while len(list(folder.iterdir())) < 2:
            assert job.poll() is None
        job.send_signal(signal.SIGKILL)
    assert not machine.card.exists()
    hub.hold.clear()
    hub.seen.clear()
    status, log = machine.run("lab/tiny")
    assert status == 0, log
    assert "1 *.incomplete" in log
    assert (snapshot_of(machine.card) / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.asked("/storage/")) == 1
    assert not hub.asked("config.json")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_arrives_damaged_is_refused_and_fetched_again(hub, machine, name):
    repository = hub.repositories["model", "lab/tiny"]
    repository.damaged.add(name)
    assert f"lab/tiny: {name} arrived damaged" in machine.refused("lab/tiny")
    repository.damaged.clear()
    machine.get("lab/tiny")
    assert (snapshot_of(machine.card) / name).read_bytes() == MODEL[name]


def test_the_log_has_lines_of_progress_and_nothing_else(machine):
    status, log = machine.run("lab/tiny")
    assert status == 0, log
    *progress, last = log.splitlines()
    assert progress
    # The total is that of the files begun so far, and the smallest may end before the largest begins.
    line_of_progress = r"lab/tiny: \S+B/\S+B, \S+B/s, \S+ elapsed, \S+ left"
    assert [line for line in progress if not re.fullmatch(line_of_progress, line)] == []
    assert last == f"{machine.card}: lab/tiny at {MAIN}, 3 files, 300041 bytes, all checked"


def test_a_full_disk_is_told(monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("HF_TOKEN", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(UserError, match=r"model lab/tiny of the hub: the disk of the cache .* is full"):
        fetch({"repo": "lab/tiny", "kind": "model", "revision": MAIN, "files": None})


def write_card(folder: Path, **changes) -> Path:
    snapshot = folder / "snapshot"
    snapshot.mkdir()
    (snapshot / "config.json").write_bytes(b"{}")
    card = {"snapshot": str(snapshot), "files": {"config.json": {"bytes": 2, "sha256": "0" * 64}}, **changes}
    (folder / "card.json").write_text(json.dumps(card))
    return folder / "card.json"


def test_the_folder_of_a_card(tmp_path):
    assert snapshot_of(write_card(tmp_path)) == tmp_path / "snapshot"


CARDS = {
    "file gone": (lambda card: (card.parent / "snapshot" / "config.json").unlink(), "is no longer there"),
    "cut short": (lambda card: (card.parent / "snapshot" / "config.json").write_bytes(b"{"), "has another size"),
    "no card": (lambda card: card.unlink(), "not the card of a hub repository"),
    "not JSON": (lambda card: card.write_text("{"), "not the card of a hub repository"),
    "other JSON": (lambda card: card.write_text("[]"), "not the card of a hub repository"),
    "no files": (lambda card: card.write_text('{"snapshot": "/", "files": 1}'), "not the card of a hub repository"),
}


@pytest.mark.parametrize(("harm", "words"), CARDS.values(), ids=CARDS.keys())
def test_a_card_whose_folder_is_not_whole_names_what_to_do(tmp_path, harm, words):
    card = write_card(tmp_path)
    harm(card)
    with pytest.raises(UserError, match=words) as caught:
        snapshot_of(card)
    assert str(card) in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damaged_files_are_refused_where_the_cache_has_no_links(hub, machine, name):
    # What a blob is called says nothing then: there are none.
    machine.environment["HF_HUB_DISABLE_SYMLINKS"] = "1"
    repository = hub.repositories["model", "lab/tiny"]
    repository.damaged.add(name)
    assert f"lab/tiny: {name} arrived damaged" in machine.refused("lab/tiny")
