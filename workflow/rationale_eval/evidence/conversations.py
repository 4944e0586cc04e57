"""What a model is asked about its decision, before any model's template: the same for local models and for APIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import NO_GOLD, OK, REPLIES
from rationale_eval.models.task import Task


@dataclass(frozen=True)
class Conversation:
    """One conversation: its row of the table of replies without the reply, and the user's message.

    ``message`` is None where nothing is asked; the row's status then says why.
    """

    row: dict[str, Any]
    message: str | None


def conversation(
    instance: Instance, prediction: Mapping[str, Any], task: Task, spec: Mapping[str, Any]
) -> Conversation:
    """What is asked of one instance by the prompt ``spec["strategy"]``.

    With a strategy that names a number of words it is what people marked, at most ``spec["max_words"]``; where they
    marked none there is no number to ask for (status ``no_gold``). An instance without a prediction keeps its status.
    Raises ``UserError`` where the prompt names a foil and the instance has none.
    """
    row: dict[str, Any] = dict.fromkeys(REPLIES.columns.names)
    row |= {"id": instance.id, "sample": 0, "status": prediction["status"], "label": prediction["predicted"]}
    if prediction["status"] != OK:
        return Conversation(row, None)
    strategy = spec["strategy"]
    if task.takes_size(strategy):
        marked = sum(instance.rationale or ())
        if not marked:
            return Conversation(row | {"status": NO_GOLD}, None)
        row |= {"asked": min(marked, spec["max_words"]), "capped": marked > spec["max_words"]}
    foil = None
    if task.takes_foil(strategy):
        if instance.foil is None:
            raise UserError(f"instance {instance.id!r} has no foil, which the explanation prompt {strategy!r} names")
        # Where the model predicts the foil, it is asked why not the other label of the pair.
        foil = instance.label if prediction["predicted"] == instance.foil else instance.foil
    return Conversation(row, task.explanation(strategy, instance.fields, prediction["predicted"], row["asked"], foil))
