"""Calls and tokens of a model behind an API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.apis.asking import STAGE, memo_context
from rationale_eval.apis.classification import Classifier
from rationale_eval.apis.ledger import Spending, spent
from rationale_eval.apis.replies import asked_of, messages_of
from rationale_eval.apis.request import Request
from rationale_eval.config_methods import PromptMethod
from rationale_eval.estimates.corpora import Rows, shots_of, solved_of
from rationale_eval.estimates.masks import masks_of
from rationale_eval.evidence.conversations import conversation, follow_up
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.memo import Memo, digest
from rationale_eval.study import StudyPlan
from rationale_eval.study_cells import BASE
from rationale_eval.tables import read_table


@dataclass(frozen=True)
class Bought:
    """What the memo holds of a model behind an API: keys of requests, and what was spent."""

    keys: frozenset[str]
    spent: Spending


NOTHING = Bought(frozenset(), Spending())


def bought(plan: StudyPlan, model: str) -> Bought:
    """The memo of a model, if there is one; nothing is written."""
    source = plan.apis[model].source
    context = memo_context({"address": source.api, "model": source.model})
    root = Path(plan.config.memo_dir)
    if not (root / STAGE / digest(context)[:24]).is_dir():
        return NOTHING
    with Memo(root, STAGE, context) as memo:
        return Bought(frozenset(memo.keys()), spent(memo.values()))


def _sum(requests: Iterable[tuple[Request, int]], memo: Bought) -> Spending:
    """Requests, each as often as its number says, without those that were answered."""
    total = Spending()
    for one, count in requests:
        if one.key not in memo.keys:
            total += Spending(count, count * one.expected_tokens, count * one.reply_tokens)
    return total


def calls(plan: StudyPlan, corpus: str, model: str, rows: Rows, memo: Bought) -> Iterator[tuple[str, Spending]]:
    """For each stage what remains to be asked, at most."""
    spec, task = json.loads(plan.predictions(corpus, model)), plan.task(corpus)
    classifier = Classifier(spec, task, shots_of(spec, task, rows))
    requests = [(classifier.request(classifier.messages(row.fields)), count) for row, count in rows.test]
    yield "predictions", _sum(requests, memo)
    predicted = _predicted(plan, corpus, model)
    for method in plan.study.methods_on(corpus):
        if isinstance(plan.config.methods[method], PromptMethod):
            yield f"replies {method}", _sum(_replies(plan, corpus, model, method, rows, predicted), memo)
    masks = masks_of(plan, corpus, model, rows.words)
    once = _sum(requests, NOTHING)
    yield "perturb", Spending(once.requests * masks, once.prompt * masks, once.reply * masks)


def _predicted(plan: StudyPlan, corpus: str, model: str) -> dict[str, Any]:
    table = Path(plan.config.results_dir, corpus, model, BASE, "predictions.parquet")
    return {row["id"]: row for row in read_table(table, PREDICTIONS)} if table.is_file() else {}


def _replies(
    plan: StudyPlan, corpus: str, model: str, method: str, rows: Rows, predicted: dict[str, Any]
) -> Iterator[tuple[Request, int]]:
    spec, task = json.loads(plan.replies(corpus, model, method)), plan.task(corpus)
    solved = solved_of(spec, task, rows)
    classifier = Classifier(spec, task, ()) if spec["order"] == "before" else None
    for row, count in rows.test:
        prediction = predicted.get(row.id, {"status": "ok", "predicted": row.label})
        asked = conversation(row, prediction, task, spec, solved)
        for one in asked_of(asked, spec):
            if one.request is None:
                continue
            yield one.request, count
            if classifier is not None:
                reply = "x" * 4 * spec["max_new_tokens"]
                question = follow_up(asked, reply, row, task)
                yield classifier.request(messages_of(spec["system_prompt"], question)), count
