"""Corpus cards: hand-worked numbers, what tables do not say, and train rows that are never held."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rationale_eval.corpora import card
from rationale_eval.corpora.instances import INSTANCES, Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.tables import write_table

SPEC = {
    "name": "films",
    "format": "table",
    "description": "d",
    "annotation": "a",
    "licence": "l",
    "privacy": "p",
    "caveats": ["first", "second"],
    "citation": "c",
}


def instance(name, label, marks, *annotators):
    """A row with a word for each sign of ``marks``; x is a marked one. ``marks`` may be a number of unmarked words."""
    text = " ".join("w" * (marks if isinstance(marks, int) else len(marks)))
    masks = tuple(tuple(sign == "x" for sign in one) for one in annotators)
    rationale = None if isinstance(marks, int) else tuple(sign == "x" for sign in marks)
    return Instance(name, label, {"text": text}, whitespace_words([text]), rationale, masks or None)


TRAIN = [instance("a", "no", 3), instance("b", "yes", 3), instance("c", "no", "x..", "x..")]
TEST = [
    instance("d", "yes", "x...", "xx..", "x.x.", "x..."),
    instance("e", "yes", "xx", ".x", "xx"),
    instance("f", "no", "...", "...", "..."),
    instance("g", "no", "..x", "..x"),
    instance("h", "maybe", "xxxxxxxx"),
]


def made(*sources, **more):
    """Provenance of a table that was read from ``sources``, pairs of a path and a checksum."""
    return {"inputs": {f"{place}": {"path": path, "sha256": sha} for place, (path, sha) in enumerate(sources)}, **more}


@pytest.fixture
def card_of(tmp_path):
    """``card_of(train, test)``: what the stage writes for tables of these rows and with this provenance."""

    def write(train=TRAIN, test=TEST, of_train=None, of_test=None):
        write_instances(tmp_path / "train.parquet", train, of_train or made())
        write_instances(tmp_path / "test.parquet", test, of_test or made())
        command = ["--train", str(tmp_path / "train.parquet"), "--test", str(tmp_path / "test.parquet")]
        card.main(["--spec", json.dumps(SPEC), *command, "--card", str(tmp_path / "card.json")])
        return json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))

    return write


def test_a_card_by_hand(card_of):
    found = card_of()
    assert {key: found[key] for key in SPEC} == SPEC
    assert (found["train_rows"], found["train_annotated"], found["train_labels"]) == (3, 1, {"no": 2, "yes": 1})
    assert found["train_marked"] == {"no": 1, "yes": 0}
    assert (found["test_rows"], found["test_labels"]) == (5, {"maybe": 1, "no": 2, "yes": 2})
    # Words: 4, 2, 3, 3, 8; marked: 1, 2, 0, 1, 8.
    assert (found["words_per_row"], found["words_median"], found["words_most"]) == (4, 3, 8)
    assert (found["marked_per_row"], found["share_marked"], found["no_gold"]) == (12 / 5, 12 / 20, 1)


def test_annotators_by_hand(card_of):
    known = card_of()["annotators"]
    assert (known["rows"], known["fewest"], known["most"]) == (4, 1, 3)
    # Who marked each word of d, e and f: 3, 1, 1, 0 of 3; 1, 2 of 2; 0, 0, 0 of 2. Together 8 marks among 22 values.
    # Pairs that disagree, divided by the number of annotators less one: 2 / 2, 2 / 2 and 1 / 1.
    assert known["alpha"] == pytest.approx(1 - 21 * 3 / (8 * 14))
    # The row f has no marks at all and g one annotator only.
    assert (known["pairwise_f1"], known["pairwise_f1_rows"]) == (pytest.approx((11 / 18 + 2 / 3) / 2), 2)
    assert (known["leave_one_out_f1"], known["leave_one_out_f1_rows"]) == (pytest.approx((7 / 9 + 2 / 3) / 2), 2)
    # Against the rationale: 2/3, 2/3 and 1; 2/3 and 1.
    assert (known["f1_with_rationale"], known["f1_with_rationale_rows"]) == (pytest.approx((7 / 9 + 5 / 6) / 2), 2)


def test_a_source_with_the_aggregate_only_has_no_annotators(card_of):
    assert card_of(test=[replace(row, annotators=None) for row in TEST])["annotators"] is None
    assert card_of(test=[replace(row, annotators=()) for row in TEST])["annotators"] is None


def test_one_annotator_is_counted_but_agrees_with_nobody(card_of):
    known = card_of(test=[instance("g", "no", "..x", "..x")])["annotators"]
    assert (known["rows"], known["fewest"], known["most"]) == (1, 1, 1)
    assert [known[name] for name in ("alpha", "pairwise_f1", "leave_one_out_f1", "f1_with_rationale")] == [None] * 4


def test_sources_stand_once_and_rows_left_out_by_side(card_of):
    same, other = ("data/all.tar", "0" * 64), ("data/more.csv", "1" * 64)
    of_train = made(same, other, left_out={"bad_row": 2, "no_label": 1})
    found = card_of(of_train=of_train, of_test=made(same, left_out={}))
    assert [(entry["path"], entry["sha256"]) for entry in found["sources"]] == [same, other]
    assert found["left_out"] == {"train": {"bad_row": 2, "no_label": 1}, "test": {}}
    # A table may say nothing of it.
    assert card_of()["left_out"] == {"train": {}, "test": {}}
    assert card_of()["sources"] == []


def test_a_test_table_without_rows_is_refused_and_no_card_is_written(tmp_path):
    write_instances(tmp_path / "train.parquet", TRAIN, made())
    write_table(tmp_path / "test.parquet", [], INSTANCES, made())
    command = ["--train", str(tmp_path / "train.parquet"), "--test", str(tmp_path / "test.parquet")]
    with pytest.raises(UserError, match=r"test\.parquet: has no rows"):
        card.main(["--spec", json.dumps(SPEC), *command, "--card", str(tmp_path / "card.json")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.parquet", "train.parquet"]


def test_train_rows_are_counted_without_being_held():
    def rows(count):
        return (instance(str(number), "yes", "x" + "." * 99) for number in range(count))

    assert card.of_train(rows(0)) == {"train_rows": 0, "train_annotated": 0, "train_labels": {}, "train_marked": {}}
    peaks = Counter()
    for count in (50, 1000):
        tracemalloc.start()
        assert card.of_train(rows(count))["train_rows"] == count
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1000] < 2 * peaks[50]


def test_the_stage_imports_neither_torch_nor_pandas():
    script = (
        "import sys, rationale_eval.corpora.card; print(sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert done.stdout.strip() == "[]"


def test_test_rows_that_share_a_document_with_train_rows_are_counted(card_of):
    def grouped(rows, *names):
        return [replace(one, group=name) for one, name in zip(rows, names, strict=True)]

    test = grouped(TEST, "p", "p", "q", None, "r")
    found = card_of(grouped(TRAIN, "p", "r", "s"), test)
    assert (found["test_rows_grouped"], found["test_rows_sharing"]) == (4, 3)
    apart = card_of(grouped(TRAIN, "s", None, "t"), test)
    assert (apart["test_rows_grouped"], apart["test_rows_sharing"]) == (4, 0)
    # Where either side has no group at all it is not known.
    for train, rows in ((TRAIN, test), (grouped(TRAIN, "p", "r", "s"), TEST), (TRAIN, TEST)):
        assert card_of(train, rows)["test_rows_sharing"] is None
