"""How far ways of asking name the same words of a text: one strategy against another, one sample against the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from rationale_eval.alignment import agreement
from rationale_eval.evidence.schema import OK
from rationale_eval.report.aggregate import Row
from rationale_eval.report.layout import CELL

Words = Sequence[bool]

# The mean over the `n` of `instances` in which both name at least one word. Where `other` is the method itself, samples
# of it are compared: all pairs of them, averaged within the instance. `f1_chance`: the F1 that sets of the same sizes
# are expected to have if they are drawn at random. `flag`: that of either method.
AGREEMENT_COLUMNS = (*CELL, "method", "other", "instances", "n", "f1", "f1_chance", "iou", "collapsed", "flag")


def named_words(row: Mapping[str, Any]) -> Words | None:
    """The set of words that a row of rationales names; None where it names none.

    Of numbers those above 0, of votes the words that at least half of them name.
    """
    if row["status"] != OK:
        return None
    if row["scores"] is not None:
        voted = row["votes"] is not None and pd.notna(row["votes"])
        words = [score >= 0.5 if voted else score > 0 for score in row["scores"]]
    else:
        words = list(row["selected"])
    return words if any(words) else None


def _means(pairs: Sequence[tuple[Words, Words]]) -> Row:
    measures = pd.DataFrame([agreement(one, other) for one, other in pairs])
    return {name: float(measures[name].mean()) for name in ("f1", "f1_chance", "iou")}


def _row(method: str, other: str, by_instance: Sequence[Row], instances: int) -> Row:
    columns = ["f1", "f1_chance", "iou"]
    found = pd.DataFrame(by_instance, columns=columns).mean().to_dict() if by_instance else dict.fromkeys(columns)
    return {"method": method, "other": other, "instances": instances, "n": len(by_instance), **found}


def agreement_rows(rationales: Mapping[str, pd.DataFrame], readings: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    """Each pair of the prompted methods of a cell, and the samples of each method that has several.

    ``rationales`` and ``readings`` are tables with the columns of ``RATIONALES``, by method.
    """
    named = {
        method: {row["id"]: named_words(row) for row in table.to_dict("records")}
        for method, table in rationales.items()
    }
    for method, other in combinations(named, 2):
        both = [
            (words, named[other][key])
            for key, words in named[method].items()
            if words is not None and named[other].get(key) is not None
        ]
        yield _row(method, other, [_means([pair]) for pair in both], len(named[method]))  # type: ignore[list-item]
    for method, table in readings.items():
        if table["sample"].max() > 0:
            samples: dict[str, list[Words]] = {key: [] for key in table["id"]}
            for row in table.to_dict("records"):
                if (words := named_words(row)) is not None:
                    samples[row["id"]].append(words)
            pairs = [list(combinations(sets, 2)) for sets in samples.values() if len(sets) > 1]
            yield _row(method, method, [_means(found) for found in pairs], len(samples))
