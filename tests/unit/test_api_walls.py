"""Servers that lie, echo, redirect and count wrongly: the budget, the key and the other requests are safe from them."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote

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


ECHOES = {
    "plain": str,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 of the header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode()[8:],
    "base64 for addresses": lambda key: base64.urlsafe_b64encode(f"x{key}y".encode()).decode()[2:-2],
    "hex": lambda key: key.encode().hex(),
    "hex in capitals": lambda key: key.encode().hex().upper(),
    "percent": lambda key: "".join(f"%{ord(c):02X}" for c in key),
    "percent where it must": lambda key: quote(key, safe=""),
    "escaped twice as JSON": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "HTML": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "lines of base64": lambda key: base64.encodebytes(f"{'-' * 50}{key}".encode()).decode()[66:],
    "hex with colons": lambda key: ":".join(f"{ord(c):02x}" for c in key),
    "octal": lambda key: "".join(f"\\{ord(c):03o}" for c in key),
    "quoted-printable": lambda key: "".join(f"={ord(c):02X}" for c in key),
    "percent twice": lambda key: "".join(f"%25{ord(c):02X}" for c in key),
    "Markdown": lambda key: key.replace("-", "\\-"),
    "cut off": lambda key: key[:-2],
}


@pytest.mark.parametrize(
    "form",
    ECHOES.values(),
    ids=ECHOES.keys(),
)
def test_a_key_that_is_echoed_is_kept_nowhere(form, ask, api, tmp_path):
    echo = form(loopback_api.KEY)
    api.instead = lambda body: (200, loopback_api.completion(f"Positive, {echo}") | {"model": echo})
    found = ask(["a film"])["a film"]
    assert re.fullmatch(r"Positive, .{0,4}\[key\].{0,4}", found["text"], re.DOTALL)
    assert "[key]" in found["served"][0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and echo in path.read_text(errors="replace")]


@pytest.mark.parametrize("key", ["content", "EMPTY", "token", "x", "local"])
def test_a_short_key_is_no_secret_and_alters_no_reply(key, ask, api, monkeypatch):
    """As servers on one's own machine want one, whatever it is."""
    monkeypatch.setenv("FAKE_KEY", key)
    api.key = key
    text = "Positive: the EMPTY local token, an abstract x of content"
    api.instead = lambda body: (200, loopback_api.completion(text))
    assert ask(["a film"])["a film"]["text"] == text


def test_a_key_in_pieces_is_kept_nowhere(ask, api, tmp_path):
    """Over parts of a content, and over tokens with their log-probabilities."""
    key = loopback_api.KEY
    pieces = ["Positive ", key[:4], key[4:9], key[9:], " indeed"]
    body = loopback_api.completion("")
    body["choices"][0]["message"]["content"] = [{"type": "text", "text": piece} for piece in pieces]
    body["choices"][0]["logprobs"] = {"content": [{"token": piece, "logprob": -0.1} for piece in pieces]}
    api.instead = lambda _: (200, body)
    found = ask(["a film"])["a film"]
    assert found["text"] == "Positive [key] indeed"
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert "indeed" in kept
    assert not any(piece in kept for piece in pieces[1:4])


@pytest.mark.parametrize("form", ECHOES.values(), ids=ECHOES.keys())
def test_a_message_with_the_key_is_shown_without(form, ask, api):
    echo = form(loopback_api.KEY)
    api.instead = lambda body: (400, {"error": {"message": f"bad request of {echo} via http://me:pass@proxy/"}})
    with pytest.raises(UserError) as caught:
        ask(["a film"])
    assert echo not in str(caught.value)
    assert "via http://…@proxy/" in str(caught.value)


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
