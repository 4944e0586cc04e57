"""A corpus of one's own: the four kinds of rationale in three kinds of files, and what is said of malformed rows."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rationale_eval.corpora.instances import Instance, Word, check
from rationale_eval.corpora.table import read
from rationale_eval.errors import UserError

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


@pytest.fixture
def rows_of(tmp_path):
    """``rows_of(rows, spec, ending, side)``: what is read of these rows, written to a file of that kind."""

    def rows(rows, spec, ending="jsonl", side="test", left_out=None):
        path = tmp_path / f"{side}.{ending}"
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
        return list(read(tmp_path, spec, side, Counter() if left_out is None else left_out))

    return rows


def row(why=None, **more):
    return {"review": TEXT, "verdict": "good", "why": why} | more


def pair(why=None, **more):
    return {"first": "A dog runs.", "second": "It is fast.", "verdict": "yes", "why": why} | more


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("kind", sorted(SAYING))
def test_every_kind_of_rationale_in_every_kind_of_file_is_the_same_mask(rows_of, kind, ending):
    (found,) = rows_of([row(SAYING[kind])], spec_of(kind), ending)
    assert found == Instance("test-1", "good", {"text": TEXT}, WORDS, MASK)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("kind", sorted(SAYING))
def test_a_rationale_names_its_fields_and_the_others_have_no_marked_word(rows_of, kind, ending):
    second = {
        "word_indices": [2],
        "mask": [False, False, True],
        "char_spans": [[6, 7]],
        "marked_text": "It is *fast.*",
    }[kind]
    (found,) = rows_of([pair({"hypothesis": second})], spec_of(kind, **PAIR), ending)
    assert found.fields == {"premise": "A dog runs.", "hypothesis": "It is fast."}
    assert [found.text(word) for word in found.words] == ["A", "dog", "runs.", "It", "is", "fast."]
    assert found.rationale == (False, False, False, False, False, True)
    assert rows_of([pair(second)], spec_of(kind, field="hypothesis", **PAIR), ending) == [found]


def test_both_fields_may_have_marks(rows_of):
    why = {"hypothesis": [0], "premise": [1, 2]}
    (found,) = rows_of([pair(why)], spec_of("word_indices", **PAIR))
    assert found.rationale == (False, True, True, True, False, False)


def test_an_object_is_taken_for_a_single_field_too(rows_of):
    (found,) = rows_of([row({"text": [0]})], spec_of())
    assert found.rationale == (True, False, False, False, False)


def test_spans_mark_every_word_that_they_touch(rows_of):
    (found,) = rows_of([row([[5, 8], [24, 25]])], spec_of("char_spans"))
    assert found.rationale == (False, True, True, False, True)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_given_words_are_found_in_the_text(rows_of, ending):
    given = ["A", "film", "with", "great", "act", "ing", "."]
    why = [0, 0, 0, 1, 0, 1, 0]
    (found,) = rows_of([row(why, tokens=given)], spec_of("mask", words="tokens"), ending)
    assert [found.text(word) for word in found.words] == given
    assert found.words[4:] == (Word(0, 18, 21), Word(0, 21, 24), Word(0, 24, 25))
    assert found.rationale == (False, False, False, True, False, True, False)


def test_a_given_word_is_not_found_inside_another(rows_of):
    (found,) = rows_of(
        [
            {
                "review": "The banana is a fruit (a sweet)",
                "verdict": "x",
                "why": [0, 1, 1],
                "tokens": ["a", "a", "sweet"],
            }
        ],
        spec_of("mask", words="tokens"),
    )
    assert found.words == (Word(0, 14, 15), Word(0, 23, 24), Word(0, 25, 30))


def test_words_may_be_given_for_one_field_and_split_at_spaces_in_the_other(rows_of):
    why, tokens = {"hypothesis": [3]}, {"hypothesis": ["It", "is", "fast", "."]}
    (found,) = rows_of([pair(why, tokens=tokens)], spec_of(words="tokens", **PAIR))
    assert [found.text(word) for word in found.words] == ["A", "dog", "runs.", "It", "is", "fast", "."]
    assert [found.text(word) for word, mark in zip(found.words, found.rationale, strict=True) if mark] == ["."]


def test_a_field_that_nobody_could_mark_may_have_no_words(rows_of):
    tokens = {"premise": [], "hypothesis": ["It", "is", "fast."]}
    (found,) = rows_of([pair({"hypothesis": [0]}, tokens=tokens)], spec_of(words="tokens", **PAIR))
    assert {word.field for word in found.words} == {1}


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("majority", (False, False, False, True, False)),
        ("union", (True, False, False, True, True)),
        ("first", (False, False, False, True, True)),
    ],
)
@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_annotators_are_kept_and_aggregated(rows_of, ending, aggregation, expected):
    raters = [[3, 4], [3], [0]]
    spec = spec_of(annotators="raters", aggregation=aggregation)
    # The rationale column is not read where annotators are given.
    rows = [{"review": TEXT, "verdict": "good", "raters": raters} | ({"why": [2]} if aggregation == "first" else {})]
    if aggregation == "majority":
        rows[0]["raters"] = [*raters, [3]]
    (found,) = rows_of(rows, spec, ending)
    assert found.rationale == expected
    assert found.annotators[:3] == (
        (False, False, False, True, True),
        (False, False, False, True, False),
        (True, False, False, False, False),
    )


def test_annotators_may_mark_texts_and_name_fields(rows_of):
    raters = [{"hypothesis": "It *is* fast."}, None, {"premise": "*A* dog runs.", "hypothesis": "*It* is fast."}]
    (found,) = rows_of([pair(raters=raters)], spec_of("marked_text", annotators="raters", aggregation="union", **PAIR))
    assert found.annotators == (
        (False, False, False, False, True, False),
        (True, False, False, True, False, False),
    )
    assert found.rationale == (True, False, False, True, True, False)


def test_without_annotators_the_plain_rationale_counts(rows_of):
    (found,) = rows_of([row([1], raters=[])], spec_of(annotators="raters"))
    assert (found.rationale, found.annotators) == ((False, True, False, False, False), None)


EMPTY = [("jsonl", None), ("jsonl", ""), ("csv", ""), ("csv", " "), ("parquet", None)]


@pytest.mark.parametrize(
    ("kind", "ending", "empty"),
    [(kind, *empty) for kind in ("mask", "marked_text") for empty in EMPTY] + [("mask", "csv", "null")],
)
def test_rows_without_a_rationale_are_for_training_and_counted_in_tests(rows_of, kind, ending, empty):
    rows = [row(SAYING[kind]), row(empty, review="No film.")]
    left_out = Counter()
    assert [found.id for found in rows_of(rows, spec_of(kind), ending, "test", left_out)] == ["test-1"]
    assert left_out == {"no_rationale": 1}
    found = rows_of(rows, spec_of(kind), ending, "train", left_out)
    assert [(one.id, one.rationale) for one in found] == [("train-1", MASK), ("train-2", None)]
    assert left_out == {"no_rationale": 1}


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_train_files_need_no_rationale_column(rows_of, ending):
    rows = [{"review": TEXT, "verdict": "good"}]
    (found,) = rows_of(rows, spec_of("mask", words="tokens", annotators="raters"), ending, "train")
    assert (found.words, found.rationale) == (WORDS, None)


def test_marking_nothing_is_an_annotation(rows_of):
    found = rows_of([row([]), row([], review="Other text.")], spec_of())
    assert [one.rationale for one in found] == [(False,) * 5, (False,) * 2]


def test_labels_and_ids_are_taken_from_the_row(rows_of):
    rows = [row([0], verdict=1, key=17), row([0], verdict="0", key="b")]
    found = rows_of(rows, spec_of(labels={"0": "bad", "1": "good"}, id="key"))
    assert [(one.id, one.label) for one in found] == [("17", "good"), ("b", "bad")]


def test_files_inside_an_archive_are_read_in_order(tmp_path):
    path = tmp_path / "mine.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("data/b.test.jsonl", "data/a.test.jsonl"):
            content = (json.dumps(row([0], verdict=name)) + "\n").encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = list(read(path, spec_of(test=["data/*.test.jsonl"]), "test", Counter()))
    assert [(one.id, one.label) for one in found] == [
        ("a.test-1", "data/a.test.jsonl"),
        ("b.test-1", "data/b.test.jsonl"),
    ]


def test_rows_are_read_one_by_one(tmp_path):
    good = json.dumps(row([0]))
    (tmp_path / "test.jsonl").write_text(f"{good}\n{good}\nnot JSON\n")
    rows = read(tmp_path, spec_of(), "test", Counter())
    assert [next(rows).id, next(rows).id] == ["test-1", "test-2"]
    with pytest.raises(UserError, match=r"test.jsonl: row 3 is not JSON"):
        next(rows)


FAULTS = [
    ("word_indices", row([5]), r"'why' marks word 5, but the 5 words have the numbers from 0 on"),
    ("word_indices", row([-1]), r"'why' marks word -1"),
    ("word_indices", row([True]), r"'why' is \[True\] \(list\), not a list of word numbers"),
    ("word_indices", row([1.5]), r"not a list of word numbers"),
    ("word_indices", row(3), r"'why' is 3 \(int\), not a list of word numbers"),
    ("word_indices", row("3, 4"), r"'why' is '3, 4' \(str\), which is neither a list nor its JSON"),
    ("word_indices", row("[" * 100_000), r"neither a list nor its JSON"),
    ("word_indices", row({"body": [0]}), r"'why' names the field 'body'; known are text"),
    ("mask", row([0, 1, 0, 1, 1, 1]), r"'why' is a mask of 6 for 5 words; it must have one 0 or 1 for each"),
    ("mask", row([0, 1]), r"'why' is a mask of 2 for 5 words"),
    ("mask", row([0, 1, 2, 0, 0]), r"not a list of 0 and 1"),
    ("mask", row(["0", "1", "0", "0", "0"]), r"not a list of 0 and 1"),
    ("char_spans", row([[20, 26]]), r"'why' marks \[20, 26\), which is not within the text's characters \[0, 25\)"),
    ("char_spans", row([[-3, 4]]), r"marks \[-3, 4\), which is not within"),
    ("char_spans", row([[4, 4]]), r"marks \[4, 4\), which is not within"),
    ("char_spans", row([[1, 2]]), r"marks \[1, 2\), where there is no word but ' '"),
    ("char_spans", row([[0, 1, 2]]), r"not a list of \[start, end\] in characters"),
    ("char_spans", row([0, 4]), r"not a list of \[start, end\] in characters"),
    ("marked_text", row(["A", "film"]), r"'why' is \['A', 'film'\] \(list\), not a text with asterisks"),
    (
        "marked_text",
        row("A film with *great* acting"),
        r"is not the text: after 'lm with great acting' comes '', not '.'",
    ),
    ("marked_text", row("A *movie* with great acting."), r"is not the text: after 'A ' comes 'movie\* with"),
    ("marked_text", row("A film with *great acting."), r"has an asterisk without its pair around 'great acting.'"),
    ("marked_text", row("A film with **great** acting."), r"two asterisks with nothing between them before 'great"),
    ("mask", row([0], review=" \t"), r"'review' is empty; every field needs a text"),
    ("mask", row([0], review=None), r"'review' is empty, not a text"),
    ("mask", row([0], review=["a"]), r"'review' is \['a'\] \(list\), not a text"),
    ("mask", row(SAYING["mask"], verdict=""), r"'verdict' is '' \(str\); a label is a text or a whole number"),
    ("mask", row(SAYING["mask"], verdict=1.0), r"'verdict' is 1.0 \(float\); a label is"),
    ("mask", row(SAYING["mask"], verdict=None), r"'verdict' is empty; a label is"),
]


@pytest.mark.parametrize(("kind", "bad", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_malformed_row_is_named_or_left_out_and_counted(rows_of, kind, bad, message):
    rows = [row(SAYING[kind]), bad, row(SAYING[kind])]
    with pytest.raises(UserError, match=rf"test.jsonl: row 2: .*{message}") as caught:
        rows_of(rows, spec_of(kind))
    assert "\n" not in str(caught.value)
    left_out = Counter()
    found = rows_of(rows, spec_of(kind, bad_rows="leave_out"), left_out=left_out)
    assert [one.id for one in found] == ["test-1", "test-3"]
    assert left_out == {"bad_row": 1}


@pytest.mark.parametrize(
    ("bad", "changes", "message"),
    [
        (row([0], verdict="fine"), {"labels": {"good": "g"}}, r"'verdict' is 'fine' \(str\), which is not in `labels`"),
        (row([0], key=""), {"id": "key"}, r"'key' is '' \(str\); an id is a text or a whole number"),
        (row([0], key=True), {"id": "key"}, r"'key' is True \(bool\); an id is a text or a whole number"),
        (pair([0]), PAIR, r"'why' must be an object with one of premise, hypothesis for each value"),
        (pair({"hypothesis": [3]}), PAIR, r"'why', field 'hypothesis' marks word 3, but the 3 words"),
        (row(raters=[0, 1]), {"annotators": "raters"}, r"'raters' is 0 \(int\), not a list of word numbers"),
        (row(raters={"text": [0]}), {"annotators": "raters"}, r"'raters' is .*dict\), not a list with a rationale of"),
    ],
)
def test_other_malformed_rows_are_named(rows_of, bad, changes, message):
    with pytest.raises(UserError, match=rf"test.jsonl: row 1: {message}"):
        rows_of([bad], spec_of(**changes))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["A", "movie"], r"'tokens': word 1, 'movie', is not in the text from character 1 on"),
        (["film", "A"], r"'tokens': word 1, 'A', is not in the text from character 6 on"),
        (["A", "eat"], r"'tokens': word 1, 'eat', is not in the text"),
        (["A", ""], r"'tokens' is \['A', ''\] \(list\), not a list of words"),
        (["A", 1], r"'tokens' is \['A', 1\] \(list\), not a list of words"),
        ("A film", r"'tokens' is 'A film' \(str\), which is neither a list nor its JSON"),
        ([], r"'tokens' gives no words"),
        (None, r"there are no words in 'tokens', so it is not known what the rationale counts"),
    ],
)
def test_given_words_that_are_not_the_texts_are_named(rows_of, tokens, message):
    with pytest.raises(UserError, match=rf"test.jsonl: row 1: {message}"):
        rows_of([row([0, 1], tokens=tokens)], spec_of("mask", words="tokens"))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("column", ["review", "verdict", "key"])
def test_a_missing_column_is_an_error_of_the_file(rows_of, ending, column):
    rows = [{name: cell for name, cell in row([0], key="k").items() if name != column}]
    with pytest.raises(UserError, match=rf"test.{ending}.*there is no '{column}'"):
        rows_of(rows, spec_of(id="key", bad_rows="leave_out"), ending)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_test_side_without_any_rationale_is_an_error(rows_of, ending):
    rows = [{"review": TEXT, "verdict": "good", "reason": "[0]"}] * 3
    with pytest.raises(UserError, match=r"none of the 3 test rows has a rationale in 'raters' or 'why'"):
        rows_of(rows, spec_of(annotators="raters"), ending)


def test_a_field_that_is_none_is_refused_before_any_row_is_read(rows_of):
    with pytest.raises(UserError, match=r"rationale.field: 'txt' is not in `fields`, which are text"):
        rows_of([row([0])], spec_of(field="txt"))


def test_random_rationales_are_the_same_in_every_kind(rows_of):
    chance = random.Random(5)
    said = {kind: [] for kind in SAYING}
    masks = []
    for number in range(50):
        words = ["".join(chance.choices("xyzé*", k=chance.randint(1, 4))) for _ in range(chance.randint(1, 8))]
        mask = [chance.random() < 0.5 for _ in words]
        text = "  ".join(words)
        starts = [sum(len(word) + 2 for word in words[:index]) for index in range(len(words))]
        ways = {
            "word_indices": [index for index, mark in enumerate(mask) if mark],
            "mask": [int(mark) for mark in mask],
            "char_spans": [[s, s + len(w)] for s, w, mark in zip(starts, words, mask, strict=True) if mark],
            "marked_text": "  ".join(f"*{word}*" if mark else word for word, mark in zip(words, mask, strict=True)),
        }
        masks.append(tuple(mask))
        for kind, why in ways.items():
            said[kind].append(row(why, review=text, key=number))
    for kind, rows in said.items():
        found = rows_of(rows, spec_of(kind, id="key"))
        for one in found:
            check(one, kind)
        assert [one.rationale for one in found] == masks


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_column_may_say_what_each_row_is_from(rows_of, ending):
    names = ["The Daily", "The Daily", "", None] if ending != "csv" else ["The Daily", "The Daily", "", "  "]
    rows = [row(json.dumps([3]), paper=name) for name in names]
    found = rows_of(rows, spec_of(group="paper"), ending)
    assert [one.group for one in found] == ["The Daily", "The Daily", None, None]
    assert [one.group for one in rows_of(rows, spec_of(), ending)] == [None] * 4


def test_a_group_may_be_a_number_but_nothing_else(rows_of):
    (found,) = rows_of([row([3], paper=7)], spec_of(group="paper"))
    assert found.group == "7"
    for value in (True, 1.5, ["a"]):
        with pytest.raises(UserError, match=r"row 1: 'paper' is .*; a group is a text or a whole number"):
            rows_of([row([3], paper=value)], spec_of(group="paper"))
    with pytest.raises(UserError, match=r"there is no 'paper'"):
        rows_of([row([3])], spec_of(group="paper"))
