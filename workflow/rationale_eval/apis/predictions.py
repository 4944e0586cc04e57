"""Predictions of a model behind an API: the classification prompt, and a label read from the answer."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.apis.answer_schema import ANSWERS
from rationale_eval.apis.asking import ask_all
from rationale_eval.apis.classification import Classifier, add_api_arguments, served, settings_of
from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.models.task import Task, task_from_slice
from rationale_eval.models.task_input import add_shots_argument, check_instances, shots_input, shots_of
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_table


def prediction_row(
    instance: Instance, task: Task, outcome: Mapping[str, Any], read: Mapping[str, Any]
) -> dict[str, Any]:
    """One row of the predictions; without scores there are no probabilities either. ``tokens``: 0 if not known."""
    probabilities = None
    if read["scores"] is not None:
        exponentials = np.exp(np.asarray(read["scores"]) - max(read["scores"]))
        probabilities = exponentials / exponentials.sum()
    return {
        "id": instance.id,
        "gold": instance.label,
        "labels": list(task.labels),
        "tokens": outcome.get("prompt_tokens") or 0,
        "probabilities": probabilities,
        **read,
    }


def answer_row(identifier: str, request: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the answers."""
    logprobs, (model, fingerprint) = outcome.get("logprobs"), outcome.get("served", (None, None))
    return {
        "id": identifier,
        "status": outcome["status"],
        "reason": outcome.get("reason"),
        "request": request,
        "reply": outcome.get("text"),
        "finish": outcome.get("finish"),
        "prompt_tokens": outcome.get("prompt_tokens"),
        "reply_tokens": outcome.get("reply_tokens"),
        "logprobs": None if logprobs is None else json.dumps(logprobs),
        "served_model": model,
        "fingerprint": fingerprint,
    }


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval predictions_api", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"api", "system_prompt", "task", "shots"}')
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    add_shots_argument(parser)
    add_api_arguments(parser)
    parser.add_argument("--predictions", type=Path, required=True, help="output: predictions (Parquet)")
    parser.add_argument("--answers", type=Path, required=True, help="output: what the API answered (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)

    instances, task = read_instances(args.test), task_from_slice(spec["task"])
    check_instances(instances, task, args.test)
    classifier = Classifier(spec, task, shots_of(spec, task, args.shots))
    messages = {row.id: classifier.messages(row.fields) for row in instances}
    requests = {name: classifier.request(asked) for name, asked in messages.items()}
    outcomes = ask_all("predictions", requests, args.memo, settings_of(spec, args.limits))
    asked = {name: json.dumps(shown, ensure_ascii=False) for name, shown in messages.items()}
    read = {name: classifier.read(outcome, args.limits["name"]) for name, outcome in outcomes.items()}
    example = next(iter(messages.values()), [])
    made = provenance(
        "predictions_api",
        spec,
        {"test": args.test, **shots_input(args)},
        ("openai",),
        served=served(outcomes),
        example_prompt="\n\n".join(f"{part['role']}: {part['content']}" for part in example),
    )
    write_table(args.answers, [answer_row(name, asked[name], found) for name, found in outcomes.items()], ANSWERS, made)
    rows = [prediction_row(row, task, outcomes[row.id], read[row.id]) for row in instances]
    write_table(args.predictions, rows, PREDICTIONS, made)
    say(f"{args.predictions}: {len(rows)} instances, {dict(Counter(row['status'] for row in rows))}")
