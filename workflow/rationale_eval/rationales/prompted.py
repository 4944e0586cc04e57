"""Read a model's replies into words: a cheap step over replies that are kept raw.

A reply that names no word of the input is an empty set: it is evaluated like any other (F1 of 0, nothing masked) and
counted. A refusal is a missing value, and counted.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import OK, REPLIES
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.replies import parse_reply
from rationale_eval.rationales.schema import RATIONALES, REFUSAL, rationale_row
from rationale_eval.tables import read_table, write_table


def row_of(instance: Instance, reply: Mapping[str, Any]) -> dict[str, Any]:
    """The rationales row of one reply."""
    if reply["status"] != OK:
        return rationale_row(instance.id, reply["sample"], reply["status"])
    parsed = parse_reply(reply["reply"], instance, finished=reply["finish"] != "length")
    refused = parsed.outcome == "refusal"
    return rationale_row(
        instance.id,
        reply["sample"],
        REFUSAL if refused else OK,
        selected=None if refused else [word in parsed.order for word in range(len(instance.words))],
        order=None if refused else list(parsed.order),
        outcome=parsed.outcome,
        listed=parsed.mentioned,
        hallucinated=list(parsed.hallucinated),
        copied=parsed.copied,
    )


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval prompted", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: {} (the stage has no settings)")
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--replies", type=Path, required=True, help="the replies (Parquet)")
    parser.add_argument("--output", type=Path, required=True, help="output: the rationales (Parquet)")
    args = parser.parse_args(argv)
    instances = {instance.id: instance for instance in read_instances(args.test)}
    rows = []
    for reply in read_table(args.replies, REPLIES):
        if reply["id"] not in instances:
            raise UserError(f"{args.replies}: row {reply['id']!r} is not among the instances of {args.test}")
        rows.append(row_of(instances[reply["id"]], reply))
    inputs = {"test": args.test, "replies": args.replies}
    write_table(args.output, rows, RATIONALES, provenance("prompted", json.loads(args.spec), inputs))
    say(f"{args.output}: {len(rows)} replies, {dict(Counter(row['outcome'] or row['status'] for row in rows))}")
