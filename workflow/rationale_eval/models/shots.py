"""Solved examples for few-shot prompts, drawn from train rows in the order of hashes of their texts.

The order of the rows does not matter, and an added row changes the examples only if its hash comes before theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rationale_eval.corpora.instances import Instance, plain_texts
from rationale_eval.errors import UserError
from rationale_eval.models.task import Task

Shot = tuple[dict[str, str], str]


def draw(
    instances: Iterable[Instance], task: Task, count: int, seed: int, labels: Sequence[str] | None = None
) -> list[Shot]:
    """``count`` examples, ``(texts of the task's fields, label)`` each, as equally many of each label as can be.

    ``labels`` are those of which examples are wanted; None: all of the task. Texts that differ in ways that
    ``plain_texts`` leaves out count as one; those that bear several labels are not used. Labels are mixed in the order
    of the hashes. Raises ``UserError`` for rows that the prompt file does not fit, and where a label has too few texts.
    """
    if not count:
        return []
    texts: dict[str, list[Shot]] = defaultdict(list)
    for row in instances:
        if row.label not in task.labels:
            raise UserError(
                f"train row {row.id!r} has the label {row.label!r}, which the prompt file does not verbalise; it has "
                f"{list(task.labels)}"
            )
        if missing := set(task.fields) - set(row.fields):
            raise UserError(f"train row {row.id!r} lacks the field(s) {sorted(missing)} that the prompt uses")
        fields = {name: row.fields[name] for name in task.fields}
        texts[_key(fields, seed)].append((fields, row.label))
    of_label: dict[str, list[str]] = defaultdict(list)
    for key in sorted(texts):
        found = {label for _, label in texts[key]}
        if len(found) == 1:
            of_label[found.pop()].append(key)
    chosen = []
    for label, wanted in _shares(task.labels if labels is None else labels, count, seed).items():
        if len(of_label[label]) < wanted:
            raise UserError(
                f"shots: {count} solved examples need {wanted} different train texts with the label {label!r}; there "
                f"are {len(of_label[label])}: ask for fewer shots or for more train_rows"
            )
        chosen += of_label[label][:wanted]
    # Of the spellings of one text always the same one, whatever the order of the rows.
    return [min(texts[key], key=lambda shot: list(shot[0].values())) for key in sorted(chosen)]


def without(instances: Iterable[Instance], shots: Sequence[Shot]) -> list[Instance]:
    """The rows whose texts are not among ``shots``: an example that stands in its own prompt teaches nothing."""
    drawn = {_key(fields, 0) for fields, _ in shots}
    names = [list(fields) for fields, _ in shots][:1]
    return [
        row for row in instances if not names or _key({name: row.fields[name] for name in names[0]}, 0) not in drawn
    ]


def _shares(labels: Iterable[str], count: int, seed: int) -> Mapping[str, int]:
    """How many examples each label gets; what cannot be shared out goes to labels chosen by hash."""
    order = sorted(labels, key=lambda label: _hash([seed, label]))
    each, left = divmod(count, len(order))
    return {label: each + (place < left) for place, label in enumerate(order)}


def _key(fields: Mapping[str, str], seed: int) -> str:
    """A hash of ``plain_texts``, of the prompt's fields alone: what the prompt does not show makes no other example."""
    return _hash([seed, *plain_texts(fields.values())])


def _hash(values: list[int | str]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
