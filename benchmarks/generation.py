"""Speed of generation: batches of the package against a plain loop of transformers' generate, one prompt at a time.

    python benchmarks/generation.py                            a tiny model: seconds
    python benchmarks/generation.py --model FOLDER             safetensors with tokenizer and chat template

Both write greedy replies to the same explanation prompts, with the same model, the same end of a turn, the same test
for the end of a list and the same limit; the texts must come out equal, or the run fails. The contestants take turns in
one process, after one round that is not timed, and what is timed is generation from token ids, reading of the prompts
included: no loading, no tokenising. Speed is counted in new tokens per second, the tokens of the replies over all
rounds. OMP_NUM_THREADS=2 gives the figures for two cores.
"""

from __future__ import annotations

import argparse
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


def prompts_of(loaded: Any, count: int) -> Replies:
    """Token ids of ``count`` questions for the words that decided, about made-up sentences."""
    import tiny_models
    from rationale_eval.models.chat import Chat
    from rationale_eval.models.task import load_task

    task, chat, stream = load_task(PROMPTS), Chat(loaded.tokenizer, "Be brief."), tiny_models.sentences(seed=0)
    found = []
    for rating, text in (next(stream) for _ in range(count)):
        message = task.explanation("unbound", {"text": text}, "positive" if rating > 0 else "negative")
        found.append(tuple(loaded.tokenizer(chat.text(message), add_special_tokens=False)["input_ids"]))
    return found


def ours(loaded: Any, prompts: Replies, new_tokens: int, batch_rows: int) -> Replies:
    """By the package: the shared prefix once, batches of prompts of similar length."""
    from rationale_eval.evidence.list_end import list_ended
    from rationale_eval.models.batching import plan
    from rationale_eval.models.generation import generate
    from rationale_eval.models.scoring import Prefix, shared_tokens

    prefix = Prefix(loaded, shared_tokens(prompts))
    found: dict[int, tuple[int, ...]] = {}
    for batch in plan([len(prompt) for prompt in prompts], 1 << 30, batch_rows):
        replies = generate(loaded, prefix, [prompts[index] for index in batch], new_tokens, list_ended)
        found |= dict(zip(batch, (reply.tokens for reply in replies), strict=True))
    return [found[index] for index in range(len(prompts))]


def one_by_one(loaded: Any, prompts: Replies, new_tokens: int, _: int) -> Replies:
    """By transformers, prompt by prompt."""
    import torch
    from rationale_eval.evidence.list_end import list_ended
    from rationale_eval.models.generation import end_tokens
    from transformers import StoppingCriteria, StoppingCriteriaList

    class ListEnd(StoppingCriteria):
        def __init__(self, start: int) -> None:
            self._start = start

        def __call__(self, ids: torch.LongTensor, *_: Any, **__: Any) -> Any:
            text = loaded.tokenizer.decode(ids[0, self._start :], skip_special_tokens=True)
            return torch.tensor([list_ended(text)], device=ids.device)

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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: a tiny random model)")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch-rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each contestant (default: %(default)s)")
    args = parser.parse_args()
    contestants: dict[str, Callable[..., Replies]] = {"ours": ours, "one by one": one_by_one}
    with tempfile.TemporaryDirectory() as folder:
        import torch

        loaded = load_model(args.model, Path(folder))
        prompts = prompts_of(loaded, args.prompts)
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(args.rounds + 1):
            replies = {}
            for name, run in contestants.items():
                start = time.perf_counter()
                replies[name] = run(loaded, prompts, args.new_tokens, args.batch_rows)
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
