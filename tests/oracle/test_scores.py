"""Label scores against one plain forward pass per label, and against themselves in other batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.targets import Question
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import (
    Prefix,
    collate,
    rows_of,
    score_labels,
    score_labels_with_logits,
    shared_prefix,
)
from rationale_eval.models.task import load_task

TEXTS = (
    "A lovely film.",
    "The hotel near the station was dreadful and stale last week!",
    "It was — “awkward” 😀 — a journey by the lake, although everybody called the garden bright.",
    "grim",
)
VERBALISERS = {
    "single": {"no": "negative", "yes": "positive"},
    "several": {"no": "a dreadful film", "yes": "positive indeed"},
    "mixed": {"no": "negative", "maybe": "neutral entailment", "yes": "positive"},
}
SYSTEM = "You are asked about short texts; answer with one word."
# Sums in which values of both signs cancel (exactly so in a model that normalises its embeddings' mean away).
SCALES = {"grad_sum": "grad_l1", "gxi_dot": "gxi_l1"}
VARIANTS = (
    ("llama", "byte_level"),
    ("llama", "sentencepiece"),
    ("mistral", "byte_level"),
    ("qwen2", "byte_level"),
    ("gpt2", "byte_level"),
)
variants = pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
verbalised = pytest.mark.parametrize("verbalisers", VERBALISERS.values(), ids=VERBALISERS.keys())


def asked(prompts):
    return [Question(prompt) for prompt in prompts]


def naive_scores(loaded, prompt):
    """One unpadded forward pass for each label, without a cache, summing log-probabilities token by token."""
    scores = []
    for answer in prompt.labels:
        ids = [*prompt.tokens, *answer]
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        probabilities = logits.double().softmax(-1)
        places = range(len(prompt.tokens), len(ids))
        scores.append(sum(float(probabilities[place - 1, ids[place]].log()) for place in places))
    return scores


@pytest.fixture
def prompts_for(prompt_file):
    """``prompts_for(loaded, verbalisers)``: the prompts of ``TEXTS``."""

    def prompts(loaded, verbalisers):
        task = load_task(prompt_file(verbalisers=verbalisers))
        return PromptEncoder(loaded.tokenizer, task, SYSTEM).encode([{"text": text} for text in TEXTS])

    return prompts


@variants
@verbalised
@pytest.mark.parametrize("cached", [False, True], ids=["alone", "shared-prefix"])
def test_scores_equal_those_of_one_pass_per_label(tiny_loaded, prompts_for, assert_close, variant, verbalisers, cached):
    loaded = tiny_loaded(*variant)
    prompts = prompts_for(loaded, verbalisers)
    shared = shared_prefix(prompts, before_content=False) if cached else ()
    assert bool(shared) == cached
    found = score_labels(loaded, Prefix(loaded, shared), prompts).numpy()
    assert_close(found, [naive_scores(loaded, prompt) for prompt in prompts])


def test_the_verbalisers_have_the_lengths_that_the_tests_rely_on(tiny_loaded, prompts_for):
    loaded = tiny_loaded()
    lengths = {
        name: [len(answer) for answer in prompts_for(loaded, verbalisers)[0].labels]
        for name, verbalisers in VERBALISERS.items()
    }
    assert lengths["single"] == [1, 1]
    assert min(lengths["several"]) > 1
    assert lengths["mixed"][0] == lengths["mixed"][2] == 1 < lengths["mixed"][1]


@variants
@verbalised
def test_an_instance_measures_the_same_alone_batched_and_behind_a_prefix(
    tiny_loaded, prompts_for, assert_close, variant, verbalisers
):
    loaded = tiny_loaded(*variant)
    prompts = prompts_for(loaded, verbalisers)
    shared = shared_prefix(prompts, before_content=True)
    assert len(shared) > 10
    nothing, prefix = Prefix(loaded, ()), Prefix(loaded, shared)
    alone = [measure(loaded, nothing, asked([prompt]), gradients=True, attention=True)[0] for prompt in prompts]
    assert set(alone[0]) >= {"scores", "grad_l2", "gxi_dot", "last", "mean", "rollout"}
    ways = {
        "batched": measure(loaded, nothing, asked(prompts), gradients=True, attention=True),
        "behind a prefix": measure(loaded, prefix, asked(prompts), gradients=True, attention=True),
        "behind a prefix, in reverse": measure(loaded, prefix, asked(prompts[::-1]), gradients=True, attention=True)[
            ::-1
        ],
        "alone behind a prefix": [measure(loaded, prefix, asked([prompt]), True, True)[0] for prompt in prompts],
    }
    for way in ways.values():
        for expected, found in zip(alone, way, strict=True):
            assert set(found) == set(expected)
            for name in expected:
                assert_close(found[name], expected[name], expected[SCALES.get(name, name)])


def test_the_mistral_window_is_smaller_than_the_prompts_and_their_prefix(tiny_loaded, prompts_for):
    loaded = tiny_loaded("mistral", "byte_level")
    prompts = prompts_for(loaded, VERBALISERS["single"])
    window = loaded.model.config.sliding_window
    assert window < len(shared_prefix(prompts, before_content=True))


def test_using_a_prefix_does_not_use_it_up(tiny_loaded, prompts_for):
    loaded = tiny_loaded()
    prompts = prompts_for(loaded, VERBALISERS["mixed"])
    prefix = Prefix(loaded, shared_prefix(prompts, before_content=False))
    first = score_labels(loaded, prefix, prompts)
    assert torch.equal(score_labels(loaded, prefix, prompts), first)


def test_measuring_what_was_not_asked_for_is_left_out(tiny_loaded, prompts_for, assert_close):
    loaded = tiny_loaded()
    prompts = prompts_for(loaded, VERBALISERS["mixed"])
    nothing = Prefix(loaded, ())
    everything = measure(loaded, nothing, asked(prompts), gradients=True, attention=True)
    scores = measure(loaded, nothing, asked(prompts), gradients=False, attention=False)
    attended = measure(loaded, nothing, asked(prompts), gradients=False, attention=True)
    assert set(scores[0]) == {"scores"}
    assert set(attended[0]) == {"scores", "last", "mean", "rollout"}
    for whole, part, other in zip(everything, scores, attended, strict=True):
        assert_close(part["scores"], whole["scores"])
        assert_close(other["rollout"], whole["rollout"])


def test_rows_of_a_batch_are_padded_on_the_right_at_natural_positions(tiny_loaded, prompts_for):
    loaded = tiny_loaded()
    prompts = prompts_for(loaded, VERBALISERS["mixed"])
    shared = shared_prefix(prompts, before_content=True)
    prefix = Prefix(loaded, shared)
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt, False)]
    batch = collate(rows, prefix, loaded)
    assert batch.mask is None
    for row, tokens, positions in zip(rows, batch.tokens, batch.positions, strict=True):
        rest = list(row.tokens[len(shared) :])
        assert tokens[: len(rest)].tolist() == rest
        assert not tokens[len(rest) :].any()
        assert positions.tolist() == list(range(len(shared), len(shared) + len(tokens)))


def test_the_shared_prefix_ends_before_content_and_leaves_a_token_of_each(tiny_loaded, prompts_for):
    prompts = prompts_for(tiny_loaded(), VERBALISERS["single"])
    before = shared_prefix(prompts, before_content=True)
    assert all(prompt.tokens[: len(before)] == before for prompt in prompts)
    assert len(before) <= min(prompt.content[0].position for prompt in prompts)
    same = [prompts[0], prompts[0]]
    assert shared_prefix(same, before_content=False) == prompts[0].tokens[:-1]
    assert len(shared_prefix(same, before_content=True)) == prompts[0].content[0].position
    assert shared_prefix([], before_content=True) == ()


def test_different_texts_get_different_scores(tiny_loaded, prompts_for):
    """What makes the comparisons above worth something: the model does not answer everything alike."""
    loaded = tiny_loaded()
    prompts = prompts_for(loaded, VERBALISERS["mixed"])
    scores = score_labels(loaded, Prefix(loaded, ()), prompts).numpy()
    assert np.abs(scores - scores.mean(axis=0)).max() > 0.05 * np.abs(scores).max()


def logits_by_hand(loaded, prompt):
    """The labels' logits, float32, and the states that they are read from, of one pass in the model's own precision."""
    seen = []
    head = loaded.model.get_output_embeddings()
    with head.register_forward_pre_hook(lambda _, states: seen.append(states[0])):
        _, found = score_labels_with_logits(loaded, Prefix(loaded, ()), [prompt])
    weight, bias = head.weight.double(), getattr(head, "bias", None)
    logits = weight @ seen[0][0, len(prompt.tokens) - 1].double() + (0 if bias is None else bias.double())
    if cap := getattr(loaded.model.config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return found[0].double(), logits[[ids[0] for ids in prompt.labels]]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "phi"])  # phi's output layer has a bias
def test_label_logits_of_a_bfloat16_model_are_not_rounded_to_it(tiny_card, prompts_for, architecture):
    loaded = load(tiny_card(architecture), "bfloat16")
    prompt = prompts_for(loaded, VERBALISERS["single"])[1]
    found, expected = logits_by_hand(loaded, prompt)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (expected - expected.bfloat16().double()).abs().max() > 1e-4 * expected.abs().max(), "rounding would show"
    scores = score_labels(loaded, Prefix(loaded, ()), [prompt])[0].double()
    # One normaliser for all labels: differences of scores are those of logits.
    assert float(scores[0] - scores[1]) == pytest.approx(float(expected[0] - expected[1]), abs=1e-5)


def test_an_adapter_on_the_output_layer_counts(tiny_card, prompts_for):
    loaded = load(tiny_card(), "bfloat16")
    prompt = prompts_for(loaded, VERBALISERS["single"])[1]
    plain = score_labels_with_logits(loaded, Prefix(loaded, ()), [prompt])[1, 0]
    adapters = get_peft_model(loaded.model, LoraConfig(target_modules=["lm_head"], init_lora_weights=False))
    adapted = replace(loaded, model=adapters.get_base_model().requires_grad_(False).eval())
    found = score_labels_with_logits(adapted, Prefix(adapted, ()), [prompt])[1, 0]
    with torch.no_grad():
        logits = adapted.model(input_ids=torch.tensor([prompt.tokens])).logits[0, -1].float()
    expected = logits[[ids[0] for ids in prompt.labels]]
    assert torch.allclose(found, expected, rtol=2**-7, atol=0)
    assert not torch.allclose(found, plain, rtol=2**-7, atol=0)
