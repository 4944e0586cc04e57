"""Attributions that need passes of their own over every instance of a corpus.

These are integrated gradients, gradient x attention, ablation, and the gradients of a target other than the one that
comes with the predictions (see ``targets``).

Ablation (leave one word out: Li, Monroe & Jurafsky 2016; "occlusion", Zeiler & Fergus 2014): the score of a word is the
target of the whole text minus that of the text without the word, masked or deleted as the method's entry says.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rationale_eval.code_digest import memo_code
from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.evidence import attention
from rationale_eval.evidence.attribution_schema import (
    ABLATION,
    GRADIENT_X_ATTENTION,
    GRADIENT_X_ATTENTION_STATISTICS,
    INTEGRATED_GRADIENTS,
    INTEGRATED_STATISTICS,
    SCHEMAS,
)
from rationale_eval.evidence.gradient_x_attention import measure_gradient_x_attention
from rationale_eval.evidence.integrated import baseline_embedding, integrate_within
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.questions import question_key, question_of, statuses
from rationale_eval.evidence.schema import EVIDENCE, GRADIENT_STATISTICS, GRADIENTS, OK
from rationale_eval.evidence.targets import LOGIT, Question, target_values
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.memo import Memo
from rationale_eval.models.batching import run
from rationale_eval.models.encoding import Prompt, PromptEncoder
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.scoring import Prefix, shared_prefix
from rationale_eval.models.stage_input import add_model_arguments, encoder_of, own_gpus
from rationale_eval.models.task import task_from_slice
from rationale_eval.models.task_input import add_shots_argument, check_instances, shots_input, shots_of
from rationale_eval.models.variants import score_variants
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import TableSchema, write_table

Row = dict[str, Any]


# By kind of attribution the statistics of tokens that its table holds.
STATISTICS = {
    GRADIENTS: GRADIENT_STATISTICS,
    GRADIENT_X_ATTENTION: GRADIENT_X_ATTENTION_STATISTICS,
    INTEGRATED_GRADIENTS: INTEGRATED_STATISTICS,
}


def token_rows(
    instances: Sequence[Instance],
    questions: Sequence[Question],
    status: Sequence[str],
    loaded: LoadedModel,
    args: argparse.Namespace,
    spec: Mapping[str, Any],
) -> list[Row]:
    """The rows of a table of attributions to tokens."""
    kind, of = spec["kind"], spec["of"]
    usable = [question for question, state in zip(questions, status, strict=True) if state == OK]
    shared = shared_prefix([question.prompt for question in usable], before_content=True)
    if kind == GRADIENT_X_ATTENTION:
        attention.install(loaded.model)
    prefix = Prefix(loaded, shared)
    settings = {name: spec[name] for name in ("of", "baseline", "steps", "max_steps", "tolerance") if name in spec}
    compute: Callable[[list[Question]], list[dict[str, Any]]]
    if kind == INTEGRATED_GRADIENTS:
        baseline = baseline_embedding(loaded, spec["baseline"])
        numbers = {name: spec[name] for name in ("steps", "max_steps", "tolerance")}
        compute = partial(integrate_within, loaded, prefix, **numbers, baseline=baseline, of=of)
    elif kind == GRADIENT_X_ATTENTION:
        compute = partial(measure_gradient_x_attention, loaded, prefix, of=of)
    else:
        compute = partial(measure, loaded, prefix, gradients=True, attention=False, of=of)
    context = {**settings, "code": memo_code("attributions"), **loaded.context()}
    rows = []
    with Memo(args.memo, kind, context) as memo:
        run(
            kind,
            {question_key(question): question for question in usable},
            lambda question: len(question.prompt.tokens) - len(shared),
            compute,
            memo,
            args.batch_tokens,
            args.batch_rows,
        )
        for instance, question, state in zip(instances, questions, status, strict=True):
            row: Row = dict.fromkeys(schema_of(kind).columns.names)
            row |= {"id": instance.id, "status": state}
            if state == OK:
                found, content = memo[question_key(question)], question.prompt.content
                row |= {name: found[name] for name in STATISTICS[kind]}
                row |= {name: float(found[name][0]) for name in ("difference", "completeness_error") if name in row}
                row |= {name: found[name] for name in ("steps", "within_tolerance") if name in row}
                row["token_field"] = [token.field for token in content]
                row["token_start"] = [token.start for token in content]
                row["token_end"] = [token.end for token in content]
            rows.append(row)
    errors = [abs(row["completeness_error"]) for row in rows if row.get("completeness_error") is not None]
    if errors:
        outside = sum(row["within_tolerance"] is False for row in rows)
        say(
            f"completeness error: {np.mean(errors):.2g} on average, {max(errors):.2g} at most, "
            f"larger than tolerated in {outside} of {len(errors)} instances"
        )
    return rows


def schema_of(kind: str) -> TableSchema:
    """The schema of the table of a kind of attribution."""
    return (SCHEMAS | EVIDENCE)[kind]


def ablation_rows(
    instances: Sequence[Instance],
    questions: Sequence[Question],
    status: Sequence[str],
    loaded: LoadedModel,
    encoder: PromptEncoder,
    args: argparse.Namespace,
    spec: Mapping[str, Any],
) -> list[Row]:
    """The rows of the table of ablation: one input for each word of each instance, and one for the whole."""
    prompts: list[list[Prompt]] = []
    for instance, question, state in zip(instances, questions, status, strict=True):
        words = range(len(instance.words)) if state == OK else ()
        without = [
            mask_words(
                instance.fields,
                instance.words,
                tuple(other == word for other in range(len(instance.words))),
                spec["operator"],
                spec["mask"],
            )
            for word in words
        ]
        prompts.append([question.prompt, *encoder.encode(without)] if state == OK else [])
    # What the perturbation of rationales has scored is found in the memo, and the other way round.
    asked = [prompt for mine in prompts for prompt in mine]
    scores = iter(score_variants(ABLATION, asked, loaded, args, logits=spec["of"] == LOGIT))
    rows = []
    for instance, question, state, mine in zip(instances, questions, status, prompts, strict=True):
        given = [next(scores) for _ in mine]
        # A mask of several tokens can make a text longer than it was.
        faults = [prompt.status(loaded.max_length) for prompt, found in zip(mine, given, strict=True) if found is None]
        scored = [found for found in given if found is not None]
        found = word_scores(question, scored, spec["of"]) if state == OK and not faults else None
        rows.append({"id": instance.id, "status": next(iter(faults), state), "words": found})
    return rows


def word_scores(question: Question, found: Sequence[np.ndarray], of: str) -> list[float]:
    """The target of the whole text minus that without each word; what was ``found`` for the whole comes first.

    Each is the label scores (labels,), or where ``of`` is logit these and the logits (2, labels).
    """
    # In double precision: the exponential of a float32 score can be 0.
    values = torch.from_numpy(np.stack([np.atleast_2d(one) for one in found], axis=1)).double()
    pair = question.explained(values[0, 0].tolist())
    whole, *without = target_values(values, [pair] * len(found), of).tolist()
    return [whole - target for target in without]


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval attributions", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"asking", "task", "shots", "kind", "target", "of"} and more by kind',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    add_shots_argument(parser)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: the attributions (Parquet)")
    args = parser.parse_args(argv)
    own_gpus(args.shard, args.gpus)
    spec = json.loads(args.spec)
    instances, task = read_instances(args.test), task_from_slice(spec["task"])
    check_instances(instances, task, args.test)
    instances = args.shard.share(instances)
    loaded = load(args.model, spec["asking"]["dtype"], *args.checkpoint, gpus=args.gpus)
    encoder = encoder_of(spec, task, loaded, shots_of(spec, task, args.shots))
    prompts = encoder.encode([row.fields for row in instances])
    status = statuses(prompts, loaded)
    questions = [question_of(row, prompt, task, spec["target"]) for row, prompt in zip(instances, prompts, strict=True)]
    if spec["kind"] == ABLATION:
        rows = ablation_rows(instances, questions, status, loaded, encoder, args, spec)
    else:
        rows = token_rows(instances, questions, status, loaded, args, spec)
    inputs = {"test": args.test, "model": args.model, **shots_input(args)}
    made = provenance("attributions", spec, inputs, **loaded.context())
    write_table(args.output, rows, schema_of(spec["kind"]), made)
    say(f"{args.output}: {len(rows)} rows, {dict(Counter(row['status'] for row in rows))}")
