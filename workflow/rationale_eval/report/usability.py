"""Which replies of a prompted method can be used: those that name at least one word that could be chosen.

A reply that names none is an answer (F1 of 0, nothing masked), so a method that hardly ever names a word is measured as
if it chose empty sets. How often it does is said here, from a method's table of rationales alone.
"""

from __future__ import annotations

import pandas as pd

from rationale_eval.rationales.schema import NO_VOTE, OK, REFUSAL
from rationale_eval.thoughts import CUT_OFF

# Statuses of instances that were asked and answered; all others (no_gold, too_long, api_error …) have no reply. One
# that the model refused to classify, or whose classification was cut off, has such a status too, but was not asked: its
# `outcome` is null.
_REPLIED = (OK, NO_VOTE)


def names_words(rows: pd.DataFrame) -> pd.Series:
    """Whether each row of a table of rationales, or of readings, names a word; by index, rows without a reply left out.

    A number counts whatever its value; of votes at least one must name a word; a refusal names none, nor does a reply
    that was cut off before it answered. Raises
    ``ValueError`` for a method that is not prompted, whose rows do not say how many words a reply names.
    """
    refused = rows["status"].isin((REFUSAL, CUT_OFF)) & rows["outcome"].notna()
    replied = rows[rows["status"].isin(_REPLIED) | refused]
    answered = replied["status"] == OK
    if replied.loc[answered, "named"].isna().any():
        raise ValueError("only prompted methods have replies")
    return replied["named"].fillna(0).astype(int) > 0


def usable_ids(rationales: pd.DataFrame) -> pd.Series:
    """Whether the reply about each instance names a word, by id; of several samples any.

    ``rationales`` has the columns of ``RATIONALES``. Instances without a reply are absent. Raises ``ValueError`` as
    ``names_words`` does.
    """
    named = names_words(rationales)
    return named.groupby(rationales.loc[named.index, "id"], sort=False).any()


def usable_share(rationales: pd.DataFrame) -> tuple[int, int]:
    """How many instances have a usable reply, and how many a reply at all; refusals and ``no_vote`` are replies.

    Raises ``ValueError`` as ``names_words`` does.
    """
    usable = usable_ids(rationales)
    return int(usable.sum()), len(usable)
