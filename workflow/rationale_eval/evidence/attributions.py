"""Attributions that need passes of their own over every instance of a corpus: integrated gradients, ablation.

Ablation (leave one word out: Li, Monroe & Jurafsky 2016; "occlusion", Zeiler & Fergus 2014): the score of a word is the
target of the whole text minus that of the text without the word, masked or deleted as the method's entry says.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.code_digest import memo_code
from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.evidence.attribution_schema import ABLATION, INTEGRATED_GRADIENTS, INTEGRATED_STATISTICS, SCHEMAS
from rationale_eval.evidence.integrated import baseline_embedding, integrate
from rationale_eval.evidence.measure import Question
from rationale_eval.evidence.questions import contrast_of, prompt_status, question_key
from rationale_eval.evidence.schema import OK, TOO_LONG
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.memo import Memo, digest
from rationale_eval.models.batching import run
from rationale_eval.models.encoding import Prompt, PromptEncoder
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.models.stage_input import add_model_arguments, encoder_of
from rationale_eval.models.task import task_from_slice
from rationale_eval.models.task_input import add_shots_argument, check_instances, shots_of
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_table

Row = dict[str, Any]


def integrated_rows(
    instances: Sequence[Instance],
    questions: Sequence[Question],
    status: Sequence[str],
    loaded: LoadedModel,
    args: argparse.Namespace,
    spec: Mapping[str, Any],
) -> list[Row]:
    """The rows of the table of integrated gradients."""
    usable = [question for question, state in zip(questions, status, strict=True) if state == OK]
    shared = shared_prefix([question.prompt for question in usable], before_content=True)
    prefix, baseline = Prefix(loaded, shared), baseline_embedding(loaded, spec["baseline"])
    settings = {name: spec[name] for name in ("steps", "baseline")}
    context = {**settings, "code": memo_code("attributions"), **loaded.context()}
    rows = []
    with Memo(args.memo, INTEGRATED_GRADIENTS, context) as memo:
        run(
            INTEGRATED_GRADIENTS,
            {question_key(question): question for question in usable},
            lambda question: len(question.prompt.tokens) - len(shared),
            lambda batch: integrate(loaded, prefix, batch, spec["steps"], baseline),
            memo,
            args.batch_tokens,
            args.batch_rows,
        )
        for instance, question, state in zip(instances, questions, status, strict=True):
            row: Row = dict.fromkeys(SCHEMAS[INTEGRATED_GRADIENTS].columns.names)
            row |= {"id": instance.id, "status": state}
            if state == OK:
                found, content = memo[question_key(question)], question.prompt.content
                row |= {name: found[name] for name in INTEGRATED_STATISTICS}
                row |= {name: float(found[name][0]) for name in ("difference", "completeness_error")}
                row["token_field"] = [token.field for token in content]
                row["token_start"] = [token.start for token in content]
                row["token_end"] = [token.end for token in content]
            rows.append(row)
    errors = [abs(row["completeness_error"]) for row in rows if row["status"] == OK]
    if errors:
        say(f"completeness error: {np.mean(errors):.2g} on average, {max(errors):.2g} at most")
    return rows


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
    fitting = {
        digest([prompt.tokens, prompt.labels]): prompt
        for mine in prompts
        for prompt in mine
        if prompt_status(prompt, loaded) != TOO_LONG
    }
    shared = shared_prefix(list(fitting.values()), before_content=False)
    prefix = Prefix(loaded, shared)
    # What the perturbation of rationales has scored is found here, and the other way round.
    with Memo(args.memo, "perturb", {"code": memo_code("perturb"), **loaded.context()}) as memo:
        run(
            ABLATION,
            fitting,
            lambda prompt: len(prompt.tokens) - len(shared),
            lambda batch: list(score_labels(loaded, prefix, batch).cpu().numpy()),
            memo,
            args.batch_tokens,
            args.batch_rows,
        )
        rows = []
        for instance, question, state, mine in zip(instances, questions, status, prompts, strict=True):
            keys = [digest([prompt.tokens, prompt.labels]) for prompt in mine]
            # A mask of several tokens can make a text longer than it was.
            fits = state if all(key in fitting for key in keys) else TOO_LONG
            found = word_scores(question, [memo[key] for key in keys]) if fits == OK else None
            rows.append({"id": instance.id, "status": fits, "words": found})
    return rows


def word_scores(question: Question, scores: Sequence[np.ndarray]) -> list[float]:
    """The target of the whole text minus that without each word; ``scores`` (labels,) of the whole come first."""
    predicted = int(np.argmax(scores[0]))
    against = question.against(predicted)
    targets = [float(found[predicted] - (0.0 if against is None else found[against])) for found in scores]
    return [targets[0] - target for target in targets[1:]]


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval attributions", description=__doc__)
    parser.add_argument(
        "--spec", required=True, help='JSON: {"asking", "task", "shots", "kind"} and the settings of the kind'
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    add_shots_argument(parser)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: the attributions (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    instances, task = read_instances(args.test), task_from_slice(spec["task"])
    check_instances(instances, task, args.test)
    loaded = load(args.model, spec["asking"]["dtype"], *args.checkpoint)
    encoder = encoder_of(spec, task, loaded, shots_of(spec, task, args.shots))
    prompts = encoder.encode([row.fields for row in instances])
    status = [prompt_status(prompt, loaded) for prompt in prompts]
    questions = [Question(prompt, contrast_of(row, task)) for row, prompt in zip(instances, prompts, strict=True)]
    if spec["kind"] == INTEGRATED_GRADIENTS:
        rows = integrated_rows(instances, questions, status, loaded, args, spec)
    else:
        rows = ablation_rows(instances, questions, status, loaded, encoder, args, spec)
    inputs = {"test": args.test, "model": args.model}
    made = provenance("attributions", spec, inputs, **loaded.context())
    write_table(args.output, rows, SCHEMAS[spec["kind"]], made)
    say(f"{args.output}: {len(rows)} rows, {dict(Counter(row['status'] for row in rows))}")
