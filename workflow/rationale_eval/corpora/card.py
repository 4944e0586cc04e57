"""The card of a corpus: what it is, who marked its rationales and how, and its sizes."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from rationale_eval.corpora.instances import read_instances
from rationale_eval.progress import say
from rationale_eval.tables import read_provenance, write_json


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval corpus_card", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: name, description, annotation, licence and citation")
    parser.add_argument("--train", type=Path, required=True, help="the train instances (Parquet)")
    parser.add_argument("--test", type=Path, required=True, help="the test instances (Parquet)")
    parser.add_argument("--card", type=Path, required=True, help="output: the card (JSON)")
    args = parser.parse_args(argv)
    train, test = read_instances(args.train), read_instances(args.test)
    words = sum(len(row.words) for row in test)
    marked = sum(sum(row.rationale or ()) for row in test)
    write_json(
        args.card,
        {
            **json.loads(args.spec),
            "source": read_provenance(args.test)["inputs"].get("source"),
            "train_rows": len(train),
            "test_rows": len(test),
            "train_labels": dict(sorted(Counter(row.label for row in train).items())),
            "test_labels": dict(sorted(Counter(row.label for row in test).items())),
            "words_per_row": words / len(test),
            "marked_per_row": marked / len(test),
            "share_marked": marked / words,
        },
    )
    say(f"{args.card}: {len(train)} train and {len(test)} test rows")
