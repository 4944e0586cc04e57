"""Parquet tables with a declared schema, checked on write and on read, and provenance in the file's metadata.

A table appears under its name only when it is whole: it is written to a temporary file in the same folder, flushed to
the disk and renamed.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rationale_eval.errors import UserError

METADATA_KEY = b"rationale_eval"
ROW_GROUP = 4096  # rows that are held and written at a time
ROW_GROUP_CELLS = 1 << 23  # characters and values of lists in them; fewer rows where they hold more


@dataclass(frozen=True)
class TableSchema:
    """The contract of one kind of table.

    ``key`` names the columns that identify a row; ``required`` the columns without nulls (the key is always required).
    """

    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    required: tuple[str, ...] = ()

    def check(self, table: pa.Table, where: str) -> None:
        """Raise ``UserError`` unless ``table`` has these columns, unique keys and no nulls where none may be."""
        if table.schema.names != self.columns.names:
            raise UserError(f"{where}: {self.name} table has columns {table.schema.names}, not {self.columns.names}")
        for column in self.columns:
            if table.schema.field(column.name).type != column.type:
                found = table.schema.field(column.name).type
                raise UserError(f"{where}: column {column.name!r} is {found}, not {column.type}")
        for name in (*self.key, *self.required):
            if table.column(name).null_count:
                raise UserError(f"{where}: column {name!r} of the {self.name} table has an empty value")
        keys = table.select(list(self.key))
        distinct = keys.group_by(list(self.key)).aggregate([])
        if distinct.num_rows != keys.num_rows:
            counts = keys.group_by(list(self.key)).aggregate([([], "count_all")]).to_pylist()
            first = next(row for row in counts if row["count_all"] > 1)
            raise UserError(self.repeats(where, [first[name] for name in self.key]))

    def repeats(self, where: str, key: Sequence[Any]) -> str:
        """The message about a key that several rows have."""
        names = ", ".join(f"{name} {value!r}" for name, value in zip(self.key, key, strict=True))
        return f"{where}: {self.name} table has several rows with the same {', '.join(self.key)}: {names}"


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON under a temporary name, then rename it."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8 under a temporary name, then rename it."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def write_table(
    path: Path, rows: Iterable[Mapping[str, Any]], schema: TableSchema, provenance: Mapping[str, Any]
) -> int:
    """Check ``rows`` against ``schema`` and write them as one Parquet file; the number of rows.

    Rows may come from a generator: no more than ``ROW_GROUP`` of them are held, and little more than
    ``ROW_GROUP_CELLS`` of their characters and values. ``provenance`` is read after the
    last row, so that it may hold counts that grow meanwhile. Raises ``UserError`` when a row lacks a column, breaks the
    schema or repeats a key.
    """
    waiting, seen, count = iter(rows), set[bytes](), 0
    with whole_file(path) as partial:
        with pq.ParquetWriter(partial, schema.columns, compression="zstd") as writer:
            while chunk := _chunk(waiting):
                table = _table(path, chunk, schema)
                schema.check(table, str(path))
                for row in chunk:
                    key = [row[name] for name in schema.key]
                    # A part of each digest is plenty to tell keys apart, and millions of them stay small.
                    digest = hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).digest()[:16]
                    if digest in seen:
                        raise UserError(schema.repeats(str(path), key))
                    seen.add(digest)
                writer.write_table(table, ROW_GROUP)
                count += len(chunk)
            if not count:
                writer.write_table(schema.columns.empty_table())
            writer.add_key_value_metadata({METADATA_KEY: json.dumps(provenance, sort_keys=True)})
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
    return count


def _chunk(rows: Iterator[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The next rows that are written together."""
    chunk: list[Mapping[str, Any]] = []
    cells = 0
    for row in rows:
        chunk.append(row)
        cells += _cells(row.values())
        if len(chunk) == ROW_GROUP or cells >= ROW_GROUP_CELLS:
            break
    return chunk


def _cells(values: Iterable[Any]) -> int:
    """The characters and values in ``values``, which may be lists of lists or of texts."""
    count = 0
    for value in values:
        if isinstance(value, str):
            count += len(value)
        elif isinstance(value, list):
            deeper = value and isinstance(value[0], list | str)
            count += len(value) + (_cells(value) if deeper else 0)
    return count


def _table(path: Path, rows: list[Mapping[str, Any]], schema: TableSchema) -> pa.Table:
    names = set(schema.columns.names)
    for row in rows:
        if set(row) != names:
            raise UserError(f"{path}: row {row.get('id')!r} has the wrong columns: {sorted(set(row) ^ names)}")
    try:
        return pa.Table.from_pylist(rows, schema=schema.columns)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise UserError(f"{path}: a value does not fit the {schema.name} table: {error}") from error


def read_table(path: Path, schema: TableSchema) -> list[dict[str, Any]]:
    """Read and check a table; its rows as dictionaries.

    Raises ``UserError`` for a missing, damaged or different table.
    """
    table = load_table(path)
    schema.check(table, str(path))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def iter_table(path: Path, schema: TableSchema) -> Iterator[dict[str, Any]]:
    """The rows of a table one by one, as ``read_table`` gives them, a part of the file in memory at a time.

    Unlike there keys are checked within each part only.
    """
    with _opened(path) as file:
        for group in range(file.num_row_groups):  # a batch would span them, and they are as small as memory needs
            for batch in file.iter_batches(ROW_GROUP, row_groups=[group]):
                part = pa.Table.from_batches([batch])
                schema.check(part, str(path))
                yield from part.to_pylist()


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance that was stored with a table. Raises ``UserError`` where there is none."""
    with _opened(path) as file:
        metadata = file.metadata.metadata or {}
    if METADATA_KEY not in metadata:
        raise UserError(f"{path}: was not written by this pipeline (no provenance in its metadata)")
    provenance: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    return provenance


def load_table(path: Path) -> pa.Table:
    """A table as it is, unchecked. Raises ``UserError`` for a missing or damaged one."""
    with _opened(path) as file:
        return file.read()


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        # ParquetFile, not read_table: the latter opens a dataset, whose import alone takes as long as reading.
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such table") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file ({error}); delete it and run again") from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to: renamed to it at the end, deleted after an error.

    What a job that was killed has left of the same file is deleted too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if not _is_alive(leftover.name.split(".")[-2]):
            leftover.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # an open file's errors do not name it
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _is_alive(process: str) -> bool:
    """Whether the process of this number is there: on this machine, since of one table there is one job."""
    return process.isdecimal() and Path("/proc", process).exists()
