"""Which way a model is asked: by its chat template, or as plain text to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rationale_eval.models.chat import Chat
from rationale_eval.models.completion import Completion


def asking(
    tokenizer: Any, system_prompt: str | None, prompt_style: str, cue: str, shots: Sequence[tuple[str, str]] = ()
) -> Chat | Completion:
    """What renders messages for this model.

    ``prompt_style`` is "chat", "completion" or "auto": by chat if the tokenizer has a template. ``cue`` (the task's) is
    for completions alone. ``shots`` are solved examples, ``(message, answer)`` each. Raises ``UserError`` as ``Chat``
    and ``Completion`` do.
    """
    if prompt_style == "completion" or (prompt_style == "auto" and not tokenizer.chat_template):
        return Completion(tokenizer, system_prompt, cue, shots)
    return Chat(tokenizer, system_prompt, shots)
