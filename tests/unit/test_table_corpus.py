"""A corpus of one's own: the four kinds of rationale in three kinds of files."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections import Counter

import pytest
from rationale_eval.corpora.instances import Instance, Word, check
from rationale_eval.corpora.stage import annotated
from rationale_eval.corpora.table import read
from rationale_eval.errors import UserError
from table_rows import MASK, PAIR, SAYING, TEXT, WORDS, pair, row, spec_of


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
    rows = [{"review": TEXT, "verdict": "good", "raters": raters, "why": [2] if aggregation == "first" else None}]
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
    tests = rows_of(rows, spec_of(kind), ending, "test")
    assert [(one.id, one.rationale) for one in tests] == [("test-1", MASK), ("test-2", None)]
    assert [one.id for one in annotated(tests, left_out)] == ["test-1"]
    assert left_out == {"no_rationale": 1}
    found = rows_of(rows, spec_of(kind), ending, "train")
    assert [(one.id, one.rationale) for one in found] == [("train-1", MASK), ("train-2", None)]


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
            said[kind].append(row(why, review=text, key=number, tokens=words))
    for kind, rows in said.items():
        # Two spaces make numbers of words ambiguous, unless these are given.
        found = rows_of(rows, spec_of(kind, words="tokens" if kind == "word_indices" else None, id="key"))
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


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_named_column_that_no_test_row_has_is_refused(rows_of, ending):
    # Misspelt, it would drop all annotators without a word.
    with pytest.raises(UserError, match="no test row has a column 'rater', which `annotators` names; is it spelt so"):
        rows_of([row([1], raters=[[1], [2]]), row([2], raters=[])], spec_of(annotators="rater"), ending)
    rows = [{"review": TEXT, "verdict": "good", "raters": [[1]]}]
    with pytest.raises(UserError, match=r"no test row has a column 'why', which `rationale.column` names"):
        rows_of(rows, spec_of(annotators="raters"), ending)


def test_annotators_alone_need_no_column_of_the_rationale(rows_of):
    spec = spec_of(annotators="raters")
    spec["rationale"]["column"] = None
    (found,) = rows_of([row(raters=[[1], [1, 2], [2, 1]])], spec)
    assert found.rationale == (False, True, True, False, False)


@pytest.mark.parametrize(
    ("text", "words", "places"),
    [
        ("I do not know: about a film", ["a", "film"], [(21, 22), (23, 27)]),
        ("See another an hour", ["an", "hour"], [(12, 14), (15, 19)]),
        # pieces of a word go on to its end
        ("I don't know", ["do", "n't", "know"], [(2, 4), (4, 7), (8, 12)]),
        ("unbelievable", ["un", "believ", "able"], [(0, 2), (2, 8), (8, 12)]),
        # scripts without spaces are cut by a segmenter, and some of its words may be left out
        ("我们喜欢电影", ["我们", "电影"], [(0, 2), (4, 6)]),
        ("Notably bad", ["Not", "bad"], None),
        ("unbelievable", ["un", "believ"], None),
    ],
)
def test_a_given_word_is_no_part_of_another(rows_of, text, words, places):
    given = row([0] * len(words), review=text, pieces=words)
    if places is None:
        with pytest.raises(UserError, match="is not in the text from character 0 on"):
            rows_of([given], spec_of("mask", words="pieces"))
        return
    (found,) = rows_of([given], spec_of("mask", words="pieces"))
    assert [(word.start, word.end) for word in found.words] == places
