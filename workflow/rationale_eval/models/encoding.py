"""Prompts as the model sees them: rendered by its chat template, tokenised, tied to the characters of the content.

Offsets come from the tokenizer, never from guesses about its prefix symbols. The template is rendered once with a
stand-in for the message, which shows exactly what stands before and after it; a template that alters the message
(strips, escapes or repeats it) is refused, since offsets would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rationale_eval.errors import UserError
from rationale_eval.models.task import Task

# Templates that print a date would give a different prompt each day.
PINNED_DATE = datetime(2024, 7, 26)
_STAND_IN = "qzxjkvQZXJKV"


@dataclass(frozen=True)
class ContentToken:
    """A token that covers characters [start, end) of field number ``field``, at ``position`` in the prompt."""

    position: int
    field: int
    start: int
    end: int


@dataclass(frozen=True)
class Prompt:
    """A prompt ready for the model.

    ``tokens`` ends where the answer begins; ``labels`` holds the tokens of each verbaliser as they continue it.
    ``markup`` is true when the content itself holds one of the model's special tokens, which would be obeyed, not read.
    """

    text: str
    tokens: tuple[int, ...]
    content: tuple[ContentToken, ...]
    labels: tuple[tuple[int, ...], ...]
    markup: bool


class PromptEncoder:
    """Turns the fields of instances into prompts.

    ``tokenizer`` is a fast tokenizer with a chat template. ``system_prompt`` is the system message; None sends none,
    so that a template with a default of its own adds it. Raises ``UserError`` for a tokenizer without offsets or chat
    template and for a template that alters the message.
    """

    def __init__(self, tokenizer: Any, task: Task, system_prompt: str | None) -> None:
        if not tokenizer.is_fast:
            raise UserError("the model's tokenizer gives no character offsets (it is not a fast tokenizer)")
        if not tokenizer.chat_template:
            raise UserError("the model's tokenizer has no chat template, and this pipeline asks models by chat")
        self._tokenizer = tokenizer
        self._task = task
        self._system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
        self._special = set(tokenizer.all_special_ids) | {
            index for index, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        rendered = self._render(_STAND_IN)
        if rendered.count(_STAND_IN) != 1:
            raise UserError("the model's chat template does not show the user's message exactly once")
        self._head, self._tail = rendered.split(_STAND_IN)
        self._lead = self._answer_lead(rendered)

    def _render(self, message: str, answer: str | None = None) -> str:
        turns = [*self._system, {"role": "user", "content": message}]
        if answer is not None:
            turns.append({"role": "assistant", "content": answer})
        text: str = self._tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=answer is None,
            date_string=PINNED_DATE.strftime("%d %b %Y"),
            strftime_now=PINNED_DATE.strftime,
        )
        return text

    def _answer_lead(self, question: str) -> str:
        """What the template writes between the start of the assistant's turn and its words: nothing, or a space."""
        answered = self._render(_STAND_IN, answer="jqKVzx")
        if not answered.startswith(question) or "jqKVzx" not in answered:
            return ""
        lead = answered[len(question) : answered.index("jqKVzx")]
        return lead if not lead.strip() else ""

    def encode(self, instances: Sequence[Mapping[str, str]]) -> list[Prompt]:
        """One prompt per mapping of field names to texts. Raises ``UserError`` if the template alters a message."""
        if not instances:
            return []
        messages = [self._task.message(fields) for fields in instances]
        texts = [self._head + message + self._tail for message, _ in messages]
        for text, (message, _) in zip(texts, messages, strict=True):
            if self._render(message) != text:
                raise UserError(
                    f"the model's chat template alters the message {message[:80]!r}…, so its words cannot be located"
                )
        endings = [self._lead + verbaliser for verbaliser in self._task.verbalisers.values()]
        encoded = self._tokenizer(
            [text + ending for text in texts for ending in endings],
            add_special_tokens=False,
            return_offsets_mapping=True,
        )
        count = len(endings)
        return [
            self._assemble(
                text,
                places,
                encoded["input_ids"][index * count : (index + 1) * count],
                encoded["offset_mapping"][index * count : (index + 1) * count],
            )
            for index, (text, (_, places)) in enumerate(zip(texts, messages, strict=True))
        ]

    def _assemble(
        self,
        text: str,
        places: tuple[tuple[int, int], ...],
        ids: Sequence[Sequence[int]],
        offsets: Sequence[Sequence[tuple[int, int]]],
    ) -> Prompt:
        # The prompt is what all labels' token sequences share, at most up to the last token that ends before the
        # answer: a tokenizer may merge the prompt's end with the answer's start, and differently for each label.
        shared = min(sum(1 for _, end in spans if end <= len(text)) for spans in offsets)
        while shared and any(row[:shared] != ids[0][:shared] for row in ids):
            shared -= 1
        tokens = tuple(ids[0][:shared])
        content = []
        for position, (start, end) in enumerate(offsets[0][:shared]):
            for field, (first, last) in enumerate(places):
                low, high = max(start, first + len(self._head)), min(end, last + len(self._head))
                if low < high:
                    origin = first + len(self._head)
                    content.append(ContentToken(position, field, low - origin, high - origin))
        return Prompt(
            text=text,
            tokens=tokens,
            content=tuple(content),
            labels=tuple(tuple(row[shared:]) for row in ids),
            markup=any(tokens[token.position] in self._special for token in content),
        )
