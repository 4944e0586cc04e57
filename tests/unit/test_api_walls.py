"""Servers that lie, echo, redirect and count wrongly: the budget, the key and the other requests are safe from them."""

from __future__ import annotations

import base64
import json

import loopback_api
import pytest
from rationale_eval.apis import client
from rationale_eval.apis.completion import kept
from rationale_eval.errors import UserError

TEXTS = ["a grim film", "a lovely film", "a dreadful meal"]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1000, "completion_tokens": -1000},
        {"prompt_tokens": float("inf"), "completion_tokens": float("nan")},
        {"prompt_tokens": 10**30, "completion_tokens": 10**30},
        {"prompt_tokens": "many", "completion_tokens": [1]},
        {"prompt_tokens": True, "completion_tokens": None},
    ],
)
def test_a_count_that_cannot_be_is_taken_at_its_worst(usage, ask, api):
    reply = loopback_api.completion("Positive") | {"usage": usage}
    api.instead = lambda body: (200, reply)
    found = ask(["a film"])["a film"]
    assert found["status"] == "ok"
    assert found["spent"] == [1, 12 + 16, 8]


def test_a_budget_holds_against_a_server_that_counts_backwards(ask, api):
    reply = loopback_api.completion("Positive") | {"usage": {"prompt_tokens": -(10**6), "completion_tokens": -(10**6)}}
    api.instead = lambda body: (200, reply)
    budget = {"requests": None, "tokens": 300, "money": None}
    with pytest.raises(UserError, match=r"models.asked.budget.tokens"):
        ask([f"a film {number}" for number in range(100)], budget=budget, concurrency=1)
    assert len(api.received) < 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("-5", 0.0), ("1e12", 86_400.0), ("inf", 86_400.0), ("nan", None), ("never", None), ("", None)],
)
def test_a_wait_is_bounded(value, seconds):
    assert client.retry_after({"retry-after": value}) == seconds
    if seconds is not None:
        assert client.retry_after({"retry-after-ms": str(float(value) * 1000)}) == seconds


def test_dates_that_are_none_ask_for_no_wait():
    for value in ("Wed, 99 Foo 2026 07:28:00 GMT", "Wed, 21 Oct 99999999999 07:28:00 GMT"):
        assert client.retry_after({"retry-after": value}) is None
    assert client.retry_after({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}) == 86_400.0


def test_what_nobody_thought_of_costs_one_request(ask, api, monkeypatch):
    def odd(raw):
        if "Dreadful" in json.dumps(raw):
            raise ZeroDivisionError("of the server's making")
        return kept(raw)

    api.reply = lambda messages: "Dreadful" if "dreadful" in messages[-1]["content"] else "Positive"
    monkeypatch.setattr(client, "kept", odd)
    found = ask(TEXTS)
    assert [found[text]["status"] for text in TEXTS] == ["ok", "ok", "api_error"]
    assert "unexpected ZeroDivisionError" in found["a dreadful meal"]["reason"]


@pytest.mark.parametrize(
    "form",
    [str, lambda key: base64.b64encode(key.encode()).decode(), lambda key: key.encode().hex()],
    ids=["plain", "base64", "hex"],
)
def test_a_key_that_is_echoed_is_kept_nowhere(form, ask, api, tmp_path):
    echo = form(loopback_api.KEY)
    api.instead = lambda body: (200, loopback_api.completion(f"Positive, {echo}") | {"model": echo})
    found = ask(["a film"])["a film"]
    assert found["text"] == "Positive, [key]"
    assert found["served"][0] == "[key]"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and echo in path.read_text(errors="replace")]


def test_what_the_environment_has_for_another_endpoint_is_not_sent(ask, api, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Internal: header-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other-secret")
    ask(["a film"])
    ask(["a meal"], key=None)
    assert len(api.headers) == 2
    assert "secret" not in json.dumps(api.headers)


def test_a_redirect_is_not_followed(ask, api):
    with loopback_api.running() as other:
        api.instead = lambda body: (307, {}, {"Location": f"{other.address}/chat/completions"})
        with pytest.raises(UserError, match=r"models.asked.source.api: the API answers with a redirect \(HTTP 307\)"):
            ask(TEXTS)
        assert other.received == []
