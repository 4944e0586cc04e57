"""Every method on every architecture: alone, in a batch, behind a shared prefix, against the definitions themselves.

Between them the architectures and tokenizers have windows of attention, tied and untied and scaled embeddings, scores
that are capped, positions learnt, rotated whole and in part, and a token at the start that is put there or not.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from plain_attributions import label_scores, statistics
from rationale_eval.evidence import attention
from rationale_eval.evidence.gradient_x_attention import measure_gradient_x_attention
from rationale_eval.evidence.integrated import baseline_embedding, integrate
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.targets import Question
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, can_pack, score_labels, shared_prefix
from rationale_eval.models.task import load_task
from tiny_architectures import ARCHITECTURES
from transformers import AutoModelForCausalLM

TEXTS = ("A lovely film.", "The hotel near the station was dreadful and stale last week, indeed!", "grim")
VERBALISERS = {"no": "negative", "maybe": "neither of them", "yes": "positive indeed"}
WINDOWS = ("mistral", "gemma2", "gemma3", "phi3")
EVERY = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
TOKENIZERS = pytest.mark.parametrize("tokenizer", ["byte_level", "sentencepiece"])
SUMS = {"grad_sum": "grad_l1", "gxi_dot": "gxi_l1", "ig_dot": "ig_l1"}


@pytest.fixture(scope="module")
def eager_of(tiny_card):
    """``eager_of(architecture, tokenizer)``: the model with the eager kernel, as transformers loads it."""

    @cache
    def model(architecture, tokenizer):
        folder = tiny_card(architecture, tokenizer).parent / "snapshot"
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()

    return model


@pytest.fixture
def questions_for(prompt_file):
    """``questions_for(loaded, **of_question)``: the prompts of ``TEXTS``, after solved examples if there are any."""

    def questions(loaded, verbalisers=None, shots=(), **explained):
        task = load_task(prompt_file(verbalisers=verbalisers or VERBALISERS))
        prompts = PromptEncoder(loaded.tokenizer, task, None, shots=shots).encode([{"text": text} for text in TEXTS])
        return [Question(prompt, **explained) for prompt in prompts]

    return questions


def by_token(loaded, prefix, questions):
    """By evidence and question what the package finds."""
    both = measure(loaded, prefix, questions, gradients=True, attention=True)
    return {
        "gradients": both,
        "attention": both,
        "gradient_x_attention": measure_gradient_x_attention(loaded, prefix, questions),
    }


@EVERY
@TOKENIZERS
def test_alone_in_a_batch_and_behind_a_prefix_all_methods_are_their_definitions(
    architecture, tokenizer, tiny_loaded, eager_of, questions_for, assert_close
):
    loaded, model = tiny_loaded(architecture, tokenizer), eager_of(architecture, tokenizer)
    questions = questions_for(loaded)
    prompts = [question.prompt for question in questions]
    assert can_pack(loaded, prompts) == (architecture not in WINDOWS)
    shared, nothing = Prefix(loaded, shared_prefix(prompts, before_content=True)), Prefix(loaded, ())
    assert shared.length > 0
    settings = {"steps": 3, "baseline": baseline_embedding(loaded, "mean")}
    integrals = [row for question in questions for row in integrate(loaded, nothing, [question], **settings)]
    alone = [by_token(loaded, nothing, [question]) for question in questions]
    for index, question in enumerate(questions):
        scores = label_scores(model, question.prompt)
        explained = question.explained(scores)
        expected = statistics(model, question.prompt, explained)
        found = [{kind: rows[0] for kind, rows in alone[index].items()}]
        for prefix in (nothing, shared):
            found.append({kind: rows[index] for kind, rows in by_token(loaded, prefix, questions).items()})
            assert_close(score_labels(loaded, prefix, prompts)[index], scores)
            integral = integrate(loaded, prefix, questions, **settings)[index]
            for name in ("ig_dot", "ig_l1", "ig_l2"):
                assert_close(integral[name], integrals[index][name], integrals[index][SUMS.get(name, name)])
        for one in found:
            assert_close(one["gradients"]["scores"], scores)
            for kind, values in expected.items():
                for name, value in values.items():
                    assert_close(one[kind][name], value, values[SUMS.get(name, name)])


@pytest.mark.xdist_group("smollm2")
def test_on_smollm2_all_methods_are_their_definitions(smollm2_card, smollm2_loaded, questions_for, assert_close):
    loaded = smollm2_loaded
    folder = smollm2_card.parent / "snapshot"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    questions = questions_for(loaded, {"no": "negative", "yes": "positive indeed"}, runner_up=True)[:2]
    shared = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    found = by_token(loaded, shared, questions)
    for index, question in enumerate(questions):
        scores = label_scores(model, question.prompt)
        assert_close(found["gradients"][index]["scores"], scores)
        for kind, values in statistics(model, question.prompt, question.explained(scores)).items():
            for name, value in values.items():
                assert_close(found[kind][index][name], value, values[SUMS.get(name, name)])


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2", "gemma2"])
def test_attention_formed_in_many_blocks_is_that_of_one(
    architecture, tiny_loaded, questions_for, assert_close, monkeypatch
):
    loaded = tiny_loaded(architecture)
    questions = questions_for(loaded)
    shared = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    whole = by_token(loaded, shared, questions)
    monkeypatch.setattr(attention, "BLOCK_POSITIONS", 5)
    blocks = by_token(loaded, shared, questions)
    for kind in ("attention", "gradient_x_attention"):
        for one, other in zip(blocks[kind], whole[kind], strict=True):
            assert len(one) == len(other) > 0
            for name in other:
                assert_close(one[name], other[name])


@EVERY
def test_what_is_padded_on_the_left_has_the_same_gradients(
    architecture, tiny_loaded, eager_of, questions_for, assert_close
):
    """The same prompts in one batch of transformers' own, padded as for generation."""
    loaded, model = tiny_loaded(architecture), eager_of(architecture, "byte_level")
    answers = {"no": "negative", "yes": "positive"}
    questions = questions_for(loaded, answers)
    shared = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    found = measure(loaded, shared, questions, gradients=True, attention=False)
    left = copy.deepcopy(loaded.tokenizer)
    left.padding_side = "left"
    assert questions_for(replace(loaded, tokenizer=left), answers) == questions
    rows = [list(question.prompt.tokens) for question in questions]
    batch = left.pad({"input_ids": rows}, return_tensors="pt")
    assert not batch["attention_mask"].all()
    embeddings = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    logits = model(
        inputs_embeds=embeddings, attention_mask=batch["attention_mask"], position_ids=positions, use_cache=False
    ).logits[:, -1]
    tokens = torch.tensor([[ids[0] for ids in question.prompt.labels] for question in questions])
    logits.gather(1, tokens).sort(dim=1).values.diff(dim=1).sum().backward()  # two labels: the better minus the other
    for index, (question, row) in enumerate(zip(questions, found, strict=True)):
        padding = len(batch["input_ids"][index]) - len(question.prompt.tokens)
        places = [token.position + padding for token in question.prompt.content]
        assert_close(row["grad_l2"], embeddings.grad[index, places].norm(dim=-1))


@EVERY
def test_an_adapter_counts_as_the_weights_that_it_changes(
    architecture, tiny_card, questions_for, assert_close, recwarn
):
    from peft import LoraConfig, get_peft_model

    card = tiny_card(architecture, "byte_level")
    loaded = load(card, "float32")
    folder = card.parent / "snapshot"
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        adapted = get_peft_model(copy.deepcopy(loaded.model), lora).eval()
    # The same changes of weights, worked out by hand, in a model that knows nothing of adapters.
    plain = dict(model.named_modules())
    for name, module in adapted.get_base_model().named_modules():
        if hasattr(module, "lora_A"):
            with torch.no_grad():
                plain[name].weight += module.get_delta_weight("default")
    loaded = replace(loaded, model=adapted.get_base_model().requires_grad_(False))
    attention.install(loaded.model)
    questions = questions_for(loaded)
    shared = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    found = by_token(loaded, shared, questions)
    for index, question in enumerate(questions):
        scores = label_scores(model, question.prompt)
        assert_close(found["gradients"][index]["scores"], scores)
        for kind, values in statistics(model, question.prompt, question.explained(scores)).items():
            for name, value in values.items():
                assert_close(found[kind][index][name], value, values[SUMS.get(name, name)])


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3"])
def test_scaled_embeddings_are_differentiated_as_they_enter_the_layers(architecture, tiny_loaded, questions_for):
    loaded = tiny_loaded(architecture)
    (question, *_) = questions_for(loaded)
    table = loaded.model.get_input_embeddings()
    tokens = torch.tensor([question.prompt.tokens])
    assert torch.allclose(table(tokens), table.weight[tokens] * table.weight.shape[1] ** 0.5)
    entered = []
    layer = loaded.model.model.layers[0]
    handle = layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].detach()))
    score_labels(loaded, Prefix(loaded, ()), [question.prompt])
    handle.remove()
    assert torch.equal(entered[0][0, : tokens.shape[1]], table(tokens)[0])
    assert torch.equal(baseline_embedding(loaded, "mean"), table(torch.arange(len(table.weight))).mean(0))
