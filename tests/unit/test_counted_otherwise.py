"""Rationales of a table that count words or characters otherwise than Python does."""

from __future__ import annotations

import random
import time

import pytest
from rationale_eval.corpora.instances import SPAN_IN_WORD, TIED
from rationale_eval.errors import UserError
from table_rows import row, spec_of

PILE, THUMB = "\N{PILE OF POO}\N{FACE WITH TEARS OF JOY}", "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-6}"


def marked(found):
    return [found.text(word) for word, mark in zip(found.words, found.rationale, strict=True) if mark]


def spans_of(**more):
    spec = spec_of("char_spans")
    spec["rationale"] |= more
    return spec


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Some 10\u00a0000 people died here", "died"),
        ("It was  bad and boring", "bad"),
        ("So\tdull indeed my friend", "indeed"),
        (" a leading space", "leading"),
        ("two\nlines of text", "of"),
    ],
)
def test_numbers_that_mean_other_words_where_only_single_spaces_split_are_refused(rows_of, text, word):
    for split in (None, " "):
        why = [text.split(split).index(word)]
        with pytest.raises(UserError, match=r"row 1: 'why' marks other words where the text is split at each single"):
            rows_of([row(why, review=text)], spec_of())
    # The words themselves leave no doubt.
    given = row(why, review=text, tokens=[piece for piece in text.split(" ") if piece.strip()])
    given["why"] = [given["tokens"].index(word)] if word in given["tokens"] else []
    (found,) = rows_of([given], spec_of(words="tokens"))
    assert marked(found) == ([word] if given["why"] else [])


def test_numbers_that_mean_the_same_words_either_way_are_taken(rows_of):
    (found,) = rows_of([row([1], review="a film  of our time")], spec_of())
    assert marked(found) == ["film"]
    # Only one of the two has so many words.
    (found,) = rows_of([row([4], review="a 10\u00a0000 word film")], spec_of())
    assert marked(found) == ["film"]


def test_a_long_text_is_compared_in_a_moment(rows_of):
    words = 30_000
    begun = time.monotonic()
    (found,) = rows_of([row(list(range(words)), review="a " * words)], spec_of())
    assert sum(found.rationale) == words
    assert time.monotonic() - begun < 5  # it took minutes when each word was looked for among all


def test_a_mask_is_for_the_words_that_it_has_entries_for(rows_of):
    (found,) = rows_of([row([0, 0, 1, 0], review="a film  of time")], spec_of("mask"))
    assert marked(found) == ["of"]
    with pytest.raises(UserError, match=r"mask of 5 for 4 words.*; split at each single space there are 5, because of"):
        rows_of([row([0, 0, 0, 1, 0], review="a film  of time")], spec_of("mask"))
    with pytest.raises(UserError, match="marks other words"):
        rows_of([row([0, 0, 1], review="a  film\tof")], spec_of("mask"))


def test_random_numbers_are_taken_only_where_both_ways_agree(rows_of):
    chance = random.Random(3)
    taken = 0
    for _ in range(300):
        text = "".join(chance.choice(["a", "b", " ", " ", "\u00a0", "  "]) for _ in range(12))
        words, pieces = text.split(), text.split(" ")
        if not words:
            continue
        why = sorted(chance.sample(range(len(words)), k=chance.randint(0, len(words))))
        # By character, in which run of the text it is and in which piece.
        run_of, piece_of, run, piece = [], [], -1, 0
        for place, sign in enumerate(text):
            piece += sign == " "
            run += not sign.isspace() and (place == 0 or text[place - 1].isspace())
            run_of.append(run)
            piece_of.append(piece)
        shown = [place for place, sign in enumerate(text) if not sign.isspace()]
        agree = {p for p in shown if run_of[p] in why} == {p for p in shown if piece_of[p] in why}
        impossible = any(number >= len(pieces) for number in why)
        try:
            (found,) = rows_of([row(why, review=text)], spec_of())
        except UserError:
            assert not agree
            assert not impossible
            continue
        taken += 1
        assert agree or impossible
        assert [place for place, mark in enumerate(found.rationale) if mark] == why
    assert 30 < taken < 290


@pytest.mark.parametrize(
    ("offsets", "span"),
    [("characters", [6, 9]), ("utf16", [8, 11]), ("bytes", [12, 15])],
)
def test_offsets_may_be_counted_in_other_units(rows_of, offsets, span):
    (found,) = rows_of([row([span], review=f"{PILE} so bad a film")], spans_of(offsets=offsets))
    assert (marked(found), found.notes) == (["bad"], ())


def test_an_offset_within_a_character_is_refused(rows_of):
    with pytest.raises(UserError, match=r"row 1: 'why' marks \[1, 5\], of which 1 is within a character"):
        rows_of([row([[1, 5]], review=f"{PILE} so")], spans_of(offsets="utf16"))
    with pytest.raises(UserError, match=r"marks \[2, 90\], which is not within the text's 7 utf16"):
        rows_of([row([[2, 90]], review=f"{PILE} so")], spans_of(offsets="utf16"))


def test_spans_that_begin_or_end_inside_a_word_are_noted(rows_of):
    rows = [
        row([[8, 11]], review=f"{PILE} so bad a film"),  # counted in UTF-16: it is "d a"
        row([[18, 24]], review="A film with great acting."),  # without the full stop
        row([[0, 2]], review="\u6211\u4eec\u559c\u6b22 film"),  # no spaces between these words
        row([[2, 6], [8, 11]], review="A film with great acting."),
    ]
    assert [found.notes for found in rows_of(rows, spans_of())] == [(SPAN_IN_WORD,), (), (), (SPAN_IN_WORD,)]


def test_texts_of_spans_check_them(rows_of):
    spec = spans_of(span_texts="said")
    rows = [row([[2, 6]], said=["film"]), row([[0, 2], [7, 12]], said=["A", "with "]), row([], said=None)]
    assert [marked(found) for found in rows_of(rows, spec)] == [["film"], ["A", "with"], []]
    text = f"{THUMB} what fun it is"
    with pytest.raises(
        UserError, match=r"marks \[10, 13\], which is 'n i'.*is 'fun'; with `rationale.offsets: utf16` it"
    ):
        rows_of([row([[10, 13]], review=text, said=["fun"])], spec)
    with pytest.raises(UserError, match=r"the texts of its 1 spans are .*, not a list with one for each"):
        rows_of([row([[2, 6]], said=["film", "A"])], spec)
    with pytest.raises(UserError, match=r"no test row has a column 'sais', which `rationale.span_texts` names"):
        rows_of([row([[2, 6]], said=["film"])], spans_of(span_texts="sais"))


@pytest.mark.parametrize(("aggregation", "notes"), [("majority", (TIED,)), ("union", ())])
def test_a_tie_of_annotators_is_noted_where_it_decides(rows_of, aggregation, notes):
    spec = spec_of(annotators="raters", aggregation=aggregation)
    rows = [row(raters=[[1], [1, 2]], why=None), row(raters=[[1], [1, 2], [2]], why=None), row(raters=[[1], [1]])]
    assert [found.notes for found in rows_of(rows, spec)] == [notes, (), ()]


def test_an_annotator_who_marked_nothing_counts_as_one(rows_of):
    (found,) = rows_of([row(raters=[[1], [1], []], why=None)], spec_of(annotators="raters"))
    assert found.annotators == ((False, True, False, False, False),) * 2 + ((False,) * 5,)
    assert marked(found) == ["film"]
    (found,) = rows_of([row(raters=[[], []], why=None)], spec_of(annotators="raters"))
    assert (found.rationale, len(found.annotators)) == ((False,) * 5, 2)
