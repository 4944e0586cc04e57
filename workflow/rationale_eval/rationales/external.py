"""Rationales made elsewhere: a file of them enters the study as a method and is measured like any other.

A row is about one instance, by its ``id``, and has ``scores``, one number per word, or ``selected``, 0 or 1 per word,
for the words of the instances table in their order; all rows have the same of the two. ``sample`` (0 if it is not
there) numbers several rationales of one instance, such as repeated draws.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.corpora.rows import rows
from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.rationales.schema import NOT_GIVEN, is_score, rationale_row

GIVES = ("scores", "selected")
MAX_SAMPLE = 2**15 - 1  # the column is int16


def read_external(path: Path, instances: Sequence[Instance], gives: str) -> Iterator[dict[str, Any]]:
    """Rows of a rationales table, from a Parquet, JSON lines or CSV file: for each instance its samples in order.

    ``gives`` is the column that the study expects, "scores" or "selected": budgets cut scores but take sets as given.
    An instance that the file does not have becomes a row with the status ``not_given``; ids of other instances are
    ignored, and counted in the log. Raises ``UserError`` naming file and row for a malformed one, and if the file has
    none of the instances.
    """
    words = {instance.id: len(instance.words) for instance in instances}
    found: dict[str, dict[int, dict[str, Any]]] = {}
    places: dict[tuple[str, int], str] = {}
    unknown, example = 0, ""
    try:
        with path.open("rb") as stream:
            for place, row in rows(str(path), stream, ["id"]):
                identifier = _id(row["id"], place)
                if identifier not in words:
                    unknown, example = unknown + 1, example or identifier
                    continue
                sample = _sample(row.get("sample"), place)
                if (before := places.setdefault((identifier, sample), place)) != place:
                    raise UserError(f"{place}: id {identifier!r}, sample {sample} stands in {before} already")
                values: dict[str, Any] = {gives: _values(row, gives, words[identifier], place)}
                found.setdefault(identifier, {})[sample] = rationale_row(identifier, sample, **values)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: there is no such file of rationales") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not found:
        known = _example(next(iter(words), ""))
        raise UserError(f"{path}: none of its ids{_example(example)} is among the {len(words)} instances{known}")
    say(f"{path}: rationales of {len(found)} of {len(words)} instances; {unknown} rows are of others and ignored")
    for instance in instances:
        samples = found.get(instance.id, {})
        yield from (samples[sample] for sample in sorted(samples))
        if not samples:
            yield rationale_row(instance.id, status=NOT_GIVEN)


def _example(identifier: str) -> str:
    return f" (such as {identifier[:200]!r})" if identifier else ""


def _id(value: Any, place: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise UserError(f"{place}: the id is {value!r:.60}; it must be that of an instance")
    return str(value)


def _sample(value: Any, place: str) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_SAMPLE:
        raise UserError(f"{place}: the sample is {value!r:.60}; it must be a whole number from 0 to {MAX_SAMPLE}")
    return value


def _values(row: Mapping[str, Any], gives: str, words: int, place: str) -> list[Any]:
    """What the row has in the column ``gives``: a number or a truth value for each of ``words`` words."""
    given = {column: row.get(column) for column in GIVES}
    there = [column for column in GIVES if given[column] is not None and given[column] != ""]
    if len(there) != 1:
        found = "both `scores` and `selected`" if there else "neither `scores` nor `selected`"
        raise UserError(f"{place}: has {found}; it must have one of them")
    if there != [gives]:
        raise UserError(
            f"{place}: has `{there[0]}`, but the method is set to `gives: {gives}`, which all rows must have"
        )
    values = _list(given[gives], gives, place)
    if len(values) != words:
        raise UserError(f"{place}: {len(values)} {gives} for the {words} words of instance {str(row['id'])!r}")
    if gives == "selected":
        for word, value in enumerate(values):
            if not isinstance(value, int) or value not in (0, 1):
                raise UserError(f"{place}: `selected` of word {word} is {value!r:.60}; it must be 0 or 1")
        return [bool(value) for value in values]
    for word, value in enumerate(values):
        if not is_score(value):
            raise UserError(f"{place}: the score of word {word} is {value!r:.60}; it must be a finite number")
    return [float(value) for value in values]


def _list(value: Any, column: str, place: str) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: `{column}` is not a list in JSON ({error})") from None
    if not isinstance(value, list):
        raise UserError(f"{place}: `{column}` is not a list but {type(value).__name__}")
    return value
