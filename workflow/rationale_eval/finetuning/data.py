"""From train rows to examples: held-out rows, balance, prompts."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rationale_eval.corpora.instances import Instance, plain_texts
from rationale_eval.errors import UserError
from rationale_eval.models.encoding import Prompt, PromptEncoder
from rationale_eval.models.task import Task


@dataclass(frozen=True)
class Example:
    """A train row: the prompt that prediction uses, and the index of its gold label among the task's labels."""

    id: str
    prompt: Prompt
    gold: int

    @property
    def length(self) -> int:
        """The number of tokens that the model reads: the prompt and the verbaliser without its last token."""
        return len(self.prompt.tokens) + len(self.prompt.labels[self.gold]) - 1


@dataclass(frozen=True)
class TrainingData:
    """What is trained on and what is held out; ``skipped`` counts the rows that cannot be put to the model."""

    train: list[Example]
    validation: list[Example]
    skipped: dict[str, int]

    def digests(self) -> dict[str, str]:
        """What the weights depend on: SHA-256 of the token ids and golds of either part, in order."""
        return {"train": _digest(self.train), "validation": _digest(self.validation)}


def _digest(examples: Iterable[Example]) -> str:
    rows = [[row.id, row.prompt.tokens, row.prompt.labels, row.gold] for row in examples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def text_key(instance: Instance) -> str:
    """A hash of the texts of all fields of an instance as ``plain_texts``: equal texts have equal keys."""
    return hashlib.sha256(json.dumps(plain_texts(instance.fields.values())).encode()).hexdigest()


def _unit_key(instance: Instance) -> str:
    """What is held out as a whole: the group of a row, or where none is known its text."""
    if instance.group is None:
        return text_key(instance)
    return hashlib.sha256(json.dumps({"group": instance.group}).encode()).hexdigest()


def split(instances: Sequence[Instance], validation_rows: int) -> tuple[list[Instance], list[Instance]]:
    """``(train, validation)``, disjoint by group and independent of seed and order of rows.

    Rows of the same group stay together, and without a group those with the same text; they are held out in the order
    of their hashes as long as they fit in ``validation_rows``. Raises ``UserError`` if nothing would be left to train
    on.
    """
    if validation_rows >= len(instances):
        raise UserError(f"validation_rows is {validation_rows}, but there are only {len(instances)} train rows")
    groups = Counter(map(_unit_key, instances))
    held: set[str] = set()
    room = validation_rows
    for key in sorted(groups):
        if groups[key] <= room:
            held.add(key)
            room -= groups[key]
    train = [row for row in instances if _unit_key(row) not in held]
    return train, [row for row in instances if _unit_key(row) in held]


def balanced(instances: Sequence[Instance]) -> list[Instance]:
    """As many rows of each label that occurs as the rarest one has, chosen by the hash of their texts, in order."""
    of_label: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        of_label[instance.label].append(instance)
    least = min(map(len, of_label.values()), default=0)
    kept = {
        row.id for rows in of_label.values() for row in sorted(rows, key=lambda row: (text_key(row), row.id))[:least]
    }
    return [instance for instance in instances if instance.id in kept]


def check_rows(instances: Sequence[Instance], where: Path) -> None:
    """Raise ``UserError`` unless there are rows."""
    if not instances:
        raise UserError(f"{where}: there are no train rows; ask for some with the corpus's train_rows")


def prepare(
    instances: Sequence[Instance],
    task: Task,
    encoder: PromptEncoder,
    max_length: int,
    validation_rows: int,
    balance: str,
) -> TrainingData:
    """Split, balance and encode. Raises ``UserError`` when no row is left to train on.

    Validation rows are as they come: balance is for training alone. Rows that prediction refuses (see
    ``Prompt.status``) are left out and counted.
    """
    parts = list(split(instances, validation_rows))
    if balance == "equal":
        parts[0] = balanced(parts[0])
    skipped: Counter[str] = Counter()
    encoded: list[list[Example]] = []
    for rows in parts:
        prompts = encoder.encode([row.fields for row in rows])
        encoded.append([])
        for row, prompt in zip(rows, prompts, strict=True):
            if fault := prompt.status(max_length):
                skipped[fault] += 1
            else:
                encoded[-1].append(Example(row.id, prompt, task.labels.index(row.label)))
    if not encoded[0]:
        raise UserError(f"no row is left to train on; could not be put to the model: {dict(skipped)}")
    return TrainingData(encoded[0], encoded[1], dict(skipped))
