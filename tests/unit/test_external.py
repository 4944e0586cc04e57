"""Rationales made elsewhere: what becomes of their rows, and what is said of malformed ones."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.rationales.external import read_external
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_table, write_table


def instance(identifier, text):
    return Instance(identifier, "yes", {"text": text}, whitespace_words([text]), None)


INSTANCES = [instance("a", "one two three"), instance("b", "four five"), instance("7", "six")]
SCORES = [{"id": "b", "scores": [0.5, -2]}, {"id": "a", "scores": [1.0, 0.25, 1e-3]}, {"id": "7", "scores": [0.0]}]
SELECTED = [{"id": "b", "selected": [0, 1]}, {"id": "a", "selected": [1, 0, 1]}, {"id": "7", "selected": [0]}]


@pytest.fixture
def file_of(tmp_path):
    """``file_of(rows, ending)``: the path of a file with these rows."""

    def write(rows, ending="jsonl"):
        path = tmp_path / f"made.{ending}"
        if ending == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif ending == "csv":
            with path.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
                writer.writeheader()
                writer.writerows(
                    {name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in row.items()}
                    for row in rows
                )
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)
        return path

    return write


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize(
    ("rows", "gives", "expected"),
    [
        (SCORES, "scores", [[1.0, 0.25, 1e-3], [0.5, -2.0], [0.0]]),
        (SELECTED, "selected", [[True, False, True], [False, True], [False]]),
    ],
    ids=["scores", "selected"],
)
def test_rows_come_in_the_order_of_the_instances(file_of, tmp_path, ending, rows, gives, expected):
    found = list(read_external(file_of(rows, ending), INSTANCES, gives))
    wanted = [rationale_row(one.id, **{gives: values}) for one, values in zip(INSTANCES, expected, strict=True)]
    assert found == wanted
    assert all(type(value) is type(expected[0][0]) for row in found for value in row[gives])
    write_table(tmp_path / "rationales.parquet", found, RATIONALES, {})
    assert [row["status"] for row in read_table(tmp_path / "rationales.parquet", RATIONALES)] == ["ok"] * 3


def test_truth_values_select_too(file_of):
    found = read_external(file_of([{"id": "b", "selected": [True, False]}], "parquet"), INSTANCES[1:2], "selected")
    assert [row["selected"] for row in found] == [[True, False]]


def test_ids_may_be_whole_numbers(file_of):
    (found,) = read_external(file_of([{"id": 7, "scores": [3]}], "parquet"), INSTANCES[2:], "scores")
    assert (found["id"], found["scores"]) == ("7", [3.0])


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_samples_are_kept_apart_and_in_order(file_of, ending):
    rows = [
        {"id": "b", "sample": 2, "scores": [1.0, 2.0]},
        {"id": "b", "sample": 0, "scores": [3.0, 4.0]},
        {"id": "a", "sample": None, "scores": [1.0, 2.0, 3.0]},
    ]
    found = list(read_external(file_of(rows, ending), INSTANCES[:2], "scores"))
    assert [(row["id"], row["sample"], row["scores"][0]) for row in found] == [
        ("a", 0, 1.0),
        ("b", 0, 3.0),
        ("b", 2, 1.0),
    ]


def test_instances_without_a_row_are_not_given_and_other_ids_are_counted(file_of, capsys):
    rows = [*SCORES[:1], {"id": "elsewhere", "scores": [1.0]}, {"id": "elsewhere", "scores": []}]
    found = list(read_external(file_of(rows), INSTANCES, "scores"))
    assert [(row["id"], row["status"], row["scores"]) for row in found] == [
        ("a", "not_given", None),
        ("b", "ok", [0.5, -2.0]),
        ("7", "not_given", None),
    ]
    assert "rationales of 1 of 3 instances; 2 rows are of others and ignored" in capsys.readouterr().err


A = {"id": "a", "scores": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "b", "scores": [1.0]}, r"1 scores for the 2 words of instance 'b'"),
        ({"id": "b", "scores": [1.0, 2.0, 3.0]}, r"3 scores for the 2 words of instance 'b'"),
        ({"id": "b", "scores": []}, r"0 scores for the 2 words"),
        ({"id": "b", "scores": [1.0, None]}, r"the score of word 1 is None; it must be a finite number"),
        ({"id": "b", "scores": [1.0, "2"]}, r"the score of word 1 is '2'"),
        ({"id": "b", "scores": [True, 2.0]}, r"the score of word 0 is True"),
        ({"id": "b", "scores": [1.0, -1e39]}, r"the score of word 1 is -1e\+39; it must be a finite number"),
        ({"id": "b", "scores": [10**400, 1]}, r"the score of word 0 is 1000"),
        ({"id": "b", "scores": 3}, r"`scores` is not a list but int"),
        ({"id": "b", "scores": "1, 2"}, r"`scores` is not a list in JSON"),
        ({"id": "b", "scores": "[NaN, 2]"}, r"the score of word 0 is nan"),
        ({"id": "b"}, r"has neither `scores` nor `selected`; it must have one of them"),
        ({"id": "b", "scores": None, "selected": ""}, r"has neither"),
        ({"id": "b", "scores": [1, 2], "selected": [0, 1]}, r"has both `scores` and `selected`"),
        ({"id": "b", "selected": [0, 1]}, r"has `selected`, but the method is set to `gives: scores`, which all rows"),
        ({"id": "a", "scores": [1, 2, 3]}, r"id 'a', sample 0 stands in .*made.jsonl: row 1 already"),
        ({"id": "", "scores": [1, 2]}, r"the id is ''; it must be that of an instance"),
        ({"id": None, "scores": [1, 2]}, r"the id is None"),
        ({"id": True, "scores": [1, 2]}, r"the id is True"),
        ({"id": "b", "sample": -1, "scores": [1, 2]}, r"the sample is -1; it must be a whole number from 0 to 32767"),
        ({"id": "b", "sample": 32768, "scores": [1, 2]}, r"the sample is 32768"),
        ({"id": "b", "sample": 1.0, "scores": [1, 2]}, r"the sample is 1.0"),
        ({"id": "b", "sample": "x", "scores": [1, 2]}, r"the sample is 'x'"),
        ({"scores": [1, 2]}, r"there is no 'id'"),
    ],
)
def test_a_malformed_row_is_named(file_of, row, message):
    with pytest.raises(UserError, match=rf"made.jsonl: row 2: .*{message}") as caught:
        list(read_external(file_of([A, row]), INSTANCES, "scores"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [2, -1, 0.5, "1", None, float("nan")])
def test_a_selection_is_of_zeros_and_ones(file_of, value):
    path = file_of([{"id": "b", "selected": json.dumps([0, value])}], "csv")
    with pytest.raises(UserError, match=r"made.csv: row 1: `selected` of word 1 is .*; it must be 0 or 1"):
        list(read_external(path, INSTANCES, "selected"))


@pytest.mark.parametrize("rows", [[{"id": "x", "scores": [1.0]}], []])
def test_a_file_about_other_instances_is_refused(file_of, rows):
    with pytest.raises(UserError, match=r"made.jsonl: none of its ids.* is among the 3 instances \(such as 'a'\)"):
        list(read_external(file_of(rows), INSTANCES, "scores"))


@pytest.mark.parametrize("name", ["none.parquet", ""])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=rf"{name}: there is no such file of rationales"):
        list(read_external(tmp_path / name, INSTANCES, "scores"))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "made.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"made.parquet: not a whole Parquet file"):
        list(read_external(tmp_path / "made.parquet", INSTANCES, "scores"))
