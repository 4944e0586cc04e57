"""e-SNLI: highlights found by hand, by property and in the publisher's rows; what is left out; bad rows and files."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rationale_eval.corpora.esnli import highlighted, read
from rationale_eval.corpora.instances import check, whitespace_words
from rationale_eval.corpora.rows import RowError
from rationale_eval.errors import UserError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "e-snli"
SPEC = {"archive": [], "train": ["train.csv"], "test": ["test.csv"], "bad_rows": "error", "aggregation": "majority"}
ROW = {
    "pairID": "7.jpg#0r1e",
    "gold_label": "entailment",
    "Sentence1": "Two dogs, wet, run home.",
    "Sentence2": "Animals run.",
    "Explanation_1": 'Dogs are "animals",\nof course.',
    "Sentence1_marked_1": "Two *dogs,* wet, *run* home.",
    "Sentence2_marked_1": "*Animals* *run.*",
}
EMPTY = {f"Sentence{sentence}_marked_{number}": "" for number in (2, 3) for sentence in (1, 2)}


@pytest.fixture
def read_rows(tmp_path):
    """``read_rows(rows, side, **changes of the spec)``: instances and counts of a CSV with these rows."""

    def found(rows, side="test", **changes):
        with (tmp_path / f"{side}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        left_out = Counter()
        instances = list(read(tmp_path, SPEC | changes, side, left_out))
        for instance in instances:
            check(instance, "test")
        return instances, dict(left_out)

    return found


def words_of(instance, mask):
    return [instance.text(word) for word, mark in zip(instance.words, mask, strict=True) if mark]


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("a dog runs", "a dog runs", []),
        ("a dog runs", "a *dog* runs", ["dog"]),
        ("a dog runs.", "*a* dog *runs.*", ["a", "runs."]),
        ("a dog runs", "a *dog runs*", ["dog", "runs"]),
        ("a dog runs.", "a dog *runs*.", ["runs."]),  # part of a word is the word
        ("ice-cold tea", "ice-*cold* tea", ["ice-cold"]),
        ("a dog runs", "a ** dog** runs", []),  # empty marks
        ("a dog runs", "**a dog *runs*", ["runs"]),
        ("a dog runs", "a* *dog runs", []),  # spaces belong to no word
        ("a dog  runs", "a *dog* runs ", ["dog"]),  # spacing differs
        ("a dog runs", "a*dog*runs", ["dog"]),
        ("a dog\xa0runs", "a dog *runs*", ["runs"]),
        # asterisks of the text itself
        ("a d*g runs", "a d*g runs", []),
        ("a d*g runs", "a *d*g* runs", ["d*g"]),
        ("a *dog* runs", "a *dog* runs", []),
        ("a *dog* runs", "a **dog** runs", ["*dog*"]),
        ("a *dog* runs", "*a* *dog* *runs*", ["a", "runs"]),
        ("five * stars*", "*five* * stars*", ["five"]),
        ("five * stars*", "five *** stars*", ["*"]),
        ("five * stars*", "five * *stars**", ["stars*"]),
        ("five * stars*", "five ** stars**", ["*", "stars*"]),
        ("five * stars*", "*five ** stars*", ["five", "*"]),
        ("five * stars*", "*five * stars**", ["five", "*", "stars*"]),
        ("** **", "**** **", ["**"]),
        ("** **", "*** ***", ["**", "**"]),
    ],
)
def test_words_between_asterisks_are_highlighted(text, marked, expected):
    words = whitespace_words([text])
    found = highlighted(text, marked, words)
    assert [text[word.start : word.end] for word, mark in zip(words, found, strict=True) if mark] == expected


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("a dog runs", "a *cat* runs"),
        ("a dog runs", "a *dog*"),
        ("a dog runs", "a *dog runs"),
        ("a dog runs", "a *dog* *runs"),
        ("a *dog* runs", "a dog runs"),
        ("a *dog* runs", "a dog *runs*"),
        ("a *dog* runs", "*a* *dog*  runs"),  # with asterisks of its own, spacing must agree
        ("a dog runs", "A *dog* runs"),
        ("a dog runs", ""),
    ],
)
def test_a_marked_sentence_must_be_the_sentence_with_pairs_of_asterisks(text, marked):
    with pytest.raises(RowError, match="asterisk"):
        highlighted(text, marked, whitespace_words([text]))


one_word = st.text("ab*.é", min_size=1, max_size=4)
one_space = st.text(" \t\xa0", min_size=1, max_size=2)


@given(st.lists(st.tuples(one_word, one_space, st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_highlighting_random_words_of_texts_with_asterisks_is_undone(parts):
    text = "".join(word + space for word, space, _, _ in parts)
    marked = ""
    open_ = False
    for index, (word, space, mark, joined) in enumerate(parts):
        marked += "*" * (mark and not open_) + word
        # Two highlighted words in a row are one pair of asterisks or two.
        open_ = mark and joined and index + 1 < len(parts) and parts[index + 1][2]
        marked += "*" * (mark and not open_) + space
    assert highlighted(text, marked, whitespace_words([text])) == [mark for _, _, mark, _ in parts]


@given(st.text("ab. ", max_size=30), st.data())
def test_any_character_between_asterisks_highlights_its_word(text, data):
    words = whitespace_words([text])
    assume(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6).filter(lambda cuts: len(cuts) % 2 == 0)))
    bounds = [0, *cuts, len(text)]
    marked = "*".join(text[start:end] for start, end in pairwise(bounds))
    inside = {index for start, end in zip(cuts[::2], cuts[1::2], strict=True) for index in range(start, end)}
    expected = [any(index in inside for index in range(word.start, word.end)) for word in words]
    assert highlighted(text, marked, words) == expected


def test_a_row_becomes_an_instance_with_the_masks_of_those_who_annotated_it(read_rows):
    third = {
        "Sentence1_marked_3": "Two *dogs,* *wet,* run home.",
        "Sentence2_marked_3": "",
    }
    row = ROW | EMPTY | third
    ((instance,), left_out) = read_rows([row])
    assert (instance.id, instance.label) == (row["pairID"], "entailment")
    assert instance.fields == {"premise": row["Sentence1"], "hypothesis": row["Sentence2"]}
    assert [instance.text(word) for word in instance.words] == [*ROW["Sentence1"].split(), "Animals", "run."]
    assert len(instance.annotators) == 2  # nobody is the second annotator
    assert words_of(instance, instance.annotators[0]) == ["dogs,", "run", "Animals", "run."]
    assert words_of(instance, instance.annotators[1]) == ["dogs,", "wet,"]
    assert words_of(instance, instance.rationale) == ["dogs,"]
    assert left_out == {}
    for how, expected in (("union", "dogs, wet, run Animals run."), ("first", "dogs, run Animals run.")):
        ((instance,), _) = read_rows([row], aggregation=how)
        assert words_of(instance, instance.rationale) == expected.split()


@pytest.mark.parametrize("premise", ["", ROW["Sentence1"]])
def test_the_premise_of_a_neutral_row_is_unmarked_whether_repeated_or_empty(read_rows, premise):
    neutral = {"gold_label": "neutral", "Sentence1_marked_1": premise}
    ((instance,), _) = read_rows([ROW | neutral])
    assert words_of(instance, instance.rationale) == ["Animals", "run."]


def test_rows_that_cannot_be_used_are_counted_by_reason(read_rows):
    bare = {"Sentence1_marked_1": "", "Sentence2_marked_1": " "}
    unmarked = {"Sentence1_marked_1": ROW["Sentence1"], "Sentence2_marked_1": ROW["Sentence2"]}
    rows = [
        ROW | {"gold_label": "-"},
        ROW | {"gold_label": ""},
        ROW | {"pairID": "bare"} | bare,
        ROW | {"pairID": "unmarked"} | unmarked,
        ROW,
    ]
    found, left_out = read_rows(rows)
    assert [(row.id, row.rationale is not None and any(row.rationale)) for row in found] == [
        ("unmarked", False),  # somebody looked and marked nothing
        (ROW["pairID"], True),
    ]
    assert left_out == {"no_label": 2, "no_highlights": 1}
    found, left_out = read_rows(rows, side="train")
    assert [row.id for row in found] == ["bare", "unmarked", ROW["pairID"]]
    assert (found[0].rationale, found[0].annotators) == (None, None)
    assert left_out == {"no_label": 2}


def test_train_files_need_no_marked_columns_and_are_read_in_order(tmp_path):
    for number in (2, 1):
        content = f"pairID,gold_label,Sentence1,Sentence2\n{number},neutral,A dog.,A cat.\n"
        (tmp_path / f"esnli_train_{number}.csv").write_text(content, encoding="utf-8")
    found = read(tmp_path, SPEC | {"train": ["esnli_train_*.csv"]}, "train", Counter())
    assert [(row.id, row.rationale) for row in found] == [("1", None), ("2", None)]
    with pytest.raises(UserError, match=r"esnli_train_1\.csv: there is no 'Sentence1_marked_1'"):
        next(read(tmp_path, SPEC | {"test": ["esnli_train_1.csv"]}, "test", Counter()))


BAD_ROWS = [
    ({"Sentence1_marked_1": "Two *cats,* wet, run home."}, "Sentence1_marked_1 is not the sentence"),
    ({"Sentence2_marked_1": "*Animals run."}, "Sentence2_marked_1 has an asterisk that opens"),
    ({"Sentence2_marked_1": "Animals"}, "Sentence2_marked_1 is not the sentence"),
    ({"Sentence1_marked_1": ROW["Sentence2"], "Sentence2_marked_1": ROW["Sentence1"]}, "Sentence1_marked_1 is not"),
    ({"gold_label": "Entailment"}, "the gold_label 'Entailment' is none of entailment, neutral, contradiction"),
    ({"gold_label": "2"}, "the gold_label '2' is none of"),
    ({"pairID": ""}, "the pairID is empty"),
    ({"Sentence1": " "}, r"the premise \(Sentence1\) is empty"),
    ({"Sentence2": ""}, r"the hypothesis \(Sentence2\) is empty"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ROWS)
def test_a_bad_row_is_an_error_that_names_it_or_is_left_out(read_rows, change, message):
    rows = [ROW | {"pairID": "1"}, ROW | change, ROW | {"pairID": "3"}]
    pair = rows[1]["pairID"]
    with pytest.raises(UserError, match=rf"test\.csv: row 2 \(pairID '{pair}'\): {message}"):
        read_rows(rows)
    found, left_out = read_rows(rows, bad_rows="leave_out")
    assert [row.id for row in found] == ["1", "3"]
    assert left_out == {"bad_row": 1}


@pytest.mark.parametrize("missing", ["pairID", "gold_label", "Sentence2", "Sentence1_marked_1", "Sentence1_marked_3"])
def test_a_file_without_a_column_is_refused_even_if_bad_rows_may_go(read_rows, missing):
    row = {name: value for name, value in (ROW | EMPTY).items() if name != missing}
    with pytest.raises(UserError, match=rf"test\.csv: there is no '{missing}'"):
        read_rows([row], bad_rows="leave_out")


def test_rows_are_read_one_by_one(tmp_path):
    good = ",".join(ROW) + "\n" + "1,neutral,A dog.,A cat.,,,A *cat.*\n"
    (tmp_path / "test.csv").write_text(good + "2,neutral\n", encoding="utf-8")
    found = read(tmp_path, SPEC, "test", Counter())
    assert next(found).id == "1"
    with pytest.raises(UserError, match=r"row 2 \(from line 3\) has 2 cells"):
        next(found)


@pytest.fixture(scope="module")
def real():
    """``real(side, **changes of the spec)``: instances and counts of the publisher's rows."""
    if not REAL.is_dir():
        pytest.skip("the optional corpus rows (e-SNLI) are absent")

    def found(side, **changes):
        left_out = Counter()
        spec = SPEC | {"train": ["esnli_train.csv"], "test": ["esnli_test.csv"]} | changes
        return list(read(REAL, spec, side, left_out)), dict(left_out)

    return found


def test_the_publishers_test_rows_are_read_whole(real):
    found, left_out = real("test")
    assert len(found) == 640
    assert left_out == {}
    assert all(len(row.annotators) == 3 for row in found)
    assert sum(not any(row.rationale) for row in found) == 2
    for row in found:
        check(row, "real")
        premise = [mark for word, mark in zip(row.words, row.rationale, strict=True) if word.field == 0]
        assert row.label != "neutral" or not any(premise)
    # The rows have no asterisks of their own and mark whole words, so a count of asterisks is an independent oracle.
    with (REAL / "esnli_test.csv").open(encoding="utf-8", newline="") as file:
        asterisks = [
            [sum(row[f"Sentence{sentence}_marked_{number}"].count("*") for sentence in (1, 2)) for number in (1, 2, 3)]
            for row in csv.DictReader(file)
        ]
    assert [[2 * sum(mask) for mask in row.annotators] for row in found] == asterisks


def test_the_publishers_train_rows_have_one_annotator_or_none(real):
    found, left_out = real("train")
    assert len(found) == 10_696
    assert left_out == {}
    annotated = [row for row in found if row.rationale is not None]
    assert len({row.id for row in found}) == len(found)
    assert found[: len(annotated)] == annotated  # they are listed first
    assert all(row.annotators == (row.rationale,) for row in annotated)
    with (REAL / "esnli_train.csv").open(encoding="utf-8", newline="") as file:
        marked = sum(bool(row["Sentence1_marked_1"] or row["Sentence2_marked_1"]) for row in csv.DictReader(file))
    assert len(annotated) == marked


@pytest.mark.parametrize("how", ["union", "first"])
def test_the_publishers_rows_under_the_other_aggregations(real, how):
    found, _ = real("test", aggregation=how)
    for row in found:
        columns = list(zip(*row.annotators, strict=True))
        assert row.rationale == tuple(any(column) if how == "union" else column[0] for column in columns)


@pytest.mark.parametrize(
    ("pair", "group"),
    [
        ("2407214681.jpg#2r1n", "2407214681.jpg"),
        ("2407214681.jpg#4r1e", "2407214681.jpg"),
        ("vg_len63r1n", "vg_len63"),
        ("vg_verb5r2c", "vg_verb5"),
        ("17", None),
    ],
)
def test_the_group_of_a_pair_is_the_photograph_or_the_caption(read_rows, pair, group):
    ((found,), _) = read_rows([ROW | {"pairID": pair}])
    assert (found.id, found.group) == (pair, group)


def test_the_publishers_groups_are_the_photographs_and_no_test_row_shares_one(real):
    found, _ = real("test")
    train, _ = real("train")
    assert all(row.group is not None and row.id.startswith(row.group) for row in (*found, *train))
    photographs = {row.id.split("#")[0] for row in found}
    assert {row.group for row in found} == photographs
    assert not photographs & {row.group for row in train}
