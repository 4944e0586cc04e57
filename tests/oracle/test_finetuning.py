"""Training against plain loops, and against itself: other processes, kills in mid-epoch, other batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, get_peft_model
from rationale_eval import code_digest
from rationale_eval.corpora.instances import read_instances
from rationale_eval.finetuning import state
from rationale_eval.finetuning.course import plan
from rationale_eval.finetuning.training import TrainedPrefix, make_optimizer, row_losses, take_step, train_epoch
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.provenance import sha256_file
from rationale_eval.tables import read_table
from safetensors.torch import load_file, save_file
from training_runs import LONG, SPEC, assert_same, methods, tensors
from transformers import AutoModelForCausalLM, AutoTokenizer


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
    kinds = {"from-start": {"save_steps": 0}, "from-step": {"save_steps": 3}}
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


def test_a_step_checkpoint_of_another_job_is_not_continued(training, capsys, monkeypatch):
    """It has other settings, goes on from other weights, or was made by other code or in another precision."""
    run = training()
    run.epoch(1)
    monkeypatch.setattr(state.StepCheckpoints, "remove", lambda self: None)
    capsys.readouterr()
    run.epoch(2, save_steps=2)
    run.epoch(2, save_steps=2)
    assert "going on after 6 steps" in capsys.readouterr().err
    (folder,) = (run.folder / "run").glob(".epoch-2.step-*")
    kept = state.read_card(folder)
    changes = {"spec": {**kept["spec"], "alpha": 16}, "previous": "0" * 64, "code": "other", "dtype": "bfloat16"}
    for key, value in (changes | {"device": "cuda", "epoch": 1, "seed": 4}).items():
        (folder / "card.json").write_text(json.dumps(kept | {key: value}), encoding="utf-8")
        assert state.StepCheckpoints(run.folder / "run" / "epoch-2").latest(kept) is None, key
    # Epoch 1 is trained again and comes out otherwise, as on another machine.
    (folder / "card.json").write_text(json.dumps(kept), encoding="utf-8")
    first = run.folder / "run" / "epoch-1"
    weights = {name: value + 0.01 for name, value in tensors(first).items()}
    save_file(weights, first / "adapter_model.safetensors", metadata={"format": "pt"})
    card = state.read_card(first)
    card["weights"]["sha256"] = sha256_file(first / "adapter_model.safetensors")
    (first / "card.json").write_text(json.dumps(card), encoding="utf-8")
    capsys.readouterr()
    found = run.epoch(2, save_steps=2)
    assert "going on" not in capsys.readouterr().err
    assert_same(tensors(found), tensors(run.epoch(2, "fresh", previous=first)))
