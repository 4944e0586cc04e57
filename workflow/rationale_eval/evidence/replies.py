"""Ask a model which words made it decide, in the conversation and as often as the method says, and keep every reply."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rationale_eval.code_digest import memo_code
from rationale_eval.corpora.instances import read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.answers import answers
from rationale_eval.evidence.asked import conversations_of
from rationale_eval.evidence.conversations import Conversation, follow_up
from rationale_eval.evidence.list_end import list_ended
from rationale_eval.evidence.reply_schema import OK, REPLIES
from rationale_eval.memo import Memo, digest
from rationale_eval.models.asking import Renderer
from rationale_eval.models.batching import plan, run_batches
from rationale_eval.models.chat import AlteredError
from rationale_eval.models.encoding import ALTERED, TOO_LONG
from rationale_eval.models.generation import generate
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.sampling import Sampling
from rationale_eval.models.scoring import Prefix, shared_tokens
from rationale_eval.models.stage_input import add_model_arguments, own_gpus
from rationale_eval.models.task import task_from_slice
from rationale_eval.models.task_input import add_shots_argument, shots_input
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import write_table

# So many batches are asked for together: the rows of one take the places of those of another that are done. They come
# to the memo together too, so that a run that is resumed asks in the same company, and for no more than it must.
TOGETHER = 4


@dataclass(frozen=True)
class Request:
    """One reply that is asked for: the conversation, its row of the table, and the tokens of its rendered prompt.

    ``tokens`` is empty where nothing is asked. ``key`` is what the reply is kept by in the memo: for a greedy one that
    of its tokens, for a sampled one also that of the settings, the seed and the number of the sample.
    """

    asked: Conversation
    row: dict[str, Any]
    tokens: tuple[int, ...]
    key: str


def requests_of(asked: Conversation, spec: Mapping[str, Any], renderer: Renderer, max_length: int) -> Iterator[Request]:
    """The conversation as this model sees it, once for each sample."""
    row, tokens = asked.row, ()
    if asked.message is not None:
        try:
            chat = renderer.of(asked.turns)
            text = chat.text(asked.message)
        except AlteredError:
            row = row | {"status": ALTERED}
        else:
            tokens = tuple(chat.tokenizer(text, add_special_tokens=False)["input_ids"])
            request = json.dumps(chat.messages(asked.message), ensure_ascii=False)
            row = row | {"request": request, "prompt_tokens": len(tokens)}
    if len(tokens) + spec["max_new_tokens"] > max_length:
        row, tokens = row | {"status": TOO_LONG}, ()
    sampled = spec["temperature"] is not None
    for sample in range(spec["samples"]):
        drawn = [spec["temperature"], spec["top_p"], spec["seed"], sample] if sampled else []
        seed = spec["seed"] if sampled else None
        yield Request(asked, row | {"sample": sample, "seed": seed}, tokens, digest([tokens, *drawn]))


def ask_all(
    requests: list[Request], spec: Mapping[str, Any], loaded: LoadedModel, memo: Memo, batch: tuple[int, int]
) -> None:
    """See that ``memo`` holds a reply to every request; ``batch`` is the most tokens and the most rows at a time."""
    max_tokens, max_rows = batch
    wanted = {request.key: request for request in requests if request.tokens}
    shared = shared_tokens([request.tokens for request in wanted.values()])
    prefix = Prefix(loaded, shared)
    sampling = None if spec["temperature"] is None else Sampling(spec["temperature"], spec["top_p"])
    limit = spec["max_new_tokens"]

    def length(request: Request) -> int:
        return len(request.tokens) + int(limit) - len(shared)

    def ask(asked: list[Request]) -> list[dict[str, Any]]:
        rows = max(1, min(max_rows, max_tokens // max(map(length, asked))))
        prompts = [request.tokens for request in asked]
        keys = [request.key for request in asked] if sampling else []
        return [
            {
                "reply": loaded.tokenizer.decode(reply.tokens, skip_special_tokens=True),
                "reply_tokens": len(reply.tokens),
                "finish": reply.finish,
            }
            for reply in generate(loaded, prefix, prompts, limit, list_ended, rows, sampling, keys)
        ]

    keys = list(wanted)
    batches = plan([length(wanted[key]) for key in keys], max_tokens, max_rows)
    groups = [list(chain(*batches[start : start + TOGETHER])) for start in range(0, len(batches), TOGETHER)]
    run_batches("replies", wanted, [[keys[index] for index in group] for group in groups], ask, memo)


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval replies", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"asking", "task", "strategy", "gives", "order", "chat", "max_words", "max_new_tokens", "shots": '
        '{"count", "seed"}, "samples", "temperature", "top_p", "seed"}',
    )
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the checkpoint (Parquet)")
    add_shots_argument(parser)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: the replies (Parquet)")
    args = parser.parse_args(argv)
    own_gpus(args.shard, args.gpus)
    spec = json.loads(args.spec)

    task = task_from_slice(spec["task"])
    instances = args.shard.share(read_instances(args.test))
    conversations = list(conversations_of(instances, args.predictions, task, spec, args.shots))
    loaded = load(args.model, spec["asking"]["dtype"], *args.checkpoint, gpus=args.gpus)
    how = spec["asking"]
    renderer = Renderer(loaded.tokenizer, how["system_prompt"], how["prompt_style"], task.cue, how.get("template"))
    requests = [request for asked in conversations for request in requests_of(asked, spec, renderer, loaded.max_length)]
    asked_for = [request.row["status"] for request in requests if request.asked.message is not None]
    if len(asked_for) > 1 and set(asked_for) == {ALTERED}:
        raise UserError(f"{args.model}: the chat template alters all {len(asked_for)} questions; see prompt_style")
    say(f"{args.test}: {len(requests)} replies, {dict(Counter(request.row['status'] for request in requests))}")
    batch = (args.batch_tokens, args.batch_rows)
    context = {"max_new_tokens": spec["max_new_tokens"], "code": memo_code("replies"), **loaded.context()}
    with Memo(args.memo, "replies", context) as memo:
        ask_all(requests, spec, loaded, memo, batch)
        rows = [request.row | (memo[request.key] if request.tokens else {}) for request in requests]
    if spec["order"] == "before":
        by_id = {instance.id: instance for instance in instances}
        replied = [place for place, row in enumerate(rows) if row["status"] == OK]
        about = [by_id[rows[place]["id"]] for place in replied]
        questions = [
            (follow_up(requests[place].asked, rows[place]["reply"], instance, task), instance.fields)
            for place, instance in zip(replied, about, strict=True)
        ]
        for place, answer in zip(replied, answers(questions, task, renderer, loaded, args.memo, batch), strict=True):
            rows[place]["answer"] = answer
    inputs = {"test": args.test, "predictions": args.predictions, "model": args.model, **shots_input(args)}
    write_table(args.output, rows, REPLIES, provenance("replies", spec, inputs, **loaded.context()))
    say(f"{args.output}: {len(rows)} rows, ended by {dict(Counter(row['finish'] for row in rows))}")
