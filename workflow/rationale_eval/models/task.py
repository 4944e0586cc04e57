"""Tasks as data: a prompt file holds the prompts of a task and how each label is put in words.

Explanations are asked for in a chat of their own, which shows the text again and the label that the model predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from rationale_eval.errors import UserError

KEYS = {"version", "fields", "classify", "verbalisers"}
EXPLAIN = "explain"
# Placeholders of explanation prompts beside the fields: the predicted label in words, and the number of words wanted.
LABEL, SIZE = "label", "k"
# The strategies of Fayyaz et al. 2024; a file may add others, with or without a number of words.
UNBOUND, GUIDED = "unbound", "guided"

Pieces = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Task:
    """What a model is asked.

    ``classify`` is a list of pieces, each ``(literal text, field name or None)``. ``verbalisers`` maps each label to
    the words with which the model's answer begins if it chooses that label; its order is the order of label scores.
    ``explain`` maps the names of strategies to the pieces of their prompts, which also name ``label`` and ``k``.
    """

    version: int
    fields: tuple[str, ...]
    classify: Pieces
    verbalisers: Mapping[str, str]
    explain: Mapping[str, Pieces] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order in which scores are stored."""
        return tuple(self.verbalisers)

    def message(self, fields: Mapping[str, str]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The user message for these texts, and [start, end) of each field of ``self.fields`` in it."""
        text = ""
        places: dict[str, tuple[int, int]] = {}
        for literal, name in self.classify:
            text += literal
            if name is not None:
                places[name] = (len(text), len(text) + len(fields[name]))
                text += fields[name]
        # A text that is empty (all its words deleted) leaves spaces at an end, which many templates strip.
        first, last = len(text) - len(text.lstrip()), len(text.rstrip())
        if all(start == end or first <= start < end <= last for start, end in places.values()):
            text = text.strip()
            places = {
                name: (start - first, end - first) if start < end else (0, 0) for name, (start, end) in places.items()
            }
        return text, tuple(places[name] for name in self.fields)

    def takes_size(self, strategy: str) -> bool:
        """Whether the explanation prompt of ``strategy`` says how many words are wanted."""
        return any(name == SIZE for _, name in self._pieces_of(strategy))

    def explanation(self, strategy: str, fields: Mapping[str, str], label: str, k: int | None = None) -> str:
        """The user message that asks which words of these texts decided for ``label`` (a key of ``verbalisers``).

        ``k``, the number of words wanted, is given if and only if the strategy takes one; else ``ValueError`` is
        raised. Raises ``UserError`` for a strategy that the prompt file does not have.
        """
        pieces = self._pieces_of(strategy)
        if self.takes_size(strategy) != (k is not None):
            raise ValueError(f"strategy {strategy!r} called with k={k}")
        values = {name: fields[name] for name in self.fields} | {LABEL: self.verbalisers[label], SIZE: str(k)}
        return "".join(literal + ("" if name is None else values[name]) for literal, name in pieces)

    def _pieces_of(self, strategy: str) -> Pieces:
        if strategy not in self.explain:
            raise UserError(f"the prompt file has no explanation prompt {strategy!r}; it has {sorted(self.explain)}")
        return self.explain[strategy]


def load_task(path: Path) -> Task:
    """Read a prompt file. Raises ``UserError`` naming the file and key that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such prompt file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML in UTF-8: {error}") from None
    if not isinstance(raw, dict) or set(raw) - {EXPLAIN} != KEYS:
        found = sorted(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise UserError(
            f"{path}: a prompt file has exactly the keys {sorted(KEYS)}, and {EXPLAIN} if it asks for explanations; "
            f"this one has {found}"
        )
    fields, verbalisers = raw["fields"], raw["verbalisers"]
    if not isinstance(raw["version"], int):
        raise UserError(f"{path}: version must be a whole number")
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) for name in fields):
        raise UserError(f"{path}: fields must be a list of names")
    if len(set(fields)) != len(fields):
        raise UserError(f"{path}: fields has a name twice: {fields}")
    _check_verbalisers(verbalisers, path)
    pieces = _pieces(raw["classify"], "classify", path)
    used = _used(pieces)
    if sorted(used) != sorted(fields):
        raise UserError(f"{path}: classify must use each of {fields} once as {{name}}; it uses {used}")
    explain = _explain(raw.get(EXPLAIN, {}), fields, path)
    return Task(raw["version"], tuple(fields), pieces, dict(verbalisers), explain)


def _check_verbalisers(verbalisers: Any, path: Path) -> None:
    if (
        not isinstance(verbalisers, dict)
        or len(verbalisers) < 2
        or not all(isinstance(text, str) and text.strip() for pair in verbalisers.items() for text in pair)
    ):
        raise UserError(f'{path}: verbalisers must map at least two labels to words; quote words such as "yes"')
    # The chat template decides on the space before the answer: one more here would be another token.
    if padded := [text for text in verbalisers.values() if text != text.strip()]:
        raise UserError(f"{path}: verbaliser {padded[0]!r} has spaces around it")
    if len(set(verbalisers.values())) != len(verbalisers):
        raise UserError(f"{path}: two labels have the same verbaliser")


def _explain(raw: Any, fields: list[str], path: Path) -> dict[str, Pieces]:
    if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
        raise UserError(f"{path}: {EXPLAIN} must map names of strategies to texts")
    if raw and (reserved := sorted({LABEL, SIZE} & set(fields))):
        raise UserError(f"{path}: {EXPLAIN} uses {reserved} as placeholders of its own; name these fields otherwise")
    found = {}
    for strategy, template in raw.items():
        where = f"{EXPLAIN}.{strategy}"
        found[strategy] = _pieces(template, where, path)
        used = _used(found[strategy])
        sizes = used.count(SIZE)
        if sorted(used) != sorted([*fields, LABEL, *[SIZE] * sizes]):
            raise UserError(
                f"{path}: {where} must use each of {[*fields, LABEL]} once as {{name}}, and may use {{{SIZE}}}; "
                f"it uses {used}"
            )
        if strategy == GUIDED and not sizes:
            raise UserError(f"{path}: {where} must use {{{SIZE}}}, the number of words wanted")
        if strategy == UNBOUND and sizes:
            raise UserError(f"{path}: {where} must not use {{{SIZE}}}: it leaves the number of words open")
    return found


def _used(pieces: Pieces) -> list[str]:
    return [name for _, name in pieces if name is not None]


def _pieces(template: Any, where: str, path: Path) -> Pieces:
    if not isinstance(template, str):
        raise UserError(f"{path}: {where} must be a text")
    try:
        # A message that starts or ends with spaces would be altered by the many templates that strip it.
        parsed = list(Formatter().parse(template.strip()))
    except ValueError as error:
        raise UserError(f"{path}: {where}: {error}; write {{{{ and }}}} for literal braces") from None
    for _, _, spec, conversion in parsed:
        if spec or conversion:
            raise UserError(f"{path}: {where}: placeholders are plain {{name}}, without format or conversion")
    return tuple((literal, name) for literal, name, _, _ in parsed)
