"""Which files an attempt at their inputs has left behind, from records as Snakemake keeps them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rationale_eval.study_unfinished import INCOMPLETE, METADATA, mark_unfinished, record_path

A, B, C = ("out/a.parquet", "out/b.parquet", "out/c.parquet")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """``run(path, inputs, start, end)``: the file is there, and the record of the job that made it."""
    monkeypatch.chdir(tmp_path)
    INCOMPLETE.mkdir(parents=True)
    METADATA.mkdir()

    def make(path, inputs, start, end):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("")
        record = {"input": inputs, "starttime": start, "endtime": end}
        record_path(METADATA, path).write_text(json.dumps(record))

    return make


def chain(run):
    """c is made from b, and b from a."""
    run(A, ["data.csv"], 0, 1)
    run(B, [A], 2, 3)
    run(C, [B], 4, 5)


def fails(run, path, inputs, start):
    run(path, inputs, start, start + 1)
    Path(path).unlink()


def test_nothing_is_marked_where_all_is_there(run):
    chain(run)
    assert mark_unfinished("out") == []
    assert list(INCOMPLETE.iterdir()) == []


def test_what_was_deleted_by_hand_is_not_missed(run):
    chain(run)
    Path(A).unlink()
    Path(B).unlink()
    assert mark_unfinished("out") == []


def test_what_is_older_than_an_attempt_at_its_input_is_marked(run):
    chain(run)
    fails(run, A, ["data.csv"], 10)
    assert mark_unfinished("out") == [B]
    assert json.loads(record_path(INCOMPLETE, B).read_text()) == {"external_jobid": None}
    assert not record_path(INCOMPLETE, C).exists()


def test_a_missing_file_between_is_no_wall(run):
    chain(run)
    fails(run, A, ["data.csv"], 10)
    Path(B).unlink()
    assert mark_unfinished("out") == [C]


def test_a_job_that_was_killed_has_left_a_mark(run):
    chain(run)
    Path(A).unlink()
    mark = record_path(INCOMPLETE, A)
    mark.write_text("{}")
    os.utime(mark, (2.5, 2.5))  # before b was made
    assert mark_unfinished("out") == []
    os.utime(mark, (10, 10))
    assert mark_unfinished("out") == [B]


def test_other_results_and_odd_records_are_left_alone(run):
    chain(run)
    fails(run, A, ["data.csv"], 10)
    record_path(METADATA, C).write_text("{")
    (METADATA / "notes.txt").write_text("no record")
    assert mark_unfinished("other") == []
    assert mark_unfinished("ou") == []
    assert mark_unfinished("out") == [B]


def test_records_that_are_no_records_or_go_in_a_circle_are_no_fault(run):
    chain(run)
    for path, inputs in ((A, [B]), (B, [A]), ("out/x", 3), ("out/y", [1, None])):
        run(path, inputs, "abc", None)
        Path(path).unlink()
    assert mark_unfinished("out") == []
    names = [f"out/{number}" for number in range(2000)]
    for name, before in zip(names, [A, *names], strict=False):
        run(name, [before], 0, 1)
        Path(name).unlink()
    run(C, [names[-1]], 4, 5)
    fails(run, A, ["data.csv"], 10)
    assert mark_unfinished("out") == [C]


def test_without_a_single_record_nothing_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mark_unfinished("out") == []
    assert list(tmp_path.iterdir()) == []


def test_records_of_long_paths_are_found(run):
    long = "out/" + "x" * 200 + ".parquet"
    record = record_path(METADATA, long)
    record.parent.mkdir(parents=True)
    Path("out").mkdir()
    run(A, ["data.csv"], 0, 1)
    run(long, [A], 2, 3)
    fails(run, A, ["data.csv"], 10)
    assert record.parent != METADATA
    assert mark_unfinished("out") == [long]
