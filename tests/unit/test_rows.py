"""Rows of CSV, JSON lines and Parquet: what comes out, that it streams, and one message for each kind of bad file."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora import rows as rows_module
from rationale_eval.corpora.instances import MAX_ROW_CHARS
from rationale_eval.corpora.rows import csv_rows, jsonl_rows, parquet_rows, rows
from rationale_eval.errors import UserError

NEEDED = ("id", "text")
ROWS = [{"id": "a", "text": 'He said "no",\nthen left'}, {"id": "b", "text": "naïve “quotes” \u2028 and 日本"}]


def as_csv(table):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def as_jsonl(table):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table).encode()


def as_parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", as_csv(ROWS)),
        ("x.csv", b"\xef\xbb\xbf" + as_csv(ROWS)),
        ("X.CSV", as_csv(ROWS)),
        ("x.csv.gz", gzip.compress(as_csv(ROWS), mtime=0)),
        ("x.jsonl", as_jsonl(ROWS)),
        ("x.ndjson", b"\xef\xbb\xbf" + as_jsonl(ROWS)),
        ("x.json-lines.gz", gzip.compress(as_jsonl(ROWS), mtime=0)),
        ("x.parquet", as_parquet(ROWS)),
        ("x.parquet", as_parquet(ROWS, row_group_size=1)),
    ],
)
def test_the_ending_of_the_name_says_how_a_file_is_read(name, content):
    found = list(rows(f"data.zip -> {name}", io.BytesIO(content), NEEDED))
    assert found == [(f"data.zip -> {name}: row {number}", row) for number, row in enumerate(ROWS, start=1)]


def test_quotation_marks_of_a_tsv_are_part_of_its_text():
    # As in the files of SST, SNLI and GLUE: marks that open and do not close swallowed the rows between them.
    lines = ["id\ttext", '1\t"A film, he said', "2\tit's fine", '3\tthe "best" one"', '4\t"quoted"', '5\t""']
    found = rows("x.tsv", io.BytesIO("\n".join(lines).encode()), NEEDED)
    texts = ['"A film, he said', "it's fine", 'the "best" one"', '"quoted"', '""']
    assert [(row["id"], row["text"]) for _, row in found] == list(zip("12345", texts, strict=True))


def test_rows_of_a_csv_are_counted_without_empty_lines_and_those_of_json_lines_with_them():
    content = b"id,text\r\n\r\na,x\r\n\r\nb,y"
    assert [place for place, _ in csv_rows("f", io.BytesIO(content), NEEDED)] == ["f: row 1", "f: row 2"]
    content = b'\n{"id": 1, "text": ""}\n \n{"id": null, "text": "\\u00e9"}'
    found = list(jsonl_rows("f", io.BytesIO(content), NEEDED))
    assert found == [("f: row 2", {"id": 1, "text": ""}), ("f: row 4", {"id": None, "text": "é"})]


def test_values_of_json_lines_and_parquet_keep_their_types():
    table = [{"id": 1, "text": "a", "mask": [0, 1], "nested": {"masks": [[True], []]}, "none": None}]
    assert [row for _, row in rows("x.jsonl", io.BytesIO(as_jsonl(table)), NEEDED)] == table
    assert [row for _, row in rows("x.parquet", io.BytesIO(as_parquet(table)), NEEDED)] == table


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_whatever_texts_a_csv_writer_and_json_wrote_are_read_back(pairs):
    # A cell that is only a carriage return ends a line for the reader if nothing quotes it, so everything is quoted.
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([NEEDED, *pairs])
    found = [tuple(row.values()) for _, row in csv_rows("f", io.BytesIO(text.getvalue().encode()), NEEDED)]
    assert found == pairs
    table = [dict(zip(NEEDED, pair, strict=True)) for pair in pairs]
    assert [row for _, row in jsonl_rows("f", io.BytesIO(as_jsonl(table)), NEEDED)] == table


class Endless(io.RawIOBase):
    """A file of ``head`` and then ``line`` for ever, which counts the bytes that were taken."""

    def __init__(self, head, line):
        self.parts, self.rest, self.taken = itertools.chain([head], itertools.repeat(line)), b"", 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.rest = self.rest or next(self.parts)
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        self.taken += size
        return size


@pytest.mark.parametrize(
    ("read", "head", "line"),
    [(csv_rows, b"id,text\n", b"1,x\n"), (jsonl_rows, b"\n", b'{"id": 1, "text": "x"}\n')],
)
def test_no_more_of_a_file_is_read_than_the_rows_asked_for(read, head, line):
    endless = Endless(head, line)
    found = itertools.islice(read("f", io.BufferedReader(endless), NEEDED), 1000)
    assert sum(1 for _ in found) == 1000
    assert endless.taken < 1000 * len(line) + 2 * io.DEFAULT_BUFFER_SIZE


@pytest.mark.parametrize("head", [b"id,text\n", b'id,text\n1,"'])
def test_an_endless_line_or_cell_is_refused_before_it_fills_the_memory(head):
    endless = Endless(head, b"words and words " if head.endswith(b"\n") else b"words\n")
    with pytest.raises(UserError, match="longer than 1,000,000 characters"):
        list(csv_rows("f", io.BufferedReader(endless), NEEDED))
    assert endless.taken < 5 * MAX_ROW_CHARS


def test_a_row_may_be_as_long_as_the_limit():
    long = "é" * (MAX_ROW_CHARS - len("1,\n"))
    assert [row["text"] for _, row in csv_rows("f", io.BytesIO(f"id,text\n1,{long}\n".encode()), NEEDED)] == [long]
    with pytest.raises(UserError, match=r"f: row 1 \(from line 2\) is longer"):
        list(csv_rows("f", io.BytesIO(f"id,text\n1,{long}x\n".encode()), NEEDED))


GOOD = b"id,text\n1,x\n"
DEEP = b"[" * 100_000
PARQUET = as_parquet(ROWS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "x.csv: the file is empty; a header with id, text"),
        ("x.csv", b"\n\n", "the file is empty"),
        ("x.csv", b"id,words\n1,x\n", "there is no 'text'; found: 'id', 'words'"),
        ("x.csv", b"id,text,text\n1,x,y\n", "'text' is there twice"),
        ("x.csv", GOOD + b"2,x,y\n", r"row 2 \(from line 3\) has 3 cells, but the header has 2"),
        ("x.csv", GOOD + b"2\n", r"row 2 \(from line 3\) has 1 cells"),
        ("x.csv", GOOD + b'2,"x\n3,y\n', r"row 2 \(from line 3\): unexpected end of data; are its quotation"),
        ("x.csv", GOOD + b'2,"x"y\n', r"row 2 \(from line 3\): .* quotation marks"),
        ("x.csv", b'"id,text\n1,x\n', r"the header \(from line 1\): unexpected end of data"),
        ("x.csv", GOOD + b"2,x\0y\n", "line 3 has a NUL byte"),
        ("x.csv", GOOD + "2,é\n".encode("latin-1"), "line 3 is not UTF-8 .byte 0xe9"),
        ("x.csv", GOOD.decode().encode("utf-16"), "line 1 is not UTF-8"),
        ("x.csv", GOOD.decode().encode("utf-16-le"), "line 1 has a NUL byte"),
        ("x.csv", b"id,text\r1,x\r", r"the header \(from line 1\): new-line character"),
        ("x.csv", GOOD + b"2," + b"x" * MAX_ROW_CHARS, r"row 2 \(from line 3\) is longer .*; is a quotation mark left"),
        ("x.csv.gz", gzip.compress(GOOD * 100, mtime=0)[:-12], "the file is damaged from here"),
        ("x.csv.gz", GOOD, "line 1: the file is damaged from here"),
        ("x.tsv", GOOD, "there is no 'id'; found: 'id,text'"),
        (
            "x.tsv",
            b'id\ttext\n1\tx\n2\t"a ""b"" c"\n',
            "row 2: the cell of 'text' is quoted as in CSV .*has no quoting",
        ),
        ("x.tsv", b'id\ttext\n1\t"a\tb"\n', r"row 1 \(from line 2\) has 3 cells, but the header has 2"),
        ("x.tsv", b"id\ttext\n1\ta\rb\n", r"row 1 \(from line 2\): .*; a carriage return stands within a line"),
        ("x.jsonl", b'{"id": 1, "text": "x", "text": "y"}', "row 1 is not JSON .the key 'text' is there twice"),
        ("x.jsonl", b'{"id": 1, "text": {"a": 1, "a": 2}}', "row 1 is not JSON .the key 'a' is there twice"),
        ("x.jsonl", b'{"id": 1, "text": ', r"row 1 is not JSON \(Expecting value at character"),
        ("x.jsonl", b'[\n{"id": 1, "text": "x"}\n]', "row 1 is not JSON .* every line must hold one whole object"),
        ("x.jsonl", b'[{"id": 1, "text": "x"}]', "row 1 is JSON but not an object"),
        ("x.jsonl", b'{"id": 1, "text": "x"}\n{"id": 2}', "row 2: there is no 'text'; found: 'id'"),
        ("x.jsonl", b'{"id": NaN, "text": "x"}', "row 1 is not JSON .NaN is not a JSON value"),
        ("x.jsonl", b'{"id": ' + DEEP + b"}", "row 1 is not JSON"),
        ("x.jsonl", b'{"id": ' + b"9" * 5000 + b', "text": ""}', "row 1 is not JSON"),
        ("x.jsonl", b'{"id": 1, "text": "\0"}', "line 1 has a NUL byte"),
        ("x.jsonl", b'{"id": 1, "text": ["\\u0000"]}', r"row 1 has the character U\+0000"),
        ("x.jsonl", b'{"id": 1, "text": "\\ud83d"}', r"row 1 has the character U\+D83D"),
        ("x.jsonl", b'{"id": 1, "text": "' + b"x" * MAX_ROW_CHARS + b'"}', "row 1 is longer than 1,000,000"),
        ("x.jsonl", b'{"id": 1, "text": "\xff"}', "line 1 is not UTF-8"),
        ("x.parquet", b"", "x.parquet: not a whole Parquet file"),
        ("x.parquet", GOOD, "not a whole Parquet file"),
        ("x.parquet", PARQUET[: len(PARQUET) // 2], "not a whole Parquet file"),
        ("x.parquet", PARQUET[:8] + b"\xff" * 40 + PARQUET[48:], "not a whole Parquet file"),
        ("x.parquet", as_parquet([{"id": 1, "words": "x"}]), "there is no 'text'; found: 'id', 'words'"),
        ("x.parquet", as_parquet([{"id": 1, "text": ["x", "\0"]}]), r"row 1 has the character U\+0000"),
        ("x.parquet", as_parquet([{"id": 1, "text": "x" * (MAX_ROW_CHARS + 1)}]), "row 1 is longer than"),
        ("x.txt", GOOD, "x.txt: the name must end in one of .csv, .tsv, .jsonl"),
        ("x.parquet.gz", PARQUET, "the name must end in"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_row(name, content, message):
    with pytest.raises(UserError, match=message) as raised:
        list(rows(f"data/{name}", io.BytesIO(content), NEEDED))
    assert str(raised.value).startswith(f"data/{name}")
    assert len(str(raised.value)) < 400


def test_rows_before_a_bad_one_come_out_and_none_after_it():
    reader = csv_rows("f", io.BytesIO(GOOD + b"2\n3,z\n"), NEEDED)
    assert next(reader) == ("f: row 1", {"id": "1", "text": "x"})
    with pytest.raises(UserError, match="row 2"):
        next(reader)
    assert list(reader) == []


def test_strings_of_parquet_that_are_not_utf_8_are_refused():
    values = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "text": values}), sink)
    with pytest.raises(UserError, match="f: not a whole Parquet file"):
        list(parquet_rows("f", sink, NEEDED))


@pytest.mark.parametrize("room", [None, 20_000_000])
def test_rows_of_parquet_come_once_each_with_and_without_room_for_many(monkeypatch, room):
    table = [{"id": str(number), "text": f"{number % 7}" * 200_000 if room else "x"} for number in range(700)]
    content = as_parquet(table, row_group_size=300)
    if room:
        monkeypatch.setattr(rows_module, "PARQUET_BYTES", room)
    assert [row for _, row in parquet_rows("f", io.BytesIO(content), NEEDED)] == table


def test_values_without_characters_count_in_a_row_of_parquet():
    content = as_parquet([{"id": "a", "text": "x", "mask": [0] * (MAX_ROW_CHARS + 1)}])
    with pytest.raises(UserError, match="row 1 is longer"):
        list(parquet_rows("f", io.BytesIO(content), NEEDED))
