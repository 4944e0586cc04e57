"""Shards of instances, and the merging of their tables."""

from __future__ import annotations

import argparse

import pytest
from rationale_eval import merge, shards
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_provenance, read_table, write_table

NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_each_item_is_in_one_shard_and_shards_differ_by_one_at_most(count):
    found = [shards.Shard(number, count).share(NAMES) for number in range(1, count + 1)]
    assert sorted(name for share in found for name in share) == NAMES
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_neighbours_fall_into_different_shards():
    assert shards.parse("2-of-3").share(NAMES) == ["b", "e"]


@pytest.mark.parametrize("text", ["0-of-3", "4-of-3", "2/3", "of", "-1-of-2", "1-of-0"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="2-of-7"):
        shards.parse(text)


def prediction(name, **more):
    row = {"id": name, "status": "ok", "gold": "no", "predicted": "no", "labels": ["no", "yes"], "tokens": 3}
    return row | {"scores": [-0.5, -1.25], "probabilities": [0.68, 0.32]} | more


@pytest.fixture
def study(tmp_path):
    """``study(parts, provenance)``: write predictions of shards by name and merge them; the merged table's path."""
    texts = {name: f"Text {name}" for name in NAMES}
    rows = [Instance(name, "no", {"text": text}, whitespace_words([text]), None) for name, text in texts.items()]
    write_instances(tmp_path / "test.parquet", rows, {})

    def run(parts, provenance=None, schema=PREDICTIONS, row=prediction):
        paths = []
        for number, names in enumerate(parts):
            paths.append(tmp_path / str(number) / "predictions.parquet")
            made = {"created": f"2026-01-0{number + 1}", "dtype": "float32"} | (provenance or {}).get(number, {})
            write_table(paths[-1], [row(name) for name in names], schema, made)
        output = tmp_path / "predictions.parquet"
        # The whole command of the stage, with what the merging does not need.
        command = ["--spec", "{}", "--test", str(tmp_path / "test.parquet"), "--model", "none", "--batch-rows", "0"]
        # As for the stages with one output, of which predictions are an input.
        command += ["--predictions", "given.parquet", "--output", str(output)]
        merge.main(["--parts", *map(str, paths), *command])
        return output

    return run


def test_rows_stand_in_the_order_of_the_instances(study):
    assert [row["id"] for row in read_table(study([["d", "a"], ["e", "c"], [], ["b"]]), PREDICTIONS)] == NAMES


def test_values_are_those_of_the_parts(study):
    assert read_table(study([NAMES[1:], ["a"]]), PREDICTIONS)[0] == {
        **prediction("a"),
        "probabilities": [0.6800000071525574, 0.3199999928474426],  # as float32
    }


def test_the_time_is_that_of_the_last_part_and_all_else_is_common(study):
    made = {0: {"example_prompt": "Text a"}, 1: {"example_prompt": ""}}
    assert read_provenance(study([NAMES, []], made)) == {
        "created": "2026-01-02",
        "dtype": "float32",
        "example_prompt": "Text a",
    }


def test_parts_that_were_made_otherwise_are_refused(study, tmp_path):
    with pytest.raises(
        UserError, match=r"1/predictions.parquet: differs from .*0/predictions.parquet in dtype; delete"
    ):
        study([["a", "b"], ["c", "d", "e"]], {1: {"dtype": "bfloat16"}})
    assert not (tmp_path / "predictions.parquet").exists()


def test_an_instance_that_no_part_has_is_named(study, tmp_path):
    with pytest.raises(UserError, match=r"no shard has instance 'b' \(2 lacking\)"):
        study([["a"], ["c", "e"]])
    assert not (tmp_path / "predictions.parquet").exists()


def test_an_instance_in_two_parts_is_named(study):
    with pytest.raises(UserError, match=r"1/predictions.parquet: instance 'c' is in .*0/predictions.parquet too"):
        study([["a", "b", "c"], ["c", "d", "e"]])


def test_an_instance_of_another_corpus_is_named(study):
    with pytest.raises(UserError, match=r"1/predictions.parquet: instance 'z' is not among the instances"):
        study([NAMES, ["z"]])


def test_a_table_that_is_not_made_in_shards_is_refused(study):
    with pytest.raises(UserError, match="no table that is made in shards"):
        study([NAMES], schema=RATIONALES, row=lambda name: rationale_row(name, scores=[0.5, 0.25]))


def test_an_output_without_parts_is_named(tmp_path):
    write_instances(tmp_path / "test.parquet", [], {})
    write_table(tmp_path / "other.parquet", [], PREDICTIONS, {})
    command = ["--test", str(tmp_path / "test.parquet"), "--parts", str(tmp_path / "other.parquet")]
    with pytest.raises(UserError, match=r"none of the parts is called out.parquet"):
        merge.main([*command, "--output", str(tmp_path / "out.parquet")])


def test_several_rows_of_an_instance_keep_their_order(tmp_path):
    def row(name, sample):
        return dict.fromkeys(REPLIES.columns.names) | {"id": name, "sample": sample, "status": "no_prediction"}

    write_table(tmp_path / "1.parquet", [row("b", 0), row("b", 1)], REPLIES, {"created": ""})
    write_table(tmp_path / "2.parquet", [row("a", 0), row("a", 1), row("a", 2)], REPLIES, {"created": ""})
    count = merge.merge(["a", "b"], [tmp_path / "1.parquet", tmp_path / "2.parquet"], tmp_path / "whole.parquet")
    found = [(row["id"], row["sample"]) for row in read_table(tmp_path / "whole.parquet", REPLIES)]
    assert found == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert count == len(found)
