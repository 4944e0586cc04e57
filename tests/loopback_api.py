"""A server on this machine that speaks OpenAI's chat completions, fails as it is told to, and counts."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback_hub import QuietServer
from rationale_eval.apis.request import Request
from tiny_models import NEGATIVE, POSITIVE

MODEL, KEY = "fake-1", "sk-loopback-3f9c1d7e5b"
SHOWN = re.compile(r"Text: (.*)")
LARGE = 1 << 20
UNLIMITED = {"requests": None, "tokens": None, "money": None}


def answer(messages: list[dict[str, str]]) -> str:
    """A label for a classification, the rated words of the text for a question about them."""
    asked = messages[-1]["content"]
    text = (SHOWN.search(asked) or ["", asked])[1].casefold()
    words = re.findall(r"\w+", text)
    if "Which words" in asked or "- ..." in asked:
        return "\n".join(f"- {word}" for word in words if word in {*POSITIVE, *NEGATIVE})
    balance = sum(word in POSITIVE for word in words) - sum(word in NEGATIVE for word in words)
    return "Positive." if balance > 0 else "Negative."


class Api:
    """What the server does and what it saw.

    ``faults`` maps parts of a user's last message to the faults that its requests meet one after another, and
    ``always`` to the fault that each of them meets. ``received`` are all requests in their order, ``answered`` those
    whose whole reply was sent, both as JSON texts; ``busy`` is the most that were under way at a time.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/v1"
        self.faults: dict[str, list[str]] = {}
        self.always: dict[str, str] = {}
        self.latency = 0.0
        self.retry_after = "1"
        self.reply: Callable[[list[dict[str, str]]], str] = answer
        self.logprobs: Callable[[list[dict[str, str]]], Any] | None = None
        self.usage = True
        # From a request's body to a status, body and headers of HTTP in the place of what this server does; None: as
        # usual.
        self.instead: Callable[[dict[str, Any]], tuple[Any, ...] | None] | None = None
        self.headers: list[dict[str, str]] = []
        self.received: list[str] = []
        self.answered: list[str] = []
        self.times: list[float] = []
        self.keys: set[str] = set()
        self.busy = self.under_way = 0
        self.lock = threading.Lock()

    def fault(self, message: str) -> str | None:
        """The fault that the next request with this message meets."""
        with self.lock:
            for part, waiting in self.faults.items():
                if part in message and waiting:
                    return waiting.pop(0)
        return next((fault for part, fault in self.always.items() if part in message), None)

    def settle(self) -> None:
        """Wait until nothing is under way, as after the end of a client that was killed."""
        while self.under_way:
            time.sleep(0.01)

    def replied(self) -> dict[str, int]:
        """How often each request was answered in full."""
        found: dict[str, int] = defaultdict(int)
        for body in self.answered:
            found[body] += 1
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        api = self.server.api
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        text = json.dumps(body, sort_keys=True)
        with api.lock:
            api.received.append(text)
            api.times.append(time.monotonic())
            api.keys.add(self.headers.get("Authorization", ""))
            api.headers.append({name.casefold(): value for name, value in self.headers.items()})
            api.under_way += 1
            api.busy = max(api.busy, api.under_way)
        try:
            self.answer(api, body, text)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with api.lock:
                api.under_way -= 1

    def answer(self, api: Api, body: dict[str, Any], text: str) -> None:
        time.sleep(api.latency)
        fault = api.fault(body["messages"][-1]["content"])
        if self.path != "/v1/chat/completions" or body["model"] != MODEL:
            return self.error(404, "model_not_found", f"The model {body['model']!r} does not exist")
        if api.instead is not None and (other := api.instead(body)) is not None:
            return self.send(other[0], json.dumps(other[1]).encode(), *other[2:])
        if fault in ("408", "409", "429", "500", "502", "503"):
            wait = {"Retry_After": api.retry_after} if fault == "429" else {}
            return self.error(int(fault), None, "try again", **wait)
        if fault in ("400", "401", "403"):
            return self.error(int(fault), None, f"not so, {self.headers['Authorization']}")
        if fault == "detail":  # as servers say it that are not OpenAI's
            return self.send(400, json.dumps({"detail": "the server is pinned to another model"}).encode())
        if fault in ("content_filter", "context_length_exceeded", "insufficient_quota"):
            return self.error(429 if fault == "insufficient_quota" else 400, fault, "refused")
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)  # closes with a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return self.connection.close()
        reply = json.dumps(self.completion(api, body, fault)).encode()
        if fault == "drip":
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            for place in range(len(reply)):
                self.wfile.write(reply[place : place + 1])
                self.wfile.flush()
                time.sleep(0.2)
            return None
        if fault == "half":
            reply = reply[: len(reply) // 2]
        self.send(200, reply)
        with api.lock:
            if fault is None:
                api.answered.append(text)
        return None

    def completion(self, api: Api, body: dict[str, Any], fault: str | None) -> dict[str, Any]:
        content = "x" * LARGE if fault == "large" else api.reply(body["messages"])
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "finish_reason": "content_filter" if fault == "filtered" else "stop",
        }
        if fault == "refusal":
            choice["message"] = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
        if api.logprobs is not None and body.get("logprobs"):
            choice["logprobs"] = {"content": api.logprobs(body["messages"])}
        tokens = sum(len(message["content"].split()) for message in body["messages"])
        usage = {"prompt_tokens": tokens, "completion_tokens": len(content.split()), "total_tokens": tokens}
        found = {"id": "x", "object": "chat.completion", "created": 0, "model": f"{MODEL}-2026", "choices": [choice]}
        if fault == "empty":
            found["choices"] = []
        return found | {"system_fingerprint": "fp_1"} | ({"usage": usage} if api.usage else {})

    def error(self, status: int, code: str | None, message: str, **headers: str) -> None:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send(status, json.dumps({"error": {"message": message, "type": "x", "code": code}}).encode(), headers)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(QuietServer):
    request_queue_size = 128
    api: Api


def request_for(text: str, reply_tokens: int = 8) -> Request:
    """A request about a text."""
    messages = [{"role": "user", "content": f"Text: {text}"}]
    return Request({"messages": messages, "max_tokens": reply_tokens, "temperature": 0}, reply_tokens)


def settings_of(address: str) -> dict[str, Any]:
    """How this server may be asked, without limits."""
    return {
        "name": "asked",
        "address": address,
        "model": MODEL,
        "key": "FAKE_KEY",
        "concurrency": 4,
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "timeout": 2.0,
        "retries": 3,
        "budget": UNLIMITED,
        "price": None,
    }


def completion(message: Any, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """A whole reply with this content, or with these keys of the message."""
    said = message if isinstance(message, dict) else {"content": message}
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish, **more}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return {"id": "x", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


@contextmanager
def running() -> Iterator[Api]:
    """The server on a free port, in threads of this process."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.api = Api(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
