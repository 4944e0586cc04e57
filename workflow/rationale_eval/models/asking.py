"""Which way a model is asked: by its chat template, or as plain text to go on from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from rationale_eval.models.chat import Chat
from rationale_eval.models.completion import Completion


def asking(
    tokenizer: Any,
    system_prompt: str | None,
    prompt_style: str,
    cue: str,
    shots: Sequence[tuple[str, str]] = (),
    template: Mapping[str, Any] | None = None,
) -> Chat | Completion:
    """What renders messages for this model.

    ``prompt_style`` is "chat", "completion" or "auto": by chat if the tokenizer has a template. ``cue`` (the task's) is
    for completions alone, ``template`` (settings of the chat template) for chats. ``shots`` are solved examples,
    ``(message, answer)`` each. Raises ``UserError`` as ``Chat`` and ``Completion`` do.
    """
    if prompt_style == "completion" or (prompt_style == "auto" and not tokenizer.chat_template):
        return Completion(tokenizer, system_prompt, cue, shots)
    return Chat(tokenizer, system_prompt, shots, template)


class Renderer:
    """What renders conversations that differ in their earlier turns for one model; arguments as of ``asking``."""

    def __init__(
        self,
        tokenizer: Any,
        system_prompt: str | None,
        prompt_style: str,
        cue: str,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        self._asking = functools.partial(asking, tokenizer, system_prompt, prompt_style, cue, template=template)
        self._last: tuple[tuple[tuple[str, str], ...], Chat | Completion] | None = None

    def of(self, turns: tuple[tuple[str, str], ...]) -> Chat | Completion:
        """What renders messages after ``turns``; kept for equal ones next. Raises ``UserError`` as ``asking``."""
        if self._last is None or self._last[0] != turns:
            self._last = turns, self._asking(turns)
        return self._last[1]
