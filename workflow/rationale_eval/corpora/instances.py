"""Instances: the rows of a corpus, and the words in which every method, model and annotator is compared."""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rationale_eval.errors import UserError
from rationale_eval.tables import TableSchema, iter_table, write_table

INSTANCES = TableSchema(
    name="instances",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("label", pa.string()),
            pa.field("field_names", pa.list_(pa.string())),
            pa.field("field_texts", pa.list_(pa.string())),
            pa.field("word_field", pa.list_(pa.int16())),
            pa.field("word_start", pa.list_(pa.int32())),
            pa.field("word_end", pa.list_(pa.int32())),
            pa.field("rationale", pa.list_(pa.bool_())),
            pa.field("annotators", pa.list_(pa.list_(pa.bool_()))),
            pa.field("foil", pa.string()),
            pa.field("group", pa.string()),
        ]
    ),
    key=("id",),
    required=("label", "field_names", "field_texts", "word_field", "word_start", "word_end"),
)

# The most rows of a corpus, as some bytes are held of each while they are read, and the most characters of a row.
MAX_ROWS = 4_000_000
MAX_ROW_CHARS = 1_000_000

# Scripts without spaces between words: Thai to Myanmar, Khmer, kana, Han (with extensions).
UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]"
)

# Notes on a row: a marked span begins or ends inside a word; as many annotators marked a word as did not.
SPAN_IN_WORD, TIED = "span_in_word", "annotators_tied"


@dataclass(frozen=True, slots=True)
class Word:
    """A word: the index of its field and its characters [start, end) in that field's text."""

    field: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of a corpus.

    ``fields`` maps names to texts, in order. ``words`` are the candidates for a rationale, in order: a field whose
    words nobody could mark (the claim in FEVER) has none. ``rationale`` says for each word whether people marked it; it
    is None where a row has no annotation (train rows). ``annotators`` holds one such mask per annotator, or None where
    the source has only the aggregate. ``foil`` is the other label in a contrastive corpus: people marked why the label
    rather than the foil. ``group`` names what the row is from and others may be from too, such as an article, a review
    or a photograph; None where the source does not say. ``notes`` are names of what its reader noticed in the row, such
    as ``SPAN_IN_WORD``; they are counted in the corpus's card and not stored.
    """

    id: str
    label: str
    fields: Mapping[str, str]
    words: tuple[Word, ...]
    rationale: tuple[bool, ...] | None
    annotators: tuple[tuple[bool, ...], ...] | None = None
    foil: str | None = None
    group: str | None = None
    notes: tuple[str, ...] = ()

    def text(self, word: Word) -> str:
        """The characters of ``word``."""
        return list(self.fields.values())[word.field][word.start : word.end]


def whitespace_words(texts: Iterable[str]) -> tuple[Word, ...]:
    """The runs of non-space characters of each text: punctuation stays with the word it is written on."""
    return tuple(
        Word(field, match.start(), match.end())
        for field, text in enumerate(texts)
        for match in re.finditer(r"\S+", text)
    )


def plain_texts(texts: Iterable[str]) -> list[str]:
    """``texts`` as they are compared: texts that are equal so count as one text everywhere.

    Case does not count, nor how many spaces there are, nor whether an accent is a character of its own, a letter has
    another width (NFKC), or signs without a width stand between letters, as web pages have them.
    """
    return [" ".join(_compared(text).split()) for text in texts]


def _compared(text: str) -> str:
    if text.isascii():
        return text.casefold()
    # Casefolding can part what was composed.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character) != "Cf")


def packed(instance: Instance) -> bytes:
    """An instance as few bytes, for many that are held at a time; ``unpacked`` gives it back.

    They never leave the process: what ``pickle`` may do with bytes from elsewhere does not matter.
    """
    places = [[word.field, word.start, word.end] for word in instance.words]
    rest = (instance.rationale, instance.annotators, instance.foil, instance.group, instance.notes)
    return pickle.dumps((instance.id, instance.label, dict(instance.fields), places, *rest))


def unpacked(row: bytes) -> Instance:
    """The instance that ``packed`` made ``row`` of."""
    identifier, label, fields, places, *rest = pickle.loads(row)
    return Instance(identifier, label, fields, tuple(Word(*place) for place in places), *rest)


def check(instance: Instance, where: str) -> None:
    """Raise ``UserError`` unless words and masks of ``instance`` are consistent with its texts."""
    texts = list(instance.fields.values())
    if not instance.words:
        raise UserError(f"{where}: row {instance.id!r} has no words")
    last = (-1, 0)
    for word in instance.words:
        if not (0 <= word.field < len(texts) and 0 <= word.start < word.end <= len(texts[word.field])):
            raise UserError(f"{where}: row {instance.id!r}: word {word} lies outside its text")
        if (word.field, word.start) < last:
            raise UserError(f"{where}: row {instance.id!r}: word {word} overlaps the one before or is out of order")
        last = (word.field, word.end)
    for mask in (instance.rationale, *(instance.annotators or ())):
        if mask is not None and len(mask) != len(instance.words):
            raise UserError(f"{where}: row {instance.id!r} has {len(instance.words)} words but a mask of {len(mask)}")


def write_instances(path: Path, instances: Iterable[Instance], provenance: Mapping[str, Any]) -> int:
    """Check and write instances; their number. Raises ``UserError`` for inconsistent rows or duplicate ids."""
    return write_table(path, (_row(instance, str(path)) for instance in instances), INSTANCES, provenance)


def _row(instance: Instance, where: str) -> dict[str, Any]:
    check(instance, where)
    return {
        "id": instance.id,
        "label": instance.label,
        "field_names": list(instance.fields),
        "field_texts": list(instance.fields.values()),
        "word_field": [word.field for word in instance.words],
        "word_start": [word.start for word in instance.words],
        "word_end": [word.end for word in instance.words],
        "rationale": None if instance.rationale is None else list(instance.rationale),
        "annotators": None if instance.annotators is None else [list(mask) for mask in instance.annotators],
        "foil": instance.foil,
        "group": instance.group,
    }


def iter_instances(path: Path) -> Iterator[Instance]:
    """The instances of a table one by one. Raises ``UserError`` for a missing, damaged or different table."""
    for row in iter_table(path, INSTANCES):
        yield Instance(
            id=row["id"],
            label=row["label"],
            fields=dict(zip(row["field_names"], row["field_texts"], strict=True)),
            words=tuple(
                Word(*place) for place in zip(row["word_field"], row["word_start"], row["word_end"], strict=True)
            ),
            rationale=None if row["rationale"] is None else tuple(row["rationale"]),
            annotators=None if row["annotators"] is None else tuple(map(tuple, row["annotators"])),
            foil=row["foil"],
            group=row["group"],
        )


def read_instances(path: Path) -> list[Instance]:
    """All instances of a table. Raises ``UserError`` for a missing, damaged or different table."""
    return list(iter_instances(path))
