"""From several annotators' masks to one: cases worked by hand, and the order of the three ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.aggregate import aggregate

ONE = [(True, False, True, False)]
TWO = [(True, False, True, False), (True, True, False, False)]
THREE = [*TWO, (False, False, True, False)]


@pytest.mark.parametrize(
    ("masks", "how", "expected"),
    [
        (ONE, "majority", (True, False, True, False)),
        (TWO, "majority", (True, False, False, False)),  # half of the annotators are no majority
        (THREE, "majority", (True, False, True, False)),
        (TWO, "union", (True, True, True, False)),
        (THREE, "union", (True, True, True, False)),
        (THREE, "first", (True, False, True, False)),
        (THREE[::-1], "first", (False, False, True, False)),
        ([[1, 0], [1, 1], [0, 0]], "majority", (True, False)),
        ([(), ()], "majority", ()),
    ],
)
def test_masks_are_aggregated(masks, how, expected):
    found = aggregate(masks, how)
    assert found == expected
    assert all(type(mark) is bool for mark in found)


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(*[st.booleans()] * n), min_size=1, max_size=5)))
def test_a_majority_lies_within_the_union_and_one_annotator_is_all_three(masks):
    majority, union = aggregate(masks, "majority"), aggregate(masks, "union")
    assert all(any_marked or not most for most, any_marked in zip(majority, union, strict=True))
    alone = masks[:1]
    assert aggregate(alone, "majority") == aggregate(alone, "union") == aggregate(alone, "first") == masks[0]


@pytest.mark.parametrize(
    ("masks", "how", "message"),
    [([], "majority", "no masks"), ([(True,), (True, False)], "union", "longer"), (ONE, "median", "median")],
)
def test_what_cannot_be_aggregated_is_refused(masks, how, message):
    with pytest.raises(ValueError, match=message):
        aggregate(masks, how)
