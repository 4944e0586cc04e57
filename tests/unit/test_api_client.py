"""Asking an API: faults and tries, limits and budget, the memo; the server is one on this machine that fails."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import loopback_api
import pytest
from loopback_api import UNLIMITED, request_for
from rationale_eval.apis import client
from rationale_eval.apis.asking import STAGE, held
from rationale_eval.apis.request import Request
from rationale_eval.errors import UserError
from rationale_eval.memo import Memo


def stored(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "memo" / STAGE).rglob("*.jsonl"))


def test_a_reply_is_kept_with_what_it_cost_and_who_gave_it(ask, api):
    found = ask(["a lovely film"])["a lovely film"]
    assert found == {
        "status": "ok",
        "text": "Positive.",
        "finish": "stop",
        "prompt_tokens": 4,
        "reply_tokens": 1,
        "served": ["fake-1-2026", "fp_1"],
        "logprobs": None,
        "spent": [1, 4, 1],
    }
    (body,) = api.received
    assert json.loads(body)["model"] == "fake-1"
    assert api.keys == {f"Bearer {loopback_api.KEY}"}


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 3, "stop": ["\n"], "response_format": {"type": "text"}, "logprobs": False, "user": None},
        {"top_k": 5, "provider": {"order": ["a", "b"], "allow_fallbacks": False}},
        {"timeout": 3, "extra_headers": {"Authorization": "of another"}, "extra_query": {"a": "b"}, "extra_body": {}},
    ],
)
def test_fields_are_sent_as_they_are_whether_openai_knows_them_or_not(options, api, ask_requests):
    known = request_for("a film")
    request = Request(known.body | options, known.reply_tokens)
    assert ask_requests({"it": request})["it"]["status"] == "ok"
    (body,) = api.received
    assert json.loads(body) == {"model": "fake-1", **request.body}
    assert api.keys == {f"Bearer {loopback_api.KEY}"}


PASSING = ["408", "409", "429", "500", "502", "503", "reset", "half", "empty"]


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(fault, ask, api):
    api.faults["film"] = [fault, fault]
    api.retry_after = "0"
    assert ask(["a lovely film"])["a lovely film"]["status"] == "ok"
    assert len(api.received) == 3


@pytest.mark.parametrize("fault", [*PASSING, "drip", "large"])
def test_what_does_not_pass_becomes_a_status_and_the_others_go_on(fault, ask, api, tmp_path, capsys):
    api.always["grim"] = fault
    api.retry_after = "0"
    texts = ["a grim film", "a lovely film", "a dreadful meal"]
    found = ask(texts, timeout=0.5, retries=1)
    assert [found[text]["status"] for text in texts] == ["api_error", "ok", "ok"]
    assert found["a grim film"]["reason"] in capsys.readouterr().err
    asked = sum("grim" in body for body in api.received)
    assert asked == (1 if fault == "large" else 2), found
    api.always.clear()
    again = ask(texts)
    assert [again[text]["status"] for text in texts] == ["ok", "ok", "ok"]
    assert max(api.replied().values()) == 1, "a request whose reply was received was sent again"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("filtered", "filtered"),
        ("content_filter", "filtered"),
        ("refusal", "refusal"),
        ("context_length_exceeded", "too_long"),
    ],
)
def test_what_concerns_one_text_alone_is_its_status(fault, status, ask, api):
    api.always["grim"] = fault
    found = ask(["a grim film", "a lovely film"])
    assert {text: outcome["status"] for text, outcome in found.items()} == {
        "a grim film": status,
        "a lovely film": "ok",
    }
    assert len(api.received) == 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("400", "models.asked.source: the API refuses all requests"),
        ("detail", "pinned to another model"),
        ("401", "models.asked.source.key: the API does not accept the key; see FAKE_KEY"),
        ("403", "models.asked.source.key"),
        ("insufficient_quota", "models.asked: the account has no quota left"),
    ],
)
def test_what_no_request_would_survive_ends_the_job(fault, says, ask, api):
    api.always["film"] = fault
    with pytest.raises(UserError, match="0 of 40 requests") as caught:
        ask([f"a film {number}" for number in range(40)])
    assert says in str(caught.value)
    assert loopback_api.KEY not in str(caught.value)
    # What one request alone may be to blame for is asked of a few.
    assert len(api.received) <= (9 if fault in ("400", "detail") else 4)


def test_a_wrong_model_names_its_key_in_the_configuration(ask):
    with pytest.raises(UserError, match=r"models\.asked\.source: .* knows no model 'other'"):
        ask(["a film"], model="other")


def test_a_missing_key_is_told_before_anything_is_sent(ask, api, monkeypatch):
    monkeypatch.delenv("FAKE_KEY")
    with pytest.raises(UserError, match=r"environment variable FAKE_KEY, which models\.asked\.source\.key names"):
        ask(["a film"])
    assert not api.received


def test_an_endpoint_without_a_key_is_sent_none_of_another(ask, api, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", loopback_api.KEY)
    ask(["a film"], key=None)
    assert api.keys == {"Bearer none"}


def test_the_server_is_asked_no_sooner_than_it_says(ask, api, capsys, monkeypatch):
    monkeypatch.setattr(client, "LONG_WAIT", 0.5)
    api.faults["0"] = ["429"]
    api.retry_after = "1"
    ask([f"a film {number}" for number in range(12)], concurrency=2)
    first = api.times[0]
    assert not [when for when in api.times if first + 0.3 < when < first + 1.0]
    assert "asks to wait 1 s" in capsys.readouterr().err


def test_a_date_is_understood_too():
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3600))
    assert 3590 < client.retry_after({"retry-after": when}) <= 3600
    assert client.retry_after({"retry-after": "86400"}) == 86400
    assert client.retry_after({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5
    assert client.retry_after({"retry-after": "soon"}) is None
    assert client.retry_after({}) is None


def test_nothing_is_asked_twice(ask, api):
    texts = [f"a film {number}" for number in range(10)]
    ask(texts)
    ask([*texts, "a meal"])
    assert len(api.received) == 11


def test_a_damaged_tail_costs_its_own_requests_alone(ask, api, tmp_path, capsys):
    texts = [f"a film {number}" for number in range(10)]
    ask(texts, concurrency=1)
    (file,) = (tmp_path / "memo" / STAGE).rglob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    ask(texts)
    assert "1 damaged line(s) left out" in capsys.readouterr().err
    assert len(api.received) == 11


def test_requests_keep_the_allowed_concurrency_busy(ask, api):
    api.latency = 0.2
    start = time.monotonic()
    ask([f"a film {number}" for number in range(80)], concurrency=16)
    wall = time.monotonic() - start
    assert api.busy == 16
    # The least possible is 80 / 16 * 0.2 = 1 second.
    assert wall < 2


def test_requests_a_minute_are_spread_evenly(ask, api):
    ask([f"a film {number}" for number in range(6)], requests_per_minute=300)
    gaps = [after - before for before, after in zip(api.times, api.times[1:], strict=False)]
    assert sum(gaps) > 0.9  # five gaps of 0.2 s
    assert max(gaps) < 0.6


def test_tokens_a_minute_are_spread_evenly(ask, api):
    # Each request counts 8 for the reply, 8 for the markup and 4 for 13 to 16 characters: 20.
    ask([f"a film {number}" for number in range(6)], tokens_per_minute=6000)
    assert 0.9 < api.times[-1] - api.times[0] < 3


@pytest.mark.parametrize(
    ("budget", "price"),
    [
        ({"requests": 10}, None),
        ({"tokens": 300}, None),
        ({"money": 0.003}, {"input": 10.0, "output": 30.0}),
    ],
)
def test_the_budget_ends_the_job_before_it_is_passed(budget, price, ask, api, tmp_path):
    texts = [f"a film {number}" for number in range(100)]
    limits: dict[str, Any] = {"budget": UNLIMITED | budget, "price": price}
    (part,) = budget
    with pytest.raises(UserError, match=rf"models\.asked\.budget\.{part} .*raise it\. \d+ of 100") as caught:
        ask(texts, **limits)
    used = [json.loads(line.split(" ", 1)[1])["value"]["spent"] for line in stored(tmp_path).splitlines()]
    requests, prompt, reply = (sum(column) for column in zip(*used, strict=True))
    assert 0 < requests == len(api.received) < 100
    spent = {"requests": requests, "tokens": prompt + reply, "money": (prompt * 10 + reply * 30) / 1e6}[part]
    # Not passed, and not ended while the worst case of another request would have fitted.
    worst = {"requests": 1, "tokens": 60, "money": (52 * 10 + 8 * 30) / 1e6}[part]
    assert budget[part] - worst < spent <= budget[part]
    assert f"{requests} of 100 requests of this step are answered and kept" in str(caught.value)
    with pytest.raises(UserError, match=part):
        ask(texts, **limits)
    assert len(api.received) == requests, "a spent budget let another request through"
    ask(texts)
    assert len(api.received) == 100


def test_failed_tries_count_in_the_budget(ask, api):
    api.always["film"] = "500"
    with pytest.raises(UserError, match=r"budget\.requests \(3\)"):
        ask(["a film"], budget=UNLIMITED | {"requests": 3}, retries=5)
    assert len(api.received) == 3
    with pytest.raises(UserError, match=r"budget\.requests \(3\)"):
        ask(["a film"], budget=UNLIMITED | {"requests": 3})
    assert len(api.received) == 3


def spent_requests(folder: Path) -> int:
    lines = stored(folder).splitlines()
    return sum(json.loads(line.split(" ", 1)[1])["value"]["spent"][0] for line in lines)


@pytest.fixture
def interruptible():
    """Ctrl-C is heard: a process that was started in the background ignores it from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("interruptible")
def test_requests_that_an_interruption_cancels_count_in_the_budget(how, ask, api, tmp_path):
    texts = [f"a film {number}" for number in range(40)]
    interrupted = threading.Event()

    def interrupt(messages):
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), how)
        time.sleep(0.2)
        return "Positive."

    api.latency, api.reply = 0.1, interrupt
    with pytest.raises(KeyboardInterrupt):
        ask(texts)
    api.settle()
    assert spent_requests(tmp_path) == len(api.received) == 4
    with pytest.raises(UserError, match=r"budget\.requests \(4\)"):
        ask(texts, budget=UNLIMITED | {"requests": 4})
    assert len(api.received) == 4


@pytest.mark.usefixtures("interruptible")
def test_replies_that_wait_to_be_written_are_kept_in_an_interruption(ask, api, tmp_path, monkeypatch):
    written, texts = Memo._append, [f"a film {number}" for number in range(4)]

    def interrupt(memo, lines):
        monkeypatch.setattr(Memo, "_append", written)
        deadline = time.monotonic() + 10
        while len(api.answered) < len(texts) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # until the last reply has arrived
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        written(memo, lines)

    monkeypatch.setattr(Memo, "_append", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask(texts)
    assert spent_requests(tmp_path) == 4
    ask(texts)
    assert len(api.received) == 4


def test_an_endpoint_that_is_not_there_ends_the_job_and_costs_nothing(ask, tmp_path):
    with pytest.raises(UserError, match="20 requests in a row came to nothing; the last: connection failed"):
        ask([f"a film {number}" for number in range(100)], address="http://127.0.0.1:9/v1", retries=0)
    assert {tuple(json.loads(line.split(" ", 1)[1])["value"]["spent"]) for line in stored(tmp_path).splitlines()} == {
        (1, 0, 0)
    }


def test_what_the_server_does_not_count_is_taken_at_its_worst(ask, api):
    api.usage = False
    found = ask(["a film"])["a film"]
    assert (found["prompt_tokens"], found["reply_tokens"]) == (None, None)
    assert found["spent"] == [1, 12 + 16, 8]


def test_halves_of_surrogate_pairs_do_not_stop_a_run(ask, api):
    api.reply = lambda messages: "\ud83d is half"
    assert ask(["a film"])["a film"]["text"] == "? is half"


def test_jobs_that_ask_one_model_wait_for_each_other_and_say_so(ask, api, tmp_path, capsys):
    with held(tmp_path / "memo", {"address": api.address, "model": loopback_api.MODEL}):
        other = threading.Thread(target=ask, args=(["a film"],))
        other.start()
        other.join(0.5)
        assert other.is_alive()
        assert not api.received
    other.join()
    assert len(api.received) == 1
    assert f"waiting for another job that asks fake-1 at {api.address}" in capsys.readouterr().err


def test_samples_of_one_request_are_told_apart():
    body = {"messages": [], "max_tokens": 1}
    assert Request(body, 1, 0).key != Request(body, 1, 1).key
