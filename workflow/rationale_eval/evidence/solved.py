"""Solved examples of explanations: train rows with the words that people marked, as earlier turns of a conversation.

Their answers have the form that the prompt asks for: a list of the marked words; where it asks for an order, numbered
by position, since people marked no order; where it asks for numbers, each word of the text with 1 or 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import Turns, exchange, setting_of, size_of
from rationale_eval.models.shots import draw
from rationale_eval.models.task import BEFORE, Task

# What stands around a word in running text without being part of it.
_AROUND = ".,;:!?…\"'“”‘’`*_()[]{}<>«»"


def solved_turns(instances: Sequence[Instance], task: Task, spec: Mapping[str, Any], table: Path) -> Turns:
    """The examples that ``spec["shots"]`` (count, seed) asks for, drawn from the rows of ``table`` with marked words.

    Each is the question about the row's gold label, with what people answered to it. Labels of which no row has marks,
    as "not toxic" of toxic spans, give none. Raises ``UserError`` as ``models.shots.draw`` does, and where the corpus
    has no marked train row.
    """
    count, seed = spec["shots"]["count"], spec["shots"]["seed"]
    if not count:
        return ()
    marked = [row for row in instances if any(row.rationale or ())]
    if not marked:
        raise UserError(
            f"{table}: no train row of the corpus {table.parent.name!r} has marked words, which `shots: {count}` of a "
            f"prompted method needs: set `shots` to 0 for this corpus"
        )
    there = {row.label for row in marked}
    labels = [label for label in task.labels if label in there]
    turns: Turns = ()
    for fields, label in draw(marked, task, count, seed, labels):
        same = [row for row in marked if row.label == label and fields.items() <= row.fields.items()]
        turns += _solved(min(same, key=lambda row: row.id), task, spec)
    return turns


def _solved(instance: Instance, task: Task, spec: Mapping[str, Any]) -> Turns:
    sized = task.takes_size(spec["strategy"], setting_of(spec))
    k = size_of(instance, spec) if sized else None
    before, message, _ = exchange(instance, instance.label, task, spec, k)
    turns = (*before, (message, _answer(instance, spec["gives"], k)))
    if setting_of(spec) == BEFORE:
        turns += ((task.message(instance.fields)[0], task.verbalisers[instance.label]),)
    return turns


def _answer(instance: Instance, gives: str, k: int | None) -> str:
    """What people marked in ``instance``, at most ``k`` words of it, in the form that the prompt asks for."""
    marks = instance.rationale or ()
    texts = [instance.text(word).strip(_AROUND) or instance.text(word) for word in instance.words]
    if gives == "scores":
        return "\n".join(f"- {text}: {int(mark)}" for text, mark in zip(texts, marks, strict=True))
    chosen = [text for text, mark in zip(texts, marks, strict=True) if mark][:k]
    if gives == "ranking":
        return "\n".join(f"{place}. {text}" for place, text in enumerate(chosen, 1))
    return "\n".join(f"- {text}" for text in chosen)
