"""Rated snippets with a lexicon: labels, the proxy rationale and the messages about malformed files."""

from __future__ import annotations

from collections import Counter

import pytest
from rationale_eval.corpora.instances import Word
from rationale_eval.corpora.rated_snippets import read, word_rating
from rationale_eval.corpora.stage import text_hash
from rationale_eval.errors import UserError

SPEC = {
    "archive": [],
    "snippets": "snippets.tsv",
    "lexicon": "lexicon.tsv",
    "lexicon_encoding": "utf-8",
    "min_rating": 0.5,
    "min_word_rating": 1.0,
    "min_words": 2,
    "max_words": 8,
}
LEXICON = (
    "good\t1.9\t0.9\t[1, 2]\nbad\t-2.5\t0.6\t[-2, -3]\nfine\t0.8\t0.6\t[1]\n:)\t2.0\t1.0\t[2]\n:D\t2.3\t1.0\t[2]\n"
)


@pytest.fixture
def rows_of(tmp_path):
    """``rows_of(snippets, lexicon, side, left_out, **changes of the spec)``: what the reader yields."""

    def rows(snippets, lexicon=LEXICON, side="train", left_out=None, **changes):
        for name, text in (("snippets.tsv", snippets), ("lexicon.tsv", lexicon)):
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return list(read(tmp_path, SPEC | changes, side, Counter() if left_out is None else left_out))

    return rows


def marked(rows):
    return [
        [instance.text(word) for word, mark in zip(instance.words, instance.rationale, strict=True) if mark]
        for instance in rows
    ]


@pytest.mark.parametrize(
    ("word", "rating"),
    [("good", 1.9), ("GOOD", 1.9), ("(good),", 1.9), ("good-ish", 0.0), (":)", 2.0), ("film", 0.0), ("...", 0.0)],
)
def test_words_are_looked_up_without_case_and_ascii_punctuation(word, rating):
    assert word_rating(word, {"good": 1.9, ":)": 2.0}) == rating


def test_an_emoticon_with_a_capital_is_found_as_written():
    assert word_rating(":D", {":D": 2.3}) == 2.3


def test_typographic_quotes_around_a_word_do_not_hide_it():
    assert word_rating("“good”", {"good": 1.9}) == 1.9


def test_a_row_becomes_an_instance_with_the_words_that_agree_with_its_label(rows_of):
    (instance,) = rows_of("17\t2.5\tA Good, not bad film :)\n")
    assert (instance.id, instance.label, dict(instance.fields)) == (
        "17",
        "positive",
        {"text": "A Good, not bad film :)"},
    )
    assert instance.words[:2] == (Word(0, 0, 1), Word(0, 2, 7))
    assert instance.rationale == (False, True, False, False, False, True)
    assert instance.annotators is None


def test_negative_rows_mark_negative_words(rows_of):
    rows = rows_of("1\t-1.5\tgood but bad\n")
    assert [instance.label for instance in rows] == ["negative"]
    assert marked(rows) == [["bad"]]


def test_thresholds_are_inclusive(rows_of):
    snippets = "1\t0.5\tgood film\n2\t-0.5\tbad film\n3\t0.49\tgood film two\n4\t-0.49\tbad film two\n"
    assert [instance.id for instance in rows_of(snippets)] == ["1", "2"]
    assert marked(rows_of("1\t1\tgood fine\n", min_word_rating=1.9)) == [["good"]]
    assert marked(rows_of("1\t1\tgood fine\n", min_word_rating=0.8)) == [["good", "fine"]]
    lengths = "1\t1\tone\n2\t1\tone two\n3\t1\ta b c\n4\t1\ta b c d\n"
    assert [instance.id for instance in rows_of(lengths, min_words=2, max_words=3)] == ["2", "3"]


def test_a_test_row_has_a_marked_word_a_train_row_needs_none_and_what_is_left_out_is_counted(rows_of):
    snippets = "1\t2\tgood film\n2\t2\tthe film\n3\t0.1\tgood meal\n4\t2\tgood\n5\t-0.2\ta\n"
    rejected = {"rated_near_zero": 2, "length": 1}
    for side, ids, counts in (
        ("train", ["1", "2"], rejected),
        ("test", ["1"], rejected | {"no_marked_word": 1}),
    ):
        left_out = Counter()
        assert [row.id for row in rows_of(snippets, side=side, left_out=left_out)] == ids
        assert left_out == counts


def test_a_rating_of_zero_is_never_explained_by_words_of_the_other_sign(rows_of):
    """Only with ``min_rating: 0`` can such a row be in: whatever its label is, the marked words must agree with it."""
    rows = rows_of("1\t0.0\tgood and bad\n", min_rating=0)
    for instance, words in zip(rows, marked(rows), strict=True):
        assert words == [{"positive": "good", "negative": "bad"}[instance.label]]


def test_rows_that_differ_in_case_and_spacing_alone_are_one_group(rows_of):
    rows = rows_of("1\t1\tGood  film\n2\t1\t good FILM \n3\t1\tgood films\n")
    groups = [text_hash(row) for row in rows]
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize(
    ("snippets", "message"),
    [
        ("1\t1\tgood film\n1\t1\tother film\n", "line 2: the id '1' was used before"),
        ("1\t1\tgood film\n2\tmany\tother\n", "line 2: the rating 'many' is not a number"),
        ("1\t4.5\tgood film\n", "line 1: the rating '4.5' is not between -4 and 4"),
        ("1\tnan\tgood film\n", "line 1: the rating 'nan' is not between"),
        ("1\t1\n", "line 1 has 2 tab-separated parts, not 3"),
        ("just text\n", "line 1 has 1 tab-separated parts"),
    ],
)
def test_malformed_snippets_are_refused_with_file_and_line(rows_of, snippets, message):
    with pytest.raises(UserError, match=message) as caught:
        rows_of(snippets)
    assert "snippets.tsv" in str(caught.value)


def test_lines_are_counted_as_an_editor_counts_them(rows_of):
    with pytest.raises(UserError, match="line 4: the rating 'x'"):
        rows_of("1\t1\tgood film\n\n   \n2\tx\tother\n")


def test_a_malformed_lexicon_is_refused_with_file_and_line(rows_of):
    with pytest.raises(UserError, match=r"lexicon.tsv: line 2 has no tab"):
        rows_of("1\t1\tgood film\n", lexicon="good\t1\nbad -1\n")
    with pytest.raises(UserError, match=r"lexicon.tsv: line 1: the rating 'x'"):
        rows_of("1\t1\tgood film\n", lexicon="good\tx\n")


def test_an_id_is_used_twice_even_if_the_first_row_was_left_out(rows_of):
    with pytest.raises(UserError, match="used before"):
        rows_of("1\t0.1\tneutral film\n1\t1\tgood film\n")


def test_the_encoding_of_the_lexicon_is_obeyed_and_a_wrong_one_named(rows_of):
    lexicon = "köstlich\t2.0\n".encode("latin-1")
    assert marked(rows_of("1\t1\tköstlich war es\n", lexicon=lexicon, lexicon_encoding="latin-1")) == [["köstlich"]]
    with pytest.raises(UserError, match=r"lexicon.tsv is not utf-8"):
        rows_of("1\t1\tgood film\n", lexicon=lexicon)


def test_a_byte_order_mark_and_windows_line_ends_leave_no_trace(rows_of):
    (instance,) = rows_of(b"\xef\xbb\xbf1\t1\tgood film\r\n")
    assert (instance.id, instance.fields["text"]) == ("1", "good film")


def test_unusual_separators_and_tabs_inside_a_text_do_not_end_it(rows_of):
    (instance,) = rows_of("1\t1\tgood\u2028film\x0bwith\ttab\n")
    assert instance.fields["text"] == "good\u2028film\x0bwith\ttab"


def test_the_smoke_corpus_is_readable_and_keeps_its_rows_when_it_grows(smoke_corpus, tmp_path):
    import tiny_models

    grown = tiny_models.make_smoke_corpus(tmp_path / "grown", rows=150)
    spec = SPEC | {"min_words": 5, "max_words": 15}
    few, many = (list(read(folder, spec, "train", Counter())) for folder in (smoke_corpus, grown))
    assert 40 < len(few) <= 60
    assert many[: len(few)] == few
    assert len(many) > 100
    assert {instance.label for instance in few} == {"negative", "positive"}
    assert all(any(instance.rationale) and not all(instance.rationale) for instance in few)
    assert len({text_hash(row) for row in many}) == len(many)
    assert (tmp_path / "grown" / "lexicon.tsv").read_bytes() == (smoke_corpus / "lexicon.tsv").read_bytes()


@pytest.mark.parametrize(
    ("name", "group"),
    [("12_3", "12"), ("12", None), ("a_3", None), ("12_", None), ("12_3_4", None), ("1_1", "1")],
)
def test_the_document_of_a_sentence_is_what_its_id_says(rows_of, name, group):
    (found,) = rows_of(f"{name}\t2.5\tA good film\n")
    assert (found.id, found.group) == (name, group)
