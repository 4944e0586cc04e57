"""Where there is no room to write: one message that names the file, nothing half written, nothing lost."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import loopback_api
import pytest
from rationale_eval.apis.asking import STAGE, memo_context
from rationale_eval.apis.ledger import spent
from rationale_eval.code_digest import PACKAGE
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.memo import Memo

ROOM = 4096


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A corpus whose card and tables are larger than ``ROOM``."""
    rows = []
    for number in range(200):
        text = " ".join(f"word{number * place}" for place in range(1, 30))
        words = whitespace_words([text])
        rows.append(Instance(f"row-{number}", "positive", {"text": text}, words, (True,) + (False,) * 28))
    write_instances(tmp_path / "test.parquet", rows, {})
    return tmp_path / "test.parquet"


def with_little_room(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with ``arguments`` where no file may be larger than ``ROOM``."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error instead of the end, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))

    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_table_that_has_no_room_is_not_there(corpus, tmp_path):
    output = tmp_path / "random.parquet"
    arguments = ["rationale", "--spec", json.dumps({"kind": "random", "seeds": [0]}), "--test", str(corpus)]
    arguments += ["--evidence", "--external", "--plugins", "--output", str(output)]
    done = with_little_room("-m", "rationale_eval", *arguments)
    assert done.returncode == 1
    assert done.stderr == f"error: {output}: no room to write it; make room and run again: what is done is kept\n"
    assert {path.name for path in tmp_path.iterdir()} == {"test.parquet"}


# A stage that computes 100 pairs of results, one after another.
PUTTING = """
import sys
from pathlib import Path
from rationale_eval import __main__, alignment, memo

def main(arguments):
    with memo.Memo(Path(arguments[0]), "evidence", {}) as kept:
        for number in range(100):
            kept.put({f"{number}": "x" * 500, f"{number} too": number})

alignment.main = main
sys.exit(__main__.main(["alignment", sys.argv[1]]))
"""


def test_the_memo_keeps_what_had_room(tmp_path):
    done = with_little_room("-c", PUTTING, str(tmp_path))
    assert done.returncode == 1, done.stderr
    (file,) = tmp_path.rglob("*.jsonl")
    assert done.stderr == f"error: {file}: no room to write it; make room and run again: what is done is kept\n"
    assert file.read_bytes().endswith(b"\n")
    with Memo(tmp_path, "evidence", {}) as kept:
        assert sorted(kept.keys()) == sorted(f"{n}{end}" for n in range(len(kept) // 2) for end in ("", " too"))
        assert 10 <= len(kept) < 200


# A stage that asks the API at the address it is given, for replies of which three or four have room.
ASKING = """
import sys
from pathlib import Path
from rationale_eval import __main__, alignment
from rationale_eval.apis.asking import ask_all
from rationale_eval.apis.request import Request

def main(arguments):
    folder, address = arguments
    requests = {
        name: Request({"messages": [{"role": "user", "content": f"Text: {name}"}], "max_tokens": 8}, 8)
        for name in range(40)
    }
    settings = {"name": "asked", "address": address, "model": "fake-1", "key": None, "concurrency": 4, "timeout": 9,
                "requests_per_minute": None, "tokens_per_minute": None, "retries": 0, "price": None,
                "budget": {"requests": None, "tokens": None, "money": None}}
    ask_all("asking", requests, Path(folder), settings)

alignment.main = main
sys.exit(__main__.main(["alignment", *sys.argv[1:]]))
"""


def test_what_was_asked_of_an_api_and_has_no_room_is_waited_for_and_counts(tmp_path):
    with loopback_api.running() as api:
        api.reply, api.latency = lambda messages: "x" * 900, 0.1
        done = with_little_room("-c", ASKING, str(tmp_path), api.address)
        assert done.returncode == 1
        (file,) = tmp_path.rglob("*.jsonl")
        *_, last = done.stderr.splitlines()
        assert last == f"error: {file}: no room to write it; make room and run again: what is done is kept"
        assert "Traceback" not in done.stderr
        assert 4 <= len(api.received) == len(api.answered) <= 12
    with Memo(tmp_path, STAGE, memo_context({"address": api.address, "model": loopback_api.MODEL})) as kept:
        assert spent(kept.values()).requests == len(api.answered)
