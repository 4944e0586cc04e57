"""Agreement of annotators: hand-worked and published values, and the definitions written out on random masks."""

from __future__ import annotations

import json
import warnings
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.aggregate import aggregate
from rationale_eval.corpora.agreement import (
    f1,
    f1_with_rationale,
    krippendorff_alpha,
    leave_one_out_f1,
    pairwise_f1,
)
from sklearn.metrics import f1_score

BIOS = Path(__file__).parents[2].parent / "shared" / "data" / "medical-bios" / "rationales.jsonl"


def mask(text):
    return tuple(letter == "x" for letter in text)


def row(*texts):
    return tuple(map(mask, texts))


UP_TO_FOUR = st.integers(0, 4)


@st.composite
def rows_of_masks(draw, annotators=UP_TO_FOUR):
    """Rows of one to six words, each with a number of annotators of its own."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        words = draw(st.integers(1, 6))
        one = st.lists(st.booleans(), min_size=words, max_size=words)
        found.append([draw(one) for _ in range(draw(annotators))])
    return found


@given(rows_of_masks(annotators=st.just(2)))
def test_f1_is_that_of_scikit_learn_and_undefined_for_two_empty_sets(rows):
    for one, other in rows:
        found = f1(one, other)
        assert (found is None) == (not any(one) and not any(other))
        if found is not None:
            assert found == pytest.approx(f1_score(other, one, zero_division=0))


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (["x.x"], "x.x"),
        (["xx.", "x.x"], "x.."),
        (["xx..", "x.x.", "x..x"], "x..."),
        (["xx.", "xx.", "..x", "..x"], "..."),
        (["xx.", "xx.", "..x", "..x", ".xx"], ".xx"),
    ],
)
def test_a_majority_is_more_than_half(masks, expected):
    assert aggregate(row(*masks), "majority") == mask(expected)


def test_majority_is_the_aggregate_of_a_published_corpus():
    if not BIOS.is_file():
        pytest.skip("the optional corpus rows (MedicalBios) are absent")
    lines = [json.loads(line) for line in BIOS.read_text(encoding="utf-8").splitlines()]
    published = [bool(word) for line in lines for word in line["rationale"]]
    ours = [word for line in lines for word in aggregate(line["annotations"], "majority")]
    assert sum(published) > 500
    # The publisher left out 18 words of a majority and added none.
    assert [word for word, chosen in zip(ours, published, strict=True) if chosen] == [True] * sum(published)
    assert sum(ours) - sum(published) == 18


# Krippendorff's alpha


def test_alpha_of_the_published_binary_example():
    # Krippendorff (2011), section A: two observers, ten units; 1 - 19 * 4 / (14 * 6).
    published = row(".x......x.", "xxx..x....")
    assert krippendorff_alpha([published]) == pytest.approx(1 - 76 / 84) == pytest.approx(0.095, abs=5e-4)
    # Units are words: it is the same over two rows as over one, however many words each has.
    assert krippendorff_alpha([row(".x.", "xxx"), row(".....x.", "..x....")]) == pytest.approx(1 - 76 / 84)


def written_out(rows):
    """Alpha by its definition: pairs of values within units against pairs of all values that can be paired."""
    units = [votes for masks in rows if len(masks) > 1 for votes in zip(*masks, strict=True)]
    values = [value for votes in units for value in votes]
    if len(set(values)) < 2:
        return None
    within = sum(sum(a != b for a, b in permutations(votes, 2)) / (len(votes) - 1) for votes in units)
    overall = sum(a != b for a, b in permutations(values, 2)) / (len(values) - 1)
    return 1 - within / overall


@given(rows_of_masks())
def test_alpha_is_its_definition_where_numbers_of_annotators_differ(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert krippendorff_alpha(rows) == pytest.approx(written_out(rows))


@pytest.mark.parametrize(
    "rows",
    [[], [row("x.")], [row(".", "."), row("..", "..", "..")], [row("x", "x")], [(), row("x.x", "xxx")[:1]]],
    ids=["no row", "one annotator", "nothing marked", "all marked", "nobody and one"],
)
def test_alpha_without_pairs_or_without_variation_is_none(rows):
    assert krippendorff_alpha(rows) is None


def test_rows_with_one_annotator_change_no_alpha():
    rows = [row("x..", "xx."), row("..x", "..x", "x.x")]
    assert krippendorff_alpha([*rows, row("xxx"), ()]) == krippendorff_alpha(rows)


# F1 between annotators

THREE = row("xx..", "x.x.", "x...")
TWO = row(".x", "xx")


@pytest.mark.parametrize(
    ("measure", "rows", "mean", "count"),
    [
        # Each against what the two others share, the first word: 2/3, 2/3, 1.
        (leave_one_out_f1, [THREE], 7 / 9, 1),
        (leave_one_out_f1, [TWO], 2 / 3, 1),
        # Over rows, not over annotators: those of the longer row weigh no more.
        (leave_one_out_f1, [THREE, TWO], (7 / 9 + 2 / 3) / 2, 2),
        # Who marked nothing has 0; whoever the others mark nothing against is passed over.
        (leave_one_out_f1, [row("..", "x.")], 0, 1),
        (leave_one_out_f1, [row("..", ".."), TWO], 2 / 3, 1),
        (leave_one_out_f1, [row("x.", ".x", "..")], None, 0),
        (leave_one_out_f1, [row("xx"), ()], None, 0),
        # 1/2, 2/3, 2/3.
        (pairwise_f1, [THREE], 11 / 18, 1),
        (pairwise_f1, [THREE, TWO], (11 / 18 + 2 / 3) / 2, 2),
        (pairwise_f1, [row("x.", "..", "..")], 0, 1),
        (pairwise_f1, [row("..", ".."), row("x.")], None, 0),
    ],
)
def test_means_by_hand(measure, rows, mean, count):
    assert measure(rows) == (pytest.approx(mean), count)


def test_f1_with_the_rationale_by_hand():
    # 2/3, 2/3, 1 against the first word; then an empty rationale, and a row with one annotator.
    rows = [(THREE, mask("x...")), (row("x.", ".x"), mask("..")), (row("x."), mask("x."))]
    assert f1_with_rationale(rows) == (pytest.approx(7 / 9), 1)
    assert f1_with_rationale([(row("..", "xx"), mask("x."))]) == (pytest.approx((0 + 2 / 3) / 2), 1)


@given(rows_of_masks(annotators=st.just(2)))
def test_of_two_annotators_leaving_one_out_is_the_f1_of_the_pair(rows):
    for masks in rows:
        assert leave_one_out_f1([masks]) == pairwise_f1([masks])


@given(rows_of_masks(annotators=st.just(3)))
def test_of_three_annotators_nobody_reaches_more_than_with_their_own_mark_counted(rows):
    for masks in rows:
        (without, _), (included, _) = (
            leave_one_out_f1([masks]),
            f1_with_rationale([(masks, aggregate(masks, "majority"))]),
        )
        assert (without or 0) <= (included or 0) + 1e-12
