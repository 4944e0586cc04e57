"""What a prompted method asks about all instances of a corpus, whoever is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import Conversation, conversation
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.evidence.solved import solved_turns
from rationale_eval.models.task import Task
from rationale_eval.tables import read_table


def conversations_of(
    instances: list[Instance], predictions: Path, task: Task, spec: Mapping[str, Any], shots: list[Path]
) -> Iterator[Conversation]:
    """What is asked about each instance. Raises ``UserError`` for one without a row in the table ``predictions``."""
    if spec["shots"]["count"] and len(shots) != 1:
        raise UserError("--shots: solved examples need one table of train instances")
    solved = solved_turns(read_instances(shots[0]), task, spec, shots[0]) if spec["shots"]["count"] else ()
    predicted = {row["id"]: row for row in read_table(predictions, PREDICTIONS)}
    for instance in instances:
        if instance.id not in predicted:
            raise UserError(f"{predictions}: has no row for instance {instance.id!r}")
        yield conversation(instance, predicted[instance.id], task, spec, solved)
