"""Predictions, gradients and attention of one checkpoint on every instance of a corpus, in one job.

Loading a model costs more than many instances do, and the three come from the same forward and backward pass.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.code_digest import memo_code
from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.evidence import attention
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.questions import question_key, question_of, statuses
from rationale_eval.evidence.schema import (
    ATTENTION_STATISTICS,
    EVIDENCE,
    GRADIENT_STATISTICS,
    NOT_AVAILABLE,
    OK,
    PREDICTIONS,
)
from rationale_eval.memo import Memo
from rationale_eval.models.batching import run
from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, shared_prefix
from rationale_eval.models.stage_input import add_model_arguments, encoder_of, own_gpus
from rationale_eval.models.task import Task, task_from_slice
from rationale_eval.models.task_input import add_shots_argument, check_instances, shots_input, shots_of
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_table

STATISTICS = {"gradients": GRADIENT_STATISTICS, "attention": ATTENTION_STATISTICS}


def evidence_row(kind: str, identifier: str, status: str, prompt: Prompt, found: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the evidence table ``kind``; lists are null unless the status is ok."""
    row: dict[str, Any] = {"id": identifier, "status": status}
    places = {
        "token_field": [token.field for token in prompt.content],
        "token_start": [token.start for token in prompt.content],
        "token_end": [token.end for token in prompt.content],
    }
    for name, values in places.items():
        row[name] = values if status == OK else None
    for name in STATISTICS[kind]:
        row[name] = found[name] if status == OK else None
    return row


def prediction_row(instance: Instance, status: str, prompt: Prompt, task: Task, scores: Any) -> dict[str, Any]:
    """One row of the predictions table; probabilities are the softmax of the scores over the labels."""
    row: dict[str, Any] = {
        "id": instance.id,
        "status": status,
        "gold": instance.label,
        "labels": list(task.labels),
        "tokens": len(prompt.tokens),
        "predicted": None,
        "scores": None,
        "probabilities": None,
    }
    if status == OK:
        row["predicted"] = task.labels[int(np.argmax(scores))]
        row["scores"] = scores
        row["probabilities"] = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    return row


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval evidence", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"asking", "task", "shots", "evidence"}')
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    add_shots_argument(parser)
    add_model_arguments(parser)
    parser.add_argument("--predictions", type=Path, required=True, help="output: predictions (Parquet)")
    for kind in EVIDENCE:
        parser.add_argument(f"--{kind}", type=Path, required=True, help=f"output: {kind} (Parquet)")
    args = parser.parse_args(argv)
    own_gpus(args.shard, args.gpus)
    spec = json.loads(args.spec)

    instances, task = read_instances(args.test), task_from_slice(spec["task"])
    check_instances(instances, task, args.test)
    instances = args.shard.share(instances)
    loaded = load(args.model, spec["asking"]["dtype"], *args.checkpoint, gpus=args.gpus)
    if "attention" in spec["evidence"]:
        attention.install(loaded.model)
    prompts = encoder_of(spec, task, loaded, shots_of(spec, task, args.shots)).encode([row.fields for row in instances])
    status = statuses(prompts, loaded)
    say(f"{args.test}: {len(instances)} instances, {dict(Counter(status))}")

    questions = [question_of(row, prompt, task) for row, prompt in zip(instances, prompts, strict=True)]
    usable = [question for question, state in zip(questions, status, strict=True) if state == OK]
    shared = shared_prefix([question.prompt for question in usable], before_content=True)
    prefix = Prefix(loaded, shared)
    say(f"the first {len(shared)} tokens are shared by all prompts and computed once")
    wanted = {kind: kind in spec["evidence"] for kind in EVIDENCE}
    context = {"evidence": spec["evidence"], "code": memo_code("evidence"), **loaded.context()}
    with Memo(args.memo, "evidence", context) as memo:
        run(
            "evidence",
            {question_key(question): question for question in usable},
            lambda question: len(question.prompt.tokens) - len(shared),
            lambda batch: measure(loaded, prefix, batch, wanted["gradients"], wanted["attention"]),
            memo,
            args.batch_tokens,
            args.batch_rows,
        )
        found = [
            memo[question_key(question)] if state == OK else {}
            for question, state in zip(questions, status, strict=True)
        ]

    inputs = {"test": args.test, "model": args.model, **shots_input(args)}
    example = prompts[0] if prompts else None
    made = provenance(
        "evidence",
        spec,
        inputs,
        example_prompt="" if example is None else example.text,
        # Labels of several tokens are scored by their sum, which longer ones lower.
        verbaliser_tokens={
            label: {"text": task.verbalisers[label], "tokens": len(tokens)}
            for label, tokens in zip(task.labels, () if example is None else example.labels, strict=False)
        },
        **loaded.context(),
    )
    table = list(zip(instances, status, prompts, found, strict=True))
    for kind, given in wanted.items():
        rows = [
            evidence_row(kind, row.id, state if given else NOT_AVAILABLE, prompt, values)
            for row, state, prompt, values in table
        ]
        write_table(getattr(args, kind), rows, EVIDENCE[kind], made)
    write_table(
        args.predictions,
        [prediction_row(row, state, prompt, task, values.get("scores")) for row, state, prompt, values in table],
        PREDICTIONS,
        made,
    )
