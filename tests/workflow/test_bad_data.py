"""Malformed corpora through the command that reads them: one message that says where, and no table, not even a part.

``python -m rationale_eval corpus`` is what Snakemake runs; here it is called within this process.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bad_files import (
    ARCHIVED,
    BIO,
    BIOS,
    CSV,
    ERASER,
    ESNLI,
    FACT,
    LEXICON,
    NEXT,
    PARQUET,
    ROW,
    SNIPPETS,
    TABLE,
    TAR,
    ZIP,
    bio,
    encrypted,
    eraser,
    esnli,
    evidence,
    jsonl,
    kind,
    parquet,
    rows,
    tarred,
    zipped,
)
from rationale_eval import __main__ as cli
from rationale_eval.corpora import archive, containers
from rationale_eval.tables import read_provenance

# what is wrong: (spec, files by name, the parts of the message)
CASES: dict[str, tuple[dict[str, Any], dict[str, bytes], list[str]]] = {
    # files
    "file missing": (TABLE, {"train.jsonl": jsonl(ROW)}, ["no file in it matches 'test.jsonl'", "'train.jsonl'"]),
    "folder empty": (TABLE, {}, ["no file in it matches 'test.jsonl'; it is empty"]),
    "file empty": (TABLE, {"test.jsonl": b""}, ["has no usable row for the test side"]),
    "csv empty": (CSV, {"test.csv": b""}, ["test.csv: the file is empty; a header with review"]),
    "ending unknown": (
        {**TABLE, "test": ["test.txt"]},
        {"test.txt": b"x"},
        ["test.txt: the name must end in one of .csv"],
    ),
    "encoding": (
        TABLE,
        {"test.jsonl": jsonl(ROW) + '{"review": "café"}'.encode("latin-1")},
        ["test.jsonl: line 2 is not UTF-8 (byte 0xe9"],
    ),
    "encoding of UTF-16": (
        CSV,
        {"test.csv": "key,review,verdict,marks\n".encode("utf-16")},
        ["test.csv: line 1 is not UTF-8"],
    ),
    "NUL byte": (TABLE, {"test.jsonl": jsonl(ROW) + b'{"review": "\0"}\n'}, ["test.jsonl: line 2 has a NUL byte"]),
    "NUL character": (TABLE, rows(review="a \0 film"), ["test.jsonl: row 2 has the character U+0000"]),
    "half a surrogate pair": (TABLE, rows(review="a \ud800 film"), ["test.jsonl: row 2 has the character U+D800"]),
    "row of a megabyte": (TABLE, rows(review="word " * 210_000), ["test.jsonl: row 2 is longer than 1,000,000"]),
    "cell of a megabyte": (
        CSV,
        {"test.csv": b"key,review,verdict,marks\nr1," + b"word " * 210_000 + b',good,"[]"\n'},
        ["test.csv: row 1 (from line 2) is longer than 1,000,000"],
    ),
    "no JSON": (TABLE, {"test.jsonl": jsonl(ROW, '{"key": "r2",')}, ["test.jsonl: row 2 is not JSON"]),
    "JSON of NaN": (TABLE, {"test.jsonl": jsonl(ROW, '{"key": NaN}')}, ["row 2 is not JSON (NaN is not a JSON value"]),
    "JSON too deep": (TABLE, {"test.jsonl": jsonl(ROW, "[" * 100_000)}, ["test.jsonl: row 2 is not JSON"]),
    "JSON of a list": (TABLE, {"test.jsonl": jsonl(ROW, [1])}, ["test.jsonl: row 2 is JSON but not an object"]),
    "parquet damaged": (PARQUET, {"test.parquet": parquet(ROW)[:-20]}, ["test.parquet: not a whole Parquet file"]),
    "parquet by name alone": (PARQUET, {"test.parquet": jsonl(ROW)}, ["test.parquet: not a whole Parquet file"]),
    "gzip cut off": (
        {**TABLE, "test": ["test.jsonl.gz"]},
        {"test.jsonl.gz": gzip.compress(jsonl(*[ROW] * 50), mtime=0)[:-12]},
        ["test.jsonl.gz: line ", "the file is damaged from here"],
    ),
    "csv ragged": (
        CSV,
        {"test.csv": b'key,review,verdict,marks\nr1,a film,good,"[0, 1]"\nr2,a film\n'},
        ["test.csv: row 2 (from line 3) has 2 cells, but the header has 4"],
    ),
    "csv quotation open": (
        CSV,
        {"test.csv": b'key,review,verdict,marks\nr1,"a film,good,[0]\n'},
        ["test.csv: row 1 (from line 2)", "are its quotation marks closed"],
    ),
    "csv column twice": (
        CSV,
        {"test.csv": b"key,review,review,verdict,marks\n"},
        ["test.csv: 'review' is there twice"],
    ),
    # rows of a table
    "column missing": (
        TABLE,
        {"test.jsonl": jsonl(ROW, {"key": "r2", "verdict": "bad"})},
        ["test.jsonl: row 2: there is no 'review'; found: 'key', 'verdict'"],
    ),
    "column missing in parquet": (
        PARQUET,
        {"test.parquet": parquet({"key": "r1", "review": "a film"})},
        ["test.parquet: there is no 'verdict'"],
    ),
    "text empty": (TABLE, rows(review=" \n"), ["test.jsonl: row 2: 'review' is empty"]),
    "text that is none": (TABLE, rows(review=["a"]), ["test.jsonl: row 2: 'review' is ['a'] (list), not a text"]),
    "label empty": (TABLE, rows(verdict=None), ["test.jsonl: row 2: 'verdict' is empty"]),
    "label unknown": (
        {**TABLE, "labels": {"good": "positive", "bad": "negative"}},
        rows(verdict="awful"),
        ["test.jsonl: row 2: ", "'awful'", "good"],
    ),
    "ids twice": (TABLE, rows(key="r1"), ["several rows with the same id: id 'r1'"]),
    "mask too long": (
        TABLE,
        rows(marks=[0, 1, 0, 1]),
        ["test.jsonl: row 2: 'marks' is a mask of 4 for 3 words"],
    ),
    "mask too short": (TABLE, rows(marks=[0]), ["test.jsonl: row 2: 'marks' is a mask of 1 for 3 words"]),
    "mask of other numbers": (TABLE, rows(marks=[0, 2, 0]), ["row 2: 'marks' is [0, 2, 0] (list), not a list of 0"]),
    "word number outside": (
        kind("word_indices"),
        {"test.jsonl": jsonl({**ROW, "marks": [1]}, {**NEXT, "marks": [3]})},
        ["test.jsonl: row 2: 'marks' marks word 3, but the 3 words have the numbers from 0 on"],
    ),
    "span outside": (
        kind("char_spans"),
        {"test.jsonl": jsonl({**ROW, "marks": [[2, 6]]}, {**NEXT, "marks": [[7, 30]]})},
        ["test.jsonl: row 2: 'marks' marks [7, 30), which is not within the text's characters [0, 11)"],
    ),
    "span backwards": (
        kind("char_spans"),
        {"test.jsonl": jsonl({**ROW, "marks": [[6, 2]]})},
        ["test.jsonl: row 1: 'marks' marks [6, 2)"],
    ),
    "asterisk alone": (
        kind("marked_text"),
        {"test.jsonl": jsonl({**ROW, "marks": "a *fine film"})},
        ["test.jsonl: row 1: 'marks' has an asterisk without its pair"],
    ),
    "marked text of another": (
        kind("marked_text"),
        {"test.jsonl": jsonl({**ROW, "marks": "a *good* film"})},
        ["test.jsonl: row 1: 'marks' without its asterisks is not the text"],
    ),
    "given word not in the text": (
        kind("mask", "words"),
        {"test.jsonl": jsonl({**ROW, "words": ["a", "great", "film"]})},
        ["test.jsonl: row 1: 'words': word 1, 'great', is not in the text"],
    ),
    "no rationale at all": (
        TABLE,
        {"test.jsonl": jsonl({**ROW, "marks": None}, {**NEXT, "marks": None})},
        ["none of the 2 test rows has a rationale in 'marks'; is the column right?"],
    ),
    "too few rows": (
        {**TABLE, "rows": 3},
        {"test.jsonl": jsonl(ROW, NEXT)},
        ["corpora.mine.test_rows: 3 rows were asked for", "only 2 usable ones"],
    ),
    # archives
    "archive missing": (ZIP, {"data.tar": b""}, ["there is no file 'data.zip' in it"]),
    "archive cut off": (
        ZIP,
        {"data.zip": zipped({"test.jsonl": ARCHIVED})[:-30]},
        ["data.zip: not a whole tar or zip"],
    ),
    "archive of tar cut off": (
        TAR,
        {"data.tar.gz": tarred(("test.jsonl", ARCHIVED))[:-20]},
        ["data.tar.gz: not a whole tar or zip archive"],
    ),
    "path that leads out": (
        {**ZIP, "test": ["*test.jsonl"]},
        {"data.zip": zipped({"../test.jsonl": ARCHIVED})},
        ["data.zip -> ../test.jsonl: has an absolute path or one with `..`"],
    ),
    "path from the root": (
        {**TAR, "test": ["*test.jsonl"]},
        {"data.tar.gz": tarred(("/etc/test.jsonl", ARCHIVED))},
        ["data.tar.gz -> /etc/test.jsonl: has an absolute path"],
    ),
    "link in an archive": (
        TAR,
        {"data.tar.gz": tarred(link="/etc/passwd")},
        ["data.tar.gz -> test.jsonl: is a link to '/etc/passwd', not a plain file"],
    ),
    "archive encrypted": (ZIP, {"data.zip": encrypted()}, ["data.zip -> test.jsonl: is encrypted"]),
    # the limits are lowered for the tests
    "file that swells": (
        ZIP,
        {"data.zip": zipped({"test.jsonl": jsonl(ROW) + b" " * 3_000_000})},
        ["data.zip -> test.jsonl: decompresses to more than the limit of 2000000 bytes for a file"],
    ),
    "archive that swells": (
        TAR,
        {"data.tar.gz": tarred(("test.jsonl", jsonl(ROW)), ("other", bytes(5_000_000)))},
        ["data.tar.gz: decompresses to more than the limit of 4000000 bytes for an archive"],
    ),
    # e-SNLI
    "esnli column missing": (
        ESNLI,
        {"test.csv": b"pairID,gold_label,Sentence1\n"},
        ["test.csv: there is no 'Sentence2'"],
    ),
    "esnli label": (
        ESNLI,
        esnli("p2,maybe,A dog,A cat,A *dog*,A *cat*\n"),
        ["test.csv: row 2 (pairID 'p2'): the gold_label 'maybe' is none of entailment"],
    ),
    "esnli asterisks": (
        ESNLI,
        esnli("p2,neutral,A dog,A cat,A *dog,A *cat*\n"),
        ["row 2 (pairID 'p2'): Sentence1_marked_1 has an asterisk that opens a highlight and none that closes it"],
    ),
    "esnli another sentence": (
        ESNLI,
        esnli("p2,neutral,A dog,A cat,A *wolf*,A *cat*\n"),
        ["row 2 (pairID 'p2'): Sentence1_marked_1 is not the sentence with asterisks added"],
    ),
    "esnli sentence empty": (
        ESNLI,
        esnli("p2,neutral,,A cat,,A *cat*\n"),
        ["row 2 (pairID 'p2'): the premise (Sentence1) is empty"],
    ),
    # ERASER
    "eraser document missing": (
        ERASER,
        eraser(name="Paris"),
        ["test.jsonl: row 1 (annotation_id 'f1'): there is no document 'Rome'"],
    ),
    "eraser folder missing": (ERASER, {"test.jsonl": jsonl(FACT)}, ["no file in it matches 'docs/*'"]),
    "eraser evidence outside": (
        ERASER,
        evidence(end_token=10),
        ["row 1 (annotation_id 'f1'): evidence [0, 10) lies outside document 'Rome', which has 9 tokens"],
    ),
    "eraser evidence of another text": (
        ERASER,
        evidence(text="Rome was"),
        ["row 1 (annotation_id 'f1'): evidence [0, 2) of document 'Rome' is said to read 'Rome was'"],
    ),
    "eraser label unknown": (
        {**ERASER, "labels": {"REFUTES": "no"}},
        eraser(),
        ["row 1 (annotation_id 'f1'): the classification 'SUPPORTS' is not one of ['REFUTES']"],
    ),
    "eraser document no text": (ERASER, eraser(docs=b"\xff"), ["Rome: the document is not UTF-8"]),
    # MedicalBios
    "bios mask too long": (
        BIOS,
        bio(rationale=[0, 1, 1, 1]),
        ["test.jsonl: row 1: `rationale` has 4 values for 3 words"],
    ),
    "bios annotator's mask": (
        BIOS,
        bio(annotations=[[0, 1]]),
        ["test.jsonl: row 1: `annotations[0]` has 2 values for 3 words"],
    ),
    "bios words": (
        BIOS,
        bio(words=["She", "pulls", "teeth"]),
        ["test.jsonl: row 1: word 2, 'pulls', does not go on with the text at 'treats teeth'"],
    ),
    "bios label": (BIOS, bio(label=9), ["test.jsonl: row 1: `label` 9 is none of 0 psychologist"]),
    "bios foil missing": (
        {**BIOS, "setting": "contrastive"},
        bio(foil=...),
        ["test.jsonl: row 1: `foil` None is none of 0 psychologist"],
    ),
    "bios mask missing": (BIOS, bio(rationale=...), ["test.jsonl: row 1: there is no 'rationale'"]),
    # rated sentences
    "rating": (
        SNIPPETS,
        {"snippets.tsv": b"1\tx\ta fine film\n", "lexicon.tsv": LEXICON},
        ["snippets.tsv: line 1: the rating 'x' is not a number"],
    ),
    "rated sentence without tabs": (
        SNIPPETS,
        {"snippets.tsv": b"1 2.0 a fine film\n", "lexicon.tsv": LEXICON},
        ["snippets.tsv: line 1 has 1 tab-separated parts, not 3"],
    ),
    "lexicon": (
        SNIPPETS,
        {"snippets.tsv": b"1\t2.0\ta fine film\n", "lexicon.tsv": b"fine\n"},
        ["lexicon.tsv: line 1 has no tab between word and rating"],
    ),
}

Read = Callable[[dict[str, Any], dict[str, bytes]], tuple[int, Path]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """``read(spec, files)`` runs the command on these files; its exit status and the table that it was to write."""

    def run(spec: dict[str, Any], files: dict[str, bytes]) -> tuple[int, Path]:
        source = tmp_path / "source"
        source.mkdir()
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        output = tmp_path / "out" / "test.parquet"
        arguments = ["--spec", json.dumps({"name": "mine", **spec}), "--source", str(source), "--side", "test"]
        return cli.main(["corpus", *arguments, "--output", str(output)]), output

    return run


@pytest.mark.parametrize("case", CASES)
def test_bad_data_is_one_message_and_no_table(
    case: str, read: Read, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 2_000_000)
    monkeypatch.setattr(containers, "MAX_ARCHIVE_BYTES", 4_000_000)
    spec, files, expected = CASES[case]
    status, output = read(spec, files)
    said = capsys.readouterr()
    assert status == 1
    assert said.err.startswith("error: ")
    assert said.err.count("error: ") == 1
    assert len(said.err.splitlines()) == 1
    assert len(said.err) < 1500
    assert "Traceback" not in said.err + said.out
    for part in expected:
        assert part in said.err
    assert not output.parent.exists() or list(output.parent.iterdir()) == []


LEAVING_OUT: dict[str, tuple[dict[str, Any], dict[str, bytes], int]] = {
    "table": (TABLE, {"test.jsonl": jsonl(ROW, {**NEXT, "marks": [1]}, {**NEXT, "review": ""})}, 2),
    "esnli": (ESNLI, esnli("p2,maybe,A dog,A cat,A *dog*,A *cat*\n"), 1),
    "eraser": (
        ERASER,
        {**eraser(), "test.jsonl": jsonl(FACT, {**FACT, "annotation_id": "f2", "docids": ["nowhere"]})},
        1,
    ),
    "medical_bios": (BIOS, {"test.jsonl": jsonl(BIO, {**BIO, "rationale": [1]}, {**BIO, "label": "nobody"})}, 2),
}


@pytest.mark.parametrize("case", LEAVING_OUT)
def test_bad_rows_can_be_left_out_and_are_counted(case: str, read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    spec, files, bad = LEAVING_OUT[case]
    status, output = read({**spec, "bad_rows": "leave_out"}, files)
    assert status == 0, capsys.readouterr().err
    assert pq.ParquetFile(output).metadata.num_rows == 1
    assert read_provenance(output)["left_out"] == {"bad_row": bad}


def test_a_damaged_file_is_an_error_even_where_bad_rows_are_left_out(
    read: Read, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output = read({**TABLE, "bad_rows": "leave_out"}, {"test.jsonl": jsonl(ROW, "no JSON")})
    assert status == 1
    assert "test.jsonl: row 2 is not JSON" in capsys.readouterr().err
    assert not output.exists()
