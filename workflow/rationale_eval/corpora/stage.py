"""Read a corpus into train and test instances.

The split is a function of each text alone (a keyed hash), and rows are taken in the order of another hash: asking for
more rows adds rows and moves none, and no text is in both train and test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rationale_eval.corpora import rated_snippets
from rationale_eval.corpora.instances import Instance, write_instances
from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_json

READERS = {"rated_snippets": rated_snippets.read}


def _unit(*parts: str) -> float:
    """A number in [0, 1) that depends on ``parts`` alone."""
    value = hashlib.sha256("\0".join(parts).encode()).digest()[:8]
    return int.from_bytes(value, "big") / 2**64


def split(
    rows: Sequence[tuple[str, Instance]], seed: int, test_share: float, train_rows: int, test_rows: int
) -> tuple[list[Instance], list[Instance]]:
    """Train and test rows; test rows have at least one marked word, and a text appears once.

    ``rows`` holds ``(group, instance)``; ``test_share`` is the share of groups on the test side.
    """
    train: dict[str, Instance] = {}
    test: dict[str, Instance] = {}
    for group, instance in rows:
        if _unit("side", str(seed), group) < test_share:
            if any(instance.rationale or ()):
                test.setdefault(group, instance)
        else:
            train.setdefault(group, instance)

    def first(side: dict[str, Instance], count: int) -> list[Instance]:
        groups = sorted(side, key=lambda group: (_unit("order", str(seed), group), group))
        return [side[group] for group in groups[:count]]

    return first(train, train_rows), first(test, test_rows)


def main(argv: list[str]) -> None:
    """Command line of the stage; raises ``UserError`` for bad data or too few rows."""
    parser = argparse.ArgumentParser(prog="rationale_eval corpus", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: the corpus entry of the configuration, with its name")
    parser.add_argument("--source", type=Path, required=True, help="the archive or folder to read")
    parser.add_argument("--train", type=Path, required=True, help="where the train instances go (Parquet)")
    parser.add_argument("--test", type=Path, required=True, help="where the test instances go (Parquet)")
    parser.add_argument("--card", type=Path, required=True, help="where the corpus card goes (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    rows = list(READERS[spec["format"]](args.source, spec))
    train, test = split(rows, spec["seed"], spec["test_share"], spec["train_rows"], spec["test_rows"])
    for side, found, key in ((train, len(train), "train_rows"), (test, len(test), "test_rows")):
        if found < spec[key]:
            raise UserError(
                f"corpora.{spec['name']}.{key}: {spec[key]} rows were asked for, but {args.source} has only {found} "
                f"usable ones on this side of the split; ask for fewer or loosen the thresholds"
            )
        say(f"{key}: {found} of {len(rows)} usable rows; labels {dict(Counter(row.label for row in side))}")
    words = [len(row.words) for row in test]
    marked = [sum(row.rationale or ()) for row in test]
    # The source is recorded by its checksum in `made`; a folder (tests, own data) has none.
    inputs = {"source": args.source} if args.source.is_file() else {}
    made = provenance("corpus", spec, inputs)
    write_instances(args.train, train, made)
    write_instances(args.test, test, made)
    write_json(
        args.card,
        {
            "name": spec["name"],
            "description": spec["description"],
            "annotation": spec["annotation"],
            "licence": spec["licence"],
            "citation": spec["citation"],
            "usable_rows": len(rows),
            "train_rows": len(train),
            "test_rows": len(test),
            "test_labels": dict(sorted(Counter(row.label for row in test).items())),
            "words_per_row": sum(words) / len(words),
            "marked_per_row": sum(marked) / len(marked),
            "share_marked": sum(marked) / sum(words),
        },
    )
