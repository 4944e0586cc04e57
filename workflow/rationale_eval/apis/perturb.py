"""Classify the instances again with words masked or kept, by asking a model behind an API."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from rationale_eval.apis.asking import ask_all
from rationale_eval.apis.classification import Classifier, add_api_arguments, served, settings_of
from rationale_eval.apis.completion import OK
from rationale_eval.corpora.instances import read_instances
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.announcement import perturbed_task
from rationale_eval.faithfulness.inputs import perturbed_inputs
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.faithfulness.schema import PERTURBATIONS
from rationale_eval.models.task_input import add_shots_argument, shots_input, shots_of
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import read_table, write_table


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval perturb_api", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"api", "system_prompt", "task", "shots", "methods": [{"name", "budgets"}], "operator", "mask", '
        '"announce", "keep_only_budgets", "curves": {"methods", "ratios"}, "random_seeds", "leave_one_out"}',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the model (Parquet)")
    add_shots_argument(parser)
    add_api_arguments(parser)
    parser.add_argument("--rationales", type=Path, nargs="+", required=True, help="one table for each of the methods")
    parser.add_argument("--output", type=Path, required=True, help="output: perturbations (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    instances = {instance.id: instance for instance in read_instances(args.test)}
    status = {row["id"]: row["status"] for row in read_table(args.predictions, PREDICTIONS)}
    wanted = [
        # Without a prediction there is nothing that could flip: such an instance is not paid for.
        (row, masked) if status[row["id"]] == OK else (row | {"status": status[row["id"]]}, None)
        for row, masked in perturbed_inputs(spec, args.rationales, instances)
    ]
    task = perturbed_task(spec)
    classifier = Classifier(spec, task, shots_of(spec, task, args.shots))
    masks = dict.fromkeys((row["id"], masked) for row, masked in wanted if masked is not None)
    texts = {
        (name, masked): mask_words(
            instances[name].fields, instances[name].words, masked, spec["operator"], spec["mask"]
        )
        for name, masked in masks
    }
    requests = {key: classifier.request(classifier.messages(fields)) for key, fields in texts.items()}
    outcomes = ask_all("perturb", requests, args.memo, settings_of(spec, args.limits))
    read = {key: classifier.read(outcome, args.limits["name"]) for key, outcome in outcomes.items()}
    rows = [row if masked is None else row | read[row["id"], masked] for row, masked in wanted]
    sources = {"test": args.test, "predictions": args.predictions, **shots_input(args)}
    sources |= dict(zip((method["name"] for method in spec["methods"]), args.rationales, strict=True))
    made = provenance("perturb_api", spec, sources, ("openai",), served=served(outcomes))
    write_table(args.output, rows, PERTURBATIONS, made)
    say(f"{args.output}: {len(rows)} rows, {dict(Counter(row['status'] for row in rows))}")
