"""What is sent to an API: one chat request, its key in the memo, and how many tokens it may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rationale_eval.memo import digest

Message = dict[str, str]

# Tokens that chat formats put around a message, with some to spare (OpenAI's own take 4, and 3 for the reply's start).
PER_MESSAGE = 8
CHARACTERS_PER_TOKEN = 4


def chat_messages(
    system_prompt: str | None, turns: Sequence[tuple[str, str]], message: str | None = None
) -> list[Message]:
    """A conversation as the API takes it: ``turns`` are earlier ones, ``(user's message, assistant's answer)`` each."""
    found = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
    for asked, answered in turns:
        found += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return found if message is None else [*found, {"role": "user", "content": message}]


@dataclass(frozen=True)
class Request:
    """One request: the ``body`` of a chat completion without the model's name.

    ``reply_tokens`` is the most tokens that a reply may have. ``sample`` tells repetitions of one request apart.
    """

    body: Mapping[str, Any]
    reply_tokens: int
    sample: int = 0

    @property
    def key(self) -> str:
        """The memo key: all that is sent, and the number of the sample."""
        return digest([self.body, self.sample])

    @property
    def expected_tokens(self) -> int:
        """Tokens of the prompt, expected: four characters each, as OpenAI counts for its limits, and the markup."""
        return sum(expected_tokens(message["content"]) for message in self.body["messages"])

    @property
    def most_tokens(self) -> int:
        """Tokens of the prompt at most: no tokenizer takes more than one for each byte of UTF-8."""
        return sum(len(message["content"].encode()) + 2 * PER_MESSAGE for message in self.body["messages"])


def expected_tokens(text: str) -> int:
    """The tokens that a message of ``text`` is expected to have."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN) + PER_MESSAGE


def request(
    settings: Mapping[str, Any], messages: Sequence[Message], reply_tokens: int, sample: int = 0, **more: Any
) -> Request:
    """A request with the ``api`` part of a spec: ``token_limit`` names the field of the reply's limit, ``options`` adds
    fields, which win over ``more``."""
    body = {"messages": list(messages), settings["token_limit"]: reply_tokens, **more, **settings["options"]}
    return Request(body, reply_tokens, sample)
