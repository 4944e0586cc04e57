"""How many steps integrated gradients need until they add up, and what that takes.

    python benchmarks/completeness.py                          the default study's model on its editorials, which
                                                               Snakemake makes where results/ lacks them
    python benchmarks/completeness.py --card results/models/NAME/card.json --test results/corpora/NAME/test.parquet

The settings are those of the method ``integrated_gradients`` in config.yaml but where options say otherwise. Each line
is a sum over so many nodes for the texts whose error the line before found too large: their number, the mean size of
the target's change and of the error, how many are then near enough, and the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests"), str(ROOT / "benchmarks")]


def main() -> None:
    """Command line."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    (name,) = config["study"]["models"]
    method = config["methods"]["integrated_gradients"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", type=Path, help="the card of a prepared model (default: that of the study)")
    parser.add_argument("--test", type=Path, help="instances (default: those of the corpus editorials)")
    parser.add_argument("--texts", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--dtype", default="float32", help="(default: %(default)s)")
    parser.add_argument("--baseline", choices=("pad", "zero", "mean"), default=method["baseline"])
    parser.add_argument("--of", default="log_odds", help="scale of the target (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=method["steps"], help="(default: %(default)s)")
    parser.add_argument("--max-steps", type=int, default=method["max_steps"], help="(default: %(default)s)")
    parser.add_argument("--tolerance", type=float, default=method["tolerance"], help="(default: %(default)s)")
    args = parser.parse_args()

    from perturbation import make
    from rationale_eval.corpora.instances import read_instances
    from rationale_eval.evidence.integrated import baseline_embedding, integrate, is_complete
    from rationale_eval.evidence.targets import Question
    from rationale_eval.models.encoding import PromptEncoder
    from rationale_eval.models.loading import load
    from rationale_eval.models.scoring import Prefix, shared_prefix
    from rationale_eval.models.task import load_task

    card = args.card or make(ROOT / config["results_dir"] / "models" / name / "card.json")
    test = args.test or make(ROOT / config["results_dir"] / "corpora" / "editorials" / "test.parquet")
    loaded = load(card, args.dtype)
    task = load_task(ROOT / config["tasks"]["sentiment"]["prompts"])
    encoder = PromptEncoder(loaded.tokenizer, task, config["models"][name]["system_prompt"])
    left = [Question(prompt) for prompt in encoder.encode([row.fields for row in read_instances(test)[: args.texts]])]
    prefix = Prefix(loaded, shared_prefix([question.prompt for question in left], before_content=True))
    baseline = baseline_embedding(loaded, args.baseline)
    asked = len(left)
    print(f"{'steps':>6}{'texts':>7}{'change':>9}{'error':>9}{'share':>8}{'enough':>8}{'seconds':>9}{'CPU s':>8}")
    steps = args.steps
    while left and steps <= args.max_steps:
        begin, processor = time.perf_counter(), time.process_time()
        rows = integrate(loaded, prefix, left, steps, baseline, args.of)
        seconds, used = time.perf_counter() - begin, time.process_time() - processor
        changes, errors = (
            np.array([float(row[key][0]) for row in rows]) for key in ("difference", "completeness_error")
        )
        sizes = [float(np.abs(row["ig_dot"]).sum()) for row in rows]
        enough = [is_complete(*one, args.tolerance) for one in zip(errors, changes, sizes, strict=True)]
        change, error = np.abs(changes).mean(), np.abs(errors).mean()
        print(
            f"{steps:>6}{len(left):>7}{change:>9.3f}{error:>9.3f}{error / change:>8.0%}{sum(enough):>8}{seconds:>9.1f}"
            f"{used:>8.1f}",
            flush=True,
        )
        left = [question for question, complete in zip(left, enough, strict=True) if not complete]
        steps *= 2
    print(f"{len(left)} of {asked} texts have a larger error than tolerated in the end")


if __name__ == "__main__":
    main()
