"""The rows of CSV, JSON lines and Parquet files, one after another: a file of any size passes through in little memory.

Every row comes with its place (``esnli_test.csv: row 12``) for the messages of those who read on. Rows of a CSV count
from 1 without the header and empty lines; a row of JSON lines has the number of its line. A file that cannot be
trusted to the end (wrong encoding, damaged, rows that do not fit the header) is an error, never read on past.
"""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rationale_eval.bounds import bounded_memory
from rationale_eval.corpora.archive import unpacked_gz
from rationale_eval.corpora.instances import MAX_ROW_CHARS
from rationale_eval.errors import UserError

MAX_LINE_BYTES = 4 * MAX_ROW_CHARS  # no character of UTF-8 takes more than four bytes
PARQUET_BATCH = 256  # rows in memory at a time, if there is room for them
PARQUET_BYTES = 640 * 1024**2  # of memory to unpack them: files have pages and groups of rows of some hundred MB
TEXT_ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json-lines": "jsonl"}
DAMAGE = (OSError, EOFError, zlib.error)  # what a damaged .gz raises; archives name their own damage
# Valid in JSON and in Parquet, yet no text: NUL, and halves of surrogate pairs, which UTF-8 cannot hold.
NO_TEXT = re.compile("[\0\ud800-\udfff]")
# A cell quoted as in CSV: marks around it, and all marks inside doubled, at least once.
QUOTED = re.compile(r'"(?:[^"]*"")+[^"]*"')


class RowError(Exception):
    """What is wrong with one row of a file that can be read on; the reader of the format adds the place."""


def rows(where: str, stream: IO[bytes], needed: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(place, row)`` of a file, read as the ending of its name ``where`` says.

    Endings: .csv, .tsv (tabs between cells, and no quoting), .jsonl, .ndjson, .json-lines, each also with .gz, and
    .parquet.
    Raises ``UserError`` for another ending and for what the reader of that kind refuses.
    """
    name = where.lower()
    if name.endswith(".parquet"):
        return parquet_rows(where, stream, needed)
    if name.endswith(".gz"):
        name, stream = name.removesuffix(".gz"), unpacked_gz(stream, where)
    for ending, kind in TEXT_ENDINGS.items():
        if name.endswith(ending):
            if kind == "jsonl":
                return jsonl_rows(where, stream, needed)
            return csv_rows(where, stream, needed) if kind == "csv" else tsv_rows(where, stream, needed)
    endings = ", ".join(TEXT_ENDINGS)
    raise UserError(f"{where}: the name must end in one of {endings} (each also with .gz) or .parquet")


def csv_rows(where: str, stream: IO[bytes], needed: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ``(place, row)`` of a CSV file (RFC 4180) in UTF-8 with a header; ``needed`` columns must be there.

    Raises ``UserError`` for an empty file, a column missing or there twice, a row with more or fewer cells than the
    header, a quotation mark left open, a row of more than ``MAX_ROW_CHARS`` characters, and for lines that are no text.
    """
    return _delimited(where, stream, needed, ",", csv.QUOTE_MINIMAL)


def tsv_rows(where: str, stream: IO[bytes], needed: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """As ``csv_rows``, with tabs between cells, and quotation marks as they stand: a row is a line.

    The files of many corpora have marks that open and do not close, which would swallow rows. A cell that is quoted as
    in CSV, with doubled marks inside, is refused too: its text would have the marks of the file.
    """
    for place, row in _delimited(where, stream, needed, "\t", csv.QUOTE_NONE):
        for name, cell in row.items():
            if QUOTED.fullmatch(cell):
                raise UserError(
                    f"{place}: the cell of {name!r} is quoted as in CSV ({cell[:40]}…), but a .tsv has no quoting; "
                    "save the file as .csv with commas, or without quoting"
                )
        yield place, row


def _delimited(
    where: str, stream: IO[bytes], needed: Collection[str], delimiter: str, quoting: Literal[0, 3]
) -> Iterator[tuple[str, dict[str, str]]]:
    csv.field_size_limit(MAX_ROW_CHARS)  # the module's own limit, 131,072, is below ours
    line = first = length = number = 0  # number: of rows yielded so far
    header: list[str] | None = None

    def lines() -> Iterator[str]:
        nonlocal line, length
        for count, text in _lines(where, stream):
            line = count
            length += len(text)
            if length > MAX_ROW_CHARS:
                raise UserError(_too_long(row_at()) + "; is a quotation mark left open?")
            yield text

    def row_at() -> str:
        return f"{where}: {'the header' if header is None else f'row {number + 1}'} (from line {first})"

    reader = csv.reader(lines(), delimiter=delimiter, strict=True, quoting=quoting)
    while True:
        first, length = line + 1, 0
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise UserError(f"{row_at()}: {_with_advice(error)}") from None
        if not cells:  # an empty line
            continue
        if header is None:
            header = cells
            _check_columns(where, header, needed)
            continue
        if len(cells) != len(header):
            raise UserError(f"{row_at()} has {len(cells)} cells, but the header has {len(header)}")
        number += 1
        yield f"{where}: row {number}", dict(zip(header, cells, strict=True))
    if header is None:
        raise UserError(f"{where}: the file is empty; a header with {', '.join(needed)} is expected")


def _with_advice(error: csv.Error) -> str:
    """An error of the module ``csv`` with what to do about it."""
    if "new-line character" in str(error):
        return f"{error}; a carriage return stands within a line: save the file with line feeds at the ends of lines"
    return f"{error}; are its quotation marks closed and, inside a cell, doubled?"


def jsonl_rows(where: str, stream: IO[bytes], needed: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(place, row)`` of a file with one JSON object a line, in UTF-8; each must have the ``needed`` keys.

    Raises ``UserError`` for a line that is not one JSON object (NaN and Infinity are not JSON), lacks a key or has more
    than ``MAX_ROW_CHARS`` characters, and for lines that are no text. Empty lines are skipped.
    """
    for number, line in _lines(where, stream):
        if line.isspace():
            continue
        place = f"{where}: row {number}"
        if len(line) > MAX_ROW_CHARS:
            raise UserError(_too_long(place))
        try:
            row = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            what = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
            raise UserError(f"{place} is not JSON ({what}); every line must hold one whole object") from None
        if not isinstance(row, dict):
            raise UserError(f"{place} is JSON but not an object with named values")
        _check_columns(place, list(row), needed)
        if "\\u" in line:  # only an escape can bring in what the line itself may not hold
            _check_texts(place, row)
        yield place, row


def parquet_rows(where: str, stream: IO[bytes], needed: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(place, row)`` of a Parquet file, read batch by batch; ``needed`` columns must be there.

    ``stream`` must be seekable. Raises ``UserError`` for a damaged file, a column missing or there twice, a row with
    more than ``MAX_ROW_CHARS`` characters and values or with characters that are no text, and for rows that take more
    than ``PARQUET_BYTES`` to unpack.
    """
    for number, row in enumerate(_unpacked_rows(where, stream, needed), start=1):
        place = f"{where}: row {number}"
        if _check_texts(place, row) > MAX_ROW_CHARS:
            raise UserError(_too_long(place))
        yield place, row


def _unpacked_rows(where: str, stream: IO[bytes], needed: Collection[str]) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with bounded_memory(PARQUET_BYTES):
            file = pq.ParquetFile(stream)
        _check_columns(where, file.schema_arrow.names, needed)
        for group in range(file.num_row_groups):
            for row in _of_group(file, group):
                number += 1
                yield row
    except MemoryError:
        raise UserError(
            f"{where}: after row {number} it takes more than {PARQUET_BYTES} bytes of memory to unpack; are the rows "
            "that large? If so, write it anew with smaller groups of rows"
        ) from None
    # UnicodeDecodeError, a ValueError, comes from a string column that is not UTF-8.
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"{where}: not a whole Parquet file ({error})") from None


def _of_group(file: pq.ParquetFile, group: int) -> Iterator[dict[str, Any]]:
    """The rows of a group, one at a time where there is no room for more: what a row takes, no number in it says."""
    done = 0
    for size in (PARQUET_BATCH, 1):
        before = done
        batches = file.iter_batches(size, row_groups=[group], use_threads=False)
        try:
            while True:
                with bounded_memory(PARQUET_BYTES):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    if before:  # this one came already
                        before -= 1
                        continue
                    found = batch.to_pylist()
                    del batch
                found.reverse()
                while found:  # let go of each before the next batch
                    done += 1
                    yield found.pop()
        except MemoryError:
            if size == 1:
                raise


def _lines(where: str, stream: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Number and text of every line. They are decoded one by one, so that a message can name the line at fault."""
    number = 0
    while True:
        number += 1
        place = f"{where}: line {number}"
        try:
            raw = stream.readline(MAX_LINE_BYTES + 1)
        except DAMAGE as error:
            raise UserError(f"{place}: the file is damaged from here ({error})") from None
        if not raw:
            return
        if len(raw) > MAX_LINE_BYTES:
            raise UserError(_too_long(place))
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = f"byte {error.object[error.start]:#04x}"
            raise UserError(f"{place} is not UTF-8 ({found}: {error.reason}); save the file in UTF-8") from None
        if "\0" in text:
            raise UserError(f"{place} has a NUL byte, which no text has; is the file whole, and in UTF-8?")
        yield number, text


def _check_columns(place: str, names: Sequence[str], needed: Collection[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        there = ", ".join(map(repr, names[:20])) or "none"
        raise UserError(f"{place}: there is no {missing[0]!r}; found: {there}"[:1000])
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise UserError(f"{place}: {twice[:200]!r} is there twice")


def _check_texts(place: str, value: Any) -> int:
    """Raise ``UserError`` if a string in ``value`` is no text; the number of all characters and other values in it."""
    if isinstance(value, str):
        found = NO_TEXT.search(value)
        if found:
            raise UserError(f"{place} has the character U+{ord(found[0]):04X}, which no text has")
        return len(value)
    if isinstance(value, Mapping):
        return sum(_check_texts(place, part) for pair in value.items() for part in pair)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return sum(_check_texts(place, part) for part in value)
    return 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ``ValueError`` for a key that stands twice, of which the last would count."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:200]!r} is there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _too_long(place: str) -> str:
    return f"{place} is longer than {MAX_ROW_CHARS:,} characters, the limit of a row"
