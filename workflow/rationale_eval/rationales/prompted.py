"""Read a model's replies into words: a cheap step over replies that are kept raw.

A reply that names no word of the input is an empty set, or scores of 0: it is evaluated like any other (F1 of 0,
nothing masked) and counted. So is one that only gives back the label or the form of the question. A refusal is a
missing value, and so is a reply that its limit of tokens cut off before it said anything but thoughts; they are
counted. Of several replies to a question the words are put to the vote; how each was read is kept in
a table of its own, which has the columns of rationales.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.reply_schema import OK, REPLIES
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.echoes import Labels
from rationale_eval.rationales.replies import TRUNCATED, parse_reply
from rationale_eval.rationales.schema import RATIONALES, REFUSAL, rationale_row
from rationale_eval.rationales.scored_replies import parse_scored_reply
from rationale_eval.rationales.voting import voted
from rationale_eval.tables import read_table, write_table
from rationale_eval.thoughts import CUT_OFF, cut_off


def row_of(instance: Instance, reply: Mapping[str, Any], gives: str, labels: Labels) -> dict[str, Any]:
    """The row of one reply, read as ``gives``: words, ranking (words in order of importance) or scores.

    ``labels`` are those of the task.
    """
    if reply["status"] != OK:
        # An API says itself that the model refused. Without a reply it refused to classify, and was not asked.
        refusal = reply["status"] == REFUSAL and reply["reply"] is not None
        read = {"outcome": REFUSAL, "listed": 0, "hallucinated": [], "copied": False} if refusal else {}
        return rationale_row(instance.id, reply["sample"], reply["status"], **read)
    if cut_off(reply["reply"], reply["finish"]):
        return rationale_row(
            instance.id, reply["sample"], CUT_OFF, outcome=TRUNCATED, listed=0, hallucinated=[], copied=False
        )
    finished = reply["finish"] != "length"
    found: dict[str, Any]
    if gives == "scores":
        parsed, scores = parse_scored_reply(reply["reply"], instance, finished, labels)
        found = {"scores": scores}
    else:
        parsed = parse_reply(reply["reply"], instance, finished, labels)
        found = {"selected": [word in parsed.order for word in range(len(instance.words))]}
    refused = parsed.outcome == "refusal"
    found |= {"order": list(parsed.order), "named": len(parsed.order)}
    return rationale_row(
        instance.id,
        reply["sample"],
        REFUSAL if refused else OK,
        **({} if refused else found),
        outcome=parsed.outcome,
        listed=parsed.mentioned,
        hallucinated=list(parsed.hallucinated),
        copied=parsed.copied,
    )


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval prompted", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"gives": words, ranking or scores, "vote": whether samples are votes, "labels": and verbalisers}',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--replies", type=Path, required=True, help="the replies (Parquet)")
    parser.add_argument("--readings", type=Path, required=True, help="output: how each reply was read (Parquet)")
    parser.add_argument("--output", type=Path, required=True, help="output: the rationales (Parquet)")
    args = parser.parse_args(argv)
    instances = {instance.id: instance for instance in read_instances(args.test)}
    spec = json.loads(args.spec)
    labels = Labels(spec["labels"])
    readings = []
    for reply in read_table(args.replies, REPLIES):
        if reply["id"] not in instances:
            raise UserError(f"{args.replies}: row {reply['id']!r} is not among the instances of {args.test}")
        readings.append(row_of(instances[reply["id"]], reply, spec["gives"], labels))
    rows = readings
    if spec["vote"]:
        samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for reading in readings:
            samples[reading["id"]].append(reading)
        rows = [voted(name, found) for name, found in samples.items()]
    made = provenance("prompted", spec, {"test": args.test, "replies": args.replies})
    write_table(args.readings, readings, RATIONALES, made)
    write_table(args.output, rows, RATIONALES, made)
    outcomes = Counter(row["outcome"] or row["status"] for row in readings)
    say(f"{args.output}: {len(rows)} rationales from {len(readings)} replies, {dict(outcomes)}")
