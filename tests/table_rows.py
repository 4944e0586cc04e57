"""Rows of a corpus of one's own in the four kinds of rationale, and the settings that read them."""

from __future__ import annotations

import csv
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
from rationale_eval.corpora.instances import Word
from rationale_eval.corpora.table import read

TEXT = "A film with great acting."
MARKED = "A film with *great acting.*"
WORDS = (Word(0, 0, 1), Word(0, 2, 6), Word(0, 7, 11), Word(0, 12, 17), Word(0, 18, 25))
MASK = (False, False, False, True, True)
# The same rationale in every way of saying it.
SAYING = {
    "word_indices": [3, 4],
    "mask": [0, 0, 0, 1, 1],
    "char_spans": [[12, 25]],
    "marked_text": MARKED,
}


def spec_of(kind="word_indices", field=None, words=None, **changes):
    return {
        "archive": [],
        "train": ["train.*"],
        "test": ["test.*"],
        "bad_rows": "error",
        "fields": {"text": "review"},
        "label": "verdict",
        "labels": None,
        "id": None,
        "group": None,
        "rationale": {"kind": kind, "column": "why", "field": field, "words": words},
        "annotators": None,
        "aggregation": "majority",
    } | changes


PAIR = {"fields": {"premise": "first", "hypothesis": "second"}}


def row(why=None, **more):
    return {"review": TEXT, "verdict": "good", "why": why} | more


def pair(why=None, **more):
    return {"first": "A dog runs.", "second": "It is fast.", "verdict": "yes", "why": why} | more


def read_rows(folder, rows, spec, ending="jsonl", side="test", left_out=None):
    """What is read of these rows, written to a file of that kind."""
    path = folder / f"{side}.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif ending == "csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            for row in rows:
                cells = {
                    name: json.dumps(cell) if isinstance(cell, list | dict) else cell for name, cell in row.items()
                }
                writer.writerow(cells)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return list(read(folder, spec, side, Counter() if left_out is None else left_out))
