"""Ask a model which words made it decide: a chat of its own that shows the text again, with the predicted label."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.code_digest import memo_code
from rationale_eval.corpora.instances import read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import Conversation, conversation
from rationale_eval.evidence.list_end import list_ended
from rationale_eval.evidence.reply_schema import REPLIES, TOO_LONG
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.memo import Memo, digest
from rationale_eval.models.asking import asking
from rationale_eval.models.batching import run
from rationale_eval.models.chat import Chat
from rationale_eval.models.completion import Completion
from rationale_eval.models.generation import generate
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, shared_tokens
from rationale_eval.models.stage_input import add_model_arguments
from rationale_eval.models.task import task_from_slice
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import read_table, write_table


@dataclass(frozen=True)
class Request:
    """A conversation and the tokens of its rendered prompt (empty where nothing is asked)."""

    row: dict[str, Any]
    tokens: tuple[int, ...]


def rendered(asked: Conversation, chat: Chat | Completion) -> Request:
    """The conversation as this model sees it."""
    if asked.message is None:
        return Request(asked.row, ())
    tokens = tuple(chat.tokenizer(chat.text(asked.message), add_special_tokens=False)["input_ids"])
    request = json.dumps(chat.messages(asked.message), ensure_ascii=False)
    return Request(asked.row | {"request": request, "prompt_tokens": len(tokens)}, tokens)


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval replies", description=__doc__)
    parser.add_argument(
        "--spec", required=True, help='JSON: {"asking", "task", "strategy", "max_words", "max_new_tokens"}'
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the checkpoint (Parquet)")
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: the replies (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)

    task = task_from_slice(spec["task"])
    predictions = {row["id"]: row for row in read_table(args.predictions, PREDICTIONS)}
    settings = spec["asking"]
    loaded = load(args.model, settings["dtype"], *args.checkpoint)
    chat = asking(loaded.tokenizer, settings["system_prompt"], settings["prompt_style"], task.cue)
    questions = []
    for instance in read_instances(args.test):
        if instance.id not in predictions:
            raise UserError(f"{args.predictions}: has no row for instance {instance.id!r}")
        asked = rendered(conversation(instance, predictions[instance.id], task, spec), chat)
        if len(asked.tokens) + spec["max_new_tokens"] > loaded.max_length:
            asked = Request(asked.row | {"status": TOO_LONG}, ())
        questions.append(asked)
    say(f"{args.test}: {len(questions)} instances, {dict(Counter(asked.row['status'] for asked in questions))}")

    keys = [digest(asked.tokens) for asked in questions]
    wanted = {key: asked.tokens for key, asked in zip(keys, questions, strict=True) if asked.tokens}
    shared = shared_tokens(list(wanted.values()))
    prefix = Prefix(loaded, shared)

    def ask(batch: list[tuple[int, ...]]) -> list[dict[str, Any]]:
        replies = generate(loaded, prefix, batch, spec["max_new_tokens"], list_ended)
        return [
            {
                "reply": loaded.tokenizer.decode(reply.tokens, skip_special_tokens=True),
                "reply_tokens": len(reply.tokens),
                "finish": reply.finish,
            }
            for reply in replies
        ]

    context = {
        "max_new_tokens": spec["max_new_tokens"],
        "code": memo_code("replies"),
        **loaded.context(),
    }
    with Memo(args.memo, "replies", context) as memo:
        room = spec["max_new_tokens"] - len(shared)
        run("replies", wanted, lambda tokens: len(tokens) + room, ask, memo, args.batch_tokens, args.batch_rows)
        rows = [asked.row | (memo[key] if asked.tokens else {}) for key, asked in zip(keys, questions, strict=True)]
    inputs = {"test": args.test, "predictions": args.predictions, "model": args.model}
    write_table(args.output, rows, REPLIES, provenance("replies", spec, inputs, **loaded.context()))
    say(f"{args.output}: {len(rows)} rows, ended by {dict(Counter(row['finish'] for row in rows))}")
