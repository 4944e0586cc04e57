"""Speed of scoring perturbed inputs, against a loop of full forward passes, one for each input that is asked for.

    python benchmarks/perturbation.py                          the default study's model and first corpus, which
                                                               Snakemake makes where results/ lacks them
    python benchmarks/perturbation.py --model FOLDER --test results/corpora/movie_reviews/test.parquet

The methods, budgets and measures are those of the default study (config.yaml), on the first ``--rows`` test rows. The
words are chosen at random instead of by the model: methods that agree less ask for more different inputs, so that this
gains less from scoring each input once than the study does. Ours is the stage as rules call it, model loading left out;
the loop masks the words, renders the prompt and runs the model on it, as one would by hand. "Once each" is the loop if
it scored equal inputs once. On a machine that others use, read the processor time.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]


def default_study() -> tuple[dict[str, Any], dict[str, Any]]:
    """config.yaml and its study."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    return config, config["study"]


def make(target: Path) -> Path:
    """Let Snakemake make a file of the default study where it is missing."""
    if not target.exists():
        command = ["snakemake", "--cores", "all", "--quiet", "all", "--", str(target.relative_to(ROOT))]
        subprocess.run(command, cwd=ROOT, check=True)
    return target


def rationales(config: dict[str, Any], study: dict[str, Any], instances: list[Any], folder: Path) -> list[Any]:
    """Write a table for each method of the study; returns what the stage's spec says of the methods."""
    from rationale_eval.rationales.schema import RATIONALES, rationale_row
    from rationale_eval.tables import write_table

    chance, methods = random.Random(0), []
    for name in study["methods"]:
        entry, rows, sets = config["methods"][name], [], name in ("human", "all_words")
        for instance in instances:
            count = len(instance.words)
            if entry["kind"] == "prompt":
                order = chance.sample(range(count), chance.randint(1, count))
                rows.append(rationale_row(instance.id, selected=[place in order for place in range(count)]))
            elif sets:
                marks = instance.rationale if name == "human" else [True] * count
                rows.append(rationale_row(instance.id, selected=list(marks)))
            else:
                for sample, _ in enumerate(entry.get("seeds", [0])):
                    signs = {"first_words": -1, "last_words": 1}
                    values = [signs[name] * place if name in signs else chance.random() for place in range(count)]
                    rows.append(rationale_row(instance.id, sample, scores=[float(value) for value in values]))
        write_table(folder / f"{name}.parquet", rows, RATIONALES, {})
        if sets or entry["kind"] == "prompt":
            budgets = {"as_given": {"kind": "as_given"}}
        else:
            chosen = entry.get("budgets", study["budgets"])
            budgets = {budget: config["budgets"][budget] for budget in chosen}
        methods.append({"name": name, "budgets": budgets})
    return methods


def plain_scores(loaded: Any, prompt: Any) -> list[float]:
    """The labels' log-probabilities from whole passes: one, or where a label has several tokens one for each label."""
    import torch

    def passed(*ids: int) -> Any:
        with torch.no_grad():
            return loaded.model(input_ids=torch.tensor([ids], device=loaded.device)).logits[0].log_softmax(-1)

    last = len(prompt.tokens) - 1
    if max(map(len, prompt.labels)) == 1:
        row = passed(*prompt.tokens)[last]
        return [float(row[token]) for (token,) in prompt.labels]
    scores = []
    for answer in prompt.labels:
        rows = passed(*prompt.tokens, *answer[:-1])
        scores.append(sum(float(rows[last + place, token]) for place, token in enumerate(answer)))
    return scores


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: that of the default study)")
    parser.add_argument("--test", type=Path, help="test instances (Parquet; default: the first corpus of the study)")
    parser.add_argument("--rows", type=int, default=8, help="(default: %(default)s)")
    args = parser.parse_args()

    from rationale_eval.config_checks import parse
    from rationale_eval.corpora.instances import read_instances, write_instances
    from rationale_eval.faithfulness import perturb
    from rationale_eval.faithfulness.inputs import perturbed_inputs
    from rationale_eval.faithfulness.masking import mask_words
    from rationale_eval.faithfulness.schema import PERTURBATIONS
    from rationale_eval.models.loading import load
    from rationale_eval.models.prepare import card, link_folder
    from rationale_eval.models.stage_input import encoder_of
    from rationale_eval.models.task import load_task, task_slice
    from rationale_eval.study_masking import Masking
    from rationale_eval.tables import read_table, write_json

    config, study = default_study()
    model, corpus = study["models"][0], study["corpora"][0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.model:
            link_folder(args.model.resolve(), folder / "snapshot")
            entry = {"name": args.model.name, "source": {"path": str(args.model)}}
            write_json(folder / "card.json", card(entry, folder / "snapshot"))
            described = folder / "card.json"
        else:
            described = make(ROOT / "results" / "models" / model / "card.json")
        table = args.test or make(ROOT / "results" / "corpora" / corpus / "test.parquet")
        instances = read_instances(table)[: args.rows]
        write_instances(folder / "test.parquet", instances, {})
        prompts = ROOT / config["tasks"][config["corpora"][corpus]["task"]]["prompts"]
        asking = {"system_prompt": config["models"][model]["system_prompt"], "prompt_style": "auto"}
        spec = {
            "asking": {"dtype": "float32", **asking},
            "task": task_slice(prompts, None, []),
            "shots": {"count": 0, "seed": 0},
            "methods": rationales(config, study, instances, folder),
            **Masking(parse(config)).asked(corpus, model, None),
            "keep_only_budgets": [study["main_budget"], "as_given"],
        }
        tables = [folder / f"{method['name']}.parquet" for method in spec["methods"]]
        loaded = load(described, "float32")
        perturb.load = lambda *_, **__: loaded
        command = ["--spec", json.dumps(spec), "--test", str(folder / "test.parquet"), "--model", str(described)]
        command += ["--memo", str(folder / "memo"), "--rationales", *map(str, tables)]
        command += ["--batch-tokens", str(config["compute"]["batch_tokens"])]
        command += ["--batch-rows", str(config["compute"]["batch_rows"]), "--output", str(folder / "out.parquet")]
        begin, processor = time.perf_counter(), time.process_time()
        perturb.main(command)
        ours = (time.perf_counter() - begin, time.process_time() - processor)
        rows = read_table(folder / "out.parquet", PERTURBATIONS)

        by_id = {instance.id: instance for instance in instances}
        place = {instance.id: number for number, instance in enumerate(instances)}
        wanted = sorted(perturbed_inputs(spec, tables, by_id), key=lambda one: place[one[0]["id"]])  # as the stage
    encoder = encoder_of(spec, load_task(prompts), loaded, [])
    apart, asked, different = 0.0, 0, set()
    begin, processor = time.perf_counter(), time.process_time()
    for row, (request, masked) in zip(rows, wanted, strict=True):
        if any(row[key] != request[key] for key in PERTURBATIONS.key):
            raise SystemExit("the stage and the loop do not ask for the same inputs")
        if masked is None:
            continue
        instance = by_id[request["id"]]
        fields = mask_words(instance.fields, instance.words, masked, spec["operator"], spec["mask"])
        (prompt,) = encoder.encode([fields])
        scores = plain_scores(loaded, prompt)
        apart = max(apart, float(np.abs(np.subtract(row["scores"], scores)).max() / np.abs(scores).max()))
        asked += 1
        different.add(prompt.tokens)
    loop = (time.perf_counter() - begin, time.process_time() - processor)
    print(f"{len(instances)} rows, {asked} inputs asked for, {len(different)} different ones")
    print(f"{'':<12}{'seconds':>10}{'CPU s':>10}{'s per 1,000 asked':>20}{'ratio':>8}{'CPU ratio':>11}")
    once = tuple(value * len(different) / asked for value in loop)
    for label, (seconds, used) in (("ours", ours), ("loop", loop), ("once each", once)):
        each = 1000 * seconds / asked
        print(f"{label:<12}{seconds:>10.1f}{used:>10.1f}{each:>20.1f}{seconds / ours[0]:>8.2f}{used / ours[1]:>11.2f}")
    print(f"largest disagreement, relative to the scale of the scores: {apart:.1e}")


if __name__ == "__main__":
    main()
