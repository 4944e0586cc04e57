"""Made-up sentences with a known truth: which words decide the label is so by construction.

A grammar (a YAML file) holds cue words for each of two labels, templates and fillers. Fillers are drawn without regard
to the label, so that a model that is right about nearly every sentence must use the marked words. Four variants:

* ``plain``: one cue; its label is the sentence's.
* ``conjunction``: two words of the cues' kinds; the label is the first one only if both are the first label's. Both are
  marked where the label needs both, else the one that rules it out.
* ``negation``: a modifier stands before the cue; a negator turns the label round and is marked with it.
* ``decoy``: a second cue word is about another thing and decides nothing; it is not marked.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from rationale_eval.corpora.instances import Instance, Word, whitespace_words
from rationale_eval.errors import UserError

VARIANTS = ("plain", "conjunction", "negation", "decoy")
CUE, SECOND, MODIFIER = "cue", "second", "modifier"
# The placeholders of each variant that are not fillers, each once in every template.
SPECIAL = {"plain": {CUE}, "conjunction": {CUE, SECOND}, "negation": {CUE, MODIFIER}, "decoy": {CUE, SECOND}}
NEGATED = 1 / 3  # of the sentences of `negation`
KEYS = {"version", "cues", "negators", "affirmers", "slots", "templates"}


@dataclass(frozen=True)
class Grammar:
    """What sentences are made of; ``labels`` are the two keys of ``cues`` in their order."""

    cues: Mapping[str, Sequence[str]]
    negators: Sequence[str]
    affirmers: Sequence[str]
    slots: Mapping[str, Sequence[str]]
    templates: Mapping[str, Sequence[str]]

    @property
    def labels(self) -> tuple[str, ...]:
        """The two labels."""
        return tuple(self.cues)


def read(source: Path, spec: Mapping[str, Any], side: str, left_out: Counter[str]) -> Iterator[Instance]:
    """Yield ``spec["sentences"]`` sentences of ``spec["variant"]``, the same for both sides, which a hash parts later.

    Sentence number n depends on the grammar, the variant, the seed and n alone. Nothing is left out. Raises
    ``UserError`` naming the file and key of a faulty grammar.
    """
    grammar = load_grammar(source)
    for number in range(spec["sentences"]):
        # A text as the seed: Python makes it into a number by SHA-512, the same everywhere.
        draw = random.Random(f"{spec['seed']} {spec['variant']} {number}")
        yield sentence(grammar, spec["variant"], number, draw)


def sentence(grammar: Grammar, variant: str, number: int, draw: random.Random) -> Instance:
    """One sentence, even numbers with the first label and odd ones with the second."""
    label, other = grammar.labels if number % 2 == 0 else grammar.labels[::-1]
    values = {name: draw.choice(words) for name, words in grammar.slots.items()}
    decisive = {CUE}
    values[CUE] = draw.choice(grammar.cues[label])
    if variant == "negation":
        # Less than half, so that the cue by itself tells something: else a model finds no hold to learn from.
        negated = draw.random() < NEGATED
        values[MODIFIER] = draw.choice(grammar.negators if negated else grammar.affirmers)
        if negated:
            values[CUE] = draw.choice(grammar.cues[other])
            decisive = {CUE, MODIFIER}
    elif variant == "decoy":
        values[SECOND] = _another(draw, grammar.cues[draw.choice(grammar.labels)], values[CUE])
    elif variant == "conjunction":
        first = grammar.labels[0]
        if label == first:
            values[SECOND] = _another(draw, grammar.cues[first], values[CUE])
            decisive = {CUE, SECOND}
        else:  # exactly one of the two rules the first label out
            place = draw.choice((CUE, SECOND))
            values |= {name: draw.choice(grammar.cues[label if name == place else first]) for name in (CUE, SECOND)}
            decisive = {place}
    text, places = _filled(draw.choice(grammar.templates[variant]), values)
    words = whitespace_words([text])
    marked = tuple(any(_covers(word, places[name]) for name in decisive) for word in words)
    return Instance(f"{variant}-{number:06d}", label, {"text": text}, words, marked)


def _another(draw: random.Random, words: Sequence[str], word: str) -> str:
    """One of ``words`` other than ``word``: which of two equal words decides could not be said."""
    return draw.choice([one for one in words if one != word])


def _filled(template: str, values: Mapping[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The sentence, and [start, end) of what stands for each placeholder."""
    text, places = "", {}
    for literal, name, _, _ in Formatter().parse(template):
        text += literal
        if name is not None:
            places[name] = (len(text), len(text) + len(values[name]))
            text += values[name]
    return text, places


def _covers(word: Word, place: tuple[int, int]) -> bool:
    return word.start < place[1] and place[0] < word.end


def load_grammar(path: Path) -> Grammar:
    """Read and check a grammar. Raises ``UserError`` naming the file and the key that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such grammar") from None
    except (IsADirectoryError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a file of YAML in UTF-8: {error}") from None
    if not isinstance(raw, dict) or set(raw) != KEYS:
        found = sorted(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise UserError(f"{path}: a grammar has the keys {sorted(KEYS)}; this one has {found}")
    for section in ("cues", "slots", "templates"):
        if not isinstance(raw[section], dict) or not raw[section]:
            raise UserError(f"{path}: {section} must map names to lists of texts")
        for name, texts in raw[section].items():
            _check_texts(texts, f"{path}: {section}.{name}", single=section != "templates")
    for section in ("negators", "affirmers"):
        _check_texts(raw[section], f"{path}: {section}", single=True)
    if len(raw["cues"]) != 2:
        raise UserError(f"{path}: cues must have exactly two labels; it has {list(raw['cues'])}")
    if short := [name for name, texts in raw["cues"].items() if len(set(texts)) < 2]:
        raise UserError(f"{path}: cues.{short[0]} must have at least two different words")
    first, second = map(set, raw["cues"].values())
    fillers = {text for texts in (*raw["slots"].values(), raw["negators"], raw["affirmers"]) for text in texts}
    if both := sorted((first & second) | (first | second) & fillers):
        raise UserError(f"{path}: {both} stand in more than one list, so that they would not decide the label")
    if set(raw["templates"]) != set(VARIANTS):
        raise UserError(f"{path}: templates must have the variants {list(VARIANTS)}; it has {list(raw['templates'])}")
    for variant, templates in raw["templates"].items():
        for index, template in enumerate(templates):
            _check_template(template, SPECIAL[variant], raw["slots"], f"{path}: templates.{variant}[{index}]")
    return Grammar(*(raw[name] for name in ("cues", "negators", "affirmers", "slots", "templates")))


def _check_texts(texts: Any, where: str, single: bool) -> None:
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UserError(f'{where} must be a list of texts; quote words such as "on"')
    if single and (several := [text for text in texts if len(text.split()) > 1 or text != text.strip()]):
        raise UserError(f"{where}: {several[0]!r} is not a single word")


def _check_template(template: str, special: set[str], slots: Mapping[str, Any], where: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    names = [name for _, name, _, _ in parts if name is not None]
    if any(spec or conversion for _, name, spec, conversion in parts if name is not None):
        raise UserError(f"{where}: placeholders are plain {{name}}, without format or conversion")
    if unknown := sorted(set(names) - special - set(slots)):
        raise UserError(f"{where}: {unknown} are neither slots nor one of {sorted(special)}")
    if any(names.count(name) != 1 for name in special):
        raise UserError(f"{where}: must have each of {sorted(special)} exactly once")
