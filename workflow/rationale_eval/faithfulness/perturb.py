"""Score the instances of a corpus again with words masked or kept: all instances, misclassified ones included.

The perturbed inputs of all methods, budgets and measures are collected first (``inputs``), so that an input that
several of them ask for is scored once; what the memo holds is not scored again.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from rationale_eval.code_digest import memo_code
from rationale_eval.corpora.instances import read_instances
from rationale_eval.faithfulness.announcement import perturbed_task
from rationale_eval.faithfulness.inputs import perturbed_inputs
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.faithfulness.schema import OK, PERTURBATIONS
from rationale_eval.memo import Memo, digest
from rationale_eval.models.batching import run
from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.models.stage_input import add_model_arguments, add_shots_argument, encoder_of, shots_of
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_table


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval perturb", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"asking", "task", "shots", "methods": [{"name", "budgets"}], "operator", "mask", "announce", '
        '"keep_only_budgets", "curves": {"methods", "ratios"}, "random_seeds", "leave_one_out"}',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    add_shots_argument(parser)
    add_model_arguments(parser)
    parser.add_argument("--rationales", type=Path, nargs="+", required=True, help="one table for each of the methods")
    parser.add_argument("--output", type=Path, required=True, help="output: perturbation scores (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    instances = {instance.id: instance for instance in read_instances(args.test)}
    wanted = perturbed_inputs(spec, args.rationales, instances)
    inputs = {(row["id"], masked): None for row, masked in wanted if masked is not None}

    task = perturbed_task(spec)
    loaded = load(args.model, spec["asking"]["dtype"], *args.checkpoint)
    encoder = encoder_of(spec, task, loaded, shots_of(spec, task, args.shots))
    encoded = encoder.encode(
        [
            mask_words(instances[name].fields, instances[name].words, masked, spec["operator"], spec["mask"])
            for name, masked in inputs
        ]
    )
    prompts = dict(zip(inputs, encoded, strict=True))
    fitting: dict[str, Prompt] = {
        digest([prompt.tokens, prompt.labels]): prompt
        for prompt in prompts.values()
        if len(prompt.tokens) + max(map(len, prompt.labels)) <= loaded.max_length
    }
    shared = shared_prefix(list(fitting.values()), before_content=False)
    prefix = Prefix(loaded, shared)
    context = {"code": memo_code("perturb"), **loaded.context()}
    with Memo(args.memo, "perturb", context) as memo:
        run(
            "perturb",
            fitting,
            lambda prompt: len(prompt.tokens) - len(shared),
            lambda batch: list(score_labels(loaded, prefix, batch).cpu().numpy()),
            memo,
            args.batch_tokens,
            args.batch_rows,
        )
        rows = []
        for row, masked in wanted:
            if masked is not None:
                prompt = prompts[row["id"], masked]
                key = digest([prompt.tokens, prompt.labels])
                # A mask of several tokens can make a text longer than it was.
                row |= {"scores": memo[key]} if key in fitting else {"status": "too_long"}
            rows.append(row)
    sources = {"test": args.test, "model": args.model}
    sources |= dict(zip((method["name"] for method in spec["methods"]), args.rationales, strict=True))
    write_table(args.output, rows, PERTURBATIONS, provenance("perturb", spec, sources, **loaded.context()))
    say(f"{args.output}: {len(rows)} rows, {dict(Counter(row['status'] for row in rows))}")
    assert all((row["scores"] is not None) == (row["status"] == OK) for row in rows)
