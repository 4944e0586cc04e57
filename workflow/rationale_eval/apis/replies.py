"""Ask a model behind an API which words made it decide: the same conversations as local models have."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rationale_eval.apis.asking import ask_all
from rationale_eval.apis.classification import add_api_arguments, served, settings_of
from rationale_eval.apis.client import OK
from rationale_eval.apis.request import Message, chat_messages, request
from rationale_eval.corpora.instances import read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import Conversation, conversation
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.models.task import task_from_slice
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import read_table, write_table

KEPT = {"text": "reply", "prompt_tokens": "prompt_tokens", "reply_tokens": "reply_tokens", "finish": "finish"}


def messages_of(system_prompt: str | None, asked: Conversation) -> list[Message]:
    """A conversation as the API takes it."""
    return chat_messages(system_prompt, (), asked.message)


def reply_row(asked: Conversation, messages: list[Message], outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    """One row of the replies; ``outcome`` is None where nothing was asked.

    What the API itself marks as a refusal is kept as a reply: reading it is a step of its own.
    """
    if outcome is None:
        return asked.row
    row = asked.row | {"request": json.dumps(messages, ensure_ascii=False)}
    row |= {column: outcome.get(name) for name, column in KEPT.items()}
    return row if outcome["status"] == OK else row | {"status": outcome["status"]}


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval replies_api", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"api", "system_prompt", "task", "strategy", "max_words", "max_new_tokens"}',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the model (Parquet)")
    add_api_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: the replies (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)

    task = task_from_slice(spec["task"])
    predictions = {row["id"]: row for row in read_table(args.predictions, PREDICTIONS)}
    questions = []
    for instance in read_instances(args.test):
        if instance.id not in predictions:
            raise UserError(f"{args.predictions}: has no row for instance {instance.id!r}")
        questions.append(conversation(instance, predictions[instance.id], task, spec))
    messages = [messages_of(spec["system_prompt"], asked) for asked in questions]
    outcomes = ask_all(
        "replies",
        {
            str(place): request(spec["api"], messages[place], spec["max_new_tokens"], temperature=0)
            for place, asked in enumerate(questions)
            if asked.message is not None
        },
        args.memo,
        settings_of(spec, args.limits),
    )
    rows = [reply_row(asked, messages[place], outcomes.get(str(place))) for place, asked in enumerate(questions)]
    inputs = {"test": args.test, "predictions": args.predictions}
    made = provenance("replies_api", spec, inputs, ("openai",), served=served(outcomes))
    write_table(args.output, rows, REPLIES, made)
    say(f"{args.output}: {len(rows)} rows, ended by {dict(Counter(row['finish'] for row in rows))}")
