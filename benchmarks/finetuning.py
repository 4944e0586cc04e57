"""Speed and memory of fine-tuning, against transformers' Trainer with peft on the same rows, steps and batches.

    python benchmarks/finetuning.py                            a tiny model, made-up rows: seconds
    python benchmarks/finetuning.py --model FOLDER             safetensors with tokenizer and chat template
    python benchmarks/finetuning.py --gpu-shape llama-3-8b     our code alone, on a random model of that shape

Contestants take turns, each run in a process of its own. What is timed is training: neither imports nor loading. The
Trainer is given the rows in the order of our plan, so that both see the same batches (and it gains from the grouping
by length). It computes what a plain loop computes: whole rows, and logits at every position. Peak memory is the
highest resident set of the process (on a GPU also what torch had allocated), imports and model included. On a machine
that others use, set OMP_NUM_THREADS=1: threads that wait for one another make the times meaningless.

Model FLOPs utilisation with --gpu-shape is F * T / (seconds * peak), T being the positions put through the model
without padding, and F the floating-point operations that one of them takes:

    F = 4 * N + 6 * N_lora + 6 * layers * hidden * length

N are the frozen weights of the linear layers (2 N forward, 2 N for the gradient with respect to their inputs; the
gradient with respect to frozen weights is not computed), N_lora the trained ones, and the last term the two matrix
products of causal attention (2 * hidden * length forward for both, on average over positions; twice that backward).
Embeddings and the output layer, which sees the label positions alone, do not count; nor does what gradient
checkpointing computes again.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]
PROMPTS = ROOT / "workflow" / "prompts" / "sentiment.yaml"
CONTESTANTS = ("ours", "trainer")
SHAPES: dict[str, dict[str, int]] = {
    "llama-3-8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


def settings(args: argparse.Namespace) -> Any:
    """The same for both contestants; constant rate and no dropout, so that their losses can be compared."""
    from rationale_eval.finetuning.settings import Settings

    return Settings(
        method="lora",
        rank=8,
        alpha=16,
        dropout=0.0,
        targets="all_linear",
        learning_rate=2e-4,
        weight_decay=0.0,
        batch_rows=args.batch_rows,
        accumulation=1,
        warmup_steps=0,
        schedule="constant",
        max_grad_norm=1.0,
        gradient_checkpointing=args.gradient_checkpointing,
        validation_rows=0,
        balance="none",
        dtype="auto",
        system_prompt=None,
        prompt_style="auto",
        template={},
        task={},  # the rows are encoded below
        shots={"count": 0, "seed": 0},
    )


def prepare_files(args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """The card of the model and a table of ``--rows`` train rows."""
    import tiny_models
    from rationale_eval.corpora.instances import Instance, read_instances, whitespace_words, write_instances
    from rationale_eval.models.prepare import card, link_folder
    from rationale_eval.tables import write_json

    source = args.model or tiny_models.make_tiny_llama(folder / "tiny")
    link_folder(source.resolve(), folder / "snapshot")
    entry = {"name": source.name, "source": {"path": str(source)}}
    write_json(folder / "card.json", card(entry, folder / "snapshot"))
    if args.train:
        rows = read_instances(args.train)[: args.rows]
    else:
        stream = tiny_models.sentences(seed=0)
        texts = [next(stream) for _ in range(args.rows)]
        rows = [
            Instance(str(k), "positive" if rating > 0 else "negative", {"text": text}, whitespace_words([text]), None)
            for k, (rating, text) in enumerate(texts)
        ]
    if len(rows) != args.rows or args.rows % args.batch_rows:
        raise SystemExit(f"--rows must be a multiple of --batch-rows; there are {len(rows)} rows")
    write_instances(folder / "train.parquet", rows, {})
    return folder / "card.json", folder / "train.parquet"


def examples_of(args: argparse.Namespace, loaded: Any) -> tuple[list[Any], list[list[list[int]]]]:
    """The encoded rows and the plan of the epoch."""
    from rationale_eval.corpora.instances import read_instances
    from rationale_eval.finetuning.course import plan
    from rationale_eval.finetuning.data import prepare
    from rationale_eval.models.encoding import PromptEncoder
    from rationale_eval.models.task import load_task

    task = load_task(PROMPTS)
    encoder = PromptEncoder(loaded.tokenizer, task, None)
    data = prepare(read_instances(args.train), task, encoder, loaded.max_length, 0, "none")
    return data.train, plan([row.length for row in data.train], args.batch_rows, 1, 0, 1)


def train_ours(args: argparse.Namespace) -> dict[str, Any]:
    """One epoch through the package."""
    from rationale_eval.finetuning.adapters import make_trainable
    from rationale_eval.finetuning.training import make_optimizer, train_epoch
    from rationale_eval.models.loading import load

    chosen = settings(args)
    loaded = load(args.card, "auto")
    examples, steps = examples_of(args, loaded)
    trainee = make_trainable(loaded, chosen, 0, None)
    optimizer = make_optimizer(trainee, chosen)
    history: list[dict[str, Any]] = []
    start = time.perf_counter()
    train_epoch(trainee, optimizer, examples, steps, chosen, 0, 1, 0, history, lambda _: None)
    seconds = time.perf_counter() - start
    tokens = sum(record["tokens"] for record in history)
    return {"seconds": seconds, "tokens": tokens, "losses": [record["loss"] for record in history]}


def train_trainer(args: argparse.Namespace) -> dict[str, Any]:
    """The same epoch with transformers' Trainer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from rationale_eval.models.loading import load
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    chosen = settings(args)
    loaded = load(args.card, "auto")
    examples, steps = examples_of(args, loaded)
    ordered = [examples[index] for step in steps for batch in step for index in batch]
    torch.manual_seed(0)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=chosen.rank,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules="all-linear",
    )
    model = get_peft_model(loaded.model, config)
    losses: list[Any] = []

    def collate(rows: list[Any]) -> dict[str, Any]:
        answers = [row.prompt.labels[row.gold] for row in rows]
        width = max(row.length + 1 for row in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            tokens = torch.tensor(row.prompt.tokens + answer)
            ids[place, : len(tokens)], mask[place, : len(tokens)] = tokens, 1
            labels[place, len(tokens) - len(answer) : len(tokens)] = tokens[-len(answer) :]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(ordered)

        def compute_loss(self, *given: Any, **named: Any) -> Any:
            loss = super().compute_loss(*given, **named)
            losses.append(loss.detach())
            return loss

    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=args.batch_rows,
                num_train_epochs=1,
                learning_rate=chosen.learning_rate,
                lr_scheduler_type="constant",
                max_grad_norm=chosen.max_grad_norm,
                bf16=loaded.device.type == "cuda",
                gradient_checkpointing=chosen.gradient_checkpointing,
                use_cpu=loaded.device.type == "cpu",
                dataloader_pin_memory=False,
                remove_unused_columns=False,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=ordered,
            data_collator=collate,
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": sum(row.length for row in ordered), "losses": [float(x) for x in losses]}


def peak_memory() -> dict[str, float]:
    """Gigabytes: the highest resident set of this process, and what torch had allocated on a GPU."""
    import torch

    found = {"resident_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    if torch.cuda.is_available():
        found["gpu_gb"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def compare(args: argparse.Namespace) -> None:
    """Run the contestants in turns and print what they took."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        card, train = prepare_files(args, Path(folder))
        for _ in range(args.repeats):
            for name in CONTESTANTS:
                out = Path(folder, "result.json")
                command = [sys.executable, __file__, "--contestant", name, "--card", str(card), "--train", str(train)]
                command += ["--batch-rows", str(args.batch_rows), "--result", str(out)]
                command += ["--gradient-checkpointing"] if args.gradient_checkpointing else []
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                runs[name].append(json.loads(out.read_text(encoding="utf-8")))
    kinds = ["seconds", "tokens/s", *(kind for kind in ("resident_gb", "gpu_gb") if kind in runs["ours"][0])]
    middle: dict[str, dict[str, float]] = {}
    print(f"{'contestant':<12}" + "".join(f"{kind:>32}" for kind in kinds))
    for name, results in runs.items():
        for result in results:
            result["tokens/s"] = result["tokens"] / result["seconds"]
        values = {kind: [result[kind] for result in results] for kind in kinds}
        middle[name] = {kind: statistics.median(found) for kind, found in values.items()}
        cells = [f"{middle[name][kind]:.2f} ({min(found):.2f} to {max(found):.2f})" for kind, found in values.items()]
        print(f"{name:<12}" + "".join(f"{cell:>32}" for cell in cells))
    ratios = {kind: middle["ours"][kind] / middle["trainer"][kind] for kind in kinds}
    print(f"{'ours/trainer':<12}" + "".join(f"{ratio:>32.2f}" for ratio in ratios.values()))
    curves = [runs[name][0]["losses"] for name in CONTESTANTS]
    apart = max(abs(one - other) for one, other in zip(*curves, strict=True))
    print(
        f"{len(curves[0])} steps; loss {curves[0][0]:.4f} to {curves[0][-1]:.4f}; curves apart by at most {apart:.2g}"
    )


def gpu_shape(args: argparse.Namespace) -> None:
    """One LoRA epoch on a random model of a known shape; see the module's docstring for the utilisation."""
    import random

    import torch
    from rationale_eval.finetuning.adapters import make_trainable
    from rationale_eval.finetuning.course import plan
    from rationale_eval.finetuning.data import Example
    from rationale_eval.finetuning.training import make_optimizer, train_epoch
    from rationale_eval.models.encoding import Prompt
    from rationale_eval.models.loading import LoadedModel
    from transformers import AutoModelForCausalLM, LlamaConfig

    cuda = torch.cuda.is_available()
    if args.gpu_shape != "tiny" and not cuda:
        raise SystemExit("--gpu-shape needs a GPU; --gpu-shape tiny tries the code without one")
    device, dtype = (torch.device("cuda"), torch.bfloat16) if cuda else (torch.device("cpu"), torch.float32)
    config = LlamaConfig(**SHAPES[args.gpu_shape], max_position_embeddings=8192)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
    loaded = LoadedModel(model, None, device, str(dtype).removeprefix("torch."), {"name": args.gpu_shape})
    frozen = sum(
        m.weight.numel() for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"
    )

    chance = random.Random(0)
    shared = tuple(chance.choices(range(config.vocab_size), k=32))
    examples = []
    for number in range(args.rows):
        body = tuple(chance.choices(range(config.vocab_size), k=chance.randint(args.tokens // 2, args.tokens)))
        prompt = Prompt("", shared + body, (), ((5,), (6,)), False)
        examples.append(Example(str(number), prompt, number % 2))
    chosen = settings(args)
    trainee = make_trainable(loaded, chosen, 0, None)
    trained = sum(value.numel() for value in trainee.parameters().values())
    steps = plan([row.length for row in examples], args.batch_rows, 1, 0, 1)
    times: list[float] = []

    def clock(_: list[dict[str, Any]]) -> None:
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter())

    history: list[dict[str, Any]] = []
    train_epoch(trainee, make_optimizer(trainee, chosen), examples, steps, chosen, 0, 1, 0, history, clock)
    warm = min(3, len(times) - 1)  # the first steps set up kernels and memory
    seconds, timed = times[-1] - times[warm - 1], history[warm:]
    tokens = sum(record["tokens"] for record in timed)
    useful = sum(record["computed"] - record["padding"] for record in timed)
    length = tokens / sum(record["rows"] for record in timed)
    per_token = 4 * frozen + 6 * trained + 6 * config.num_hidden_layers * config.hidden_size * length
    print(f"{args.gpu_shape} on {torch.cuda.get_device_name() if cuda else 'cpu'}, {len(timed)} steps timed")
    print(f"{tokens / seconds:,.0f} tokens/s, {useful / seconds:,.0f} computed positions/s without padding")
    print(
        f"mean length {length:.0f}, padding {sum(r['padding'] for r in timed) / sum(r['computed'] for r in timed):.1%}"
    )
    print(f"peak memory {peak_memory()}")
    print(
        f"model FLOPs utilisation {per_token * useful / seconds / (args.peak_tflops * 1e12):.1%} of {args.peak_tflops}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: a tiny random model)")
    parser.add_argument("--train", type=Path, help="train instances (Parquet; default: made-up sentences)")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--batch-rows", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contestant (default: %(default)s)")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--gpu-shape", choices=SHAPES, help="tiny is for trying out the code without a GPU")
    parser.add_argument("--tokens", type=int, default=256, help="with --gpu-shape: the longest row's own tokens")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="dense bf16 peak (default: H100 and H200 SXM)")
    for name in ("--contestant", "--card", "--result"):
        parser.add_argument(name, type=str if name == "--contestant" else Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.gpu_shape:
        gpu_shape(args)
    elif args.contestant:
        result = {"ours": train_ours, "trainer": train_trainer}[args.contestant](args)
        args.result.write_text(json.dumps(result | peak_memory()), encoding="utf-8")
    else:
        compare(args)


if __name__ == "__main__":
    main()
