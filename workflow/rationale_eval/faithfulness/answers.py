"""What the model says of a whole input and of a perturbed one, compared; and where both are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import MASK, OK, PERTURBATIONS, WHOLE
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.tables import read_table

Answer = Mapping[str, Any]
# The rows of one instance by method, sample, budget and operation.
ByRequest = dict[tuple[str, int, str, str], Answer]


def softmax(scores: Any) -> Any:
    """The softmax of label scores, in float64."""
    exponentials = np.exp(np.asarray(scores, dtype=float) - np.max(scores))
    return exponentials / exponentials.sum()


def place(before: Answer) -> int:
    """Where the label that is predicted before any perturbation stands among the scores."""
    found: int = before["labels"].index(before["predicted"])
    return found


def probability(before: Answer, after: Answer | None) -> float | None:
    """The probability after a perturbation of the label predicted before it.

    None where there is no such answer, and where it is a label without scores, as an API may give it.
    """
    if after is None or after["scores"] is None or before["scores"] is None:
        return None
    return float(softmax(after["scores"])[place(before)])


def drop(before: Answer, after: Answer | None) -> float | None:
    """By how much the probability of the label predicted before falls; None where there are no scores."""
    start, left = probability(before, before), probability(before, after)
    return None if start is None or left is None else start - left


def flip(before: Answer, after: Answer | None) -> bool | None:
    """Whether another label is predicted; None where there is no answer after."""
    return None if after is None or after["status"] != OK else after["predicted"] != before["predicted"]


def log_odds(scores: Any, label: int) -> float:
    """The logit of the probability of a label: its score minus the log-sum-exp of the other labels' scores."""
    values = np.asarray(scores, dtype=float)
    return float(values[label] - np.logaddexp.reduce(np.delete(values, label)))


def log_odds_drop(before: Answer, after: Answer | None) -> float | None:
    """By how much the log-odds of the label predicted before fall; None where there are no scores.

    Unlike a probability they do not saturate where the model is sure.
    """
    if after is None or after["scores"] is None or before["scores"] is None:
        return None
    return log_odds(before["scores"], place(before)) - log_odds(after["scores"], place(before))


def by_instance(predictions: Path, perturbations: Path) -> Iterator[tuple[Answer, ByRequest]]:
    """For each instance with perturbations the answer before them, and the answers to them.

    Before is the prediction of the whole input; where the mask is announced, the one under the announcement. Where no
    word is masked, or all are kept, it is the answer too: the input is the same, and another pass would round it
    otherwise. Raises ``UserError`` for perturbations of instances that have no prediction.
    """
    whole = {row["id"]: row for row in read_table(predictions, PREDICTIONS)}
    found: dict[str, ByRequest] = {}
    for row in read_table(perturbations, PERTURBATIONS):
        if row["id"] not in whole:
            raise UserError(f"{perturbations}: row {row['id']!r} has no prediction in {predictions}")
        requests = found.setdefault(row["id"], {})
        requests[row["method"], row["sample"], row["budget"], row["operation"]] = row
    for name, requests in found.items():
        before = whole[name]
        announced = requests.get((WHOLE, 0, AS_GIVEN, MASK))
        if announced is not None and before["status"] == OK:
            before = {**before, **{name: announced[name] for name in ("status", "predicted", "scores")}}
        if before["status"] == OK:
            said = {name: before[name] for name in ("predicted", "scores")}
            requests = {key: {**row, **said} if is_whole(row) else row for key, row in requests.items()}
        yield before, requests


def is_whole(row: Answer) -> bool:
    """Whether the input of a perturbation that has an answer is the whole text as it is."""
    unmasked: bool = row["selected"] == (0 if row["operation"] == MASK else row["words"])
    return unmasked and row["status"] == OK
