"""The report's own tables as files: Parquet with a declared schema, and CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from rationale_eval.report.aggregate import Row
from rationale_eval.report.layout import CELL
from rationale_eval.tables import TableSchema, write_table, write_text

_TEXT = frozenset(
    {
        *(*CELL, "family", "method", "other", "label", "kind", "budget", "baseline", "split", "group"),
        *("majority_predicted", "majority_gold", "flag"),
        *(
            "claim",
            "version",
            "measure",
            "verdict",
            "reason",
            "operator",
            "conclusion",
            "subject",
            "stage",
            "part",
            "shard",
        ),
    }
)
_COUNTS = frozenset(
    {"instances", "n", "labels", "epoch", "seeds", "steps", "capped", "corpora", "models", "left_out", "usable_n"}
)
_FLAGS = frozenset({"collapsed", "decides", "incomplete"})
_COUNTED = ("n_", "status_", "outcome_", "finish_")
_COUNTED_OPEN = ("status_", "finish_")
# One column for each value that occurs, after the others.
_OPEN = (*_COUNTED_OPEN, "metric_")


# What spreadsheets take for the beginning of a formula, in both widths, and what they leave out before one; but not a
# label that is a number.
_FORMULA = re.compile(r"(?![-+]\d*\.?\d+$)[=+\-@\t\r\n＝＋－＠]")


# Where the separator is another than the comma, a text goes on in a cell of its own.
_LATER = re.compile(r"(?<=.[;\t|])(\s*)(?=[=+\-@＝＋－＠])")


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = _LATER.sub(r"\1'", value)
    return f"'{value}" if _FORMULA.match(value) else value


def _type(column: str) -> pa.DataType:
    if column in _TEXT:
        return pa.string()
    if column in _FLAGS:
        return pa.bool_()
    return pa.int64() if column in _COUNTS or column.startswith(_COUNTED) else pa.float64()


def table_schema(name: str, columns: Sequence[str], rows: Sequence[Row]) -> TableSchema:
    """The schema of a report table: ``columns``, a count for each status and finish and the metrics in ``rows``."""
    more = sorted({key for row in rows for key in row if key.startswith(_OPEN)})
    fields = [pa.field(column, _type(column)) for column in (*columns, *more)]
    keys = (
        *("claim", *CELL, "epoch", "label", "method", "other", "budget", "split", "group"),
        *("operator", "conclusion", "subject", "stage", "part", "shard"),
    )
    key = tuple(column for column in keys if column in columns)
    key += ("measure",) if "conclusion" in columns else ()
    required = tuple(column for column in ("instances", "n", "collapsed") if column in columns)
    return TableSchema(name, pa.schema(fields), key, required)


def write(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Row], made: Mapping[str, Any]) -> None:
    """Write one table as ``name.parquet`` and ``name.csv`` (six significant digits, empty where not computed).

    In the CSV texts that a spreadsheet would run as formulas have an apostrophe before them, which it does not show.
    """
    schema = table_schema(name, columns, rows)
    nothing = {column: 0 if column.startswith(_COUNTED_OPEN) else None for column in schema.columns.names}
    rows = [nothing | row for row in rows]
    write_table(folder / f"{name}.parquet", rows, schema, made)
    frame = pd.DataFrame(rows, columns=schema.columns.names)
    texts = list(_TEXT.intersection(frame.columns))
    frame[texts] = frame[texts].map(_no_formula)
    # Python's writer sees no need to quote a carriage return, at which readers begin a row.
    broken = frame[texts].map(lambda value: isinstance(value, str) and "\r" in value).any(axis=None)
    quoting = csv.QUOTE_NONNUMERIC if broken else csv.QUOTE_MINIMAL
    write_text(
        folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n", quoting=quoting)
    )
