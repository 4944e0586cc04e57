"""How far the annotators of a corpus agree, and how well one of them predicts the others: the ceiling of alignment.

Every function takes the masks of each row: one mask per annotator, all over the words of that row. Rows may have
different annotators and different numbers of them; a row with fewer than two says nothing about agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean

from rationale_eval.corpora.aggregate import aggregate

Mask = Sequence[bool]
# A mean, None where there is nothing to average, and the number of rows that it is over.
Mean = tuple[float | None, int]


def f1(selected: Mask, reference: Mask) -> float | None:
    """Token F1 of two sets of words, 0 if only one of them is empty; None if both are, where it is 0/0."""
    size = sum(selected) + sum(reference)
    hits = sum(a and b for a, b in zip(selected, reference, strict=True))
    return 2 * hits / size if size else None


def krippendorff_alpha(rows: Iterable[Sequence[Mask]]) -> float | None:
    """Krippendorff's alpha: each word is a unit, marked or not is its (nominal) value.

    Absent annotators are missing values. 1 is full agreement, 0 that of chance. None where it is not defined: no row
    with two annotators, or they all gave the same value to every word (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability).
    """
    votes = [
        (annotator, (row, word), bool(marked))
        for row, masks in enumerate(rows)
        if len(masks) > 1
        for annotator, mask in enumerate(masks)
        for word, marked in enumerate(mask)
    ]
    if len({marked for _, _, marked in votes}) < 2:
        return None
    from nltk.metrics.agreement import AnnotationTask  # takes a second, and most corpora have no annotators

    return float(AnnotationTask(votes).alpha())


def _mean_of_rows(values: Iterable[Sequence[float | None]]) -> Mean:
    """The mean over rows of the mean within each row; a row without a value is not in it."""
    known = [[value for value in row if value is not None] for row in values]
    means = [fmean(row) for row in known if row]
    return (fmean(means) if means else None), len(means)


def pairwise_f1(rows: Iterable[Sequence[Mask]]) -> Mean:
    """Mean token F1 of two annotators: over the pairs of a row, then over rows. A pair of empty masks has no value."""
    return _mean_of_rows([f1(one, other) for one, other in combinations(masks, 2)] for masks in rows)


def _as_methods_are(pairs: Iterable[tuple[Mask, Mask]]) -> list[float | None]:
    """Token F1 of each (mask, reference) as alignment has it: none where the reference is empty."""
    return [f1(mask, reference) if any(reference) else None for mask, reference in pairs]


def leave_one_out_f1(rows: Iterable[Sequence[Mask]]) -> Mean:
    """Mean token F1 of an annotator against the majority of the others: over the annotators of a row, then over rows.

    As for methods, nothing is compared with an empty reference, and an empty mask has an F1 of 0 against one that is
    not. With three annotators that choice weighs nothing but in rows where no two agree on a word, which are left out.
    """
    return _mean_of_rows(
        _as_methods_are(
            (mask, aggregate([*masks[:place], *masks[place + 1 :]], "majority")) for place, mask in enumerate(masks)
        )
        for masks in rows
        if len(masks) > 1
    )


def f1_with_rationale(rows: Iterable[tuple[Sequence[Mask], Mask]]) -> Mean:
    """Mean token F1 of an annotator against the rationale of the row, in which that annotator has a say.

    ``rows`` holds the masks and the rationale of each row; the means and empty sets are those of ``leave_one_out_f1``.
    """
    return _mean_of_rows(
        _as_methods_are((mask, rationale) for mask in masks) for masks, rationale in rows if len(masks) > 1
    )
