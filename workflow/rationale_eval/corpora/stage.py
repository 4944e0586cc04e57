"""Read the train or the test instances of a corpus.

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

READERS = {"rated_snippets": rated_snippets.read}


def _unit(*parts: str) -> float:
    """A number in [0, 1) that depends on ``parts`` alone."""
    value = hashlib.sha256("\0".join(parts).encode()).digest()[:8]
    return int.from_bytes(value, "big") / 2**64


def take(rows: Sequence[tuple[str, Instance]], side: str, seed: int, test_share: float, count: int) -> list[Instance]:
    """The first ``count`` rows of ``side``, "train" or "test", fewer if there are not as many.

    ``rows`` holds ``(group, instance)``; ``test_share`` is the share of groups on the test side. A group appears once.
    Test rows have at least one marked word.
    """
    chosen: dict[str, Instance] = {}
    for group, instance in rows:
        in_test = _unit("side", str(seed), group) < test_share
        if in_test == (side == "test") and (side == "train" or any(instance.rationale or ())):
            chosen.setdefault(group, instance)
    order = sorted(chosen, key=lambda group: (_unit("order", str(seed), group), group))
    return [chosen[group] for group in order[:count]]


def main(argv: list[str]) -> None:
    """Command line of the stage; raises ``UserError`` for bad data or too few rows."""
    parser = argparse.ArgumentParser(prog="rationale_eval corpus", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: what the reader and the split take of the corpus entry")
    parser.add_argument("--source", type=Path, required=True, help="the archive or folder to read")
    parser.add_argument("--side", choices=("train", "test"), required=True, help="which side of the split")
    parser.add_argument("--output", type=Path, required=True, help="where the instances go (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    rows = list(READERS[spec["format"]](args.source, spec))
    found = take(rows, args.side, spec["seed"], spec["test_share"], spec["rows"])
    if len(found) < spec["rows"]:
        raise UserError(
            f"corpora.{spec['name']}.{args.side}_rows: {spec['rows']} rows were asked for, but {args.source} has only "
            f"{len(found)} usable ones on this side of the split; ask for fewer or loosen the thresholds"
        )
    say(f"{args.side}: {len(found)} of {len(rows)} usable rows; labels {dict(Counter(row.label for row in found))}")
    # The source is recorded by its checksum; a folder (tests, own data) has none.
    inputs = {"source": args.source} if args.source.is_file() else {}
    write_instances(args.output, found, provenance("corpus", spec, inputs))
