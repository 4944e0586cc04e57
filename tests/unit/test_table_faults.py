"""A corpus of one's own: what is said of malformed rows and files."""

from __future__ import annotations

from collections import Counter

import pytest
from rationale_eval.errors import UserError
from table_rows import PAIR, SAYING, TEXT, pair, row, spec_of

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
