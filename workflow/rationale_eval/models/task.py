"""Tasks as data: a prompt file holds the prompts of a task and how each label is put in words.

Explanations are asked for in one of three settings: in a chat of their own, which shows the text again and the label
that the model predicted; in the chat of the classification, whose text and answer stand above; or before the model is
asked for a label. A contrastive one also names the foil, the label that was not predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from rationale_eval.errors import UserError
from rationale_eval.yaml_keys import check_keys

NEEDED = {"version", "fields", "classify"}
VERBALISERS, CUE = "verbalisers", "cue"
# The sections of explanation prompts, one for each setting: in a chat of their own, in the chat of the classification,
# and before a label is asked for.
EXPLAIN, IN_CHAT, BEFORE = "explain", "explain_in_chat", "explain_before"
SETTINGS = (EXPLAIN, IN_CHAT, BEFORE)
# A placeholder of every prompt: the verbalisers of all labels.
LABELS = "labels"
# Placeholders of explanation prompts beside the fields: the predicted label and the foil in words, and the number of
# words wanted.
LABEL, FOIL, SIZE = "label", "foil", "k"
DEFAULT_CUE = "Answer:"
# The strategies of Fayyaz et al. 2024, words in order of importance, and a number for each word (Huang et al. 2023); a
# file may add others, with or without a number of words.
UNBOUND, GUIDED, RANKED, SCORED = "unbound", "guided", "ranked", "scored"

Pieces = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Task:
    """What a model is asked.

    ``classify`` is a list of pieces, each ``(literal text, field name or None)``. ``verbalisers`` maps each label to
    the words with which the model's answer begins if it chooses that label; its order is the order of label scores.
    ``explain`` maps the names of strategies to the pieces of their prompts, which also name ``label``, ``foil`` and
    ``k``; ``explain_in_chat`` and ``explain_before`` hold those of the other settings. ``cue`` is what the answer
    follows where there is no chat template that gives the model its turn.
    """

    version: int
    fields: tuple[str, ...]
    classify: Pieces
    verbalisers: Mapping[str, str]
    explain: Mapping[str, Pieces] = field(default_factory=dict)
    explain_in_chat: Mapping[str, Pieces] = field(default_factory=dict)
    explain_before: Mapping[str, Pieces] = field(default_factory=dict)
    cue: str = DEFAULT_CUE

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order in which scores are stored."""
        return tuple(self.verbalisers)

    def message(self, fields: Mapping[str, str]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The user message for these texts, and [start, end) of each field of ``self.fields`` in it.

        The message has no spaces at its ends. A field that begins with such begins before it: its start is negative.
        """
        text = ""
        places: dict[str, tuple[int, int]] = {}
        for literal, name in self.classify:
            text += literal
            if name is not None:
                places[name] = (len(text), len(text) + len(fields[name]))
                text += fields[name]
        # Many templates strip a message, and no word has the spaces at its ends.
        first, last = len(text) - len(text.lstrip()), len(text.rstrip())
        kept = {
            name: (start - first, min(end, last) - first) if max(start, first) < min(end, last) else (0, 0)
            for name, (start, end) in places.items()
        }
        return text.strip(), tuple(kept[name] for name in self.fields)

    def field_fault(self, fields: Iterable[str]) -> str | None:
        """What is wrong where instances have ``fields``, whose order does not matter; None if the prompt shows all.

        Words of a field that the model does not see could be marked, but never be found.
        """
        found = list(fields)
        if missing := [name for name in self.fields if name not in found]:
            return f"lacks the field(s) {missing} that the prompt shows; it has {found}"
        if unseen := [name for name in found if name not in self.fields]:
            return f"has the field(s) {unseen} that the prompt does not show; it shows {list(self.fields)}"
        return None

    def strategies(self, setting: str) -> Mapping[str, Pieces]:
        """The explanation prompts of one of ``SETTINGS``."""
        found: Mapping[str, Pieces] = getattr(self, setting)
        return found

    def takes_size(self, strategy: str, setting: str = EXPLAIN) -> bool:
        """Whether the explanation prompt of ``strategy`` says how many words are wanted."""
        return SIZE in _used(self._pieces_of(strategy, setting))

    def takes_foil(self, strategy: str, setting: str = EXPLAIN) -> bool:
        """Whether the explanation prompt of ``strategy`` names the label that was not predicted."""
        return FOIL in _used(self._pieces_of(strategy, setting))

    def explanation(
        self,
        strategy: str,
        fields: Mapping[str, str],
        label: str,
        k: int | None = None,
        foil: str | None = None,
        setting: str = EXPLAIN,
    ) -> str:
        """The user message that asks which words of these texts decided for ``label``, rather than for ``foil``.

        Both are keys of ``verbalisers``, and different; a prompt of the setting ``explain_before`` shows neither.
        ``k``, the number of words wanted, and ``foil`` are given if and only if the strategy takes them; else
        ``ValueError`` is raised. Raises ``UserError`` for a strategy that the prompt file does not have.
        """
        pieces = self._pieces_of(strategy, setting)
        if self.takes_size(strategy, setting) != (k is not None):
            raise ValueError(f"strategy {strategy!r} called with k={k}")
        if self.takes_foil(strategy, setting) != (foil is not None) or foil == label:
            raise ValueError(f"strategy {strategy!r} called with label={label!r} and foil={foil!r}")
        values = {name: fields[name] for name in self.fields} | {LABEL: self.verbalisers[label], SIZE: str(k)}
        if foil is not None:
            values[FOIL] = self.verbalisers[foil]
        return "".join(literal + ("" if name is None else values[name]) for literal, name in pieces).strip()

    def _pieces_of(self, strategy: str, setting: str) -> Pieces:
        found = self.strategies(setting)
        if strategy not in found:
            raise UserError(
                f"the prompt file has no explanation prompt {strategy!r} under `{setting}`; it has {sorted(found)}"
            )
        return found[strategy]


def load_task(path: Path, verbalisers: Mapping[str, str] | None = None) -> Task:
    """Read a prompt file. ``verbalisers``, from the configuration's entry of the task, stand in for the file's own.

    Raises ``UserError`` naming the file and key that is wrong.
    """
    return parse_task(read_prompts(path), str(path), verbalisers)


def read_prompts(path: Path) -> Any:
    """What a prompt file holds, checked by ``check_keys`` alone. Raises ``UserError`` unless there is YAML in UTF-8."""
    check_keys(path)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such prompt file") from None
    # Not only errors of YAML: a section as a key, as in `{{text}}` without quotes, a date or number that is none.
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not valid YAML in UTF-8: {error}") from None


def task_slice(
    path: Path, verbalisers: Mapping[str, str] | None, strategies: Sequence[str], setting: str = EXPLAIN
) -> dict[str, Any]:
    """The part of a prompt file that a stage reads: the classification and the explanation prompts of ``strategies``.

    So an edit of an explanation prompt asks no classification again. ``task_from_slice`` reads it; verbalisers are
    pairs, since their order is that of scores. The file is taken to be whole.
    """
    raw = read_prompts(path)
    found = {key: raw[key] for key in (*sorted(NEEDED), CUE) if key in raw}
    found[VERBALISERS] = list((raw[VERBALISERS] if verbalisers is None else verbalisers).items())
    return found | ({setting: {name: raw[setting][name] for name in strategies}} if strategies else {})


def task_from_slice(part: Mapping[str, Any]) -> Task:
    """The task of a stage's spec, as ``task_slice`` cut it. Raises ``UserError`` as ``parse_task`` does."""
    return parse_task({**part, VERBALISERS: dict(part[VERBALISERS])}, "the task in --spec")


def parse_task(raw: Any, where: str, verbalisers: Mapping[str, str] | None = None) -> Task:
    """Check what a prompt file (or a slice of it) holds; ``where`` names it in messages. See ``load_task``."""
    if not isinstance(raw, dict) or set(raw) - {VERBALISERS, CUE, *SETTINGS} != NEEDED:
        found = sorted(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise UserError(
            f"{where}: a prompt file has the keys {sorted(NEEDED)} and {VERBALISERS}, {', '.join(SETTINGS)} if it asks "
            f"for explanations and {CUE} if completions need another than {DEFAULT_CUE!r}; this one has {found}"
        )
    fields, cue = raw["fields"], raw.get(CUE, DEFAULT_CUE)
    if not isinstance(raw["version"], int):
        raise UserError(f"{where}: version must be a whole number")
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) for name in fields):
        raise UserError(f"{where}: fields must be a list of names")
    if len(set(fields)) != len(fields):
        raise UserError(f"{where}: fields has a name twice: {fields}")
    if LABELS in fields:
        raise UserError(f"{where}: {{{LABELS}}} stands for the verbalisers of all labels; name this field otherwise")
    # The space between cue and answer is no part of the cue.
    if not isinstance(cue, str) or not cue.strip() or cue != cue.strip():
        raise UserError(f"{where}: {CUE} must be a text without spaces around it, such as {DEFAULT_CUE!r}")
    words = _verbalisers(raw.get(VERBALISERS), verbalisers, where)
    listed = _enumerated(list(words.values()))
    pieces = _pieces(raw["classify"], listed, "classify", where)
    used = _used(pieces)
    if sorted(used) != sorted(fields):
        raise UserError(
            f"{where}: classify must use each of {fields} once as {{name}}, and may use {{{LABELS}}}; it uses {used}"
        )
    explain = {setting: _explain(setting, raw.get(setting, {}), fields, listed, where) for setting in SETTINGS}
    return Task(raw["version"], tuple(fields), pieces, words, cue=cue, **explain)


def _verbalisers(own: Any, given: Mapping[str, str] | None, where: str) -> dict[str, str]:
    """The verbalisers that hold, in their order: those given, else the prompt file's own."""
    if own is None and given is None:
        raise UserError(
            f"{where}: has no {VERBALISERS}: give them in the file, or in the entry of `tasks` that names the file"
        )
    found, where = (own, where) if given is None else (given, f"{where}: in the entry of `tasks` that names it")
    if (
        not isinstance(found, Mapping)
        or len(found) < 2
        or not all(isinstance(text, str) and text.strip() for pair in found.items() for text in pair)
    ):
        raise UserError(f'{where}: {VERBALISERS} must map at least two labels to words; quote words such as "yes"')
    # The chat template decides on the space before the answer: one more here would be another token.
    if padded := [text for text in found.values() if text != text.strip()]:
        raise UserError(f"{where}: verbaliser {padded[0]!r} has spaces around it")
    if len(set(found.values())) != len(found):
        raise UserError(f"{where}: two labels have the same verbaliser")
    return dict(found)


def _enumerated(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]


def _explain(setting: str, raw: Any, fields: list[str], listed: str, origin: str) -> dict[str, Pieces]:
    if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
        raise UserError(f"{origin}: {setting} must map names of strategies to texts")
    if raw and (reserved := sorted({LABEL, FOIL, SIZE} & set(fields))):
        raise UserError(f"{origin}: {setting} uses {reserved} as placeholders of its own; name these fields otherwise")
    # In the chat of the classification the texts and the answer stand above: they may be left out.
    needed = {EXPLAIN: [*fields, LABEL], IN_CHAT: [], BEFORE: fields}[setting]
    once = {EXPLAIN: [FOIL], IN_CHAT: [*fields, LABEL, FOIL], BEFORE: []}[setting]
    found = {}
    for strategy, template in raw.items():
        where = f"{setting}.{strategy}"
        found[strategy] = _pieces(template, listed, where, origin)
        used = [name for name in _used(found[strategy]) if name != SIZE]
        if (
            any(used.count(name) != 1 for name in needed)
            or any(used.count(name) > 1 for name in once)
            or set(used) - {*needed, *once}
        ):
            must = f"must use each of {needed} once as {{name}}, and " if needed else ""
            may = "".join(f", once {{{name}}}" for name in once)
            raise UserError(
                f"{origin}: {where} {must}may use {{{SIZE}}}, {{{LABELS}}}{may}; it uses {_used(found[strategy])}"
            )
        sized = SIZE in _used(found[strategy])
        if strategy == GUIDED and not sized:
            raise UserError(f"{origin}: {where} must use {{{SIZE}}}, the number of words wanted")
        if strategy == UNBOUND and sized:
            raise UserError(f"{origin}: {where} must not use {{{SIZE}}}: it leaves the number of words open")
    return found


def _used(pieces: Pieces) -> list[str]:
    return [name for _, name in pieces if name is not None]


def _pieces(template: Any, listed: str, where: str, origin: str) -> Pieces:
    """The pieces of a prompt, in which ``listed`` stands for {labels} already."""
    if not isinstance(template, str):
        raise UserError(f"{origin}: {where} must be a text")
    try:
        # A message that starts or ends with spaces would be altered by the many templates that strip it.
        parsed = list(Formatter().parse(template.strip()))
    except ValueError as error:
        raise UserError(f"{origin}: {where}: {error}; write {{{{ and }}}} for literal braces") from None
    found: list[tuple[str, str | None]] = []
    text = ""
    for literal, name, spec, conversion in parsed:
        if spec or conversion:
            raise UserError(f"{origin}: {where}: placeholders are plain {{name}}, without format or conversion")
        text += literal + (listed if name == LABELS else "")
        if name is not None and name != LABELS:
            found.append((text, name))
            text = ""
    return (*found, (text, None)) if text else tuple(found)
