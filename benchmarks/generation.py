"""Speed of generation: batches of the package against a plain loop of transformers' generate, one prompt at a time.

    python benchmarks/generation.py                            a tiny model: seconds
    python benchmarks/generation.py --model FOLDER             safetensors with tokenizer and chat template
    python benchmarks/generation.py --model FOLDER --replies FILE      what a study's table of replies holds
    python benchmarks/generation.py --model FOLDER --endless           every reply of --new-tokens tokens

Both write greedy replies to the same explanation prompts, with the same model, the same end of a turn, the same test
for the end of a list and the same limit; the texts must come out equal, or the run fails. The contestants take turns in
one process, after one round that is not timed, and what is timed is generation from token ids, reading of the prompts
included: no loading, no tokenising. With --endless no token and no list ends a reply for either, so that the figures do
not hang on how much the model has to say: a run of short replies is mostly the reading of prompts. Speed is counted in
new tokens per second, the tokens of the replies over all rounds. OMP_NUM_THREADS=2 gives the figures for two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]
PROMPTS = ROOT / "workflow" / "prompts" / "sentiment.yaml"

Replies = list[tuple[int, ...]]


def load_model(source: Path | None, folder: Path) -> Any:
    """The model in ``source``, or a tiny random one."""
    import tiny_models
    from rationale_eval.models.loading import load
    from rationale_eval.models.prepare import card, link_folder
    from rationale_eval.tables import write_json

    found = source or tiny_models.make_tiny_llama(folder / "tiny")
    link_folder(found.resolve(), folder / "snapshot")
    entry = {"name": found.name, "source": {"path": str(found)}, "licence": "", "citation": ""}
    write_json(folder / "card.json", card(entry, folder / "snapshot"))
    return load(folder / "card.json", "auto")


def questions(count: int) -> list[tuple[str, str]]:
    """System prompt and question of ``count`` requests for the words that decided, about made-up sentences."""
    import tiny_models
    from rationale_eval.models.task import load_task

    task, stream = load_task(PROMPTS), tiny_models.sentences(seed=0)
    made = [next(stream) for _ in range(count)]
    labels = ["positive" if rating > 0 else "negative" for rating, _ in made]
    return [
        ("Be brief.", task.explanation("unbound", {"text": text}, label))
        for (_, text), label in zip(made, labels, strict=True)
    ]


def questions_of(replies: Path, count: int) -> list[tuple[str, str]]:
    """The same of the first requests in a study's table of replies, each asked in a chat of its own."""
    from rationale_eval.evidence.reply_schema import REPLIES
    from rationale_eval.tables import read_table

    rows = [row for row in read_table(replies, REPLIES) if row["request"]]
    return [tuple(turn["content"] for turn in json.loads(row["request"])) for row in rows[:count]]


def prompts_of(loaded: Any, asked: list[tuple[str, str]]) -> Replies:
    """Token ids of the rendered questions."""
    from rationale_eval.models.chat import Chat

    texts = [Chat(loaded.tokenizer, system).text(question) for system, question in asked]
    return [tuple(loaded.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def ours(loaded: Any, prompts: Replies, new_tokens: int, ended: Callable[[str], bool], batch_rows: int) -> Replies:
    """By the package: the shared prefix once, prompts of similar length side by side, none idle while others wait."""
    from rationale_eval.models.generation import generate
    from rationale_eval.models.scoring import Prefix, shared_tokens

    prefix = Prefix(loaded, shared_tokens(prompts))
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    replies = generate(loaded, prefix, [prompts[index] for index in order], new_tokens, ended, batch_rows)
    found = dict(zip(order, (reply.tokens for reply in replies), strict=True))
    return [found[index] for index in range(len(prompts))]


def one_by_one(loaded: Any, prompts: Replies, new_tokens: int, ended: Callable[[str], bool], _: int) -> Replies:
    """By transformers, prompt by prompt."""
    import torch
    from rationale_eval.models.generation import end_tokens
    from transformers import StoppingCriteria, StoppingCriteriaList

    class ListEnd(StoppingCriteria):
        def __init__(self, start: int) -> None:
            self._start = start

        def __call__(self, ids: torch.LongTensor, *_: Any, **__: Any) -> Any:
            text = loaded.tokenizer.decode(ids[0, self._start :], skip_special_tokens=True)
            return torch.tensor([ended(text)], device=ids.device)

    ends = end_tokens(loaded)
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=loaded.device)
        made = loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new_tokens,
            do_sample=False,
            stopping_criteria=StoppingCriteriaList([ListEnd(len(prompt))]),
        )
        reply = made[0, len(prompt) :].tolist()
        found.append(tuple(reply[:-1] if reply[-1] in ends else reply))
    return found


def without_ends(loaded: Any) -> Callable[[str], bool]:
    """Takes from a loaded model what ends its turns; a test for the end of a list that never holds."""
    loaded.model.generation_config.eos_token_id = None
    loaded.tokenizer.eos_token = None
    return lambda _: False


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: a tiny random model)")
    parser.add_argument("--replies", type=Path, help="ask what this table holds (default: about made-up sentences)")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch-rows", type=int, default=16)
    parser.add_argument("--endless", action="store_true", help="let nothing but --new-tokens end a reply")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each contestant (default: %(default)s)")
    args = parser.parse_args()
    contestants: dict[str, Callable[..., Replies]] = {"ours": ours, "one by one": one_by_one}
    with tempfile.TemporaryDirectory() as folder:
        import torch
        from rationale_eval.evidence.list_end import list_ended

        loaded = load_model(args.model, Path(folder))
        asked = questions_of(args.replies, args.prompts) if args.replies else questions(args.prompts)
        prompts = prompts_of(loaded, asked)
        ended = without_ends(loaded) if args.endless else list_ended
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(args.rounds + 1):
            replies = {}
            for name, run in contestants.items():
                start = time.perf_counter()
                replies[name] = run(loaded, prompts, args.new_tokens, ended, args.batch_rows)
                seconds = time.perf_counter() - start
                if turn:
                    speeds[name].append(sum(map(len, replies[name])) / seconds)
            if replies["ours"] != replies["one by one"]:
                raise SystemExit("the replies differ")
    lengths = [len(reply) for reply in replies["ours"]]
    print(
        f"{len(prompts)} prompts of {statistics.mean(map(len, prompts)):.0f} tokens, replies of "
        f"{statistics.mean(lengths):.1f} (at most {max(lengths)}), equal in all; {torch.get_num_threads()} threads"
    )
    for name, found in speeds.items():
        print(f"{name:<12}{statistics.median(found):8.1f} new tokens/s ({min(found):.1f} to {max(found):.1f})")
    print(f"{'ratio':<12}{statistics.median(speeds['ours']) / statistics.median(speeds['one by one']):8.2f}")


if __name__ == "__main__":
    main()
