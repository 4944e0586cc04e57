"""Tasks as data: a prompt file holds the classification prompt and how each label is put in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import yaml

from rationale_eval.errors import UserError

KEYS = {"version", "fields", "classify", "verbalisers"}


@dataclass(frozen=True)
class Task:
    """What a model is asked.

    ``classify`` is a list of pieces, each ``(literal text, field name or None)``. ``verbalisers`` maps each label to
    the words with which the model's answer begins if it chooses that label; its order is the order of label scores.
    """

    version: int
    fields: tuple[str, ...]
    classify: tuple[tuple[str, str | None], ...]
    verbalisers: Mapping[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order in which scores are stored."""
        return tuple(self.verbalisers)

    def message(self, fields: Mapping[str, str]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The user message for these texts, and [start, end) of each field of ``self.fields`` in it."""
        text = ""
        places: dict[str, tuple[int, int]] = {}
        for literal, field in self.classify:
            text += literal
            if field is not None:
                places[field] = (len(text), len(text) + len(fields[field]))
                text += fields[field]
        return text, tuple(places[field] for field in self.fields)


def load_task(path: Path) -> Task:
    """Read a prompt file. Raises ``UserError`` naming the file and key that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such prompt file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML in UTF-8: {error}") from None
    if not isinstance(raw, dict) or set(raw) != KEYS:
        found = sorted(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise UserError(f"{path}: a prompt file has exactly the keys {sorted(KEYS)}; this one has {found}")
    fields, verbalisers = raw["fields"], raw["verbalisers"]
    if not isinstance(raw["version"], int):
        raise UserError(f"{path}: version must be a whole number")
    if not isinstance(fields, list) or not fields or not all(isinstance(field, str) for field in fields):
        raise UserError(f"{path}: fields must be a list of names")
    if not isinstance(raw["classify"], str):
        raise UserError(f"{path}: classify must be a text")
    if (
        not isinstance(verbalisers, dict)
        or len(verbalisers) < 2
        or not all(isinstance(text, str) and text.strip() for pair in verbalisers.items() for text in pair)
    ):
        raise UserError(f'{path}: verbalisers must map at least two labels to words; quote words such as "yes"')
    if len(set(verbalisers.values())) != len(verbalisers):
        raise UserError(f"{path}: two labels have the same verbaliser")
    # A message that starts or ends with spaces would be altered by the many templates that strip it.
    pieces = _pieces(raw["classify"].strip(), path)
    used = [field for _, field in pieces if field is not None]
    if sorted(used) != sorted(fields):
        raise UserError(f"{path}: classify must use each of {fields} once as {{name}}; it uses {used}")
    return Task(raw["version"], tuple(fields), pieces, dict(verbalisers))


def _pieces(template: str, path: Path) -> tuple[tuple[str, str | None], ...]:
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"{path}: classify: {error}; write {{{{ and }}}} for literal braces") from None
    for _, _, spec, conversion in parsed:
        if spec or conversion:
            raise UserError(f"{path}: classify: placeholders are plain {{name}}, without format or conversion")
    return tuple((literal, field) for literal, field, _, _ in parsed)
