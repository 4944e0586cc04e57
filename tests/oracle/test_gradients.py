"""Gradient statistics against captum, finite differences and a model whose attribution is known."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import plain_attributions
import pytest
import torch
from rationale_eval.evidence.measure import measure, statistics
from rationale_eval.evidence.targets import Question
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.scoring import Prefix, can_pack, shared_prefix
from rationale_eval.models.task import load_task
from transformers import AutoModelForCausalLM

TEXTS = ("The novel was a splendid, warm story.", "A shoddy meal; “tedious” — and stale 😀 once again.", "Grim.")
VERBALISERS = {
    "single": {"no": "negative", "yes": "positive"},
    "mixed": {"no": "a dreadful film", "maybe": "neutral", "yes": "positive"},
}
TERNARY = {
    "single": {"no": "negative", "maybe": "light", "yes": "positive"},
    "mixed": {"no": "negative", "maybe": "neither of them", "yes": "positive indeed"},
    "several": {"no": "a dreadful film", "maybe": "neither of them", "yes": "positive indeed"},
}


@pytest.fixture
def prompts_for(prompt_file):
    def prompts(loaded, verbalisers):
        task = load_task(prompt_file(verbalisers=verbalisers))
        return PromptEncoder(loaded.tokenizer, task, None).encode([{"text": text} for text in TEXTS])

    return prompts


def scores_of(model, prompt):
    """A function of the prompt's embeddings (rows, length, hidden) and a label: its score, (rows,), in a plain pass."""
    table = model.get_input_embeddings()

    def score(embeddings, label):
        answer = prompt.labels[label]
        start = table(torch.tensor([answer[:-1]], dtype=torch.long)).detach().expand(len(embeddings), -1, -1)
        logits = model(inputs_embeds=torch.cat([embeddings, start], dim=1), use_cache=False).logits.log_softmax(-1)
        first = len(prompt.tokens) - 1
        return sum(logits[:, first + step, token] for step, token in enumerate(answer))

    return score


def embedded(model, prompt):
    return model.get_input_embeddings()(torch.tensor([prompt.tokens])).detach()


def predicted_label(model, prompt):
    """The index of the label that ``model`` predicts."""
    score, place = scores_of(model, prompt), embedded(model, prompt)
    with torch.no_grad():
        return int(np.argmax([float(score(place, label)) for label in range(len(prompt.labels))]))


def target(model, prompt, against=None, of="log_odds"):
    """A function of the prompt's embeddings: the target of the label that ``model`` predicts, or of it and ``against``.

    Also the embeddings at which it is to be differentiated.
    """
    score, predicted = scores_of(model, prompt), predicted_label(model, prompt)

    def value(embeddings):
        scores = [score(embeddings, label) for label in range(len(prompt.labels))]
        return plain_attributions.target(scores, (predicted, against), of)

    return value, embedded(model, prompt)


def rms_norm(module, hidden):
    """Root-mean-square normalisation in the precision of its input."""
    return module.weight * hidden / (hidden.pow(2).mean(-1, keepdim=True) + module.variance_epsilon).sqrt()


def compare_with_captum(loaded: LoadedModel, questions, against, assert_close, of="log_odds") -> None:
    """``against``: for each question the index of the label with which the predicted one is contrasted, or None."""
    from captum.attr import InputXGradient, Saliency

    prefix = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    assert prefix.length > 0
    found = measure(loaded, prefix, questions, gradients=True, attention=False, of=of)
    for question, other, row in zip(questions, against, found, strict=True):
        prompt = question.prompt
        score, place = target(loaded.model, prompt, other, of)
        places = [token.position for token in prompt.content]
        gradient = Saliency(score).attribute(place.requires_grad_(), abs=False)[0, places].detach().numpy()
        product = InputXGradient(score).attribute(place.requires_grad_())[0, places].detach().numpy()
        for name, vectors in (("grad", gradient), ("gxi", product)):
            assert_close(row[f"{name}_l1"], np.abs(vectors).sum(-1))
            assert_close(row[f"{name}_l2"], np.sqrt((vectors**2).sum(-1)))
        assert_close(row["grad_sum"], gradient.sum(-1), np.abs(gradient).sum(-1))
        assert_close(row["gxi_dot"], product.sum(-1), np.abs(product).sum(-1))


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "gpt2", "gemma2"])
@pytest.mark.parametrize("verbalisers", VERBALISERS.values(), ids=VERBALISERS.keys())
@pytest.mark.parametrize("of", ["log_odds", "log_probability"])
def test_statistics_equal_captums_attributions(tiny_card, prompts_for, assert_close, architecture, verbalisers, of):
    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    questions = [Question(prompt) for prompt in prompts_for(loaded, verbalisers)]
    compare_with_captum(loaded, questions, [None] * len(TEXTS), assert_close, of)


# The pair of the corpus, (label, foil), where the model predicts `predicted` and the other labels are `others`.
PAIRS = {
    "label-predicted": lambda predicted, others: (predicted, others[0]),
    "foil-predicted": lambda predicted, others: (others[0], predicted),
    "neither-predicted": lambda predicted, others: (others[1], others[0]),
}


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2", "gemma2"])
@pytest.mark.parametrize("verbalisers", TERNARY.values(), ids=TERNARY.keys())
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_contrastive_statistics_equal_captums_attributions(
    tiny_card, prompts_for, assert_close, architecture, verbalisers, pair
):
    """Of the score of the predicted label minus that of the foil, or of the label where the foil is predicted."""
    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    questions, against = [], []
    for prompt in prompts_for(loaded, verbalisers):
        predicted = predicted_label(loaded.model, prompt)
        others = [label for label in range(3) if label != predicted]
        questions.append(Question(prompt, pair(predicted, others)))
        against.append(others[0])
    compare_with_captum(loaded, questions, against, assert_close)


def test_the_verbalisers_of_three_labels_have_the_lengths_that_the_tests_rely_on(tiny_loaded, prompts_for):
    loaded = tiny_loaded()
    lengths = {name: [len(ids) for ids in prompts_for(loaded, words)[0].labels] for name, words in TERNARY.items()}
    assert lengths["single"] == [1, 1, 1]
    assert lengths["mixed"][0] == 1 < min(lengths["mixed"][1:])
    assert min(lengths["several"]) > 1
    assert not can_pack(tiny_loaded("mistral"), prompts_for(tiny_loaded("mistral"), TERNARY["mixed"]))


def test_a_batch_may_mix_questions_with_and_without_contrast(tiny_loaded, prompts_for, assert_close):
    loaded = tiny_loaded()
    prompt = prompts_for(loaded, TERNARY["mixed"])[0]
    predicted = predicted_label(loaded.model, prompt)
    others = [label for label in range(3) if label != predicted]
    questions = [Question(prompt), *(Question(prompt, (predicted, other)) for other in others)]
    compare_with_captum(loaded, questions, [None, *others], assert_close)
    # On this scale, since here the odds are nearly those against one of the others alone.
    found = measure(loaded, Prefix(loaded, ()), questions, True, False, of="log_probability")
    grads = [row["grad_l2"] for row in found]
    for one, other in combinations(grads, 2):
        assert np.abs(one - other).max() > 1e-2 * np.abs(one).max()


@pytest.mark.parametrize(
    ("contrast", "predicted", "against"),
    [(None, 1, None), ((0, 2), 0, 2), ((0, 2), 2, 0), ((0, 2), 1, 2), ((2, 0), 1, 0)],
)
def test_what_the_predicted_label_is_held_against(tiny_loaded, prompts_for, contrast, predicted, against):
    (prompt, *_) = prompts_for(tiny_loaded(), TERNARY["single"])
    assert Question(prompt, contrast).against(predicted) == against


@pytest.mark.xdist_group("smollm2")
@pytest.mark.parametrize(
    ("contrast", "of", "together"),
    [(None, "log_odds", 2), (None, "log_probability", 1), ((0, 1), "log_probability", 1)],
    ids=["log odds", "label", "contrast"],
)
def test_statistics_equal_captums_attributions_on_smollm2(
    smollm2_loaded, prompts_for, assert_close, contrast, of, together
):
    loaded = smollm2_loaded
    prompts = prompts_for(loaded, VERBALISERS["single"])[:together]
    predicted = [predicted_label(loaded.model, prompt) for prompt in prompts]
    against = [None if contrast is None else 1 - label for label in predicted]
    compare_with_captum(loaded, [Question(prompt, contrast) for prompt in prompts], against, assert_close, of)


@pytest.mark.parametrize("of", ["log_odds", "log_probability"])
def test_statistics_equal_finite_differences_in_double_precision(of, tiny_loaded, tiny_card, prompts_for, assert_close):
    loaded = tiny_loaded()
    prompt = prompts_for(loaded, VERBALISERS["mixed"])[1]
    (found,) = measure(loaded, Prefix(loaded, ()), [Question(prompt)], gradients=True, attention=False, of=of)
    model = AutoModelForCausalLM.from_pretrained(tiny_card().parent / "snapshot", dtype=torch.float64).eval()
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":  # works in single precision, whose rounding drowns the differences
            module.forward = partial(rms_norm, module)
    score, place = target(model, prompt, of=of)
    chosen = np.linspace(0, len(prompt.content) - 1, 6).astype(int)
    step = 1e-5
    gradients = []
    for index in chosen:
        nudges = torch.zeros(place.shape[-1], *place.shape[1:], dtype=torch.float64)
        nudges[:, prompt.content[index].position] = step * torch.eye(place.shape[-1], dtype=torch.float64)
        with torch.no_grad():
            gradients.append(((score(place + nudges) - score(place - nudges)) / (2 * step)).numpy())
    gradient = np.array(gradients)
    product = gradient * place[0, [prompt.content[index].position for index in chosen]].numpy()
    for name, vectors in (("grad", gradient), ("gxi", product)):
        assert_close(found[f"{name}_l1"][chosen], np.abs(vectors).sum(-1))
        assert_close(found[f"{name}_l2"][chosen], np.sqrt((vectors**2).sum(-1)))
    assert_close(found["grad_sum"][chosen], gradient.sum(-1), np.abs(gradient).sum(-1))
    assert_close(found["gxi_dot"][chosen], product.sum(-1), np.abs(product).sum(-1))


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
