"""What servers answer that are not OpenAI's: other forms of content, errors in odd places, fields that they refuse."""

from __future__ import annotations

import json

import loopback_api
import pytest
from loopback_api import request_for
from rationale_eval.apis import refusals
from rationale_eval.errors import UserError
from rationale_eval.thoughts import answer, cut_off

TEXTS = ["a grim film", "a lovely film", "a dreadful meal"]


def part(text):
    return {"type": "text", "text": text}


def of(text):
    return lambda body: text in body["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([part("Posi"), part("tive")], "Positive"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "negative?"}]},
                {"type": "text", "text": "Yes"},
            ],
            "Yes",
        ),
        ([{"type": "reasoning", "text": "negative"}, {"type": "output_text", "text": "Yes"}], "Yes"),
        (["plain ", "strings"], "plain strings"),
        ([], ""),
        (None, ""),
    ],
)
def test_the_text_parts_of_a_content_are_the_answer(content, text, ask, api):
    api.instead = lambda body: (200, loopback_api.completion(content))
    found = ask(["a film"])["a film"]
    assert (found["status"], found["text"]) == ("ok", text)
    assert len(api.received) == 1


def test_a_refusal_may_be_a_part(ask, api):
    api.instead = lambda body: (200, loopback_api.completion([{"type": "refusal", "refusal": "I will not."}]))
    found = ask(["a film"])["a film"]
    assert (found["status"], found["text"]) == ("refusal", "I will not.")


@pytest.mark.parametrize("content", [7, {"text": "a"}, [{"no": "type"}], [{"type": "text"}]])
def test_a_content_of_no_known_form_is_no_reply(content, ask, api):
    api.instead = lambda body: (200, loopback_api.completion({"content": content})) if of("grim")(body) else None
    found = ask(TEXTS, retries=0)
    assert [found[text]["status"] for text in TEXTS] == ["api_error", "ok", "ok"]
    assert "is no chat completion in JSON" in found["a grim film"]["reason"]


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        ({"message": "Rate limited upstream", "code": 429}, "api_error", "HTTP 429: Rate limited upstream"),
        ({"message": "Provider returned error", "code": 502}, "api_error", "HTTP 502: Provider returned error"),
        ({"message": "maximum context length is 8192 tokens", "code": 400}, "too_long", "maximum context length"),
        ({"message": "blocked by the content filter"}, "filtered", "blocked by"),
        ("just words", "api_error", "just words"),
    ],
)
def test_an_error_within_a_reply_is_read_as_one(error, status, says, ask, api):
    api.instead = lambda body: (200, {"choices": None, "error": error}) if of("grim")(body) else None
    found = ask(TEXTS, retries=1)
    assert [found[text]["status"] for text in TEXTS] == [status, "ok", "ok"]
    assert says in found["a grim film"]["reason"]


def test_an_account_without_credits_ends_the_job_at_once(ask, api):
    api.instead = lambda body: (200, {"choices": None, "error": {"message": "Insufficient credits", "code": 402}})
    with pytest.raises(UserError, match=r"the account has no quota left \(HTTP 402: Insufficient credits"):
        ask([f"a film {number}" for number in range(40)])
    assert len(api.received) <= 4


REFUSED = {
    "vLLM": (
        {"message": "This model's maximum context length is 128 tokens. However, you requested 200", "code": 400},
        "too_long",
    ),
    "llama.cpp": (
        {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"},
        "too_long",
    ),
    "OpenAI": ({"message": "too many", "code": "context_length_exceeded"}, "too_long"),
    "Anthropic": ({"message": "prompt is too long: 210000 tokens > 200000 maximum"}, "too_long"),
    "Alibaba": (
        {"message": "Input data may contain inappropriate content.", "code": "data_inspection_failed"},
        "filtered",
    ),
    "Gemini": ({"message": "The prompt was blocked", "code": "PROHIBITED_CONTENT"}, "filtered"),
    "Azure": ({"message": "triggering Azure OpenAI's content management policy", "code": "content_filter"}, "filtered"),
    "something": ({"message": "cannot parse this"}, "api_error"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_text_that_is_refused_is_a_row_with_a_status(name, ask, api):
    error, status = REFUSED[name]
    api.instead = lambda body: (400, {"error": error}) if of("grim")(body) else None
    found = ask(TEXTS)
    assert [found[text]["status"] for text in TEXTS] == [status, "ok", "ok"]
    # Once more alone: the model has answered before, so that it is the text.
    assert ask(["a grim film"])["a grim film"]["status"] == status


@pytest.mark.parametrize("name", REFUSED)
def test_where_all_is_refused_the_job_fails(name, ask, api):
    error, _ = REFUSED[name]
    api.instead = lambda body: (400, {"error": error})
    for texts in (TEXTS, [f"a film {number}" for number in range(60)]):
        api.received.clear()
        with pytest.raises(UserError, match=r"none of 3 requests came to a reply|the API refuses all requests"):
            ask(texts)
        assert len(api.received) < 12


def test_a_server_that_is_down_fails_the_job_though_it_has_answered_before(ask, api, monkeypatch):
    ask(["a lovely film"])
    monkeypatch.setenv("ALL_PROXY", "")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    api.instead = lambda body: (503, {"error": {"message": "no worker"}})
    with pytest.raises(UserError, match="none of 2 requests came to a reply; the last: HTTP 503: no worker"):
        ask(["a grim film", "a dreadful meal"], retries=0)
    with pytest.raises(UserError, match=r"none of 1 requests .*connection failed .*; the environment sets HTTPS_PROXY"):
        ask(["a film"], address="http://127.0.0.1:9/v1", retries=0)


WAYS = {
    "max_completion_tokens": (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        lambda body: "max_tokens" in body,
    ),
    "no temperature": (
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
        lambda body: "temperature" in body,
    ),
    "no seed": ('Unknown name "seed": Cannot find field.', lambda body: "seed" in body),
    "no system role": ("System role not supported", lambda body: body["messages"][0]["role"] == "system"),
}


def full(text):
    made = request_for(text)
    messages = [{"role": "system", "content": "Be brief."}, *made.body["messages"]]
    return type(made)({**made.body, "messages": messages, "seed": 3, "top_p": 1.0}, made.reply_tokens)


def test_a_server_is_asked_as_its_messages_say_and_that_is_remembered(ask_requests, api, capsys):
    def instead(body):
        for message, unwanted in WAYS.values():
            if unwanted(body):
                return 400, {
                    "error": {"message": message, "type": "invalid_request_error", "code": "unsupported_value"}
                }
        return None

    api.instead = instead
    requests = {text: full(text) for text in TEXTS}
    found = ask_requests(requests, concurrency=1)
    assert {outcome["status"] for outcome in found.values()} == {"ok"}
    assert len(api.received) == len(TEXTS) + len(WAYS)
    sent = json.loads(api.received[-1])
    assert (sent["max_completion_tokens"], sent["messages"][0]["content"][:11]) == (8, "Be brief.\n\n")
    assert not {"max_tokens", "temperature", "top_p", "seed"} & set(sent)
    told = capsys.readouterr().err
    assert all(f"asked otherwise ({way})" in told for way in WAYS)
    assert "takes no temperature: its replies are sampled" in told
    # Another job knows from the start, and what was answered is found under the request as it was made.
    api.received.clear()
    ask_requests(requests | {"more": full("a stale tale")}, concurrency=1)
    assert len(api.received) == 1


def test_a_way_that_does_not_help_ends_in_the_servers_message(ask, api):
    message, _ = WAYS["no temperature"]
    api.instead = lambda body: (400, {"error": {"message": message}}) if of("grim")(body) else None
    found = ask(TEXTS)
    assert found["a grim film"]["status"] == "api_error"
    assert "does not support 0" in found["a grim film"]["reason"]
    assert found["a lovely film"]["status"] == "ok"


def test_a_message_that_is_about_no_field_changes_nothing():
    body = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 5, "temperature": 0}
    assert refusals.other_way("the temperature of the text is odd", body) is None
    assert refusals.other_way("System role not supported", body) is None  # there is none
    assert refusals.asked_by(body, ()) == body


def test_a_limit_of_requests_is_no_sign_of_a_long_text():
    assert refusals.about_text("Rate limit reached for tokens per minute") is None


ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("<think>negative? no.</think> Positive", " Positive"),
        ("negative? no.</think>\nPositive", "\nPositive"),
        ("<think>negative", None),
        (
            "<|channel|>analysis<|message|>negative?<|end|><|start|>assistant<|channel|>final<|message|>Positive",
            "Positive",
        ),
        (f"{ANALYSIS}negative? a < b", None),
        (f"<|channel|>commentary to=x<|message|>hm{FINAL}a < b<|return|>", "a < b"),
        ("analysisWe need a label.assistantfinalPositive", "Positive"),
        ("analysisWe need a label. negative", None),
        ("analysis of the text: Positive", "analysis of the text: Positive"),
        ("Positive", "Positive"),
    ],
)
def test_what_stands_behind_thoughts(reply, said):
    assert answer(reply) == said
    assert cut_off(reply, "length") == (said is None)
    assert cut_off(reply, "stop") == (said is None)


def test_an_empty_reply_is_cut_off_only_at_its_limit():
    assert cut_off("", "length")
    assert cut_off("<think>a</think> \n", "length")
    assert not cut_off("", "stop")


def test_replies_that_are_all_cut_off_end_the_job_with_what_to_set(ask, api):
    thought = {"content": None, "reasoning_content": "negative, or is it"}
    api.instead = lambda body: (200, loopback_api.completion(thought, "length"))
    with pytest.raises(UserError, match=r"24 replies in a row were cut off at 8 .* models.asked.answer_tokens"):
        ask([f"a film {number}" for number in range(100)], concurrency=1)
    assert len(api.received) == 24


def test_a_few_that_are_cut_off_do_not(ask, api):
    api.instead = lambda body: (200, loopback_api.completion("", "length")) if of("grim")(body) else None
    texts = [f"a {'grim' if number % 3 else 'lovely'} film {number}" for number in range(60)]
    assert {outcome["status"] for outcome in ask(texts).values()} == {"ok"}


@pytest.mark.parametrize(
    ("name", "value"), [("ALL_PROXY", "socks5://127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere/certificates.pem")]
)
def test_an_environment_that_allows_no_connection_is_named(name, value, ask, api, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as caught:
        ask(["a film"], retries=0)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
