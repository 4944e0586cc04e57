"""Score the instances of a corpus again with words masked or kept: all instances, misclassified ones included.

The perturbed inputs of all methods, budgets and measures are collected first (``inputs``), so that an input that
several of them ask for is scored once; what the memo holds is not scored again.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from rationale_eval.corpora.instances import read_instances
from rationale_eval.faithfulness.announcement import perturbed_task
from rationale_eval.faithfulness.inputs import perturbed_inputs
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.faithfulness.schema import OK, PERTURBATIONS
from rationale_eval.models.loading import load
from rationale_eval.models.stage_input import add_model_arguments, encoder_of, own_gpus
from rationale_eval.models.task_input import add_shots_argument, shots_input, shots_of
from rationale_eval.models.variants import score_variants
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
    own_gpus(args.shard, args.gpus)
    spec = json.loads(args.spec)
    instances = {instance.id: instance for instance in read_instances(args.test)}
    # By instance, so that shards make the same table.
    place = {name: index for index, name in enumerate(args.shard.share(list(instances)))}
    asked_for = perturbed_inputs(spec, args.rationales, instances)
    wanted = sorted((one for one in asked_for if one[0]["id"] in place), key=lambda one: place[one[0]["id"]])
    inputs = {(row["id"], masked): None for row, masked in wanted if masked is not None}

    task = perturbed_task(spec)
    loaded = load(args.model, spec["asking"]["dtype"], *args.checkpoint, gpus=args.gpus)
    encoder = encoder_of(spec, task, loaded, shots_of(spec, task, args.shots))
    encoded = encoder.encode(
        [
            mask_words(instances[name].fields, instances[name].words, masked, spec["operator"], spec["mask"])
            for name, masked in inputs
        ]
    )
    prompts = dict(zip(inputs, encoded, strict=True))
    asked = [prompts[row["id"], masked] for row, masked in wanted if masked is not None]
    scores = zip(asked, score_variants("perturb", asked, loaded, args), strict=True)
    rows = []
    for row, masked in wanted:
        if masked is not None:
            prompt, found = next(scores)
            # A mask of several tokens can make a text longer than it was.
            if found is None:
                row |= {"status": prompt.status(loaded.max_length)}
            else:
                row |= {"scores": found, "predicted": task.labels[int(np.argmax(found))]}
        rows.append(row)
    sources = {"test": args.test, "model": args.model, **shots_input(args)}
    sources |= dict(zip((method["name"] for method in spec["methods"]), args.rationales, strict=True))
    write_table(args.output, rows, PERTURBATIONS, provenance("perturb", spec, sources, **loaded.context()))
    say(f"{args.output}: {len(rows)} rows, {dict(Counter(row['status'] for row in rows))}")
    assert all((row["scores"] is not None) == (row["status"] == OK) for row in rows)
