"""Gradient statistics against captum, finite differences and a model whose attribution is known."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from rationale_eval.evidence.measure import measure, statistics
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.scoring import Prefix, shared_prefix
from rationale_eval.models.task import load_task
from transformers import AutoModelForCausalLM

TEXTS = ("The novel was a splendid, warm story.", "A shoddy meal; “tedious” — and stale 😀 once again.", "Grim.")
VERBALISERS = {
    "single": {"no": "negative", "yes": "positive"},
    "mixed": {"no": "a dreadful film", "maybe": "neutral", "yes": "positive"},
}
SMOLLM2 = "RATIONALE_EVAL_SMOLLM2"


@pytest.fixture
def prompts_for(prompt_file):
    def prompts(loaded, verbalisers):
        task = load_task(prompt_file(verbalisers=verbalisers))
        return PromptEncoder(loaded.tokenizer, task, None).encode([{"text": text} for text in TEXTS])

    return prompts


def best_label_score(model, prompt):
    """A function of embeddings (rows, length, hidden): the score of the label that ``model`` predicts for ``prompt``.

    Also the embeddings at which it is to be differentiated.
    """
    table = model.get_input_embeddings()

    def score(embeddings, answer):
        logits = model(inputs_embeds=embeddings, use_cache=False).logits.log_softmax(-1)
        first = len(prompt.tokens) - 1
        return sum(logits[:, first + step, token] for step, token in enumerate(answer))

    def embedded(answer):
        return table(torch.tensor([[*prompt.tokens, *answer[:-1]]])).detach()

    with torch.no_grad():
        values = [float(score(embedded(answer), answer)) for answer in prompt.labels]
    answer = prompt.labels[int(np.argmax(values))]
    return (lambda embeddings: score(embeddings, answer)), embedded(answer)


def rms_norm(module, hidden):
    """Root-mean-square normalisation in the precision of its input."""
    return module.weight * hidden / (hidden.pow(2).mean(-1, keepdim=True) + module.variance_epsilon).sqrt()


def compare_with_captum(loaded: LoadedModel, prompts, assert_close) -> None:
    from captum.attr import InputXGradient, Saliency

    prefix = Prefix(loaded, shared_prefix(prompts, before_content=True))
    assert prefix.length > 0
    found = measure(loaded, prefix, prompts, gradients=True, attention=False)
    for prompt, row in zip(prompts, found, strict=True):
        score, embedded = best_label_score(loaded.model, prompt)
        places = [token.position for token in prompt.content]
        gradient = Saliency(score).attribute(embedded.requires_grad_(), abs=False)[0, places].detach().numpy()
        product = InputXGradient(score).attribute(embedded.requires_grad_())[0, places].detach().numpy()
        for name, vectors in (("grad", gradient), ("gxi", product)):
            assert_close(row[f"{name}_l1"], np.abs(vectors).sum(-1))
            assert_close(row[f"{name}_l2"], np.sqrt((vectors**2).sum(-1)))
        assert_close(row["grad_sum"], gradient.sum(-1), np.abs(gradient).sum(-1))
        assert_close(row["gxi_dot"], product.sum(-1), np.abs(product).sum(-1))


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "gpt2", "gemma2"])
@pytest.mark.parametrize("verbalisers", VERBALISERS.values(), ids=VERBALISERS.keys())
def test_statistics_equal_captums_attributions(tiny_card, prompts_for, assert_close, architecture, verbalisers):
    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    compare_with_captum(loaded, prompts_for(loaded, verbalisers), assert_close)


def test_statistics_equal_captums_attributions_on_smollm2(prompts_for, assert_close, tmp_path):
    folder = os.environ.get(SMOLLM2, "")
    if not folder or not Path(folder, "config.json").exists():
        pytest.skip(f"set {SMOLLM2} to a folder with SmolLM2 in safetensors to compare a trained model too")
    from rationale_eval.models.prepare import card, link_folder
    from rationale_eval.tables import write_json

    link_folder(Path(folder), tmp_path / "model" / "snapshot")
    entry = {"name": "smollm2", "source": {}, "licence": "", "citation": ""}
    write_json(tmp_path / "model" / "card.json", card(entry, tmp_path / "model" / "snapshot"))
    loaded = load(tmp_path / "model" / "card.json", "float32")
    compare_with_captum(loaded, prompts_for(loaded, VERBALISERS["single"])[:2], assert_close)


def test_statistics_equal_finite_differences_in_double_precision(tiny_loaded, tiny_card, prompts_for, assert_close):
    loaded = tiny_loaded()
    prompt = prompts_for(loaded, VERBALISERS["mixed"])[1]
    (found,) = measure(loaded, Prefix(loaded, ()), [prompt], gradients=True, attention=False)
    model = AutoModelForCausalLM.from_pretrained(tiny_card().parent / "snapshot", dtype=torch.float64).eval()
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":  # works in single precision, whose rounding drowns the differences
            module.forward = partial(rms_norm, module)
    score, embedded = best_label_score(model, prompt)
    chosen = np.linspace(0, len(prompt.content) - 1, 6).astype(int)
    step = 1e-5
    gradients = []
    for index in chosen:
        place = prompt.content[index].position
        nudges = torch.zeros(embedded.shape[-1], *embedded.shape[1:], dtype=torch.float64)
        nudges[:, place] = step * torch.eye(embedded.shape[-1], dtype=torch.float64)
        with torch.no_grad():
            gradients.append(((score(embedded + nudges) - score(embedded - nudges)) / (2 * step)).numpy())
    gradient = np.array(gradients)
    product = gradient * embedded[0, [prompt.content[index].position for index in chosen]].numpy()
    for name, vectors in (("grad", gradient), ("gxi", product)):
        assert_close(found[f"{name}_l1"][chosen], np.abs(vectors).sum(-1))
        assert_close(found[f"{name}_l2"][chosen], np.sqrt((vectors**2).sum(-1)))
    assert_close(found["grad_sum"][chosen], gradient.sum(-1))
    assert_close(found["gxi_dot"][chosen], product.sum(-1))


def test_a_linear_bag_of_words_has_its_weights_as_gradient():
    """score = sum of w·e over tokens: the gradient is w everywhere, and gradient x input sums to the score."""
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn((2, 5, 7), generator=generator, requires_grad=True)
    weights = torch.randn(7, generator=generator)
    score = (embeddings @ weights).sum()
    (gradient,) = torch.autograd.grad(score, embeddings)
    found = statistics(gradient, embeddings.detach())
    ones = torch.ones((2, 5))
    assert torch.allclose(found["grad_l1"], ones * weights.abs().sum())
    assert torch.allclose(found["grad_l2"], ones * (weights**2).sum().sqrt())
    assert torch.allclose(found["grad_sum"], ones * weights.sum())
    assert torch.allclose(found["gxi_dot"], (embeddings @ weights).detach(), atol=1e-6)
    assert torch.allclose(found["gxi_dot"].sum(), score.detach(), atol=1e-5)
    assert torch.allclose(found["gxi_l1"], (embeddings * weights).abs().sum(-1).detach(), atol=1e-6)
    assert torch.allclose(found["gxi_l2"], ((embeddings * weights) ** 2).sum(-1).sqrt().detach(), atol=1e-6)


def test_statistics_of_one_worked_token():
    found = statistics(torch.tensor([[3.0, -4.0]]), torch.tensor([[2.0, 0.5]]))
    expected = {"grad_l1": 7.0, "grad_l2": 5.0, "grad_sum": -1.0, "gxi_l1": 8.0, "gxi_l2": 40**0.5, "gxi_dot": 4.0}
    assert {name: pytest.approx(float(values[0])) for name, values in found.items()} == expected


def test_half_precision_gradients_are_reduced_in_single_precision():
    gradient = torch.full((1, 3000), 0.01, dtype=torch.bfloat16)
    found = statistics(gradient, torch.ones_like(gradient))
    assert found["grad_sum"].dtype == torch.float32
    assert float(found["grad_sum"][0]) == pytest.approx(3000 * float(gradient[0, 0]), rel=1e-5)
