"""Checkpoints: that they load and go on as what was trained, what they are trained on, and faults that leave none."""

from __future__ import annotations

import errno
import math

import pytest
import torch
from rationale_eval.corpora.instances import Instance, read_instances, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.finetuning import state
from rationale_eval.finetuning import training as training_loop
from rationale_eval.finetuning.course import plan
from rationale_eval.finetuning.data import prepare
from rationale_eval.finetuning.training import make_optimizer, train_epoch
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.models.shots import draw
from rationale_eval.models.task import load_task
from safetensors.torch import load_file, save_file
from training_runs import LONG, SPEC, methods


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


def spelled_otherwise(row):
    """The same text in other case and spacing, which sorts behind it."""
    text = row.fields["text"].lower().replace(" ", "  ")
    return Instance("copy", row.label, {"text": text}, whitespace_words([text]), None)


def test_solved_examples_stand_in_every_prompt_and_are_not_trained_on(training, capsys):
    run = training()
    rows, task, shots = read_instances(run.train), load_task(run.prompts), {"count": 4, "seed": 1}
    examples = draw(rows, task, **shots)
    texts = {fields["text"] for fields, _ in examples}
    drawn = [row for row in rows if row.fields["text"] in texts]
    assert len(drawn) == 4
    write_instances(run.train, [*rows, spelled_otherwise(drawn[0])], {})
    assert draw(read_instances(run.train), task, **shots) == examples
    card = state.read_card(run.epoch(1, shots=shots))
    assert card["rows"]["solved_examples"] == 5, "the other spelling too"
    assert (card["rows"]["train_rows"], card["rows"]["validation_rows"]) == (26 - 6, 6)
    assert '"solved_examples": 5' in capsys.readouterr().err

    loaded = load(run.card, "float32")
    encoder = PromptEncoder(loaded.tokenizer, task, SPEC["system_prompt"], shots=examples)
    rest = [row for row in rows if row not in drawn]
    data = prepare(rest, task, encoder, loaded.max_length, SPEC["validation_rows"], "none")
    assert card["data"] == data.digests()
    assert len(data.train) == 20
    for row in (*data.train, *data.validation):
        for fields, label in examples:
            assert (
                f"{fields['text']}\nSentiment?<|im_end|>\n<|im_start|>assistant\n{label}<|im_end|>" in row.prompt.text
            )
    assert card["made"]["example_prompt"] == data.train[0].prompt.text


def test_without_solved_examples_all_rows_are_trained_on(training):
    run = training()
    card = state.read_card(run.epoch(1))
    assert card["rows"]["solved_examples"] == 0
    assert card["rows"]["train_rows"] + card["rows"]["validation_rows"] == 30
    with pytest.raises(UserError, match=r"another run; its spec\.shots.* is .*, here "):
        run.epoch(2, shots={"count": 2, "seed": 0})


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


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (torch.OutOfMemoryError("simulated"), UserError, "step 1: out of memory with batches of 4 rows"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), UserError, "step 1: out of memory"),
        (RuntimeError("shape mismatch"), RuntimeError, "^shape mismatch"),
    ],
)
def test_lack_of_memory_stops_with_the_step_and_what_to_do(training, monkeypatch, error, expected, message):
    def failing(*_):
        raise error

    monkeypatch.setattr(training_loop, "take_step", failing)
    with pytest.raises(expected, match=message):
        training().epoch(1)


def test_a_parameter_that_no_gradient_reached_has_no_moments_and_goes_on(training):
    """As an expert that no row of an epoch was routed to."""
    run = training()
    settings, _, trainee = run.parts()
    skipped, *others = trainee.parameters()
    optimizer = make_optimizer(trainee, settings)
    for name in others:
        parameter = trainee.parameters()[name]
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state.save(run.folder / "saved", trainee, optimizer, [], {})
    settings, _, again = run.parts()
    restored = make_optimizer(again, settings)
    state.restore_optimizer(run.folder / "saved", again, restored)
    before, after = optimizer.state, restored.state
    assert not after[again.parameters()[skipped]]
    for name in others:
        expected, found = before[trainee.parameters()[name]], after[again.parameters()[name]]
        assert all(torch.equal(expected[kind], found[kind]) for kind in ("step", "exp_avg", "exp_avg_sq"))
    tensors = load_file(run.folder / "saved" / "optimizer.safetensors")
    save_file(tensors | {"other/step": torch.ones(1)}, run.folder / "saved" / "optimizer.safetensors")
    with pytest.raises(UserError, match="belongs to other parameters"):
        state.restore_optimizer(run.folder / "saved", again, restored)


@pytest.mark.parametrize("where", ["save_file", "write_table", "write_json"])
def test_a_disk_that_fills_while_saving_leaves_nothing(training, monkeypatch, where):
    run = training()

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, where, full)
    with pytest.raises(UserError, match=r"could not be saved and does not exist.*make room and run again"):
        run.epoch(1)
    assert list((run.folder / "run").iterdir()) == []
