"""Parquet tables with a declared schema, checked on write and on read, and provenance in the file's metadata.

A table appears under its name only when it is whole: it is written to a temporary file in the same folder, flushed to
the disk and renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rationale_eval.errors import UserError

METADATA_KEY = b"rationale_eval"


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
            raise UserError(f"{where}: {self.name} table has several rows with the same {', '.join(self.key)}")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON under a temporary name, then rename it."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8 under a temporary name, then rename it."""
    partial = _partial(path)
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_table(
    path: Path, rows: Iterable[Mapping[str, Any]], schema: TableSchema, provenance: Mapping[str, Any]
) -> None:
    """Check ``rows`` against ``schema`` and write them as one Parquet file.

    Raises ``UserError`` when a row lacks a column or breaks the schema.
    """
    rows = list(rows)
    names = set(schema.columns.names)
    for row in rows:
        if set(row) != names:
            raise UserError(f"{path}: row {row.get('id')!r} has the wrong columns: {sorted(set(row) ^ names)}")
    try:
        table = pa.Table.from_pylist(rows, schema=schema.columns)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise UserError(f"{path}: a value does not fit the {schema.name} table: {error}") from error
    schema.check(table, str(path))
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(provenance, sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        pq.write_table(table, partial, compression="zstd")
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_table(path: Path, schema: TableSchema) -> list[dict[str, Any]]:
    """Read and check a table; its rows as dictionaries.

    Raises ``UserError`` for a missing, damaged or different table.
    """
    table = _load(path)
    schema.check(table, str(path))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance that was stored with a table. Raises ``UserError`` where there is none."""
    metadata = _load(path).schema.metadata or {}
    if METADATA_KEY not in metadata:
        raise UserError(f"{path}: was not written by this pipeline (no provenance in its metadata)")
    provenance: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    return provenance


def _load(path: Path) -> pa.Table:
    try:
        # ParquetFile, not read_table: the latter opens a dataset, whose import alone takes as long as reading.
        with pq.ParquetFile(path) as file:
            return file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such table") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file ({error}); delete it and run again") from None


def _partial(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
