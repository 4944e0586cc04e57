"""Methods whose values in a cell say nothing of their words: their rows are marked wherever they are shown.

A prompted method is flagged where too few of its replies name a word of the text: what is then measured is that the
model does not answer. So are methods that are cut to the sizes of its replies, at that budget. Integrated gradients are
flagged where the sum over few steps is too far from the integral.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from rationale_eval.rationales.budgets import MATCHED

UNUSABLE, INCOMPLETE = "unusable_replies", "incomplete"
# By flag the sign that names it in tables and what it means.
FLAGS = {
    UNUSABLE: ("\N{DOUBLE DAGGER}", "too few replies name a word of the text"),
    INCOMPLETE: ("\N{SECTION SIGN}", "the attributions are too far from adding up"),
}
Flags = Mapping[str, str]


def too_few_usable(usable: pd.Series, validity: Mapping[str, Any]) -> bool:
    """Whether the share of usable replies, True in ``usable``, is below ``min_usable_replies``; not without a reply."""
    return len(usable) > 0 and bool(usable.mean() < validity["min_usable_replies"])


def method_flags(
    usable: Mapping[str, pd.Series], completeness: Mapping[str, Mapping[str, Any]], validity: Mapping[str, Any]
) -> dict[str, str]:
    """The flags of the methods of one cell that have one: of ``usable`` replies, and by rows of ``completeness``."""
    found = {name: UNUSABLE for name, replies in usable.items() if too_few_usable(replies, validity)}
    return found | {name: INCOMPLETE for name, row in completeness.items() if row["incomplete"]}


def flag_of(method: str, budget: str, flags: Flags, budgets: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The flag of a method's row at one budget: its own, or that of the method whose sizes it is cut to."""
    entry = budgets.get(budget, {})
    return flags.get(method) or (flags.get(entry["to"]) if entry.get("kind") == MATCHED else None)


def has_flag(flag: Any) -> bool:
    """Whether a table's cell names a flag; null comes back from Parquet as None or NaN."""
    return isinstance(flag, str) and flag in FLAGS


def signed(text: str, flag: Any) -> str:
    """``text`` with the sign of its flag, if it has one."""
    return f"{text}\N{NO-BREAK SPACE}{FLAGS[flag][0]}" if has_flag(flag) else text


def flag_notes(flags: pd.Series) -> list[str]:
    """For each flag among ``flags`` what its sign means, for example below a table."""
    there = {flag for flag in flags if has_flag(flag)}
    return [f"{sign}: {meaning}, inconclusive" for flag, (sign, meaning) in FLAGS.items() if flag in there]
