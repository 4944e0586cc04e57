"""What a model is asked about its decision, before any model's template: the same for local models and for APIs.

The question comes after the classification, in a chat of its own or in that of the classification, or before it; then
the label is asked for in the same conversation (``follow_up``). Solved examples are earlier turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import NO_GOLD, OK, REPLIES
from rationale_eval.models.task import BEFORE, EXPLAIN, IN_CHAT, Task

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Conversation:
    """One conversation: its row of the table of replies without the reply, and what is said.

    ``turns`` are earlier ones, ``(user's message, assistant's answer)`` each, ``message`` is the user's last. It is
    None where nothing is asked; the row's status then says why.
    """

    row: dict[str, Any]
    message: str | None
    turns: Turns = ()


def setting_of(spec: Mapping[str, Any]) -> str:
    """The section of the prompt file that a method with these ``order`` and ``chat`` asks by."""
    if spec["order"] == "before":
        return BEFORE
    return IN_CHAT if spec["chat"] == "same" else EXPLAIN


def size_of(instance: Instance, spec: Mapping[str, Any]) -> int:
    """The number of words that a prompt with ``{k}`` asks for, at most ``spec["max_words"]``; 0 if there is none.

    As many as people marked; where words come in an order or with numbers, so that they are cut later, all words: what
    people marked must not show in the question.
    """
    free = spec["gives"] in ("ranking", "scores")
    most: int = spec["max_words"]
    return min(len(instance.words) if free else sum(instance.rationale or ()), most)


def exchange(
    instance: Instance, label: str, task: Task, spec: Mapping[str, Any], k: int | None
) -> tuple[Turns, str, str | None]:
    """The turns before the question about ``label``, the question, and the label that it names.

    Raises ``UserError`` where the prompt names a foil and the instance has none.
    """
    setting, strategy, foil = setting_of(spec), spec["strategy"], None
    if task.takes_foil(strategy, setting):
        if instance.foil is None:
            raise UserError(f"instance {instance.id!r} has no foil, which the explanation prompt {strategy!r} names")
        # Where the model predicts the foil, it is asked why not the other label of the pair.
        foil = instance.label if label == instance.foil else instance.foil
    message = task.explanation(strategy, instance.fields, label, k, foil, setting)
    answered = ((task.message(instance.fields)[0], task.verbalisers[label]),)
    return answered if setting == IN_CHAT else (), message, None if setting == BEFORE else label


def conversation(
    instance: Instance, prediction: Mapping[str, Any], task: Task, spec: Mapping[str, Any], solved: Turns = ()
) -> Conversation:
    """What is asked of one instance by the prompt ``spec["strategy"]``, after the ``solved`` examples.

    A strategy that names a number of words asks for ``size_of`` many; where that is none as people marked none, there
    is nothing to ask (status ``no_gold``). An instance without a prediction keeps its status. Raises ``UserError`` as
    ``exchange`` does.
    """
    row: dict[str, Any] = dict.fromkeys(REPLIES.columns.names)
    row |= {"id": instance.id, "sample": 0, "status": prediction["status"]}
    if prediction["status"] != OK:
        return Conversation(row, None)
    if task.takes_size(spec["strategy"], setting_of(spec)):
        asked = size_of(instance, spec)
        if not asked:
            return Conversation(row | {"status": NO_GOLD}, None)
        row |= {"asked": asked, "capped": asked < sum(instance.rationale or ())}
    turns, message, row["label"] = exchange(instance, prediction["predicted"], task, spec, row["asked"])
    return Conversation(row, message, solved + turns)


def follow_up(asked: Conversation, reply: str, instance: Instance, task: Task) -> Conversation:
    """The question for the label that goes on from ``reply``: the classification prompt as prediction puts it.

    Spaces around the reply are left out, as many chat templates do.
    """
    assert asked.message is not None
    turns = (*asked.turns, (asked.message, reply.strip()))
    return Conversation(asked.row, task.message(instance.fields)[0], turns)
