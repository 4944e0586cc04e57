"""``python -m rationale_eval STAGE …``: the commands that the Snakemake rules call, and that a person can repeat."""

from __future__ import annotations

import errno
import importlib
import os
import sys

from rationale_eval.errors import NO_ROOM, UserError
from rationale_eval.long_arguments import whole

# Read when Arrow is imported. Its own pools reserve a gigabyte at once, within which ``corpora.memory`` bounds nothing.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

# The disk, a quota or the largest size of a file is reached.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# name -> (module, what it does). Modules are imported only when asked for: importing torch takes seconds.
STAGES = {
    "fetch": ("fetch", "download a pinned package file and check its sha256"),
    "fetch_url": ("sources.url", "download a file from a web server and check its sha256"),
    "fetch_hub": ("sources.hub", "get a model or data set from the Hugging Face hub into its cache"),
    "corpus": ("corpora.stage", "read the train or test instances of a corpus"),
    "corpus_card": ("corpora.card", "say what a corpus is, with its sizes"),
    "model": ("models.prepare", "bring a model into safetensors form with a card"),
    "finetune": ("finetuning.stage", "train one epoch of a checkpoint"),
    "evidence": ("evidence.stage", "predictions, gradients and attention of a checkpoint on every instance"),
    "attributions": ("evidence.attributions", "attributions that need passes of their own, such as ablation"),
    "replies": ("evidence.replies", "ask a checkpoint which words made it decide"),
    "prompted": ("rationales.prompted", "read replies into words"),
    "rationale": ("rationales.stage", "turn evidence into one method's rationales"),
    "alignment": ("alignment", "compare rationales with the human annotation"),
    "perturb": ("faithfulness.perturb", "score the instances again with words masked or kept"),
    "model_api": ("apis.card", "write the card of a model behind an API"),
    "predictions_api": ("apis.predictions", "predictions of a model behind an API"),
    "replies_api": ("apis.replies", "ask a model behind an API which words made it decide"),
    "perturb_api": ("apis.perturb", "classify the instances again by an API, with words masked or kept"),
    "merge": ("merge", "put the tables of shards together"),
    "faithfulness": ("faithfulness.measures", "flips and probability drops from the perturbed scores"),
    "curves": ("faithfulness.curve_stage", "measures of each method's order of words from the perturbed scores"),
    "measure_tables": ("report.measure_tables", "collect measures of orders, and against random words, into tables"),
    "sensitivity": ("report.sensitivity", "compare the conclusions under several ways to mask words"),
    "tables": ("report.tables", "collect the study's cells into tables"),
    "calibration": ("report.calibration", "on planted corpora, how often each method names the words that decide"),
    "claims": ("claims.stage", "test the claims of the paper on the study"),
    "cost": ("report.cost", "collect what the jobs took, by Snakemake's records"),
    "figures": ("report.figures", "draw the study's figures"),
    "latex": ("report.latex_tables", "write the study's tables as LaTeX for a paper"),
    "latex_examples": ("report.latex_examples", "write coloured examples of rationales as LaTeX for a paper"),
    "page": ("report.page", "write the report page"),
    "explorer": ("report.explorer", "write the page in which every instance can be looked at"),
    "estimate": ("estimate", "calls, tokens, cost and hours of a study before it is run"),
    "check": ("check", "whether environment, sources and cluster are ready for a study"),
    "schema": ("config_docs", "write the JSON Schema and the reference of the configuration"),
}


def usage() -> str:
    """The text of ``--help``."""
    width = max(map(len, STAGES))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in STAGES.items()]
    return "usage: python -m rationale_eval STAGE [--help] …\n\nstages:\n" + "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run one stage; the return value is the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] not in STAGES:
        print(f"error: unknown stage {argv[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"rationale_eval.{STAGES[argv[0]][0]}")
    try:
        module.main(whole(argv[1:]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"error: {error.filename or 'a file of this job'}: {NO_ROOM}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
