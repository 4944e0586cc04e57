"""A corpus of one's own: JSON lines, CSV or Parquet with texts, a label and the words that people marked.

A cell that holds a list or an object may also be its JSON text, as in CSV it must be. The rationale is one of

``word_indices``  numbers of words, from 0: ``[3, 4]``;
``mask``          0 or 1 for each word: ``[0, 0, 0, 1, 1]``;
``char_spans``    characters [start, end) of the field's text, which mark the words that they touch: ``[[12, 24]]``; or
                  UTF-16 units or bytes, as ``offsets`` says, and checked by the texts of the spans, if they are given;
``marked_text``   the field's text again with asterisks around what is marked: ``a film with *great acting*``.

It is about one field, or an object ``{field: rationale}``. In a field that has none, no word is marked. The words are
those that a column gives, found in the text one after another, or else what stands between spaces.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from rationale_eval.corpora.aggregate import aggregate, tied
from rationale_eval.corpora.archive import open_named_members
from rationale_eval.corpora.instances import SPAN_IN_WORD, TIED, Instance, Word, whitespace_words
from rationale_eval.corpora.marks import (
    KINDS,
    check_numbers,
    check_texts,
    cuts_word,
    in_characters,
    shown,
    within_letters,
)
from rationale_eval.corpora.rows import RowError, rows
from rationale_eval.errors import UserError

BAD_ROW = "bad_row"
MAX_MARKS = 10_000_000  # words of a row times its annotators: `[]` of one marks each word with no
# Given words that are looked at to see whether they go on within one word of the text.
_AHEAD = 20


def read(source: Path, spec: Mapping[str, Any], side: str, left_out: Counter[str]) -> Iterator[Instance]:
    """Yield the instances of ``side``, "train" or "test", in the order of the files and their rows.

    ``spec`` holds ``archive``, ``train``, ``test`` and ``bad_rows`` as for every reader; ``fields`` (column of each
    text, by field name), ``label``, ``id`` and ``group`` (columns; without ``id`` it is the file's name and the row's
    number, without ``group`` none is known), ``labels`` (names of labels by what stands in the file, or None),
    ``rationale`` (``kind``, ``column``, ``field`` that a rationale without names is about, ``words``: column or None),
    ``offsets`` and ``span_texts``), ``annotators`` (column with a list of rationales, which then go through
    ``aggregation``, or None). Test rows without a rationale are yielded too. Counted in ``left_out``: ``bad_row``, if
    ``bad_rows`` is "leave_out". Raises ``UserError`` for a file that cannot be read, otherwise for a malformed row,
    where no test row has a rationale, and for a named column that no test row has.
    """
    fields, about = spec["fields"], spec["rationale"]["field"]
    if about is not None and about not in fields:
        raise UserError(f"rationale.field: {about!r} is not in `fields`, which are {', '.join(fields)}")
    needed = [*fields.values(), spec["label"], *(spec[key] for key in ("id", "group") if spec.get(key))]
    usable = bare = 0
    unseen = _optional(spec) if side == "test" else {}
    for name, where, stream in open_named_members(source, spec["archive"], spec[side]):
        stem = PurePath(name.removesuffix(".gz")).stem
        for place, row in rows(where, stream, list(dict.fromkeys(needed))):
            if unseen:
                unseen = {column: key for column, key in unseen.items() if column not in row}
            try:
                instance = _instance(row, f"{stem}-{place.rpartition(' ')[2]}", spec)
            except RowError as error:
                if spec["bad_rows"] == "leave_out":
                    left_out[BAD_ROW] += 1
                    continue
                raise UserError(f"{place}: {error}") from None
            bare, usable = bare + (instance.rationale is None), usable + (instance.rationale is not None)
            yield instance
    if side == "test" and bare and not usable:
        columns = " or ".join(repr(column) for column in (spec["annotators"], spec["rationale"]["column"]) if column)
        raise UserError(f"{source}: none of the {bare} test rows has a rationale in {columns}; is the column right?")
    if unseen and usable:
        column, key = next(iter(unseen.items()))
        raise UserError(f"{source}: no test row has a column {column!r}, which `{key}` names; is it spelt so?")


def _optional(spec: Mapping[str, Any]) -> dict[str, str]:
    """The columns that a row may lack, but not all rows, each with the key that names it."""
    named = {"annotators": spec["annotators"], "rationale.column": spec["rationale"]["column"]}
    named["rationale.span_texts"] = spec["rationale"].get("span_texts")
    return {column: key for key, column in named.items() if column}


def _instance(row: Mapping[str, Any], number: str, spec: Mapping[str, Any]) -> Instance:
    """The instance of one row. Raises ``RowError`` for what is wrong with it, as all that follows here."""
    fields = {name: _text(row[column], column) for name, column in spec["fields"].items()}
    annotators = _annotators(row, spec)
    column = spec["rationale"]["column"]
    rationale = None if column is None else _decoded(row.get(column), column, spec["rationale"]["kind"])
    words, given = _words(row, fields, spec, bool(annotators) or rationale is not None)
    if not any(words.values()):
        raise RowError(f"{spec['rationale']['words']!r} gives no words")
    texts = _Texts(fields, words, given)
    if len(annotators) * sum(map(len, words.values())) > MAX_MARKS:
        raise RowError(f"{len(annotators)} annotators of so many words are more than the limit of {MAX_MARKS:,} marks")
    masks = [_mask(value, spec["annotators"], texts, spec["rationale"]) for value in annotators]
    mask: tuple[bool, ...] | None = None
    if rationale is not None:
        mask = _mask(rationale, column, texts, spec["rationale"], row)
    if masks:
        mask = aggregate(masks, spec["aggregation"])
        if spec["aggregation"] == "majority" and tied(masks):
            texts.notes.add(TIED)
    return Instance(
        id=_id(row[spec["id"]], spec["id"]) if spec["id"] else number,
        label=_label(row[spec["label"]], spec["label"], spec["labels"]),
        fields=fields,
        words=tuple(word for part in words.values() for word in part),
        rationale=mask,
        annotators=tuple(masks) or None,
        group=_group(row[spec["group"]], spec["group"]) if spec.get("group") else None,
        notes=tuple(sorted(texts.notes)),
    )


def _text(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise RowError(f"{column!r} is {shown(value)}, not a text")
    if not value.strip():
        raise RowError(f"{column!r} is empty; every field needs a text")
    return value


def _id(value: Any, column: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise RowError(f"{column!r} is {shown(value)}; an id is a text or a whole number")
    return str(value)


def _group(value: Any, column: str) -> str | None:
    """The group of a row; None for an empty cell."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise RowError(f"{column!r} is {shown(value)}; a group is a text or a whole number")
    return str(value)


def _label(value: Any, column: str, labels: Mapping[str, str] | None) -> str:
    if not isinstance(value, str | int) or not str(value).strip():
        raise RowError(f"{column!r} is {shown(value)}; a label is a text or a whole number")
    if labels is None:
        return str(value)
    if str(value) not in labels:
        raise RowError(f"{column!r} is {shown(value)}, which is not in `labels`; known are {', '.join(labels)}")
    return labels[str(value)]


def _annotators(row: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Any]:
    """The rationale of each annotator who gave one."""
    column = spec["annotators"]
    if column is None:
        return []
    values = _decoded(row.get(column), column)
    if values is None:
        return []
    if not isinstance(values, list):
        raise RowError(f"{column!r} is {shown(values)}, not a list with a rationale of each annotator")
    decoded = [_decoded(value, column, spec["rationale"]["kind"]) for value in values]
    return [value for value in decoded if value is not None]


def _decoded(value: Any, column: str, kind: str | None = None) -> Any:
    """``value``, or what it says if it is JSON text; None if it is empty or an object whose values are."""
    if isinstance(value, str):
        if kind == "marked_text" and not value.lstrip().startswith("{"):
            return value if value.strip() else None
        try:
            value = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError) as error:
            if kind == "marked_text":  # the text itself may begin with a bracket
                return value
            raise RowError(f"{column!r} is {shown(value)}, which is neither a list nor its JSON ({error})") from None
    return None if isinstance(value, dict) and all(part is None for part in value.values()) else value


def _by_field(value: Any, column: str, fields: Mapping[str, str], field: str | None) -> dict[str, Any]:
    """``value`` as an object of fields: it is one, or it is about ``field``, or about the only one."""
    if not isinstance(value, dict):
        if field is None and len(fields) > 1:
            raise RowError(
                f"{column!r} must be an object with one of {', '.join(fields)} for each value, because "
                "`rationale.field` names none of these fields"
            )
        return {field or next(iter(fields)): value}
    if unknown := [name for name in value if name not in fields]:
        raise RowError(f"{column!r} names the field {unknown[0]!r}; known are {', '.join(fields)}")
    return {name: part for name, part in value.items() if part is not None}


def _words(
    row: Mapping[str, Any], fields: Mapping[str, str], spec: Mapping[str, Any], annotated: bool
) -> tuple[dict[str, list[Word]], set[str]]:
    """The words of each field, and the fields whose words the row gives."""
    column = spec["rationale"]["words"]
    value = None if column is None else _decoded(row.get(column), column)
    if column is not None and value is None and annotated:
        raise RowError(f"there are no words in {column!r}, so it is not known what the rationale counts")
    given = {} if value is None else _by_field(value, column, fields, spec["rationale"]["field"])
    spaced = whitespace_words(fields.values())
    found = {
        name: _located(given[name], index, text, column)
        if name in given
        else [word for word in spaced if word.field == index]
        for index, (name, text) in enumerate(fields.items())
    }
    return found, set(given)


def _located(given: Any, field: int, text: str, column: str) -> list[Word]:
    if not isinstance(given, list) or not all(isinstance(word, str) and word.strip() for word in given):
        raise RowError(f"{column!r} is {shown(given)}, not a list of words")
    words: list[Word] = []
    wanted, end = [word.strip() for word in given], 0
    for number, word in enumerate(wanted):
        start = _find(wanted[number : number + _AHEAD], text, end)
        if start is None:
            raise RowError(
                f"{column!r}: word {number}, {word!r}, is not in the text from character {end} on; the words must "
                "stand in the text in this order"
            )
        end = start + len(word)
        words.append(Word(field, start, end))
    return words


def _find(words: Sequence[str], text: str, start: int) -> int | None:
    """Where the first of ``words`` stands in ``text`` from ``start`` on, the end of the word before.

    It must not be a part of another word: the ``a`` of ``about`` is not the article. Pieces of a word (``do``, ``n't``)
    are found where they follow one another without a gap up to its end.
    """
    place = text.find(words[0], start)
    while place >= 0:
        if (place == start or not within_letters(text, place)) and _goes_on(words, text, place):
            return place
        place = text.find(words[0], place + 1)
    return None


def _goes_on(words: Sequence[str], text: str, place: int) -> bool:
    """Whether the first of ``words`` ends at ``place`` with a word of ``text``, or the next ones go on to its end."""
    for word in words:
        if not text.startswith(word, place):
            return False
        place += len(word)
        if not within_letters(text, place):
            return True
    return len(words) == _AHEAD


@dataclass
class _Texts:
    """The fields of a row, their words, the fields whose words it ``gives``, and ``notes`` on its rationales."""

    fields: Mapping[str, str]
    words: Mapping[str, list[Word]]
    gives: set[str]
    notes: set[str] = field(default_factory=set)


def _mask(
    value: Any, column: str, row: _Texts, rationale: Mapping[str, Any], cells: Mapping[str, Any] | None = None
) -> tuple[bool, ...]:
    """The mask over the words of all fields that one rationale stands for; ``cells`` may hold its spans' texts."""
    parts = _by_field(value, column, row.fields, rationale["field"])
    kind, offsets = rationale["kind"], rationale.get("offsets", "characters")
    texts_column = rationale.get("span_texts")
    if cells is not None and texts_column and (found := _decoded(cells.get(texts_column), texts_column)) is not None:
        for name, given in _by_field(found, texts_column, row.fields, rationale["field"]).items():
            check_texts(parts.get(name, []), given, row.fields[name], offsets, repr(column))
    mask: list[bool] = []
    for name, text in row.fields.items():
        words, what = row.words[name], f"{column!r}, field {name!r}" if len(row.fields) > 1 else repr(column)
        if name not in parts:
            mask += [False] * len(words)
            continue
        part = in_characters(parts[name], text, offsets, what) if kind == "char_spans" else parts[name]
        mine = KINDS[kind](part, words, text, what)
        if kind == "char_spans" and cuts_word(part, words, text):
            row.notes.add(SPAN_IN_WORD)
        if kind in ("word_indices", "mask") and name not in row.gives:
            check_numbers(mine, words, text, len(mine) if kind == "mask" else None, what)
        mask += mine
    return tuple(mask)
