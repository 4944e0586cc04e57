"""Equal to the published implementations: captum's classes on token ids, and inseq.

On plain prompts, since inseq drops special tokens such as those of chat templates from what it returns. All tokens of
the prompt are content here, as they are to inseq, and the probability of the predicted answer is explained, as inseq
does by default.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rationale_eval.corpora.instances import whitespace_words
from rationale_eval.evidence import attention
from rationale_eval.evidence.attributions import word_scores
from rationale_eval.evidence.integrated import integrate
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.targets import Question
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.models.encoding import ContentToken, Prompt, PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.models.task import load_task
from transformers import AutoModelForCausalLM

# inseq leaves a file of its own open when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TEXTS = ("The hotel was dreadful.\n\nAnswer:", "A superb novel and a lovely, warm concert last week.\n\nAnswer:")
ANSWERS = (" negative", " positive")
STEPS = 20
MODELS = [
    pytest.param(("llama", "byte_level_base"), id="llama"),
    pytest.param(("gpt2", "byte_level_base"), id="gpt2"),
    pytest.param(("gemma3", "byte_level_base"), id="gemma3"),
    pytest.param("smollm2", id="smollm2", marks=pytest.mark.xdist_group("smollm2")),
]


@pytest.fixture
def card(request, tiny_card):
    """The card of a model of ``MODELS``."""
    return request.getfixturevalue("smollm2_card") if request.param == "smollm2" else tiny_card(*request.param)


def whole_prompts(loaded):
    """The prompts of ``TEXTS``, all of whose tokens are content."""
    prompts = []
    for text in TEXTS:
        tokens = tuple(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])
        answers = [tuple(loaded.tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in ANSWERS]
        assert {len(ids) for ids in answers} == {1}
        content = tuple(ContentToken(place, 0, place, place + 1) for place in range(len(tokens)))
        prompts.append(Prompt(text, tokens, content, tuple(answers)))
    return prompts


def inseqs(card, method, texts, answers, **options):
    """For each text what inseq attributes to its tokens, (tokens, ...), and inseq's model."""
    import inseq

    model = inseq.load_model(str(card.parent / "snapshot"), method, **options.pop("load", {}))
    whole = [text + answer for text, answer in zip(texts, answers, strict=True)]
    found = []
    for text, generated in zip(texts, whole, strict=True):  # one by one: it has no batches of several lengths to pad
        output = model.attribute(text, generated, show_progress=False, **options)
        found.append(output.sequence_attributions[0].target_attributions[:-1, 0].detach().numpy())
    return found, model


@pytest.mark.parametrize("card", MODELS, indirect=True)
def test_gradients_are_inseqs_and_captums(card, assert_close):
    from captum.attr import InputXGradient, Saliency

    loaded = load(card, "float32")
    prompts = whole_prompts(loaded)
    questions = [Question(prompt) for prompt in prompts]
    found = measure(loaded, Prefix(loaded, ()), questions, gradients=True, attention=False, of="probability")
    predicted = [int(row["scores"].argmax()) for row in found]
    answers = [ANSWERS[label] for label in predicted]
    saliency, _ = inseqs(card, "saliency", TEXTS, answers)
    product, _ = inseqs(card, "input_x_gradient", TEXTS, answers)
    for prompt, row, label, slopes, products in zip(prompts, found, predicted, saliency, product, strict=True):
        assert len(slopes) == len(products) == len(prompt.tokens)
        token = prompt.labels[label][0]

        def probability(embeddings, token=token):
            return loaded.model(inputs_embeds=embeddings, use_cache=False).logits[:, -1].softmax(-1)[:, token]

        place = loaded.model.get_input_embeddings()(torch.tensor([prompt.tokens])).detach().requires_grad_()
        captums = Saliency(probability).attribute(place)[0].detach().numpy()
        for peers in (slopes, captums):  # both give absolute values
            assert_close(row["grad_l1"], peers.sum(-1))
            assert_close(row["grad_l2"], np.linalg.norm(peers, axis=-1))
        captums = InputXGradient(probability).attribute(place)[0].detach().numpy()
        for peers in (products, captums):
            assert_close(row["gxi_dot"], peers.sum(-1), np.abs(peers).sum(-1))
            assert_close(row["gxi_l1"], np.abs(peers).sum(-1))
            assert_close(row["gxi_l2"], np.linalg.norm(peers, axis=-1))


@pytest.mark.parametrize("card", MODELS, indirect=True)
def test_integrated_gradients_are_inseqs_and_captums(card):
    from captum.attr import LayerIntegratedGradients

    loaded = load(card, "float32")
    prompts = whole_prompts(loaded)[:1]
    questions = [Question(prompt) for prompt in prompts]
    label = int(score_labels(loaded, Prefix(loaded, ()), prompts)[0].argmax())
    (peers,), model = inseqs(
        card, "integrated_gradients", TEXTS[:1], [ANSWERS[label]], n_steps=STEPS, internal_batch_size=5
    )
    (baseline,) = set(model.encode(TEXTS[0], return_baseline=True).baseline_ids[0].tolist())
    table = loaded.model.get_input_embeddings()
    start = table(torch.tensor(baseline)).detach()
    (row,) = integrate(loaded, Prefix(loaded, ()), questions, STEPS, start, of="probability")
    ids = torch.tensor([prompts[0].tokens])
    token = prompts[0].labels[label][0]
    captums = LayerIntegratedGradients(
        lambda ids: loaded.model(input_ids=ids, use_cache=False).logits[:, -1].softmax(-1)[:, token], table
    ).attribute(ids, baselines=torch.full_like(ids, baseline), n_steps=STEPS, internal_batch_size=5)
    for vectors in (peers, captums[0].detach().numpy()):
        scale = np.abs(vectors).sum(-1).max()
        assert scale > 0
        assert np.abs(row["ig_dot"] - vectors.sum(-1)).max() <= 1e-3 * scale
        assert np.abs(row["ig_l1"] - np.abs(vectors).sum(-1)).max() <= 1e-3 * scale
        assert np.abs(row["ig_l2"] - np.linalg.norm(vectors, axis=-1)).max() <= 1e-3 * scale


@pytest.mark.parametrize("card", MODELS, indirect=True)
def test_attention_is_inseqs(card, assert_close):
    loaded = load(card, "float32")
    attention.install(loaded.model)
    prompts = whole_prompts(loaded)
    found = measure(
        loaded, Prefix(loaded, ()), [Question(prompt) for prompt in prompts], gradients=False, attention=True
    )
    options = {"load": {"model_kwargs": {"attn_implementation": "eager"}}}
    weights, _ = inseqs(card, "attention", TEXTS, [ANSWERS[0]] * len(TEXTS), **options)
    for row, peers in zip(found, weights, strict=True):
        layers = loaded.model.config.num_hidden_layers
        assert peers.shape[1:] == (layers, loaded.model.config.num_attention_heads)
        assert_close(row["last"], peers[:, -1].mean(-1))
        assert_close(row["mean"], peers.mean((1, 2)))


@pytest.mark.parametrize("of", ["log_probability", "probability"])
@pytest.mark.parametrize("card", [MODELS[0], MODELS[-1]], indirect=True)
def test_leave_one_out_is_captums_ablation(card, of, prompt_file, assert_close):
    """Where each word is a token and the mask another, taking a word out of the text is taking out its token."""
    from captum.attr import FeatureAblation

    loaded = load(card, "float32")
    texts = [" lovely film at the station", " the garden was near the lake"]
    fields = [{"text": text} for text in texts]
    task = load_task(prompt_file(classify="Text:{text}\nSentiment?"))
    encoder = PromptEncoder(loaded.tokenizer, task, None, "completion")
    prompts = encoder.encode(fields)
    assert all(len(ids) == 1 for prompt in prompts for ids in prompt.labels)
    mask = "story"  # one token of both models, as each of the words is
    (mask_id,) = loaded.tokenizer(" " + mask, add_special_tokens=False)["input_ids"]
    for field, prompt in zip(fields, prompts, strict=True):
        words = whitespace_words([field["text"]])
        places = [[t.position for t in prompt.content if t.start < word.end and t.end > word.start] for word in words]
        assert all(len(tokens) == 1 for tokens in places)
        without = [mask_words(field, words, tuple(other == word for other in words), "replace", mask) for word in words]
        masked = encoder.encode(without)
        prefix = Prefix(loaded, shared_prefix([prompt, *masked], before_content=False))
        scores = score_labels(loaded, prefix, [prompt, *masked])
        found = word_scores(Question(prompt), list(scores.numpy()), of)
        label = int(scores[0].argmax())

        def target(ids, label=label, prompt=prompt):
            logits = loaded.model(input_ids=ids, use_cache=False).logits[:, -1]
            values = logits.log_softmax(-1) if of == "log_probability" else logits.softmax(-1)
            return values[:, prompt.labels[label][0]]

        ids = torch.tensor([prompt.tokens])
        features = torch.full_like(ids, len(words))
        for number, (place,) in enumerate(places):
            features[0, place] = number
        with torch.no_grad():
            ablated = FeatureAblation(target).attribute(ids, baselines=mask_id, feature_mask=features)
        assert_close(found, [float(ablated[0, place]) for (place,) in places])


def test_gradient_x_input_is_the_change_along_the_input(tiny_loaded, assert_close):
    """Finite differences in double precision, of the probability."""
    loaded = tiny_loaded("gpt2", "byte_level_base")
    (prompt, *_) = whole_prompts(loaded)
    model = AutoModelForCausalLM.from_pretrained(
        loaded.model.config._name_or_path, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    table = model.get_input_embeddings()
    place = table(torch.tensor([prompt.tokens])).detach()
    (found,) = measure(
        loaded, Prefix(loaded, ()), [Question(prompt)], gradients=True, attention=False, of="probability"
    )
    token = prompt.labels[int(found["scores"].argmax())][0]
    step, products = 1e-5, []
    for position in range(len(prompt.tokens)):
        nudge = torch.zeros_like(place)
        nudge[0, position] = step * place[0, position]  # along the input: the change is gradient x input
        with torch.no_grad():
            ends = [model(inputs_embeds=place + sign * nudge).logits[0, -1].softmax(-1)[token] for sign in (1, -1)]
        products.append(float(ends[0] - ends[1]) / (2 * step))
    assert_close(found["gxi_dot"], products, found["gxi_l1"])
