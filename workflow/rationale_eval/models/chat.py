"""One user's message as the model's chat template shows it, with the place of the message in it.

The template is rendered once with a stand-in for the message, which shows exactly what stands before and after it; a
template that alters the message (strips, escapes or repeats it) is refused, since offsets would be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from unittest.mock import patch

from jinja2 import TemplateError
from transformers.utils import chat_template_utils

from rationale_eval.bounds import OverLimitsError, bounded
from rationale_eval.errors import UserError
from rationale_eval.thoughts import is_open, leading_empty

# Templates that print a date would give a different prompt each day.
PINNED_DATE = datetime(2024, 7, 26)


# Of rendering one conversation: a template is code from elsewhere, if in a sandbox.
SECONDS, MORE_BYTES = 10.0, 1 << 29


class _PinnedClock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return PINNED_DATE


_STAND_IN, _ANSWER = "qzxjkvQZXJKV", "jqKVzx"


class AlteredError(UserError):
    """The chat template does not show what is said as it is."""


class TurnAlteredError(AlteredError):
    """It alters an earlier turn."""


class TextAlteredError(AlteredError):
    """It alters the message."""


class Chat:
    """Renders messages.

    ``system_prompt`` is the system message; None sends none, so that a template with a default of its own adds it.
    ``shots`` are earlier turns, ``(user's message, assistant's answer)`` each; ``template`` holds settings that the
    template takes. ``head`` and ``tail`` are what stands around the message, earlier turns and the start of the
    assistant's turn included, with the empty thought that a template may put before an answer; ``lead`` is what it
    writes between that and the assistant's words: nothing, or a space. ``special`` holds the ids of the special tokens.
    Raises ``UserError`` for a tokenizer without chat template, for a template that does not show the message exactly
    once or alters an earlier turn, and as ``special_tokens`` does.
    """

    def __init__(
        self,
        tokenizer: Any,
        system_prompt: str | None,
        shots: Sequence[tuple[str, str]] = (),
        template: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = dict(template or {})
        self.special = special_tokens(tokenizer, shots, turn_tokens(tokenizer, self._settings))
        if not tokenizer.chat_template:
            raise UserError(
                "the model's tokenizer has no chat template; with prompt_style auto or completion the model is asked "
                "by plain text"
            )
        self.tokenizer = tokenizer
        self._before = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
        for message, answer in shots:
            self._before += [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]
        rendered = self._render(_STAND_IN)
        if rendered.count(_STAND_IN) != 1:
            raise UserError("the model's chat template does not show the user's message exactly once")
        self.head, self.tail = rendered.split(_STAND_IN)
        self._check_shown(shots)
        self._block, self.lead = self._answer_lead(rendered)
        self.tail += self._block

    def messages(self, message: str) -> list[dict[str, str]]:
        """The conversation that ``text`` renders."""
        return [*self._before, {"role": "user", "content": message}]

    def text(self, message: str) -> str:
        """The rendered prompt, up to where the answer begins. Raises ``TextAlteredError`` if the template alters it."""
        text = self.head + message + self.tail
        if self._render(message) + self._block != text:
            raise TextAlteredError(
                f"the model's chat template alters the message {message[:80]!r}…, so its words cannot be located"
            )
        return text

    def _render(self, message: str, answer: str | None = None) -> str:
        turns = self.messages(message)
        if answer is not None:
            turns.append({"role": "assistant", "content": answer})
        return _rendered(self.tokenizer, turns, self._settings)

    def _check_shown(self, shots: Sequence[tuple[str, str]]) -> None:
        place = 0
        for text in (part for shot in shots for part in shot):
            found = self.head.find(text, place)
            if found < 0:
                raise TurnAlteredError(
                    f"the model's chat template does not show the earlier turn {text[:80]!r}… as it is"
                )
            place = found + len(text)

    def _answer_lead(self, question: str) -> tuple[str, str]:
        """What the template writes between ``question`` and an answer: a block without a thought, and spaces.

        Raises ``UserError`` where an answer has no place that is known: behind a thought that the template opens.
        """
        answered = self._render(_STAND_IN, answer=_ANSWER)
        lead = ""
        if answered.startswith(question) and _ANSWER in answered:
            lead = answered[len(question) : answered.index(_ANSWER)]
        block = leading_empty(lead)
        if is_open(question + block):
            raise UserError(
                "the model's chat template opens a thought that the answer comes behind, and answers without one are "
                "wanted here; pass what turns that off as `template` of the model, such as {enable_thinking: false}, "
                "or set prompt_style: completion"
            )
        return block, "" if lead.strip() else lead


def _rendered(tokenizer: Any, turns: Sequence[Mapping[str, str]], settings: Mapping[str, Any]) -> str:
    """The conversation as the chat template shows it, with the start of an answer unless it ends with one."""
    # transformers passes only data on to templates: its own `strftime_now` can only be given another clock.
    with patch.object(chat_template_utils, "datetime", _PinnedClock):
        try:
            with bounded(SECONDS, MORE_BYTES):
                text = _applied(tokenizer, turns, settings)
        except OverLimitsError as error:
            raise UserError(f"the model's chat template takes {error} to show one conversation") from None
        except Exception as error:  # of whatever kind: a template is a program
            mend = "set the model's system_prompt to null" if turns[0]["role"] == "system" else "see the template"
            reason = f"{error}" if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise UserError(f"the model's chat template refuses the conversation ({reason[:300]}); {mend}") from None
    return text


def _applied(tokenizer: Any, turns: Sequence[Mapping[str, str]], settings: Mapping[str, Any]) -> str:
    text: str = tokenizer.apply_chat_template(
        turns,
        tokenize=False,
        add_generation_prompt=turns[-1]["role"] != "assistant",
        **{"date_string": PINNED_DATE.strftime("%d %b %Y"), **settings},
    )
    return text


def turn_end(tokenizer: Any) -> int | None:
    """The token that the chat template puts behind an answer; None where it puts none, and without a template.

    A model goes on into the next turn unless generation stops there: its end of text may be another token.
    """
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": _STAND_IN}, {"role": "assistant", "content": _ANSWER}]
    try:
        _, found, behind = _rendered(tokenizer, turns, {}).rpartition(_ANSWER)
    except UserError:  # a model that is asked by completion needs no template
        return None
    ids = tokenizer(behind, add_special_tokens=False)["input_ids"] if found else []
    return next((index for index in ids if index in tokenizer.added_tokens_decoder), None)


def turn_tokens(tokenizer: Any, settings: Mapping[str, Any]) -> set[int]:
    """The ids of added tokens that the chat template writes around what is said, spaces aside.

    Some models have their ``<|user|>`` as a token that is not marked as special; it is obeyed all the same.
    """
    if not tokenizer.chat_template:
        return set()
    turns = [{"role": "user", "content": _STAND_IN}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = _rendered(tokenizer, turns[:1], settings) + _rendered(tokenizer, turns, settings)
    except UserError:  # said where the model is asked
        return set()
    added = {index: token.content for index, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    return set(added) & set(tokenizer(text, add_special_tokens=False)["input_ids"])


def special_tokens(tokenizer: Any, shots: Sequence[tuple[str, str]], more: Collection[int] = ()) -> set[int]:
    """The ids of the tokenizer's special tokens, and of ``more`` that must not be in a text.

    Raises ``UserError`` for a tokenizer without character offsets, and for an example of ``shots`` that holds a special
    token, which the model would obey, not read.
    """
    if not tokenizer.is_fast:
        raise UserError("the model's tokenizer gives no character offsets (it is not a fast tokenizer)")
    special = (
        set(tokenizer.all_special_ids)
        | set(more)
        | {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    )
    for message, _ in shots:
        if special & set(tokenizer(message, add_special_tokens=False)["input_ids"]):
            raise UserError(
                f"the solved example {message[:80]!r}… holds one of the model's special tokens; another shots_seed "
                f"draws other examples"
            )
    return special
