"""How a model answers when it is asked for its words: outcomes of reading its replies, and words that are not there."""

from __future__ import annotations

import pandas as pd

from rationale_eval.report.aggregate import Row, means, status_counts
from rationale_eval.report.layout import CELL
from rationale_eval.report.usability import names_words

# How a reply was read, see rationales/replies.
OUTCOMES = ("ok", "partly_matched", "nothing_matched", "label_only", "form_only", "refusal", "empty", "truncated")

# `n` counts replies, `instances` all test rows; the columns `status_…` count the instances by the status of their
# rationale. `n_usable` replies name a word that could be chosen, `usable` is their share of n, refusals included.
# `outcome_…` are counts, `share_…` the same as fractions of n. `listed`: things that a reply lists,
# `hallucinated` those of them that are not in the input, both means over n; `any_hallucinated` and `copied`: shares of
# n that name at least one of these, and that copy the whole input. `selected`: mean number of words over the
# `n_selected` replies that are no refusal. `asked`: mean number of words asked for over the `n_asked` replies to a
# request that names one; `exact`: share of those that name exactly so many words of the input; `capped` counts those
# that were asked for fewer words than people marked. `finish_…` count how replies ended; `reply_tokens` is a mean.
# `answers_agree`: share of the `n_answers` labels that the model gave after its reply that are those of its
# predictions. Of a method whose samples are votes, all replies count; `votes`: mean number of them that cast a vote,
# over instances.
PROMPTING_COLUMNS = (
    *(*CELL, "method", "instances", "n", "usable", "n_usable"),
    *(f"outcome_{outcome}" for outcome in OUTCOMES),
    *(f"share_{outcome}" for outcome in OUTCOMES),
    *("listed", "hallucinated", "any_hallucinated", "copied", "selected", "n_selected"),
    *("asked", "n_asked", "exact", "capped", "reply_tokens", "answers_agree", "n_answers", "votes"),
    *("collapsed", "flag"),
)


def prompting_row(
    rationales: pd.DataFrame, readings: pd.DataFrame, replies: pd.DataFrame, predictions: pd.DataFrame
) -> Row:
    """The row of one prompted method in one cell: its rationales, how replies were read, these, and the predictions."""
    columns = ["id", "sample", "asked", "capped", "reply_tokens", "finish", "answer"]
    joined = readings.merge(replies[columns], on=["id", "sample"], validate="one_to_one")
    joined = joined.merge(predictions[["id", "predicted"]], on="id", how="left", validate="many_to_one")
    replied = joined[joined["outcome"].notna()]
    n = len(replied)
    hallucinated = replied["hallucinated"].map(len).astype(float)
    named = replied["named"].astype(float)
    answered = replied["answer"].notna()
    asked = replied["asked"].astype(float)
    values = {
        "listed": replied["listed"].astype(float),
        "hallucinated": hallucinated,
        "any_hallucinated": (hallucinated > 0).astype(float),
        "copied": replied["copied"].astype(float),
        "selected": named,
        "asked": asked,
        "exact": (named == asked).astype(float).where(asked.notna()),
        "reply_tokens": replied["reply_tokens"].astype(float),
        "answers_agree": (replied["answer"] == replied["predicted"]).astype(float).where(answered),
    }
    usable = int(names_words(replied).sum())
    counts = {outcome: int((replied["outcome"] == outcome).sum()) for outcome in OUTCOMES}
    return {
        **status_counts(rationales),
        "n": n,
        "usable": usable / n if n else None,
        "n_usable": usable,
        **{f"outcome_{outcome}": count for outcome, count in counts.items()},
        **{f"share_{outcome}": count / n if n else None for outcome, count in counts.items()},
        **means(pd.DataFrame(values)),
        "n_selected": int(named.notna().sum()),
        "n_asked": int(asked.notna().sum()),
        "n_answers": int(answered.sum()),
        "votes": float(rationales["votes"].astype(float).mean()) if rationales["votes"].notna().any() else None,
        "capped": int(replied["capped"].eq(True).sum()),
        **{f"finish_{finish}": int(count) for finish, count in replied["finish"].value_counts().items()},
    }
