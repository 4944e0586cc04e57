"""Which values are bold in tables of methods, on the page and in LaTeX: one rule for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.findings import leader
from rationale_eval.report.flags import has_flag
from rationale_eval.report.layout import BEYOND, REFERENCE, family

BOLD = (
    "Bold: the best of each column, and all whose interval overlaps with its; references, sets as given and means over "
    "fewer than half of the instances do not compete"
)
# Larger sets flip more, and replies can be smaller than the budget.
OF_FLIPS = (
    "flip rates are judged by the flips beyond those by equally many random words, and none is bold whose interval of "
    "that difference does not lie above 0"
)
OF_PROBABILITIES = "nor do methods some of whose replies name fewer words than the budget asks for"
# What masking, or keeping, takes from a probability: it grows with the number of words.
_BY_SIZE = ("comprehensiveness", "sufficiency")


@dataclass(frozen=True)
class Measure:
    """A column of a report table as it is shown: ``count`` names the column with its number of instances.

    ``better`` is 1 where more is better, -1 where less is, 0 where neither is.
    """

    column: str
    words: str
    form: str
    count: str
    better: int = 1

    @property
    def judged(self) -> str:
        """The column that decides what is bold: of flip rates the difference to equally many random words."""
        return BEYOND if self.column == "flip_rate" else self.column

    @property
    def bold(self) -> str:
        """The rule of what is bold, for a caption."""
        more = OF_FLIPS if self.judged == BEYOND else OF_PROBABILITIES if self.column in _BY_SIZE else ""
        return f"{BOLD}; {more}" if more else BOLD


def best(rows: Sequence[Mapping[str, Any]], measure: Measure) -> set[int]:
    """The positions in ``rows`` of the best value of a measure and of all whose interval overlaps with its.

    Nothing where fewer than two compete, in a collapsed cell, and where no value is better than another. Rows with
    ``competes`` false are left aside, and so are those of flagged methods. Of flips none counts that is not above
    random words.
    """
    column, better = measure.judged, measure.better
    if not better:
        return set()
    tried: list[dict[str, Any]] = []
    for position, row in enumerate(rows):
        if row.get("competes", True) and not row.get("collapsed", False) and pd.notna(row[column]):
            ends = [better * row[f"{column}{end}"] for end in ("", "_low", "_high")]
            value, low, high = ends if better > 0 else (ends[0], ends[2], ends[1])
            tried.append({"position": position, "value": value, "value_low": low, "value_high": high})
    top, rivals = leader(tried, "value")
    if top is None or len(tried) < 2:
        return set()
    return {row["position"] for row in [top, *rivals] if column != BEYOND or row["value_low"] > 0}


def competing(rows: pd.DataFrame, measure: Measure) -> list[dict[str, Any]]:
    """The rows of a cell as records, each with whether it ``competes``, and the ``most`` instances of any.

    Neither a reference nor a set as given competes, nor what is a mean over fewer than half of these, nor, by what
    grows with the size of a set, a method some of whose replies are shorter than the budget (``n_short``).
    """
    most = rows[measure.count].max()
    found: list[dict[str, Any]] = rows.to_dict("records")
    for row in found:
        alike = family(row["kind"]) != REFERENCE and row.get("budget") != AS_GIVEN and not has_flag(row.get("flag"))
        alike = alike and not (measure.column in _BY_SIZE and row.get("n_short"))
        row |= {"most": most, "competes": alike and 2 * row[measure.count] >= most}
    return found
