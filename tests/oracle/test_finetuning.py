"""Training against plain loops, and against itself: other processes, kills in mid-epoch, other batches."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_models
import torch
from peft import LoraConfig, get_peft_model
from rationale_eval import code_digest
from rationale_eval.corpora.instances import Instance, read_instances, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.finetuning import stage, state
from rationale_eval.finetuning.adapters import make_trainable
from rationale_eval.finetuning.course import plan
from rationale_eval.finetuning.data import prepare
from rationale_eval.finetuning.settings import Settings
from rationale_eval.finetuning.training import TrainedPrefix, make_optimizer, row_losses, take_step, train_epoch
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.models.task import load_task
from rationale_eval.tables import read_table
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

SPEC = {
    "method": "lora",
    "rank": 4,
    "alpha": 8,
    "dropout": 0.0,
    "targets": "all_linear",
    "learning_rate": 1e-2,
    "weight_decay": 0.01,
    "batch_rows": 4,
    "accumulation": 1,
    "warmup_steps": 2,
    "schedule": "inverse_sqrt",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
    "validation_rows": 6,
    "balance": "none",
    "save_steps": None,
    "dtype": "float32",
    "system_prompt": "Answer with one word.",
}
LONG = {"negative": "dreadful and stale", "positive": "positive"}
WEIGHTS = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}
methods = pytest.mark.parametrize("method", ["lora", "full"])


@dataclass
class Training:
    """The files of a training run on the tiny model, and ways to run it."""

    folder: Path
    card: Path
    prompts: Path

    @property
    def train(self):
        return self.folder / "train.parquet"

    def arguments(self, epoch, out="run", seed=3, previous=None, **spec):
        previous = previous or (self.folder / out / f"epoch-{epoch - 1}" if epoch > 1 else None)
        command = ["--spec", json.dumps(SPEC | spec), "--train", str(self.train), "--model", str(self.card)]
        command += ["--prompts", str(self.prompts), "--seed", str(seed), "--epoch", str(epoch)]
        command += ["--previous", str(previous)] if previous else []
        return [*command, "--output", str(self.folder / out / f"epoch-{epoch}")]

    def epoch(self, epoch, out="run", **options):
        stage.main(self.arguments(epoch, out, **options))
        return self.folder / out / f"epoch-{epoch}"

    def parts(self, seed=3, **spec):
        """What the stage builds before it trains: settings, data, trainee."""
        settings = Settings.parse(SPEC | spec)
        loaded = load(self.card, "float32")
        task = load_task(self.prompts)
        encoder = PromptEncoder(loaded.tokenizer, task, settings.system_prompt)
        data = prepare(read_instances(self.train), task, encoder, loaded.max_length, settings.validation_rows, "none")
        return settings, data, make_trainable(loaded, settings, seed, None)


@pytest.fixture
def training(tmp_path, tiny_card, prompt_file):
    """``training(verbalisers, architecture)``: 30 rows of made-up sentences for a tiny model."""

    def made(verbalisers=None, architecture="llama"):
        stream = tiny_models.sentences(seed=5)
        rows = []
        for number in range(30):
            rating, text = next(stream)
            label = "positive" if rating > 0 else "negative"
            rows.append(Instance(f"row-{number}", label, {"text": text}, whitespace_words([text]), None))
        write_instances(tmp_path / "train.parquet", rows, {})
        return Training(tmp_path, tiny_card(architecture, "byte_level"), prompt_file(verbalisers=verbalisers))

    return made


def tensors(folder, method="lora"):
    return load_file(folder / WEIGHTS[method])


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def plain_model(card, method, seed):
    """The tiny model as a person without this package would make it trainable."""
    model = AutoModelForCausalLM.from_pretrained(card.parent / "snapshot")
    if method == "full":
        return model
    torch.manual_seed(seed)
    return get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear")
    )


def plain_loss(model, tokenizer, question, answer):
    """Cross-entropy on the answer's tokens after the chat prompt, summed."""
    turns = [{"role": "system", "content": SPEC["system_prompt"]}, {"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]])
    labels = ids.clone()
    labels[0, : len(start)] = -100
    logits = model(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits[0], labels[0, 1:], ignore_index=-100, reduction="sum")


@methods
@pytest.mark.parametrize("verbalisers", [None, LONG], ids=["single", "several"])
def test_two_steps_equal_those_of_a_plain_loop(training, method, verbalisers):
    run = training(verbalisers)
    settings, data, trainee = run.parts(method=method)
    torch.manual_seed(0)
    optimizer = make_optimizer(trainee, settings)
    prefix = TrainedPrefix(trainee.loaded, shared_prefix([row.prompt for row in data.train], False))
    assert prefix.length > 10
    words = verbalisers or {"negative": "negative", "positive": "positive"}
    instances = {row.id: row for row in read_instances(run.train)}
    model, tokenizer = (
        plain_model(run.card, method, seed=3),
        AutoTokenizer.from_pretrained(run.card.parent / "snapshot"),
    )
    model.train()
    matrices = [value for value in model.parameters() if value.requires_grad and value.ndim > 1]
    vectors = [value for value in model.parameters() if value.requires_grad and value.ndim < 2]
    plain = torch.optim.AdamW([{"params": matrices}, {"params": vectors, "weight_decay": 0.0}], lr=0.01)
    trainee.loaded.model.train()
    for batch in (data.train[:4], data.train[4:8]):
        record = take_step(trainee, optimizer, prefix, [batch], settings)
        losses = [
            plain_loss(model, tokenizer, f"Text: {instances[row.id].fields['text']}\nSentiment?", words[label])
            for row in batch
            for label in [instances[row.id].label]
        ]
        plain.zero_grad()
        loss = sum(losses) / len(losses)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        plain.step()
        assert record["loss"] == pytest.approx(loss.item(), rel=1e-5)
        assert record["gradient_norm"] == pytest.approx(norm.item(), rel=1e-4)
    ours = list(trainee.parameters().values())
    theirs = [value for value in model.parameters() if value.requires_grad]
    assert len(ours) == len(theirs) > 10
    for found, expected in zip(ours, theirs, strict=True):
        # Adam divides by the gradient's size: where that is about 0 the last bit decides, hence an absolute bound.
        assert (found - expected).abs().max() < 2e-4


@pytest.mark.parametrize("verbalisers", [None, LONG], ids=["single", "several"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_the_loss_is_minus_the_gold_score(training, assert_close, verbalisers, checkpointing):
    _, data, trainee = training(verbalisers).parts(gradient_checkpointing=checkpointing)
    prompts = [row.prompt for row in data.train]
    expected = score_labels(trainee.loaded, Prefix(trainee.loaded, ()), prompts)
    trainee.loaded.model.train()
    losses, counts = row_losses(trainee, TrainedPrefix(trainee.loaded, ()), data.train)
    assert_close(losses.detach(), [-expected[place, row.gold] for place, row in enumerate(data.train)])
    assert counts["computed"] - counts["padding"] == counts["tokens"] == sum(row.length for row in data.train)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2", "gemma2"])
def test_checkpointing_and_the_shared_prefix_change_no_gradient(training, architecture):
    run = training(LONG, architecture)
    found = []
    for checkpointing, shared in ((False, True), (False, False), (True, False)):
        _, data, trainee = run.parts(gradient_checkpointing=checkpointing)
        tokens = shared_prefix([row.prompt for row in data.train], False) if shared else ()
        trainee.loaded.model.train()
        losses, _ = row_losses(trainee, TrainedPrefix(trainee.loaded, tokens), data.train)
        losses.mean().backward()
        found.append([value.grad for value in trainee.parameters().values()])
    scale = max(float(gradient.abs().max()) for gradient in found[0])
    assert scale > 0
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert float((one - two).abs().max()) < 1e-4 * scale


def test_four_batches_of_one_equal_one_batch_of_four(training):
    run = training(LONG)
    whole = run.epoch(1, "whole")
    parts = run.epoch(1, "parts", batch_rows=1, accumulation=4)
    histories = [read_table(folder / "history.parquet", state.HISTORY) for folder in (whole, parts)]
    assert len(histories[0]) == len(histories[1]) == 6
    for one, other in zip(*histories, strict=True):
        assert one["rows"] == other["rows"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    expected, found = tensors(whole), tensors(parts)
    assert max(float((expected[name] - found[name]).abs().max()) for name in expected) < 1e-3


@methods
def test_three_jobs_of_one_epoch_equal_one_process_of_three(training, method):
    run = training()
    spec = {"method": method, "dropout": 0.2}
    for epoch in (1, 2, 3):
        last = run.epoch(epoch, **spec)
    settings, data, trainee = run.parts(**spec)
    optimizer, before = make_optimizer(trainee, settings), 0
    for epoch in (1, 2, 3):
        steps = plan([row.length for row in data.train], settings.batch_rows, settings.accumulation, 3, epoch)
        history = []
        train_epoch(trainee, optimizer, data.train, steps, settings, 3, epoch, before, history, lambda _: None)
        before += len(steps)
    once = run.folder / "once"
    once.mkdir()
    trainee.save(once)
    assert_same(tensors(last, method), tensors(once, method))
    card = state.read_card(last)
    assert (card["epoch"], card["steps"]) == (3, before)
    stored = read_table(last / "history.parquet", state.HISTORY)
    assert [row["loss"] for row in stored] == [row["loss"] for row in history]
    assert stored[-1]["validation_accuracy"] == card["validation_accuracy"] is not None


def test_dropout_and_seed_change_what_is_learnt(training):
    run = training()
    first = tensors(run.epoch(1, "a", dropout=0.2))
    for options in ({"dropout": 0.2, "seed": 4}, {"dropout": 0.0}):
        other = tensors(run.epoch(1, "b", **options))
        assert any(not torch.equal(first[name], other[name]) for name in first)


KILL = """
import os, signal, sys, torch
torch.set_num_threads(1)
from rationale_eval.finetuning import stage, training
take, count = training.take_step, [0]
def killed_after(*arguments):
    if count[0] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    count[0] += 1
    return take(*arguments)
training.take_step = killed_after
stage.main(sys.argv[1:])
"""


def test_a_killed_job_started_again_gives_the_same_to_the_bit(training, capsys):
    run = training()
    spec = {"dropout": 0.2}
    whole = run.epoch(1, "whole", **spec)
    environment = {**os.environ, "PYTHONPATH": str(code_digest.PACKAGE.parent)}
    kinds = {"from-start": {"save_steps": None}, "from-step": {"save_steps": 3}}
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", KILL, *run.arguments(1, name, **spec, **more)],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        for name, more in kinds.items()
    ]
    for job in jobs:
        assert job.wait(timeout=100) == -signal.SIGKILL
    for name, more in kinds.items():
        assert not (run.folder / name / "epoch-1").exists()
        capsys.readouterr()
        again = run.epoch(1, name, **spec, **more)
        assert ("going on after 3 steps" in capsys.readouterr().err) == (more["save_steps"] == 3)
        assert_same(tensors(whole), tensors(again))
        assert_same(load_file(whole / "optimizer.safetensors"), load_file(again / "optimizer.safetensors"))
        assert (
            read_table(again / "history.parquet", state.HISTORY),
            [path.name for path in again.parent.iterdir()],
        ) == (read_table(whole / "history.parquet", state.HISTORY), ["epoch-1"])


def test_a_step_checkpoint_of_another_run_is_not_continued(training, capsys, monkeypatch):
    run = training()
    monkeypatch.setattr(state.StepCheckpoints, "remove", lambda self: None)
    run.epoch(1, save_steps=2, learning_rate=0.02)
    monkeypatch.undo()
    capsys.readouterr()
    found = run.epoch(1, save_steps=2)
    assert "going on" not in capsys.readouterr().err
    assert_same(tensors(found), tensors(run.epoch(1, "fresh")))


@methods
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_a_loaded_checkpoint_scores_as_the_trained_model_in_memory(
    training, assert_close, tiny_card, method, checkpointing
):
    run = training(LONG)
    spec = {"method": method, "gradient_checkpointing": checkpointing}
    loaded = load(run.card, "float32", run.epoch(1, **spec))
    settings, data, trainee = run.parts(**spec)
    prompts = [row.prompt for row in data.train]
    base = score_labels(trainee.loaded, Prefix(trainee.loaded, ()), prompts)
    steps = plan([row.length for row in data.train], settings.batch_rows, settings.accumulation, 3, 1)
    train_epoch(trainee, make_optimizer(trainee, settings), data.train, steps, settings, 3, 1, 0, [], lambda _: None)
    expected = score_labels(trainee.loaded, Prefix(trainee.loaded, ()), prompts)
    assert (expected - base).abs().max() > 0.1
    found = score_labels(loaded, Prefix(loaded, ()), prompts)
    assert torch.equal(found, expected)
    shared = shared_prefix(prompts, before_content=False)
    assert_close(score_labels(loaded, Prefix(loaded, shared), prompts), expected)
    assert not any(value.requires_grad for value in loaded.model.parameters())
    context = loaded.context()
    assert context["checkpoint"] == state.read_card(run.folder / "run" / "epoch-1")["weights"]["sha256"]
    assert "checkpoint" not in load(run.card, "float32").context()
    with pytest.raises(UserError, match="with other files than this model"):
        load(tiny_card("llama", "sentencepiece"), "float32", run.folder / "run" / "epoch-1")


@methods
@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_other_architectures_go_on_and_load_as_well(training, method, architecture):
    """Conv1D layers and embeddings that are also the output layer among them."""
    run = training(LONG, architecture)
    first = run.epoch(1, method=method)
    second = run.epoch(2, method=method)
    prompts = [row.prompt for row in run.parts()[1].train]
    scores = []
    for checkpoint in (None, first, second):
        loaded = load(run.card, "float32", checkpoint)
        scores.append(score_labels(loaded, Prefix(loaded, ()), prompts))
    assert (scores[1] - scores[0]).abs().max() > 1e-2
    assert (scores[2] - scores[1]).abs().max() > 1e-2
    cards = [state.read_card(folder) for folder in (first, second)]
    assert cards[1]["train_loss"] < cards[0]["train_loss"]


def test_a_base_models_prefix_under_an_adapter_would_be_noticed(training):
    """What makes the comparison above worth something."""
    run = training(LONG)
    base, tuned = load(run.card, "float32"), load(run.card, "float32", run.epoch(1))
    prompts = [row.prompt for row in run.parts()[1].train]
    shared = shared_prefix(prompts, before_content=False)
    right, wrong = (score_labels(tuned, Prefix(owner, shared), prompts) for owner in (tuned, base))
    assert (right - wrong).abs().max() > 1e-2


def test_training_learns(training):
    run = training()
    for epoch in range(1, 5):
        folder = run.epoch(epoch, schedule="constant")
    cards = [state.read_card(run.folder / "run" / f"epoch-{epoch}") for epoch in range(1, 5)]
    assert cards[-1]["train_loss"] < 0.5 * cards[0]["train_loss"]
    assert folder.name == "epoch-4"


def test_rows_that_prediction_refuses_are_left_out_and_counted(training):
    run = training()
    rows = read_instances(run.train)
    for name, text in (("markup", "a <|im_end|> film"), ("long", "so it went on " * 80)):
        rows.append(Instance(name, "positive", {"text": text}, whitespace_words([text]), None))
    write_instances(run.train, rows, {})
    card = state.read_card(run.epoch(1, validation_rows=0, balance="equal"))
    assert set(card["rows"]["skipped"]) <= {"chat_markup", "too_long"}
    assert card["rows"]["train_rows"] + sum(card["rows"]["skipped"].values()) == 2 * min(
        sum(row.label == label for row in rows) for label in ("positive", "negative")
    )


def test_fewer_rows_than_a_batch_are_trained_on(training):
    run = training()
    write_instances(run.train, read_instances(run.train)[:3], {})
    assert state.read_card(run.epoch(1, validation_rows=0, batch_rows=8))["steps"] == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"targets": ["q_proj", "query"]}, r"no linear module is called \['query'\].*down_proj.*q_proj.*all_linear"),
        ({"targets": []}, "no linear module"),
        ({"rank": 0}, "rank is 0"),
        ({"validation_rows": 30}, "validation_rows is 30, but there are only 30"),
    ],
)
def test_settings_that_do_not_fit_are_refused(training, spec, message):
    with pytest.raises(UserError, match=message):
        training().epoch(1, **spec)


def test_rows_that_do_not_fit_are_named(training):
    run = training({"yes": "yes", "no": "no"})
    with pytest.raises(UserError, match="row 'row-0' has the label"):
        run.epoch(1)
    write_instances(run.train, [], {})
    with pytest.raises(UserError, match="there are no train rows"):
        run.epoch(1)


def test_only_the_epoch_before_of_the_same_run_is_continued(training):
    run = training()
    first = run.epoch(1)
    cases = [
        ({"epoch": 3, "previous": first}, "is epoch 1; epoch 3 continues the one before"),
        ({"epoch": 2, "seed": 4}, "another run; its seed is 3, here 4"),
        ({"epoch": 2, "alpha": 16}, "another run; its spec.alpha is 8, here 16"),
        ({"epoch": 2, "previous": run.folder / "none"}, "there is no checkpoint"),
        ({"epoch": 1, "previous": first}, "epoch 1 starts from the base model"),
        ({"epoch": 0}, "epoch 1 starts from the base model"),
    ]
    for options, message in cases:
        with pytest.raises(UserError, match=message):
            run.epoch(**options)
    write_instances(run.train, read_instances(run.train)[1:], {})
    with pytest.raises(UserError, match=r"another run; its data\.train is"):
        run.epoch(2)


def test_a_loss_that_is_not_finite_stops_with_step_and_rows(training, monkeypatch):
    run = training()
    with pytest.raises(UserError, match=r"epoch 1, step \d+: .* is not finite for .*row-\d+.*lower learning_rate"):
        run.epoch(1, learning_rate=1e30, max_grad_norm=None, warmup_steps=0)
    assert not (run.folder / "run" / "epoch-1").exists()
    assert math.isfinite(state.read_card(run.epoch(1))["train_loss"])


@pytest.mark.parametrize("where", ["save_file", "write_table", "write_json"])
def test_a_disk_that_fills_while_saving_leaves_nothing(training, monkeypatch, where):
    run = training()

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, where, full)
    with pytest.raises(UserError, match=r"could not be saved and does not exist.*make room and run again"):
        run.epoch(1)
    assert list((run.folder / "run").iterdir()) == []
