"""Prompts as the model sees them: rendered for it, tokenised, tied to the characters of the content.

Offsets come from the tokenizer, never from guesses about its prefix symbols.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rationale_eval.errors import UserError
from rationale_eval.models.asking import asking
from rationale_eval.models.chat import Chat, TextAlteredError
from rationale_eval.models.completion import Completion
from rationale_eval.models.task import Task

# Why a prompt is not put to a model. They are statuses of rows, so that no single text ends a study.
MARKUP, ALTERED, TOO_LONG = "chat_markup", "text_altered", "too_long"
# What no tokenizer drops or composes: printed ASCII and its spaces.
_ODD = re.compile(r"[^\t\n\r -~]")


@dataclass(frozen=True)
class ContentToken:
    """A token that covers characters [start, end) of a field's text, at ``position`` in the prompt.

    ``field`` is the number of the field among those of the instance, as in ``corpora.instances.Word``, whatever the
    order in which the prompt names them.
    """

    position: int
    field: int
    start: int
    end: int


@dataclass(frozen=True)
class Prompt:
    """A prompt ready for the model.

    ``tokens`` ends where the answer begins; ``labels`` holds the tokens of each verbaliser as they continue it.
    ``fault`` says why it must not be put to the model, as a status: ``MARKUP``, the content itself holds one of the
    model's special tokens, which would be obeyed, not read; or ``ALTERED``, the chat template would not show the
    message as it is. None if it may be.
    """

    text: str
    tokens: tuple[int, ...]
    content: tuple[ContentToken, ...]
    labels: tuple[tuple[int, ...], ...]
    fault: str | None = None

    def fits(self, max_length: int) -> bool:
        """Whether the prompt and its longest verbaliser are within ``max_length`` positions."""
        return len(self.tokens) + max(map(len, self.labels)) <= max_length

    def status(self, max_length: int) -> str | None:
        """Why the prompt cannot be put to a model with ``max_length`` positions; None if it can."""
        return self.fault or (None if self.fits(max_length) else TOO_LONG)


class PromptEncoder:
    """Turns the fields of instances into classification prompts.

    ``prompt_style`` is "chat", "completion" or "auto", as in ``asking``. ``shots`` are solved examples,
    ``(fields, label)`` each, that stand before every question; ``template`` holds settings of the chat template. Raises
    ``UserError`` as ``asking`` does.
    """

    def __init__(
        self,
        tokenizer: Any,
        task: Task,
        system_prompt: str | None,
        prompt_style: str = "auto",
        shots: Sequence[tuple[Mapping[str, str], str]] = (),
        template: Mapping[str, Any] | None = None,
    ) -> None:
        solved = [(task.message(fields)[0], task.verbalisers[label]) for fields, label in shots]
        self._chat = asking(tokenizer, system_prompt, prompt_style, task.cue, solved, template)
        self._task = task

    @classmethod
    def of(cls, chat: Chat | Completion, task: Task) -> PromptEncoder:
        """An encoder of questions that come after what ``chat`` says before them."""
        encoder = cls.__new__(cls)
        encoder._chat, encoder._task = chat, task
        return encoder

    def encode(self, instances: Sequence[Mapping[str, str]]) -> list[Prompt]:
        """One prompt per mapping of field names to texts."""
        if not instances:
            return []
        messages = [self._task.message(fields) for fields in instances]
        numbers = [[list(fields).index(name) for name in self._task.fields] for fields in instances]
        texts = [self._chat.head + message + self._chat.tail for message, _ in messages]
        altered = [self._alters(message) for message, _ in messages]
        endings = [self._chat.lead + verbaliser for verbaliser in self._task.verbalisers.values()]
        encoded = self._chat.tokenizer(
            [text + ending for text in texts for ending in endings],
            add_special_tokens=False,
            return_offsets_mapping=True,
        )
        count = len(endings)
        return [
            self._assemble(
                text,
                dict(zip(numbers[index], places, strict=True)),
                encoded["input_ids"][index * count : (index + 1) * count],
                encoded["offset_mapping"][index * count : (index + 1) * count],
                altered[index],
            )
            for index, (text, (_, places)) in enumerate(zip(texts, messages, strict=True))
        ]

    def _alters(self, message: str) -> bool:
        try:
            self._chat.text(message)
        except TextAlteredError:
            return True
        return False

    def _assemble(
        self,
        text: str,
        places: Mapping[int, tuple[int, int]],
        ids: Sequence[Sequence[int]],
        offsets: Sequence[Sequence[tuple[int, int]]],
        altered: bool,
    ) -> Prompt:
        # The prompt is what all labels' token sequences share, at most up to the last token that ends before the
        # answer: a tokenizer may merge the prompt's end with the answer's start, and differently for each label.
        shared = min(sum(1 for _, end in spans if end <= len(text)) for spans in offsets)
        while shared and any(row[:shared] != ids[0][:shared] for row in ids):
            shared -= 1
        tokens = tuple(ids[0][:shared])
        labels = tuple(tuple(row[shared:]) for row in ids)
        self._check_verbalisers(labels)
        content = []
        for position, (start, end) in enumerate(whole_characters(text, offsets[0][:shared])):
            for field, (first, last) in places.items():
                low, high = max(start, max(first, 0) + len(self._chat.head)), min(end, last + len(self._chat.head))
                if low < high:
                    origin = first + len(self._chat.head)
                    content.append(ContentToken(position, field, low - origin, high - origin))
        markup = any(tokens[token.position] in self._chat.special for token in content)
        fault = MARKUP if markup else ALTERED if altered else None
        return Prompt(text=text, tokens=tokens, content=tuple(content), labels=labels, fault=fault)

    def _check_verbalisers(self, labels: Sequence[Sequence[int]]) -> None:
        """Raise ``UserError`` where the tokens of one verbaliser begin those of another, which could never win.

        Each further token makes an answer less probable.
        """
        words = list(self._task.verbalisers.values())
        for one, other in itertools.permutations(range(len(labels)), 2):
            if labels[other][: len(labels[one])] == labels[one]:
                rest = words[other].removeprefix(words[one]).strip() or words[other]
                raise UserError(
                    f"the verbaliser {words[one]!r} is the beginning of {words[other]!r} as this model writes them, so "
                    f"the longer one could never be predicted; choose words of which none begins another, such as "
                    f"{words[one]!r} and {rest!r}"
                )


def whole_characters(text: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """``offsets`` of tokens in ``text``, grown over marks and invisible characters that no token stands for.

    A tokenizer that composes (NFC) makes one character of a letter and its accent, or of the parts of a Hangul
    syllable, and ties it to the first of them alone. Others drop control characters and signs without width.
    """
    if not _ODD.search(text):
        return list(offsets)
    covered = bytearray(len(text))
    for start, end in offsets:
        covered[start:end] = b"\1" * (end - start)
    grown = []
    for start, end in offsets:
        while start < end < len(text) and not covered[end] and (is_mark(text[end]) or is_invisible(text[end])):
            covered[end] = 1
            end += 1
        while start < end and start and not covered[start - 1] and is_invisible(text[start - 1]):
            start -= 1
            covered[start] = 1
        grown.append((start, end))
    return grown


def is_invisible(character: str) -> bool:
    """Whether ``character`` is one that tokenizers drop: a control, format or private one, or none at all."""
    return unicodedata.category(character).startswith("C")


def is_mark(character: str) -> bool:
    """Whether ``character`` is a part of the one before it: an accent, or the vowel or final consonant of Hangul.

    Of half width too (NFKC), such as the voicing marks of katakana.
    """
    plain = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.category(plain).startswith("M") or "\u1160" <= plain <= "\u11ff"
