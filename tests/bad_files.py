"""Specs of corpora in every format, and files of theirs with one thing changed: what ``test_bad_data`` reads."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SPLIT = {"rows": None, "seed": 13, "archive": [], "bad_rows": "error"}
TABLE = {
    **SPLIT,
    "format": "table",
    "train": ["train.jsonl"],
    "test": ["test.jsonl"],
    "fields": {"text": "review"},
    "label": "verdict",
    "labels": None,
    "id": "key",
    "group": None,
    "rationale": {"kind": "mask", "column": "marks", "field": None, "words": None},
    "annotators": None,
    "aggregation": "majority",
    "test_share": None,
}
ESNLI = {
    **SPLIT,
    "format": "esnli",
    "train": ["train.csv"],
    "test": ["test.csv"],
    "aggregation": "majority",
}
ERASER = {
    **SPLIT,
    "format": "eraser",
    "train": ["train.jsonl"],
    "test": ["test.jsonl"],
    "docs": "docs",
    "query_field": "claim",
    "document_field": "evidence",
    "evidence_groups": "union",
    "max_words": None,
    "labels": None,
}
BIOS = {
    **SPLIT,
    "format": "medical_bios",
    "train": ["train.jsonl"],
    "test": ["test.jsonl"],
    "setting": "standard",
}
SNIPPETS = {
    "rows": None,
    "seed": 13,
    "format": "rated_snippets",
    "archive": [],
    "snippets": "snippets.tsv",
    "lexicon": "lexicon.tsv",
    "lexicon_encoding": "utf-8",
    "min_rating": 0.75,
    "min_word_rating": 1.0,
    "min_words": 2,
    "max_words": 40,
    "test_share": 0.5,
}
CSV = {**TABLE, "test": ["test.csv"]}
PARQUET = {**TABLE, "test": ["test.parquet"]}
ZIP = {**TABLE, "archive": ["data.zip"]}
TAR = {**TABLE, "archive": ["data.tar.gz"]}


def kind(name: str, words: str | None = None) -> dict[str, Any]:
    return {**TABLE, "rationale": {"kind": name, "column": "marks", "field": None, "words": words}}


ROW = {"key": "r1", "review": "a fine film", "verdict": "good", "marks": [0, 1, 0]}
NEXT = {"key": "r2", "review": "a dull film", "verdict": "bad", "marks": [0, 1, 0]}


def jsonl(*rows: Any) -> bytes:
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()


def rows(**changed: Any) -> dict[str, bytes]:
    """A table whose second row is changed."""
    return {"test.jsonl": jsonl(ROW, {**NEXT, **changed})}


def parquet(*found: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(found)), stream)
    return stream.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return stream.getvalue()


def encrypted() -> bytes:
    """A zip whose headers say that its member is encrypted: the standard library writes none."""
    content = bytearray(zipped({"test.jsonl": jsonl(ROW)}))
    content[6] |= 1  # the flags of the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and those of the central one
    return bytes(content)


def tarred(*members: tuple[str, bytes], link: str | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as made:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            made.addfile(about, io.BytesIO(content))
        if link is not None:
            about = tarfile.TarInfo("test.jsonl")
            about.type, about.linkname = tarfile.SYMTYPE, link
            made.addfile(about)
    return stream.getvalue()


HEADER = "pairID,gold_label,Sentence1,Sentence2,Sentence1_marked_1,Sentence2_marked_1\n"


def esnli(*lines: str) -> dict[str, bytes]:
    return {"test.csv": (HEADER + "p1,neutral,A dog,A cat,A *dog*,A *cat*\n" + "".join(lines)).encode()}


FACT = {
    "annotation_id": "f1",
    "classification": "SUPPORTS",
    "query": "Rome is old .",
    "docids": None,
    "evidences": [[{"docid": "Rome", "start_token": 0, "end_token": 2, "text": "Rome is"}]],
}


def eraser(row: Any = FACT, docs: bytes = b"Rome is a city .\nIt is old .\n", name: str = "Rome") -> dict[str, bytes]:
    return {"test.jsonl": jsonl(row), f"docs/{name}": docs}


def evidence(**changed: Any) -> dict[str, bytes]:
    return eraser({**FACT, "evidences": [[{**FACT["evidences"][0][0], **changed}]]})


BIO = {
    "text": "She treats teeth",
    "label": 3,
    "words": ["She", "treats", "teeth"],
    "rationale": [0, 1, 1],
    "contrastive_rationale": [0, 0, 1],
    "foil": 1,
    "annotations": [[0, 1, 1]],
}


def bio(**changed: Any) -> dict[str, bytes]:
    found = {**BIO, **changed}
    return {"test.jsonl": jsonl({key: value for key, value in found.items() if value is not ...})}


LEXICON = b"fine\t2.0\ndull\t-2.0\n"
ARCHIVED = jsonl(ROW, NEXT)
