"""The stage that reads a corpus: what it takes, counts and records, and that it holds no more rows than it takes."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from rationale_eval.corpora import card as card_stage
from rationale_eval.corpora import stage
from rationale_eval.corpora.instances import Instance, read_instances, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.provenance import sha256_file
from rationale_eval.tables import read_provenance

SMOKE = {
    "name": "smoke",
    "format": "rated_snippets",
    "archive": [],
    "snippets": "snippets.tsv",
    "lexicon": "lexicon.tsv",
    "lexicon_encoding": "utf-8",
    "min_rating": 0.5,
    "min_word_rating": 0.5,
    "min_words": 5,
    "max_words": 15,
    "seed": 0,
    "test_share": 0.5,
    "rows": 12,
}


def run(source, folder, side, spec, *more):
    """What the stage writes for one side."""
    output = folder / f"{side}.parquet"
    command = ["--spec", json.dumps(spec), "--source", str(source), "--side", side, *map(str, more)]
    stage.main([*command, "--output", str(output)])
    return output


def test_the_stages_write_both_sides_and_a_card_that_fits_them(smoke_corpus, tmp_path):
    run(smoke_corpus, tmp_path, "train", SMOKE | {"rows": 10})
    run(smoke_corpus, tmp_path, "test", SMOKE)
    train, test = (read_instances(tmp_path / f"{name}.parquet") for name in ("train", "test"))
    assert (len(train), len(test)) == (10, 12)
    assert not {row.fields["text"].casefold() for row in train} & {row.fields["text"].casefold() for row in test}
    assert read_provenance(tmp_path / "test.parquet")["spec"] == SMOKE
    command = ["--train", str(tmp_path / "train.parquet"), "--test", str(tmp_path / "test.parquet")]
    command += ["--card", str(tmp_path / "card.json")]
    card_stage.main(["--spec", json.dumps({"name": "smoke", "annotation": "a lexicon"}), *command])
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["name"], card["annotation"]) == ("smoke", "a lexicon")
    assert (card["train_rows"], card["test_rows"]) == (10, 12)
    assert sum(card["test_labels"].values()) == 12
    assert card["words_per_row"] == pytest.approx(sum(len(row.words) for row in test) / 12)
    assert card["marked_per_row"] == pytest.approx(sum(sum(row.rationale) for row in test) / 12)
    assert card["share_marked"] == pytest.approx(card["marked_per_row"] / card["words_per_row"])


def test_the_stage_names_the_key_when_there_are_too_few_rows(smoke_corpus, tmp_path):
    with pytest.raises(UserError, match=r"corpora.smoke.test_rows: 1000 rows were asked for"):
        run(smoke_corpus, tmp_path, "test", SMOKE | {"rows": 1000})
    assert list(tmp_path.iterdir()) == []


def row(name, text, label="yes"):
    words = whitespace_words([text])
    return Instance(str(name), label, {"text": text}, words, (True,) * len(words))


class TrackedInstance(Instance):
    """An instance that can be counted as long as something holds it."""

    __hash__ = object.__hash__


# Texts on both sides, repeated ones, in other spellings; `bad` of the test side is left out by the reader.
TRAIN = [row(f"a{k}", f"train text {k}") for k in range(20)]
TRAIN[5:5] = [row("again", "Train  TEXT 3"), row("shared", "test text 2 "), row("unused", "TEST TEXT 9", "no")]
TEST = [row(f"b{k}", f"test text {k}", "no") for k in range(10)]
TEST[4:4] = [row("twice", "Test text 0")]
SPEC = {"name": "mine", "format": "lines", "seed": 0, "rows": None}


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """``publisher(side, sides, **changes of the spec)``: read rows whose publisher says which are for tests."""
    (tmp_path / "source").write_text("what the rows are from")

    def read(side, sides=(TRAIN, TEST), **changes):
        def reader(source, spec, side, left_out):
            assert source == tmp_path / "source"
            left_out["bad_row"] += 2
            yield from sides[side == "test"]

        monkeypatch.setattr(stage, "reader_of", lambda name, plugins: reader)
        return run(tmp_path / "source", tmp_path / "out", side, SPEC | changes)

    return read


def ids(path):
    return [instance.id for instance in read_instances(path)]


def test_null_takes_all_rows_in_the_order_of_their_file(publisher, capsys):
    train, test = publisher("train"), publisher("test")
    assert ids(train) == [f"a{k}" for k in range(20)]
    assert ids(test) == [f"b{k}" for k in range(10)]
    assert "train: 20 rows; labels {'yes': 20}; left out" in capsys.readouterr().err


def test_a_text_that_is_twice_or_on_both_sides_is_counted(publisher):
    counted = [read_provenance(publisher(side))["left_out"] for side in ("train", "test")]
    assert counted == [
        {"bad_row": 2, stage.REPEATED: 1, stage.IN_TEST: 2},
        {"bad_row": 2, stage.REPEATED: 1},
    ]


def test_no_text_is_in_both_also_where_only_some_test_rows_are_taken(publisher):
    train = {stage.text_hash(instance) for instance in read_instances(publisher("train"))}
    for rows in (1, 5, None):
        test = [stage.text_hash(instance) for instance in read_instances(publisher("test", rows=rows))]
        assert len(test) == len(set(test)) == (rows or 10)
        assert not train & set(test)


def test_more_rows_add_rows_and_move_none(publisher):
    taken = [ids(publisher("train", rows=rows)) for rows in (1, 2, 7, 15, 20)]
    for fewer, more in pairwise(taken):
        assert more[: len(fewer)] == fewer
    assert set(taken[-1]) == set(ids(publisher("train")))
    assert taken[-1] != ids(publisher("train"))
    turned = ids(publisher("train", (TRAIN[::-1], TEST), rows=20))
    # The order of the file decides only which spelling of a text is taken.
    assert [name for name in turned if name != "again"] == [name for name in taken[-1] if name != "a3"]


def test_the_test_rows_do_not_depend_on_the_train_rows(publisher):
    assert ids(publisher("test", (TRAIN[:3], TEST), rows=4)) == ids(publisher("test", rows=4))


@pytest.mark.parametrize(
    ("side", "rows", "usable", "counts"),
    [
        ("train", 21, 20, "{'bad_row': 2, 'repeated_text': 1, 'text_in_test': 2}"),
        ("test", 500, 10, "{'bad_row': 2, 'repeated_text': 1}"),
    ],
)
def test_too_few_rows_are_told_with_what_was_left_out(publisher, tmp_path, side, rows, usable, counts):
    with pytest.raises(UserError) as caught:
        publisher(side, rows=rows)
    message = str(caught.value)
    assert message.startswith(
        f"corpora.mine.{side}_rows: {rows} rows were asked for, but {tmp_path / 'source'} has only"
    )
    assert f"only {usable} usable ones for this side" in message
    assert all(part in message for part in counts.strip("{}").split(", "))
    assert "null" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rows", [None, 20])
def test_an_id_that_two_rows_have_is_named_and_no_table_is_left(publisher, tmp_path, rows):
    train = [*TRAIN[:-1], row("a7", "another text")]
    with pytest.raises(UserError, match=r"train\.parquet: .*several rows with the same id: id 'a7'"):
        publisher("train", (train, TEST), rows=rows)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_side_without_rows_is_an_error_and_leaves_no_table(publisher, tmp_path):
    with pytest.raises(UserError, match="has no usable row for the train side"):
        publisher("train", ([TRAIN[6]], TEST))
    assert list((tmp_path / "out").iterdir()) == []


def bare(name, text, label="yes"):
    return replace(row(name, text, label), rationale=None)


def test_test_rows_without_a_rationale_are_counted_and_apart_where_all_of_a_label_are(publisher):
    tests = [*TEST, bare("c1", "other text", "no"), bare("c2", "a text", "odd"), bare("c3", "the text", "odd")]
    table = publisher("test", (TRAIN, tests), format="table")
    assert len(ids(table)) == 10
    assert read_provenance(table)["left_out"] == {
        "bad_row": 2,
        "repeated_text": 1,
        "no_rationale": 1,
        "no_rationale (all that are labelled 'odd')": 2,
    }
    # A plugin's rows are as it means them, and train rows need no rationale.
    assert len(ids(publisher("test", (TRAIN, tests)))) == 13
    assert "c1" in ids(publisher("train", ([*TRAIN, tests[-3]], TEST), format="table"))


def test_where_a_hash_parts_the_rows_each_side_counts_its_own(publisher, tmp_path):
    rows = [row(f"r{k}", f"text {k}") for k in range(40)] + [bare(f"n{k}", f"bare text {k}") for k in range(60)]
    made = {side: publisher(side, (rows, rows), format="table", test_share=0.5) for side in ("train", "test")}
    record = {side: read_provenance(table) for side, table in made.items()}
    assert all(one["left_out_before_split"] == {"bad_row": 2} for one in record.values())
    assert record["train"]["left_out"] == {}
    left = record["test"]["left_out"]
    assert set(left) == {"no_rationale"}
    assert left["no_rationale"] + len(ids(made["test"])) + len(ids(made["train"])) == 100
    assert 10 < left["no_rationale"] < 50
    command = [*(part for side, table in made.items() for part in (f"--{side}", str(table)))]
    card_stage.main(["--spec", "{}", *command, "--card", str(tmp_path / "card.json")])
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["left_out"] == {"before_split": {"bad_row": 2}, "train": {}, "test": left}


def test_notes_on_rows_that_are_taken_are_counted(publisher, tmp_path, capsys):
    tests = [replace(one, notes=("odd",) if place % 3 else ("odd", "even")) for place, one in enumerate(TEST)]
    table = publisher("test", (TRAIN, tests))
    assert read_provenance(table)["notes"] == {"odd": 10, "even": 4}
    assert "noted {'odd': 10, 'even': 4}" in capsys.readouterr().err
    command = ["--train", str(publisher("train")), "--test", str(table), "--card", str(tmp_path / "card.json")]
    card_stage.main(["--spec", "{}", *command])
    assert json.loads((tmp_path / "card.json").read_text())["notes"] == {"train": {}, "test": {"odd": 10, "even": 4}}


def test_a_corpus_may_have_no_train_rows(publisher):
    assert ids(publisher("train", ((), TEST), train=[], test=["test.txt"], archive=[])) == []


@pytest.mark.parametrize(
    ("train", "test", "shared"),
    [
        (["train.txt"], ["*.txt"], "train.txt"),
        (["*.txt"], ["test.txt"], "test.txt"),
        (["./train.txt"], ["train.txt"], "train.txt"),
        (["train.txt"], ["test.*"], None),
    ],
)
def test_a_file_of_both_sides_is_refused(tmp_path, monkeypatch, train, test, shared):
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_text(name)
    rows = {"train": TRAIN, "test": TEST}
    monkeypatch.setattr(stage, "reader_of", lambda name, plugins: lambda source, spec, side, left_out: iter(rows[side]))
    spec = SPEC | {"archive": [], "train": train, "test": test, "test_share": None}
    if shared is None:
        assert len(ids(run(tmp_path, tmp_path / "out", "train", spec))) == 20
        return
    with pytest.raises(UserError, match=f"corpora.mine: '{shared}' is matched by both `train` and `test`"):
        run(tmp_path, tmp_path / "out", "train", spec)


COPIES = [
    "the CAF\u00c9 was good",  # case
    "the cafe\u0301 was  good",  # the accent as a character of its own
    "the ca\u200bf\u00e9 was good\ufeff",  # without width
    "the\u00a0ca\u00adf\u00e9 was good",
    "the \uff43af\u00e9 was good",  # full width
]


def test_copies_that_read_the_same_are_one_text(publisher):
    train = [row(f"t{k}", text) for k, text in enumerate(COPIES)] + [row("other", "the cafes were good")]
    tests = [row("b", "the caf\u00e9 was good")]
    table = publisher("train", (train, tests))
    assert ids(table) == ["other"]
    assert read_provenance(table)["left_out"]["text_in_test"] == len(COPIES)
    assert read_provenance(publisher("test", ((), [*tests, *train])))["left_out"]["repeated_text"] == len(COPIES)


@pytest.mark.parametrize("rows", [100, None])
@pytest.mark.parametrize("test_share", [None, 0.25], ids=["publisher", "by-hash"])
def test_no_more_rows_are_held_than_are_taken(tmp_path, monkeypatch, rows, test_share):
    alive, highest, made = weakref.WeakSet(), [0], Counter()
    words = whitespace_words(["text number"])

    def reader(source, spec, side, left_out):
        for number in range(20_000):
            instance = TrackedInstance(f"{number}", "yes", {"text": f"{side} {number}"}, words[:1], None)
            alive.add(instance)
            highest[0] = max(highest[0], len(alive))
            made[side] += 1
            yield instance

    monkeypatch.setattr(stage, "reader_of", lambda name, plugins: reader)
    more = {} if test_share is None else {"test_share": test_share}
    output = run(tmp_path, tmp_path / "out", "train", SPEC | {"rows": rows} | more)
    assert made["train"] == 20_000
    assert len(read_instances(output)) == rows or rows is None
    assert 1 <= highest[0] <= 5  # those that are taken are held packed


PLUGIN = """
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.plugins import corpus_format


@corpus_format("lines")
def read(source, options, side, left_out):
    for number, text in enumerate((source / f"{side}.txt").read_text().splitlines()):
        yield Instance(f"{side}-{number}", options["label"], {"text": text}, whitespace_words([text]), None)
"""


def test_a_plugins_format_is_read_with_its_options(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.txt").write_text("one film\nanother film\nONE FILM\nlast film\n")
    (tmp_path / "source" / "test.txt").write_text("last  film\n")
    spec = SPEC | {"options": {"label": "yes"}}
    output = run(tmp_path / "source", tmp_path / "out", "train", spec, "--plugins", tmp_path / "plugin.py")
    assert [(found.id, found.label) for found in read_instances(output)] == [("train-0", "yes"), ("train-1", "yes")]
    assert read_provenance(output)["left_out"] == {stage.REPEATED: 1, stage.IN_TEST: 1}
    with pytest.raises(UserError, match="lines"):
        run(tmp_path / "source", tmp_path / "out", "test", spec)


def test_a_source_is_recorded_by_the_checksum_of_what_is_read(tmp_path):
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    one, two = folder / "one.csv", folder / "in" / "two.csv"
    one.write_text("1")
    two.write_text("2")
    assert stage.checksum(one, []) == {"path": str(one), "sha256": sha256_file(one)}
    assert stage.checksum(folder, [two]) == {"path": str(two), "sha256": sha256_file(two)}
    whole = stage.checksum(folder, [])
    lines = f"in/two.csv {sha256_file(two)}\none.csv {sha256_file(one)}"
    assert whole == {"path": f"{folder} (2 files)", "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    assert stage.checksum(folder, [one, two]) == stage.checksum(folder, [two, one]) == whole
    two.write_text("3")
    assert stage.checksum(folder, [])["sha256"] != whole["sha256"]


def test_a_text_of_documents_on_both_sides_is_in_the_test_side_alone(tmp_path, monkeypatch):
    """Twenty documents with a sentence of their own and one that stands in all of them."""
    rows = [replace(row(f"{k}", f"sentence {k}"), group=f"{k}") for k in range(20)]
    rows += [replace(row(f"{k}-same", "All rights reserved"), group=f"{k}") for k in range(20)]
    monkeypatch.setattr(stage, "reader_of", lambda name, plugins: lambda *_: iter(rows))
    (tmp_path / "source").write_text("")
    made = {}
    for side in ("train", "test"):
        made[side] = run(tmp_path / "source", tmp_path / "out", side, SPEC | {"test_share": 0.5})
    train, test = (read_instances(made[side]) for side in ("train", "test"))
    assert not {one.group for one in train} & {one.group for one in test}
    assert len(train) > 5
    same = [one for one in (*train, *test) if one.id.endswith("-same")]
    assert same == [one for one in test if one.id.endswith("-same")]
    assert len(same) == 1
    assert read_provenance(made["train"])["left_out"] == {stage.IN_TEST: len(train)}
    assert read_provenance(made["test"])["left_out"] == {stage.REPEATED: len(test) - 2}
