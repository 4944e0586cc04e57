"""Passes and tokens of a model that is opened, and the operations that they take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rationale_eval.apis.request import expected_tokens
from rationale_eval.config_methods import AblationMethod, IntegratedGradientsMethod, PromptMethod
from rationale_eval.estimates.corpora import Rows, shots_of, solved_of
from rationale_eval.estimates.masks import masks_of
from rationale_eval.evidence.conversations import conversation
from rationale_eval.study import StudyPlan

# Operations for each parameter and token (Kaplan et al. 2020, section 2.1): forward; with gradients of activations;
# with those of weights too.
FORWARD, WITH_INPUTS, WITH_WEIGHTS = 2, 4, 6
SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([bm])(?![A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Work:
    """Passes over texts, their tokens, and the operations for each parameter of the model."""

    passes: int
    tokens: int
    per_parameter: float


def parameters(plan: StudyPlan, model: str) -> float | None:
    """The number of parameters that the model's name or its source's says, as in 7b or 135M; None if neither does."""
    source = plan.opened[model].source.model_dump()
    for text in (model, *(str(value) for value in source.values())):
        if found := SIZE.search(text):
            return float(found[1]) * {"b": 1e9, "m": 1e6}[found[2].lower()]
    return None


def floating_point(plan: StudyPlan, corpus: str, model: str, rows: Rows) -> Iterator[tuple[str, Work]]:
    """For each stage its work in all checkpoints of the model."""
    task, config = plan.task(corpus), plan.config
    points = len([cell for cell in plan.cells if (cell.corpus, cell.model) == (corpus, model)])
    spec = json.loads(plan.evidence(corpus, model))
    before = sum(
        expected_tokens(task.message(fields)[0]) + expected_tokens(label)
        for fields, label in shots_of(spec, task, rows)
    ) + expected_tokens(spec["asking"]["system_prompt"] or "")

    def tokens(side: str) -> int:
        return sum(
            count * (before + expected_tokens(task.message(row.fields)[0])) for row, count in getattr(rows, side)
        )

    test = tokens("test")

    def work(passes: float, each: int) -> Work:
        return Work(round(points * passes * rows.count), round(points * passes * test), points * passes * test * each)

    epochs = max(plan.study.epochs(corpus), default=0)
    if epochs:
        seen = epochs * len(plan.study.seeds)
        train = seen * tokens("train")
        each = WITH_WEIGHTS if config.finetuning.method == "full" else WITH_INPUTS
        yield "finetune", Work(seen * sum(count for _, count in rows.train), train, train * each)
    yield "evidence", work(1, WITH_INPUTS if "gradients" in spec["evidence"] else FORWARD)
    for method in plan.study.methods_on(corpus):
        entry = config.methods[method]
        if not plan.available(method, model):
            continue
        if isinstance(entry, IntegratedGradientsMethod):
            yield f"attributions {method}", work(entry.passes, WITH_INPUTS)
        if isinstance(entry, AblationMethod):
            yield f"attributions {method}", work(rows.words, FORWARD)
        if isinstance(entry, PromptMethod):
            yield f"replies {method}", _replies(plan, corpus, model, method, rows, points)
    yield "perturb", work(masks_of(plan, corpus, model, rows.words), FORWARD)


def _replies(plan: StudyPlan, corpus: str, model: str, method: str, rows: Rows, points: int) -> Work:
    spec, task = json.loads(plan.replies(corpus, model, method)), plan.task(corpus)
    solved = solved_of(spec, task, rows)
    passes = tokens = 0
    for row, count in rows.test:
        asked = conversation(row, {"status": "ok", "predicted": row.label}, task, spec, solved)
        if asked.message is None:
            continue
        said = [asked.message, *(text for turn in asked.turns for text in turn)]
        times = points * count * spec["samples"]
        passes += times
        tokens += times * (sum(map(expected_tokens, said)) + spec["max_new_tokens"])
    return Work(passes, tokens, FORWARD * tokens)
