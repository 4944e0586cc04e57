"""Ask a model behind an API which words made it decide: the same conversations as local models have."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.apis.asking import ask_all
from rationale_eval.apis.classification import Classifier, add_api_arguments, served, settings_of
from rationale_eval.apis.completion import OK
from rationale_eval.apis.request import Message, Request, chat_messages, request
from rationale_eval.corpora.instances import read_instances
from rationale_eval.evidence.asked import conversations_of
from rationale_eval.evidence.conversations import Conversation, follow_up
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.models.task import task_from_slice
from rationale_eval.models.task_input import add_shots_argument, shots_input
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_table

MOST_SAMPLES = 1000  # as the configuration allows
KEPT = {"text": "reply", "prompt_tokens": "prompt_tokens", "reply_tokens": "reply_tokens", "finish": "finish"}


@dataclass(frozen=True)
class Asked:
    """One reply: the conversation, its row of the table, and the request; None where nothing is asked."""

    conversation: Conversation
    row: dict[str, Any]
    request: Request | None


def messages_of(system_prompt: str | None, asked: Conversation) -> list[Message]:
    """A conversation as the API takes it."""
    return chat_messages(system_prompt, asked.turns, asked.message)


def asked_of(asked: Conversation, spec: Mapping[str, Any]) -> Iterator[Asked]:
    """The conversation, once for each sample. A sampled reply has a seed of its own, which not every API heeds."""
    row, messages = asked.row, messages_of(spec["system_prompt"], asked)
    if asked.message is not None:
        row = row | {"request": json.dumps(messages, ensure_ascii=False)}
    sampled = spec["temperature"] is not None
    drawn = {"temperature": spec["temperature"], "top_p": spec["top_p"]} if sampled else {"temperature": 0}
    for sample in range(spec["samples"]):
        seeded = {"seed": spec["seed"] * MOST_SAMPLES + sample} if sampled else {}
        put = request(spec["api"], messages, spec["max_new_tokens"], sample if sampled else 0, **drawn, **seeded)
        numbered = row | {"sample": sample, "seed": spec["seed"] if sampled else None}
        yield Asked(asked, numbered, None if asked.message is None else put)


def reply_row(row: dict[str, Any], outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    """One row of the replies; ``outcome`` is None where nothing was asked."""
    if outcome is None:
        return row
    kept = row | {column: outcome.get(name) for name, column in KEPT.items()}
    return kept if outcome["status"] == OK else kept | {"status": outcome["status"]}


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval replies_api", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"api", "system_prompt", "task", "strategy", "gives", "order", "chat", "max_words", '
        '"max_new_tokens", "shots": {"count", "seed"}, "samples", "temperature", "top_p", "seed"}',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the model (Parquet)")
    add_shots_argument(parser)
    add_api_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: the replies (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    settings = settings_of(spec, args.limits)

    task = task_from_slice(spec["task"])
    instances = read_instances(args.test)
    conversations = conversations_of(instances, args.predictions, task, spec, args.shots)
    asked = [one for conversation in conversations for one in asked_of(conversation, spec)]
    requests = {place: one.request for place, one in enumerate(asked) if one.request is not None}
    outcomes = ask_all("replies", requests, args.memo, settings)
    rows = [reply_row(one.row, outcomes.get(place)) for place, one in enumerate(asked)]
    if spec["order"] == "before":
        # The label, in the same conversation. The solved examples of the classification are not among its turns.
        classifier = Classifier(spec, task, ())
        by_id = {instance.id: instance for instance in instances}
        questions = {
            place: follow_up(asked[place].conversation, row["reply"], by_id[row["id"]], task)
            for place, row in enumerate(rows)
            if row["status"] == OK
        }
        puts = {
            place: classifier.request(messages_of(spec["system_prompt"], question))
            for place, question in questions.items()
        }
        for place, outcome in ask_all("answers", puts, args.memo, settings).items():
            rows[place]["answer"] = classifier.read(outcome, args.limits["name"])["predicted"]
    inputs = {"test": args.test, "predictions": args.predictions, **shots_input(args)}
    write_table(
        args.output, rows, REPLIES, provenance("replies_api", spec, inputs, ("openai",), served=served(outcomes))
    )
    say(f"{args.output}: {len(rows)} rows, ended by {dict(Counter(row['finish'] for row in rows))}")
