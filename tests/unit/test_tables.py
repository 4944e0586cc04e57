"""Tables: what is written is whole and as declared, or nothing is."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import time
import weakref
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rationale_eval import tables
from rationale_eval.errors import UserError
from rationale_eval.tables import (
    TableSchema,
    iter_table,
    read_provenance,
    read_table,
    write_json,
    write_table,
    write_text,
)

SCHEMA = TableSchema(
    name="example",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("sample", pa.int16()),
            pa.field("status", pa.string()),
            pa.field("scores", pa.list_(pa.float32())),
        ]
    ),
    key=("id", "sample"),
    required=("status",),
)
ROW = {"id": "a", "sample": 0, "status": "ok", "scores": [0.5, -1.25]}
OTHER = ROW | {"id": "b", "scores": None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "er" / "table.parquet"


@contextmanager
def suppress_refusal(messages):
    """Let a ``UserError`` pass and note its message; any other error fails the test."""
    try:
        yield
    except UserError as error:
        messages.append(str(error))


def files_of(path):
    return [found.name for found in path.parent.iterdir()] if path.parent.exists() else []


def test_rows_and_provenance_come_back_as_they_went(path):
    provenance = {"stage": "test", "spec": {"ratio": 0.1, "names": ["ä", "b"]}, "seed": 3}
    write_table(path, iter([ROW, OTHER]), SCHEMA, provenance)
    assert read_table(path, SCHEMA) == [ROW, OTHER]
    assert read_provenance(path) == provenance
    assert files_of(path) == ["table.parquet"]


def test_arrays_are_taken_and_kept_in_single_precision(path):
    values = np.array([0.1, 1e-30, 3e8])
    write_table(path, [ROW | {"scores": values}], SCHEMA, {})
    assert read_table(path, SCHEMA)[0]["scores"] == values.astype(np.float32).tolist()


def test_a_table_without_rows_is_a_table(path):
    write_table(path, [], SCHEMA, {})
    assert read_table(path, SCHEMA) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW | {"extra": 1}], r"row 'a' has the wrong columns: \['extra'\]"),
        ([{key: value for key, value in ROW.items() if key != "status"}], r"wrong columns: \['status'\]"),
        ([ROW, ROW], "several rows with the same id, sample"),
        ([ROW | {"status": None}], "column 'status' of the example table has an empty value"),
        ([ROW | {"id": None}], "column 'id' of the example table has an empty value"),
        ([ROW | {"sample": "many"}], "a value does not fit the example table"),
        ([ROW | {"sample": 70_000}], "a value does not fit the example table"),
        ([ROW | {"scores": 0.5}], "a value does not fit the example table"),
        ([ROW | {"scores": ["high"]}], "a value does not fit the example table"),
        ([ROW | {"status": "half a pair \ud83d"}], "a value does not fit the example table"),
    ],
)
def test_rows_that_break_the_schema_are_refused_and_leave_nothing(path, rows, message):
    with pytest.raises(UserError, match=message) as caught:
        write_table(path, rows, SCHEMA, {})
    assert str(path) in str(caught.value)
    assert files_of(path) == []


@pytest.mark.parametrize("failing", ["write_table", "close", "fsync", "replace"])
def test_a_failure_in_mid_write_leaves_the_old_table_and_no_other_file(path, monkeypatch, failing):
    write_table(path, [ROW], SCHEMA, {})
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    if failing in ("write_table", "close"):
        whole = getattr(tables.pq.ParquetWriter, failing)

        def half_written(*args):
            whole(*args)
            (partial,) = set(files_of(path)) - {"table.parquet"}
            assert (path.parent / partial).stat().st_size > 0
            fail()

        monkeypatch.setattr(tables.pq.ParquetWriter, failing, half_written)
    elif failing == "fsync":
        monkeypatch.setattr(tables.os, "fsync", fail)
    else:
        monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_table(path, [OTHER], SCHEMA, {})
    if failing in ("fsync", "replace"):
        with pytest.raises(OSError, match="no space left"):
            write_text(path.parent / "card", "text")
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert files_of(path) == ["table.parquet"]


@pytest.fixture
def small_groups(monkeypatch):
    """Row groups of ten rows."""
    monkeypatch.setattr(tables, "ROW_GROUP", 10)


def numbered(count):
    return [ROW | {"id": f"row {number}", "scores": [float(number)]} for number in range(count)]


def test_many_rows_are_written_group_by_group_in_their_order(path):
    rows = numbered(2 * tables.ROW_GROUP + 5)
    assert write_table(path, iter(rows), SCHEMA, {}) == len(rows)
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [tables.ROW_GROUP, tables.ROW_GROUP, 5]
    assert read_table(path, SCHEMA) == rows == list(iter_table(path, SCHEMA))


class CountedRow(dict):
    """A row that can be counted as long as something holds it."""

    __hash__ = object.__hash__


def test_rows_of_a_generator_are_let_go_as_they_are_written(path, small_groups):
    alive, most = weakref.WeakSet(), [0]

    def rows():
        for row in numbered(500):
            counted = CountedRow(row)
            alive.add(counted)
            most[0] = max(most[0], len(alive))
            yield counted

    assert write_table(path, rows(), SCHEMA, {}) == 500
    assert 10 <= most[0] <= 2 * tables.ROW_GROUP + 1


@pytest.mark.parametrize("place", [0, 9, 10, 34])
def test_a_key_of_an_earlier_group_is_refused_and_named(path, small_groups, place):
    rows = [*numbered(35), ROW | {"id": f"row {place}"}]
    with pytest.raises(
        UserError, match=rf"several rows with the same id, sample: id 'row {place}', sample 0$"
    ) as caught:
        write_table(path, iter(rows), SCHEMA, {})
    assert str(path) in str(caught.value)
    assert files_of(path) == []
    rows[-1] |= {"sample": 1}
    assert write_table(path, iter(rows), SCHEMA, {}) == 36


def test_provenance_holds_what_was_counted_while_the_rows_were_made(path, small_groups):
    counts = {"even": 0, "odd": 0}

    def rows():
        for number, row in enumerate(numbered(35)):
            counts["odd" if number % 2 else "even"] += 1
            yield row

    write_table(path, rows(), SCHEMA, {"counts": counts})
    assert read_provenance(path)["counts"] == {"even": 18, "odd": 17}


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (ROW | {"extra": 1}, UserError, "wrong columns"),
        (ROW | {"status": None}, UserError, "has an empty value"),
        (ROW | {"scores": "high"}, UserError, "a value does not fit"),
        (None, RuntimeError, "the source broke"),
    ],
)
@pytest.mark.parametrize("before", [False, True], ids=["fresh", "over-an-old-table"])
def test_a_fault_in_a_late_row_leaves_what_was_there(path, small_groups, bad, error, message, before):
    if before:
        write_table(path, [OTHER], SCHEMA, {})

    def rows():
        yield from numbered(35)
        if bad is None:
            raise RuntimeError("the source broke")
        yield bad

    with pytest.raises(error, match=message):
        write_table(path, rows(), SCHEMA, {})
    assert files_of(path) == ["table.parquet"] * before
    if before:
        assert read_table(path, SCHEMA) == [OTHER]


def test_rows_are_read_one_by_one_and_each_part_is_checked(path, small_groups):
    write_table(path, numbered(35), SCHEMA, {})
    assert [row["id"] for row in itertools.islice(iter_table(path, SCHEMA), 12)] == [f"row {n}" for n in range(12)]
    late = [*numbered(25), ROW | {"id": "row 3"}, ROW | {"status": None}]
    pq.write_table(pa.Table.from_pylist(late, schema=SCHEMA.columns), path)
    rows = iter_table(path, SCHEMA)
    assert [next(rows)["id"] for _ in range(20)] == [f"row {n}" for n in range(20)]
    with pytest.raises(UserError, match="column 'status' of the example table has an empty value"):
        next(rows)


def test_what_is_no_table_is_refused_when_its_first_row_is_asked_for(path):
    with pytest.raises(UserError, match=r"table.parquet: there is no such table"):
        next(iter_table(path, SCHEMA))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 not a table PAR1")
    with pytest.raises(UserError, match="delete it and run again"):
        next(iter_table(path, SCHEMA))
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(UserError, match="example table has columns"):
        next(iter_table(path, SCHEMA))


def test_text_and_json_are_written_whole_and_readable(tmp_path):
    write_json(tmp_path / "new" / "card.json", {"b": 1, "a": "für"})
    assert (tmp_path / "new" / "card.json").read_text(encoding="utf-8") == '{\n  "a": "für",\n  "b": 1\n}\n'
    write_text(tmp_path / "new" / "card.json", "other")
    assert [(found.name, found.read_text()) for found in (tmp_path / "new").iterdir()] == [("card.json", "other")]


def test_a_missing_table_is_named(path):
    with pytest.raises(UserError, match=r"table.parquet: there is no such table"):
        read_table(path, SCHEMA)
    with pytest.raises(UserError, match="there is no such table"):
        read_provenance(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table at all", b"PAR1" + b"\0" * 200 + b"PAR1"])
def test_a_file_that_is_no_table_is_refused_with_advice(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match="delete it and run again") as caught:
        read_table(path, SCHEMA)
    assert str(path) in str(caught.value)


def test_a_table_cut_short_anywhere_is_refused(path):
    write_table(path, [ROW | {"id": str(number)} for number in range(50)], SCHEMA, {})
    whole = path.read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="delete it and run again"):
            read_table(path, SCHEMA)


def test_a_damaged_byte_gives_a_message_or_does_no_harm(path):
    chance = random.Random(0)
    rows = [ROW | {"id": f"{number}", "scores": [chance.random()]} for number in range(200)]
    write_table(path, rows, SCHEMA, {})
    whole = path.read_bytes()
    refusals = []
    for place in range(4, len(whole), 29):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress_refusal(refusals):
            read_table(path, SCHEMA)
    assert len(refusals) > 10
    assert all(str(path) in message for message in refusals)


def test_other_columns_types_and_provenance_are_noticed_on_reading(path):
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(UserError, match="example table has columns \\['id'\\]"):
        read_table(path, SCHEMA)
    with pytest.raises(UserError, match="was not written by this pipeline"):
        read_provenance(path)
    wider = SCHEMA.columns.set(1, pa.field("sample", pa.int64()))
    pq.write_table(pa.Table.from_pylist([ROW], schema=wider), path)
    with pytest.raises(UserError, match="column 'sample' is int64, not int16"):
        read_table(path, SCHEMA)
    pq.write_table(pa.Table.from_pylist([ROW, ROW], schema=SCHEMA.columns), path)
    with pytest.raises(UserError, match="several rows"):
        read_table(path, SCHEMA)


def _rewrite_for_ever(path):
    number = 0
    while True:
        number += 1
        write_table(path, [ROW | {"id": str(place), "sample": number % 100} for place in range(3000)], SCHEMA, {})


def test_a_table_is_whole_after_its_writer_was_killed(path):
    write_table(path, [ROW], SCHEMA, {})
    chance = random.Random(4)
    for _ in range(3):
        writer = multiprocessing.get_context("fork").Process(target=_rewrite_for_ever, args=(path,))
        writer.start()
        time.sleep(0.05 + 0.1 * chance.random())
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        rows = read_table(path, SCHEMA)
        assert len(rows) in (1, 3000)
        assert len({row["sample"] for row in rows}) == 1


def test_what_a_killed_job_left_of_a_table_is_deleted_when_it_is_made(tmp_path):
    path = tmp_path / "table[1].parquet"
    (tmp_path / ".table[1].parquet.999999999.partial").write_text("half")
    (tmp_path / f".table[1].parquet.{os.getppid()}.partial").write_text("under way")
    (tmp_path / ".table1.parquet.999999999.partial").write_text("another's")
    write_text(path, "whole")
    assert path.read_text() == "whole"
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {path.name, f".table[1].parquet.{os.getppid()}.partial", ".table1.parquet.999999999.partial"}


def test_long_rows_are_written_and_read_few_at_a_time(path, monkeypatch):
    monkeypatch.setattr(tables, "ROW_GROUP_CELLS", 1000)
    rows = [ROW | {"id": str(number), "scores": [0.5] * 300} for number in range(10)]
    assert write_table(path, iter(rows), SCHEMA, {}) == 10
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [4, 4, 2]
    assert list(iter_table(path, SCHEMA)) == read_table(path, SCHEMA) == rows
