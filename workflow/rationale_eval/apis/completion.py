"""A chat completion as it arrives: what of it is kept, and errors that come in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OK, REFUSAL, FILTERED = "ok", "refusal", "filtered"
MOST_TOKENS = 2**31 - 1  # what tables can hold
# Parts of a content that are the answer; parts of other types, such as thinking, are not.
_ANSWERS = ("text", "output_text")


class ServerError(Exception):
    """An error that a server reports in the place of a completion; ``code`` is its own, a number or a name."""

    def __init__(self, message: str, code: Any = None) -> None:
        super().__init__(message)
        self.code = code


def kept(raw: Any) -> dict[str, Any]:
    """What is kept of a chat completion.

    Raises ``ServerError`` where there is an error instead, and one of several exceptions for what is no completion.
    """
    if isinstance(raw, Mapping) and raw.get("error") and not raw.get("choices"):
        raise _error(raw["error"])
    choice, usage = raw["choices"][0], raw.get("usage") or {}
    if isinstance(choice, Mapping) and choice.get("error") and not choice.get("message"):
        raise _error(choice["error"])
    message, finish = choice["message"], choice.get("finish_reason") or "unknown"
    text, refused = _content(message.get("content"))
    refusal = message.get("refusal") or refused
    status = FILTERED if finish == "content_filter" else REFUSAL if refusal else OK
    scored = (choice.get("logprobs") or {}).get("content")
    return {
        "status": status,
        "text": encodable(str(refusal) if status == REFUSAL else text),
        "finish": encodable(str(finish)),
        "prompt_tokens": _count(usage.get("prompt_tokens")),
        "reply_tokens": _count(usage.get("completion_tokens")),
        "served": [encodable(str(raw.get(name) or "")) for name in ("model", "system_fingerprint")],
        "logprobs": None if scored is None else [_scored(token) for token in scored],
    }


def _error(found: Any) -> ServerError:
    if isinstance(found, Mapping):
        return ServerError(str(found.get("message") or dict(found)), found.get("code") or found.get("type"))
    return ServerError(str(found))


def _content(content: Any) -> tuple[str, str | None]:
    """The text of a message's content, which may be a list of parts, and a refusal among these."""
    if content is None or isinstance(content, str):
        return content or "", None
    if not isinstance(content, Sequence):
        raise TypeError("content")
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    texts = [part["text"] for part in parts if part["type"] in _ANSWERS]
    return "".join(texts), next((part["refusal"] for part in parts if part["type"] == "refusal"), None)


def encodable(text: str) -> str:
    """JSON can hold halves of surrogate pairs, which no UTF-8 can."""
    return text.encode(errors="replace").decode()


def _count(value: Any) -> int | None:
    """A number of tokens; None for what is none, such as a negative or an infinite one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)


def _scored(token: Mapping[str, Any]) -> list[Any]:
    """``[token, log-probability, [[alternative, log-probability], …]]``."""
    others = [[encodable(other["token"]), float(other["logprob"])] for other in token.get("top_logprobs") or ()]
    return [encodable(token["token"]), float(token["logprob"]), others]
