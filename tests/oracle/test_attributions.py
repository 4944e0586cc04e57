"""Integrated gradients and ablation against captum, and against their definitions."""

from __future__ import annotations

import json

import numpy as np
import plain_attributions
import pytest
import torch
from plain_attributions import label_scores, scale
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.evidence import attributions, integrated
from rationale_eval.evidence.attribution_schema import SCHEMAS
from rationale_eval.evidence.attributions import word_scores
from rationale_eval.evidence.integrated import baseline_embedding, integrate
from rationale_eval.evidence.schema import EVIDENCE
from rationale_eval.evidence.targets import Question
from rationale_eval.memo import Memo
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, shared_prefix
from rationale_eval.models.task import load_task, task_slice
from rationale_eval.tables import read_table
from transformers import AutoModelForCausalLM

TEXTS = ("A lovely film.", "The hotel near the station was dreadful and stale last week!", "grim")
VERBALISERS = {
    "single": {"no": "negative", "maybe": "neutral", "yes": "positive"},
    "several": {"no": "a dreadful film", "maybe": "neither", "yes": "positive indeed"},
}
ARCHITECTURES = ("llama", "qwen2", "gpt2", "gemma2")
STEPS = 24


@pytest.fixture
def questions_for(prompt_file):
    """``questions_for(loaded, verbalisers, contrast)``: the prompts of ``TEXTS``."""

    def questions(loaded, verbalisers="single", contrast=None):
        encoder = PromptEncoder(loaded.tokenizer, load_task(prompt_file(verbalisers=VERBALISERS[verbalisers])), None)
        return [Question(prompt, contrast) for prompt in encoder.encode([{"text": text} for text in TEXTS])]

    return questions


def plain_score(model, prompt, label, content):
    """Score of ``label`` as a function of the content's embeddings (rows, content, hidden), all else fixed."""
    table, answer = model.get_input_embeddings(), prompt.labels[label]
    fixed = table(torch.tensor([[*prompt.tokens, *answer[:-1]]])).detach()

    def score(embeddings):
        whole = fixed.repeat(len(embeddings), 1, 1)
        whole[:, content] = embeddings
        logits = model(inputs_embeds=whole, use_cache=False).logits.log_softmax(-1)
        first = len(prompt.tokens) - 1
        return sum(logits[:, first + step, token] for step, token in enumerate(answer))

    return score, fixed[:, content]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("verbalisers", VERBALISERS)
@pytest.mark.parametrize("contrast", [None, (2, 0)])
@pytest.mark.parametrize("behind_prefix", [True, False])
@pytest.mark.parametrize("of", ["log_odds", "log_probability"])
def test_integrated_gradients_are_captums(
    architecture, verbalisers, contrast, behind_prefix, of, tiny_card, questions_for, assert_close
):
    from captum.attr import IntegratedGradients

    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    questions = questions_for(loaded, verbalisers, contrast)
    shared = shared_prefix([question.prompt for question in questions], before_content=True)
    prefix = Prefix(loaded, shared if behind_prefix else ())
    baseline = baseline_embedding(loaded, "pad")
    found = integrate(loaded, prefix, questions, STEPS, baseline, of)
    for question, row in zip(questions, found, strict=True):
        prompt = question.prompt
        content = sorted({token.position for token in prompt.content})
        scores = [plain_score(loaded.model, prompt, label, content) for label in range(len(prompt.labels))]
        embedded = scores[0][1]
        with torch.no_grad():
            predicted = int(np.argmax([float(score(embedded)) for score, _ in scores]))
        against = question.against(predicted)

        def target(embeddings, scores=scores, explained=(predicted, against)):
            values = [score(embeddings) for score, _ in scores]
            return plain_attributions.target(values, explained, of).float()

        start = baseline.expand_as(embedded)
        expected = (
            IntegratedGradients(target)
            .attribute(embedded, baselines=start, n_steps=STEPS, internal_batch_size=8)[0]
            .detach()
        )
        places = [content.index(token.position) for token in prompt.content]
        for name, values in (("ig_l1", expected.abs().sum(-1)), ("ig_l2", expected.norm(dim=-1))):
            assert_close(row[name], values[places])
        assert_close(row["ig_dot"], expected.sum(-1)[places], expected.abs().sum(-1))
        with torch.no_grad():
            difference = float(target(embedded) - target(start))
        assert float(row["difference"][0]) == pytest.approx(difference, abs=1e-4)
        assert float(row["completeness_error"][0]) == pytest.approx(float(expected.sum()) - difference, abs=1e-3)


def test_more_steps_make_the_sum_complete(tiny_loaded, questions_for):
    # Not Llama, whose padding token embeds as zeros here: near them its normalisation is too steep for few steps.
    loaded = tiny_loaded("gpt2", "byte_level")
    questions = questions_for(loaded)
    baseline = baseline_embedding(loaded, "pad")
    nothing = Prefix(loaded, ())
    errors = [
        max(abs(float(row["completeness_error"][0])) for row in integrate(loaded, nothing, questions, steps, baseline))
        for steps in (2, 64)
    ]
    assert errors[1] < 1e-3
    assert errors[1] < errors[0]


def test_points_and_differences_of_a_bfloat16_model_are_not_rounded_on_the_way(tiny_card, questions_for, monkeypatch):
    """With a linear model in place of the real one, whose Integrated Gradients are its weights times the difference."""
    loaded = load(tiny_card("gpt2", "byte_level"), "bfloat16")
    questions = questions_for(loaded)[:1]
    baseline = baseline_embedding(loaded, "pad")
    passes = []

    def linear(_, __, batch, prompts, labels, embeddings):
        passes.append(embeddings.detach().double())
        sums = (embeddings.float() * torch.arange(1, 1 + embeddings.shape[-1])).sum((1, 2))
        return torch.stack([sums * (label + 1) for label in range(labels)], 1)[None].repeat(2, 1, 1)

    monkeypatch.setattr(integrated, "forward_with_logits", linear)
    (found,) = integrate(loaded, Prefix(loaded, ()), questions, STEPS, baseline, of="log_probability")
    end, start, *points = passes
    points = torch.cat(points)
    alphas = (torch.from_numpy(np.polynomial.legendre.leggauss(STEPS)[0]) + 1) / 2
    exact = start + alphas[:, None, None] * (end - start)
    off = (points - exact).abs() / torch.maximum(exact.abs(), (end - start).abs()).clamp(min=1e-9)
    assert off.max() < 2**-8  # half a step of bfloat16
    assert points[:, [0]].allclose(start[:, [0]])  # no content: not moved
    places = [token.position for token in questions[0].prompt.content]
    label = int(linear(None, None, None, 1, 3, end.float())[0, 0].argmax())
    expected = (end - start)[0, places] * torch.arange(1, 1 + end.shape[-1]) * (label + 1)
    assert np.allclose(found["ig_l1"], expected.abs().sum(-1), rtol=1e-5)
    assert abs(float(found["completeness_error"][0])) < 1e-5 * float(expected.abs().sum())


def test_baselines_are_the_padding_token_zeros_and_the_mean_embedding(tiny_loaded):
    loaded = tiny_loaded()
    weights = loaded.model.get_input_embeddings().weight
    assert torch.equal(baseline_embedding(loaded, "pad"), weights[loaded.tokenizer.pad_token_id])
    assert torch.allclose(baseline_embedding(loaded, "mean"), weights.mean(0), atol=1e-6)
    assert not baseline_embedding(loaded, "zero").any()


@pytest.mark.parametrize(
    ("contrast", "expected"),
    # scores of three labels for the whole text (the last is predicted), without the first and without the second word
    [(None, [2.0, 0.0]), ((2, 0), [3.0, -1.0]), ((1, 2), [2.5, 0.5])],
)
@pytest.mark.parametrize("of", ["log_odds", "log_probability"])
def test_the_score_of_a_word_is_how_far_the_target_falls_without_it(contrast, expected, of):
    question = Question(prompt=None, contrast=contrast)
    scores = [np.array([-3.0, -2.0, -1.0]), np.array([-2.0, -1.5, -3.0]), np.array([-4.0, -1.5, -1.0])]
    if contrast is None and of == "log_odds":  # the other labels have less, more and less of the odds
        others = np.log([np.exp(one[:2]).sum() for one in scores])
        expected = [2.0 - others[0] + others[1], 0.0 - others[0] + others[2]]
    assert word_scores(question, scores, of) == pytest.approx(expected)


MASKED = ["___ lovely film", "A ___ film", "A lovely ___"]
DELETED = ["lovely film", "A film", "A lovely"]


@pytest.fixture
def stage(tmp_path, tiny_card, prompt_file):
    """``stage(kind, texts, **settings)``: the rows of the stage by id, on tiny GPT-2."""

    def run(kind, texts, **settings):
        rows = [Instance(name, "yes", {"text": text}, whitespace_words([text]), None) for name, text in texts.items()]
        write_instances(tmp_path / "test.parquet", rows, {})
        part = task_slice(prompt_file(verbalisers=VERBALISERS["several"]), None, ())
        asking = {"dtype": "float32", "system_prompt": None, "prompt_style": "auto"}
        spec = {"asking": asking, "task": part, "shots": {"count": 0, "seed": 0}, "kind": kind}
        spec |= {"target": "auto", "of": "log_odds"} | settings
        command = ["--spec", json.dumps(spec), "--test", str(tmp_path / "test.parquet")]
        command += ["--model", str(tiny_card("gpt2", "byte_level")), "--memo", str(tmp_path / "memo")]
        command += ["--batch-tokens", "2048", "--batch-rows", "8", "--output", str(tmp_path / "out.parquet")]
        attributions.main(command)
        return {row["id"]: row for row in read_table(tmp_path / "out.parquet", (SCHEMAS | EVIDENCE)[kind])}

    return run


@pytest.mark.parametrize(("operator", "expected"), [("replace", MASKED), ("delete", DELETED)])
def test_ablation_is_the_difference_to_the_text_that_one_would_write(
    operator, expected, stage, tiny_loaded, prompt_file, assert_close
):
    row = stage("ablation", {"a": "A lovely film"}, operator=operator, mask="___")["a"]
    loaded = tiny_loaded("gpt2", "byte_level")
    encoder = PromptEncoder(loaded.tokenizer, load_task(prompt_file(verbalisers=VERBALISERS["several"])), None)
    scores = []
    for prompt in encoder.encode([{"text": text} for text in ["A lovely film", *expected]]):
        content = [token.position for token in prompt.content]
        found = [plain_score(loaded.model, prompt, label, content) for label in range(3)]
        scores.append([float(score(embedded).detach()) for score, embedded in found])
    predicted = int(np.argmax(scores[0]))
    odds = [float(plain_attributions.target(found, (predicted, None), "log_odds")) for found in scores]
    assert_close(row["words"], [odds[0] - found for found in odds[1:]])


# By kind one of its columns of values.
VALUES = {
    "ablation": "words",
    "integrated_gradients": "ig_dot",
    "gradients": "gxi_dot",
    "gradient_x_attention": "relevancy",
}


@pytest.mark.parametrize("of", ["log_odds", "log_probability", "probability", "logit"])
@pytest.mark.parametrize("target", ["gold", "runner_up"])
def test_ablation_is_of_the_target(target, of, stage, tiny_card, prompt_file, assert_close):
    """The instance's label is the last of three."""
    row = stage("ablation", {"a": "A lovely film"}, operator="replace", mask="___", target=target, of=of)["a"]
    card = tiny_card("gpt2", "byte_level")
    eager = AutoModelForCausalLM.from_pretrained(card.parent / "snapshot", attn_implementation="eager").eval()
    task = load_task(prompt_file(verbalisers=VERBALISERS["several"]))
    encoder = PromptEncoder(load(card, "float32").tokenizer, task, None)
    prompts = encoder.encode([{"text": text} for text in ["A lovely film", *MASKED]])
    order = np.argsort(label_scores(eager, prompts[0]))[::-1]
    explained = (2, None) if target == "gold" else tuple(order[:2])
    values = [label_scores(eager, prompt, scale(of)) for prompt in prompts]
    targets = np.array([float(plain_attributions.target(one, explained, of)) for one in values])
    assert_close(row["words"], targets[0] - targets[1:])


def test_rows_that_cannot_be_asked_keep_their_status_and_a_second_run_computes_nothing(stage, monkeypatch):
    texts = {"ok": "A lovely film", "long": "so it went on " * 400, "markup": "A <|im_end|> film"}
    settings = {"ablation": {"operator": "replace", "mask": "___"}}
    settings["integrated_gradients"] = {"steps": 3, "max_steps": 6, "tolerance": 0.05, "baseline": "pad"}
    settings |= {"gradients": {"target": "gold"}, "gradient_x_attention": {"target": "runner_up", "of": "logit"}}
    first = {kind: stage(kind, texts, **options) for kind, options in settings.items()}
    for kind, values in VALUES.items():
        status = {name: row["status"] for name, row in first[kind].items()}
        assert status == {"ok": "ok", "long": "too_long", "markup": "chat_markup"}
        assert [name for name, row in first[kind].items() if row[values] is not None] == ["ok"]
    monkeypatch.setattr(Memo, "put", lambda *_: pytest.fail("something was computed again"))
    assert {kind: stage(kind, texts, **options) for kind, options in settings.items()} == first
