"""Peak memory of attention evidence, on a CPU under Linux.

    python benchmarks/memory.py --model FOLDER                 512 to 4096 tokens; the model must have these positions
    python benchmarks/memory.py --tokens 512 1024              a tiny random model

One instance of random tokens, whole (nothing shared before it). ``plain`` is a forward pass of the model alone on its
own kernel; ``attention`` the evidence with all its statistics, rollout included. Each is the highest resident set of a
process of its own beyond what it had with the model loaded. ``layer`` are the attention matrices of one layer, heads *
n * n in float32, what a method that asks the model for its attention holds for each of its layers. The evidence should
stay below ``plain`` and ``layer`` together: the last column is its share of that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from attribution import forget_peak, resident

KINDS = ("plain", "attention")


def work(args: argparse.Namespace) -> None:
    """Print the megabytes that one kind of pass takes, and the number of heads, as JSON."""
    import torch
    from rationale_eval.evidence import attention
    from rationale_eval.evidence.measure import Question, measure
    from rationale_eval.models.encoding import ContentToken, Prompt
    from rationale_eval.models.loading import LoadedModel
    from rationale_eval.models.scoring import Prefix
    from transformers import AutoModelForCausalLM

    (count,) = args.tokens
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval().requires_grad_(False)
    if model.config.max_position_embeddings < count:
        raise SystemExit(f"the model has {model.config.max_position_embeddings} positions")
    ids = torch.randint(3, model.config.vocab_size, (count,), generator=torch.Generator().manual_seed(0))
    loaded = LoadedModel(model, None, torch.device("cpu"), "float32", {"name": "", "files": {}})
    nothing = Prefix(loaded, ())

    def plain(length: int) -> None:
        with torch.no_grad():
            model(ids[None, :length], use_cache=False, logits_to_keep=1)

    def evidence(length: int) -> None:
        content = tuple(ContentToken(place, 0, place, place + 1) for place in range(length))
        question = Question(Prompt("", tuple(ids[:length].tolist()), content, ((3,), (4,)), False))
        measure(loaded, nothing, [question], gradients=False, attention=True)

    if args.kind == "attention":
        attention.install(model)
    run = {"plain": plain, "attention": evidence}[args.kind]
    run(16)  # what libraries set up once
    forget_peak()
    before = resident("VmRSS")
    run(count)
    print(json.dumps([resident("VmHWM") - before, model.config.num_attention_heads]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: a tiny random model)")
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        work(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            import tiny_models

            args.model = tiny_models.make_tiny(Path(folder, "tiny"), positions=max(args.tokens))
        print(f"{'tokens':>8}{'plain MB':>12}{'layer MB':>12}{'attention MB':>14}{'share':>8}")
        for count in args.tokens:
            found = {}
            for kind in KINDS:
                command = [sys.executable, __file__, "--model", str(args.model), "--tokens", str(count), "--kind", kind]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                found[kind], heads = json.loads(done.stdout)
            layer = heads * count**2 * 4 / 2**20
            share = found["attention"] / (found["plain"] + layer)
            print(f"{count:>8}{found['plain']:>12.0f}{layer:>12.0f}{found['attention']:>14.0f}{share:>8.2f}")


if __name__ == "__main__":
    main()
