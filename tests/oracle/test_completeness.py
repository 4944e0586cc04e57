"""Integrated gradients take as many steps as they need to add up, and say where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_attributions import label_scores, target
from rationale_eval.evidence import integrated
from rationale_eval.evidence.integrated import baseline_embedding, integrate, integrate_within, is_complete
from rationale_eval.evidence.targets import Question
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.scoring import Prefix, shared_prefix
from rationale_eval.models.task import load_task

TEXTS = ("A lovely film.", "The hotel near the station was dreadful and stale last week!", "grim")
TOLERANCE = 0.05
NUMBERS = {"steps": 16, "max_steps": 128, "tolerance": TOLERANCE}


@pytest.fixture
def steep(tiny_loaded, prompt_file):
    """Llama, whose RMS normalisation is steep near zeros; a prefix and questions."""
    loaded = tiny_loaded()
    task = load_task(prompt_file(verbalisers={"no": "negative", "maybe": "light", "yes": "positive"}))
    prompts = PromptEncoder(loaded.tokenizer, task, None).encode([{"text": text} for text in TEXTS])
    return loaded, Prefix(loaded, shared_prefix(prompts, before_content=True)), [Question(prompt) for prompt in prompts]


@pytest.mark.parametrize(
    ("error", "difference", "attributed", "expected"),
    [
        (0.05, 1.0, 3.0, True),
        (-0.05, -1.0, 3.0, True),
        (0.06, 1.0, 3.0, False),
        # Attributions that nearly cancel: a tenth of their sizes stands for the change.
        (0.014, 0.01, 3.0, True),
        (0.016, 0.01, 3.0, False),
        # On a scale on which all is a thousand times as small, the rule is the same.
        (0.000014, 0.00001, 0.003, True),
        (0.000016, 0.00001, 0.003, False),
        (0.0, 0.0, 0.0, True),
    ],
)
def test_complete_is_what_is_near_enough_to_the_change(error, difference, attributed, expected):
    assert is_complete(error, difference, attributed, TOLERANCE) is expected


def test_only_texts_that_miss_the_tolerance_take_more_steps(steep, assert_close, monkeypatch):
    """What comes out is the plain sum over as many nodes, and the error falls below the tolerance."""
    loaded, prefix, questions = steep
    asked = []
    plain = integrated.integrate

    def counted(loaded, prefix, questions, steps, baseline, of):
        asked.append((steps, len(questions)))
        return plain(loaded, prefix, questions, steps, baseline, of)

    monkeypatch.setattr(integrated, "integrate", counted)
    baseline = baseline_embedding(loaded, "mean")
    found = integrate_within(loaded, prefix, questions, **NUMBERS, baseline=baseline)
    taken = [row["steps"] for row in found]
    assert min(taken) < max(taken) <= 128  # else the test shows nothing
    assert asked == [
        (steps, sum(one >= steps for one in taken)) for steps in (16, 32, 64, 128) if any(one >= steps for one in taken)
    ]
    # All sums together are less than twice the last.
    assert all(sum(steps for steps, _ in asked if steps <= one) < 2 * one for one in taken)
    for question, row in zip(questions, found, strict=True):
        assert row["within_tolerance"]
        scores = label_scores(loaded.model, question.prompt)
        explained = question.explained(scores)
        start = label_scores(loaded.model, question.prompt, content=baseline)
        change = float(target(scores, explained, "log_odds") - target(start, explained, "log_odds"))
        size = float(np.abs(row["ig_dot"]).sum())
        assert abs(float(row["ig_dot"].sum()) - change) <= TOLERANCE * max(abs(change), 0.1 * size) + 1e-4
        (alone,) = plain(loaded, prefix, [question], row["steps"], baseline)
        assert_close(row["ig_dot"], alone["ig_dot"], alone["ig_l1"])
        if row["steps"] > NUMBERS["steps"]:
            (before,) = plain(loaded, prefix, [question], row["steps"] // 2, baseline)
            error, difference = (float(before[name][0]) for name in ("completeness_error", "difference"))
            assert not is_complete(error, difference, float(np.abs(before["ig_dot"]).sum()), TOLERANCE)


def test_adaptive_sums_are_captums_with_as_many_steps(steep, assert_close):
    from captum.attr import IntegratedGradients

    loaded, prefix, questions = steep
    baseline = baseline_embedding(loaded, "mean")
    found = integrate_within(loaded, prefix, questions, **NUMBERS, baseline=baseline)
    table = loaded.model.get_input_embeddings()
    for question, row in zip(questions, found, strict=True):
        prompt = question.prompt
        fixed = table(torch.tensor([prompt.tokens])).detach()
        places = sorted({token.position for token in prompt.content})
        label = int(np.argmax(label_scores(loaded.model, prompt)))
        tokens = [ids[0] for ids in prompt.labels]
        assert all(len(ids) == 1 for ids in prompt.labels)

        def odds(embeddings, fixed=fixed, places=places, label=label, tokens=tokens):
            whole = fixed.repeat(len(embeddings), 1, 1)
            whole[:, places] = embeddings
            shares = loaded.model(inputs_embeds=whole, use_cache=False).logits[:, -1][:, tokens].double().softmax(-1)
            return (shares[:, label] / (1 - shares[:, label])).log().float()

        expected = IntegratedGradients(odds).attribute(
            fixed[:, places], baselines=baseline.expand_as(fixed[:, places]), n_steps=row["steps"]
        )[0]
        assert_close(row["ig_dot"], expected.sum(-1).detach(), expected.abs().sum(-1).detach())


def test_where_the_most_steps_are_too_few_the_text_is_flagged(steep):
    loaded, prefix, questions = steep
    baseline = baseline_embedding(loaded, "zero")
    found = integrate_within(loaded, prefix, questions, 16, 63, 0.001, baseline)
    assert [row["steps"] for row in found] == [32, 32, 32]  # 64 would be more than the most
    assert not any(row["within_tolerance"] for row in found)
    for row in found:
        assert abs(float(row["completeness_error"][0])) > 0.001 * abs(float(row["difference"][0]))


def test_a_text_takes_as_many_steps_alone_and_in_a_batch(steep, assert_close):
    loaded, prefix, questions = steep
    baseline = baseline_embedding(loaded, "mean")
    together = integrate_within(loaded, prefix, questions, **NUMBERS, baseline=baseline)
    for question, row in zip(questions, together, strict=True):
        (alone,) = integrate_within(loaded, Prefix(loaded, ()), [question], **NUMBERS, baseline=baseline)
        assert (alone["steps"], alone["within_tolerance"]) == (row["steps"], row["within_tolerance"])
        assert_close(alone["ig_dot"], row["ig_dot"], row["ig_l1"])


def test_no_pass_of_a_later_sum_is_larger_than_one_of_the_first(steep, monkeypatch):
    """Memory is that of the largest pass: fewer texts, not more tokens at a time."""
    loaded, prefix, questions = steep
    sizes = []
    plain = integrated.forward_with_logits

    def measured(loaded, prefix, batch, prompts, labels, embeddings):
        sizes.append(batch.tokens.numel())
        return plain(loaded, prefix, batch, prompts, labels, embeddings)

    monkeypatch.setattr(integrated, "forward_with_logits", measured)
    monkeypatch.setattr(integrated, "PASS_TOKENS", 128)
    baseline = baseline_embedding(loaded, "mean")
    integrate(loaded, prefix, questions, 16, baseline)
    first = max(sizes)
    integrate_within(loaded, prefix, questions, **NUMBERS, baseline=baseline)
    assert max(sizes) <= max(first, 128)
