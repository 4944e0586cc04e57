"""The card of a model behind an API: what is known of it before it is asked."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rationale_eval.progress import say
from rationale_eval.tables import write_json


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval model_api", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"name", "source"}')
    parser.add_argument("--card", type=Path, required=True, help="output: the model's card (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    write_json(args.card, spec | {"architecture": None, "layers": None, "hidden_size": None, "files": {}})
    say(f"{args.card}: {spec['name']} is asked at {spec['source']['api']}")
