"""Whether the first rows of the corpora that are here can be read, and fit the prompt files."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rationale_eval.checks.finding import OK, PROBLEM, Finding
from rationale_eval.corpora.stage import check_apart, reader_of
from rationale_eval.errors import UserError
from rationale_eval.sources.card import locate
from rationale_eval.study import StudyPlan

FIRST = 100  # rows of each side that are read


def rows(plan: StudyPlan) -> Iterator[Finding]:
    """A line for each corpus of the study whose files are here."""
    plugins = [Path(path) for path in plan.config.plugins]
    for name in plan.study.corpora:
        entry = plan.config.corpora[name]
        if all(Path(file).exists() for file in plan.sources.inputs(entry)):
            try:
                text = "; ".join(_side(plan, name, side, plugins) for side in ("train", "test"))
            except UserError as error:
                yield Finding(PROBLEM, f"rows of {name}", str(error))
            else:
                yield Finding(OK, f"rows of {name}", text)


def _side(plan: StudyPlan, name: str, side: str, plugins: list[Path]) -> str:
    """What was read of a side, in words. Raises ``UserError`` for what would stop the study."""
    entry, task = plan.config.corpora[name], plan.task(name)
    # As the reading of the train side, which knows the files of both.
    spec = json.loads(plan.corpus(name, "train"))
    if spec.get(side) == []:
        return f"no {side} rows are asked for"
    source = locate(Path(plan.sources.path(entry)))
    if side == "train":
        check_apart(source, spec)
    left_out: Counter[str] = Counter()
    read = reader_of(entry.format, plugins)(source, spec, side, left_out)
    labels, marked = Counter[str](), 0
    for instance in itertools.islice(read, FIRST):
        labels[instance.label] += 1
        marked += any(instance.rationale or ())
        if fault := task.field_fault(instance.fields):
            raise UserError(f"{side} row {instance.id!r} {fault} ({plan.prompts.entry(name).prompts})")
        if instance.label not in task.labels:
            raise UserError(
                f"{side} row {instance.id!r} has the label {instance.label!r}, which the task does not verbalise; it "
                f"has {', '.join(task.labels)}"
            )
    if not labels:
        raise UserError(f"has no usable {side} row" + (f" (left out: {dict(left_out)})" if left_out else ""))
    asking = [
        method for method in plan.study.methods_on(name) if method in plan.prompted and plan.explained_shots(method)
    ]
    if side == "train" and asking and not marked and labels.total() < FIRST:
        raise UserError(f"no train row has marked words, which the solved examples of {asking[0]!r} show")
    shown = ", ".join(f"{label} {count}" for label, count in sorted(labels.items()))
    return f"the first {labels.total()} {side} rows can be read ({shown})"
