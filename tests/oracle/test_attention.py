"""Recorded attention against full matrices of the eager kernel, and rollout multiplied out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rationale_eval.errors import UserError
from rationale_eval.evidence.attention import IMPLEMENTATION, AttentionRecorder, Layer, install, recording
from rationale_eval.evidence.gradient_x_attention import GradientRecorder
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.targets import Question
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.scoring import Prefix, shared_prefix
from rationale_eval.models.task import load_task
from transformers import AttentionInterface, AutoModelForCausalLM

TEXTS = (
    "A warm, elegant concert.",
    "Her brother called the speech on the second floor hollow, awkward indeed.",
    "Stale",
)
VARIANTS = (
    ("llama", "byte_level"),
    ("llama", "sentencepiece"),
    ("mistral", "byte_level"),
    ("qwen2", "byte_level"),
    ("gpt2", "byte_level"),
)


def asked(prompts):
    return [Question(prompt) for prompt in prompts]


def expected_statistics(model, prompt):
    """From whole attention matrices, straight from the definitions."""
    with torch.no_grad():
        output = model(input_ids=torch.tensor([prompt.tokens]), output_attentions=True, use_cache=False)
    layers = [weights[0].mean(dim=0).double().numpy() for weights in output.attentions]
    assert len(layers) == model.config.num_hidden_layers
    rolled = np.eye(len(prompt.tokens))
    for weights in layers:
        assert np.allclose(weights.sum(-1), 1, atol=1e-5)
        rolled = (weights / 2 + np.eye(len(weights)) / 2) @ rolled
    places = [token.position for token in prompt.content]
    return {
        "last": layers[-1][-1, places],
        "mean": np.mean([weights[-1] for weights in layers], axis=0)[places],
        "rollout": rolled[-1, places],
    }


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize(
    "answers", [("negative", "positive"), ("a dreadful film", "positive")], ids=["single", "mixed"]
)
@pytest.mark.parametrize("cached", [False, True], ids=["whole", "shared-prefix"])
def test_recorded_attention_is_the_models_own(
    tiny_card, tiny_loaded, prompt_file, assert_close, variant, answers, cached
):
    loaded = tiny_loaded(*variant)
    task = load_task(prompt_file(verbalisers=dict(zip(("no", "yes"), answers, strict=True))))
    prompts = PromptEncoder(loaded.tokenizer, task, "You are asked about short texts; answer with one word.").encode(
        [{"text": text} for text in TEXTS]
    )
    prefix = Prefix(loaded, shared_prefix(prompts, before_content=True) if cached else ())
    assert bool(prefix.length) == cached
    found = measure(loaded, prefix, asked(prompts), gradients=False, attention=True)
    eager = AutoModelForCausalLM.from_pretrained(tiny_card(*variant).parent / "snapshot", attn_implementation="eager")
    for prompt, row in zip(prompts, found, strict=True):
        expected = expected_statistics(eager.eval(), prompt)
        for name, values in expected.items():
            assert_close(row[name], values)


def test_rollout_of_two_worked_layers():
    """Two positions, one head, two layers; weights chosen through log-scores, rollout worked by hand."""
    recorder = AttentionRecorder(torch.tensor([1]))
    causal = torch.tensor([[[[0.0, -1e9], [0.0, 0.0]]]])
    query = torch.tensor([[[[0.0], [1.0]]]])
    for share in (0.25, 0.6):  # attention of position 1 to position 0
        key = torch.log(torch.tensor([[[[share], [1 - share]]]]))
        recorder.record(Layer(query, key, key, causal, scaling=1.0), query)
    found = recorder.statistics()
    assert found["last"][0].tolist() == pytest.approx([0.6, 0.4])
    assert found["mean"][0].tolist() == pytest.approx([0.425, 0.575])
    # Layer 1 with residual: [1/8, 7/8]; layer 2: [3/10, 7/10]; product row: [3/10 + 7/10 * 1/8, 7/10 * 7/8].
    assert found["rollout"][0].tolist() == pytest.approx([0.3875, 0.6125])


def test_a_model_that_reports_no_attention_is_refused_with_advice():
    with pytest.raises(UserError, match="evidence: \\[gradients\\]"):
        AttentionRecorder(torch.tensor([0])).statistics()


def test_attention_with_more_in_it_than_weights_is_refused_with_advice(tiny_loaded):
    tiny_loaded()  # registers the function
    query = torch.zeros((1, 1, 2, 4))
    with (
        recording(AttentionRecorder(torch.tensor([1]))),
        pytest.raises(UserError, match="s_aux cannot be recorded; set `evidence: \\[gradients\\]`"),
    ):
        AttentionInterface()[IMPLEMENTATION](
            torch.nn.Module(), query, query, query, torch.zeros((1, 1, 2, 2)), s_aux=torch.zeros(1)
        )


def test_a_model_without_a_kernel_to_record_beside_is_refused_with_advice(tiny_loaded, monkeypatch):
    model = tiny_loaded().model
    monkeypatch.setattr(type(model), "_supports_sdpa", False)
    with pytest.raises(UserError, match="the attention of LlamaForCausalLM cannot be recorded; set"):
        install(model)


def test_gradient_x_attention_of_a_model_that_reports_none_is_refused():
    with pytest.raises(UserError, match="gradient x attention cannot be had"):
        GradientRecorder(torch.tensor([0]), torch.tensor([0]), 1).statistics()


def test_gradient_x_attention_of_two_worked_layers():
    """Two positions, one head: the backward pass comes to the second layer first."""
    recorder = GradientRecorder(torch.tensor([0]), torch.tensor([1]), 2)
    mask = torch.tensor([[[[0.0, -1e9], [0.0, 0.0]]]])
    query, value = torch.zeros((1, 1, 2, 1)), torch.tensor([[[[1.0], [-1.0]]]])
    outputs = [torch.zeros((1, 2, 1, 1), requires_grad=True) for _ in range(2)]
    for output in outputs:  # equal scores: position 1 attends to both with 0.5
        recorder.record(Layer(query, value, value, mask, scaling=1.0), output)
    # Gradients of the outputs: 2 at position 1 of the second layer; 3 and 4 at both of the first.
    second, first = torch.tensor([[[[0.0]], [[2.0]]]]), torch.tensor([[[[3.0]], [[4.0]]]])
    outputs[1].backward(second)
    outputs[0].backward(first)
    found = {name: values[0].tolist() for name, values in recorder.statistics().items()}
    # dF/dA is gradient times value: [2, -2] at position 1 of the second layer, [3] and [4, -4] of the first, so that
    # E is [[0, 0], [1, 0]] and [[3, 0], [2, 0]], and R = (E2 + I) (E1 + I) has the row [4 + 2, 1].
    assert found["last"] == pytest.approx([1.0, 0.0])
    assert found["mean"] == pytest.approx([1.5, 0.0])
    assert found["relevancy"] == pytest.approx([6.0, 1.0])
