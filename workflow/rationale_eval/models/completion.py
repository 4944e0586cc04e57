"""One message as plain text that a model without chat template goes on from, with the place of the message in it.

The text is: what the tokenizer itself puts before any text (a BOS token, or nothing), the system prompt if there is
one, solved examples, the message, and a cue that the answer follows, parted by empty lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rationale_eval.errors import UserError
from rationale_eval.models.chat import special_tokens

_PROBE = "A text."
_BREAK = "\n\n"


class Completion:
    """Renders messages; has what ``Chat`` has.

    ``system_prompt``, unless None or empty, is put before all else as a paragraph of its own: there is no turn for it.
    ``shots`` are solved examples, ``(message, answer)`` each, in the form of the question. ``lead`` is the space
    between cue and answer. Raises ``UserError`` as ``special_tokens`` and ``opening`` do.
    """

    lead = " "

    def __init__(
        self, tokenizer: Any, system_prompt: str | None, cue: str, shots: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.special = special_tokens(tokenizer, shots)
        self.tokenizer = tokenizer
        self.tail = _BREAK + cue
        self._before = system_prompt + _BREAK if system_prompt else ""
        for message, answer in shots:
            self._before += message + self.tail + self.lead + answer + _BREAK
        self.head = opening(tokenizer) + self._before

    def messages(self, message: str) -> str:
        """The plain text, without the tokens that the tokenizer puts before it."""
        return self._before + message + self.tail

    def text(self, message: str) -> str:
        """The prompt, up to where the answer begins; to be tokenised without adding special tokens."""
        return self.head + message + self.tail


def opening(tokenizer: Any) -> str:
    """What the tokenizer itself puts before a text, as text: ``<s>`` for Llama 2, nothing for GPT-2.

    Raises ``UserError`` if no text gives the tokens that the tokenizer gives by itself.
    """
    own = tokenizer(_PROBE)["input_ids"]
    plain = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    before = next((place for place in range(len(own)) if own[place : place + len(plain)] == plain), 0)
    special = "".join(tokenizer.convert_ids_to_tokens(own[:before]))
    # A tokenizer that puts a space before a text may leave it out after a special token that is written as text.
    for start in (special, special + " "):
        if tokenizer(start + _PROBE, add_special_tokens=False)["input_ids"] == own[: before + len(plain)]:
            return start
    raise UserError(
        f"the model's tokenizer puts {special!r} before a text in a way that cannot be written as text, so the model "
        f"cannot be asked by completion"
    )
