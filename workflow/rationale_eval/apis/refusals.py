"""What a server means that refuses a request: that the text is too long, or filtered, or that it takes no such field.

Endpoints agree on few codes; where they have none, their words tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from rationale_eval.apis.completion import FILTERED

TOO_LONG = "too_long"

_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window)|exceed_context|string_above_max_length|too many (?:input )?tokens"
    r"|(?:prompt|input|message|text)s?\b.{0,40}\btoo (?:long|large)|maximum (?:input|prompt|context|sequence)"
    r"|(?:input|prompt|sequence) length.{0,60}(?:exceed|greater|longer|larger)|longer than the (?:model|maximum)",
    re.IGNORECASE | re.DOTALL,
)
_FILTERED = re.compile(
    r"content[ _-]?(?:filter|policy|management)|inspection[ _]?failed|prohibited[ _]content|moderation|\bflagged\b"
    r"|safety (?:system|filter|policy|settings)|blocked (?:by|for|due)|responsible ?ai|sensitive (?:content|words)",
    re.IGNORECASE,
)

# Ways of asking that are left when a server refuses the usual one.
MAX_COMPLETION_TOKENS, NO_TEMPERATURE, NO_SEED, NO_SYSTEM = (
    "max_completion_tokens",
    "no temperature",
    "no seed",
    "no system role",
)
_NOT_TAKEN = re.compile(
    r"unsupported|not (?:be )?support|n['’]t support|not (?:permitted|allowed|enabled|accepted|available|recognized)"
    r"|only the default|unknown|unrecognized|unexpected|extra (?:inputs|fields)|deprecated|invalid|must alternate",
    re.IGNORECASE,
)
_SYSTEM = re.compile(
    r"\bsystem (?:role|message|prompt|instruction)|role.{0,20}\bsystem\b|developer instruction|must alternate",
    re.IGNORECASE,
)


def about_text(message: str, *codes: Any) -> str | None:
    """The status of a row whose text the server refuses, by the error's codes and message; None if it is not that."""
    said = " ".join([*(str(code) for code in codes if code is not None), message])
    # A filter may speak of the context too ("… in the given context"), no limit of a filter.
    if _FILTERED.search(said):
        return FILTERED
    return TOO_LONG if _TOO_LONG.search(said) else None


def other_way(message: str, body: Mapping[str, Any]) -> str | None:
    """The way of asking that the server's ``message`` about ``body`` calls for; None if it is about none of these."""
    if "max_completion_tokens" in message and "max_tokens" in body:
        return MAX_COMPLETION_TOKENS
    if not _NOT_TAKEN.search(message):
        return None
    for field, way in (("temperature", NO_TEMPERATURE), ("seed", NO_SEED)):
        if field in body and re.search(rf"\b{field}\b", message):
            return way
    first = body["messages"][0]["role"]
    return NO_SYSTEM if first == "system" and _SYSTEM.search(message) else None


def asked_by(body: Mapping[str, Any], ways: Collection[str]) -> dict[str, Any]:
    """``body`` as it is sent in these ways."""
    found = dict(body)
    if MAX_COMPLETION_TOKENS in ways and "max_tokens" in found:
        found["max_completion_tokens"] = found.pop("max_tokens")
    if NO_TEMPERATURE in ways:
        found.pop("temperature", None)
        found.pop("top_p", None)
    if NO_SEED in ways:
        found.pop("seed", None)
    messages = found["messages"]
    if NO_SYSTEM in ways and messages[0]["role"] == "system":
        system, first, *rest = messages
        found["messages"] = [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
    return found
