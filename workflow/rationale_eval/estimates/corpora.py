"""The rows of a corpus for an estimate: its own where it is prepared, else made-up ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, iter_instances, whitespace_words
from rationale_eval.evidence.conversations import Turns, exchange, setting_of, size_of
from rationale_eval.evidence.solved import solved_turns
from rationale_eval.models.shots import Shot, draw
from rationale_eval.models.task import Task
from rationale_eval.study import StudyPlan

WORD = "abcde"  # with the space after it six characters
MARKED = 0.2  # of a made-up text's words


@dataclass(frozen=True)
class Rows:
    """``test`` and ``train``: instances, each with the number of rows that it stands for.

    ``prepared``: both are the corpus's own; else they are made up.
    """

    test: Sequence[tuple[Instance, int]]
    train: Sequence[tuple[Instance, int]]
    prepared: bool
    described: str

    @property
    def count(self) -> int:
        """The number of test rows."""
        return sum(count for _, count in self.test)

    @property
    def words(self) -> int:
        """The mean number of words of a test row, rounded up."""
        return math.ceil(sum(count * len(row.words) for row, count in self.test) / max(1, self.count))


def rows_of(plan: StudyPlan, corpus: str, rows: int, words: int) -> Rows:
    """The rows of ``corpus``; where it is not prepared texts have ``words`` words, and "all" are ``rows``."""
    folder = Path(plan.config.results_dir, "corpora", corpus)
    entry, task = plan.config.corpora[corpus], plan.task(corpus)
    limits = {"test": entry.test_rows, "train": entry.train_rows}
    tables = {side: folder / f"{side}.parquet" for side in limits}
    if all(table.is_file() for table in tables.values()):
        own = {side: [(instance, 1) for instance in iter_instances(table)] for side, table in tables.items()}
        text = f"{corpus}: {len(own['test']):,} test and {len(own['train']):,} train rows, prepared"
        return Rows(own["test"], own["train"], True, text)
    made, notes = made_up(task, words), []
    counts = {side: rows if limit is None else limit for side, limit in limits.items()}
    for side, limit in limits.items():
        notes.append(
            f"{counts[side]:,} {side} rows ({'assumed' if limit is None else 'at most, by the configuration'})"
        )
    text = f"{corpus}: {', '.join(notes)}, not prepared: {words} words each are assumed"
    return Rows([(made, counts["test"])], [(made, counts["train"])], False, text)


def made_up(task: Task, words: int) -> Instance:
    """An instance of so many words, all in the last field of the task; the others have a tenth of them each."""
    *others, last = task.fields
    fields = {name: " ".join([WORD] * max(1, words // 10)) for name in others} | {last: " ".join([WORD] * words)}
    found = tuple(word for word in whitespace_words(fields.values()) if word.field == len(others))
    marks = tuple(place < max(1, round(MARKED * len(found))) for place in range(len(found)))
    label, foil, *_ = task.labels
    return Instance("", label, fields, found, marks, foil=foil)


def shots_of(spec: Mapping[str, Any], task: Task, rows: Rows) -> list[Shot]:
    """The solved examples of classifications; made up where the train rows are."""
    count = spec["shots"]["count"]
    if rows.prepared:
        return draw([instance for instance, _ in rows.train], task, count, spec["shots"]["seed"])
    made, _ = rows.train[0]
    return [({name: made.fields[name] for name in task.fields}, made.label)] * count


def solved_of(spec: Mapping[str, Any], task: Task, rows: Rows) -> Turns:
    """The solved examples of questions for words; made up where the train rows are."""
    count = spec["shots"]["count"]
    if rows.prepared:
        turns: Turns = solved_turns([row for row, _ in rows.train], task, spec, Path("train"))
        return turns
    if not count:
        return ()
    made, _ = rows.train[0]
    k = size_of(made, spec) if task.takes_size(spec["strategy"], setting_of(spec)) else None
    before, message, _ = exchange(made, made.label, task, spec, k)
    answer = "\n".join(f"- {WORD}" for mark in made.rationale or () if mark)
    made_turns: Turns = (*before, (message, answer)) * count
    return made_turns
