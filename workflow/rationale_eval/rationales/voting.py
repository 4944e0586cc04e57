"""Several sampled replies to one question as votes: a word's score is the share of them that names it.

It estimates the probability that the model names the word when it is asked. Replies that refuse, or that name no word
of the text, cast no vote: they are left out of the share, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rationale_eval.rationales.schema import NO_VOTE, OK, rationale_row


def voted(identifier: str, readings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rationales row of an instance from the rows of its samples, which give sets of words.

    Without a vote there is no rationale: the status is that of the samples if they have the same, else ``no_vote``, and
    the outcome the one that all replies have, if they do.
    """
    votes = [row["selected"] for row in readings if row["status"] == OK and any(row["selected"])]
    counted: dict[str, Any] = {"votes": len(votes), "left_out": len(readings) - len(votes)}
    if not votes:
        (status, *others), (outcome, *more) = ({row[column] for row in readings} for column in ("status", "outcome"))
        counted["outcome"] = None if more else outcome
        return rationale_row(identifier, status=NO_VOTE if others or status == OK else status, **counted)
    shares = [sum(word) / len(votes) for word in zip(*votes, strict=True)]
    return rationale_row(identifier, scores=shares, named=sum(share > 0 for share in shares), **counted)
