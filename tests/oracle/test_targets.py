"""What is explained: which label, against which other, on which scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_attributions import label_scores, scale, statistics, target
from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.evidence.attributions import word_scores
from rationale_eval.evidence.gradient_x_attention import measure_gradient_x_attention
from rationale_eval.evidence.integrated import baseline_embedding, integrate
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.questions import question_key, question_of
from rationale_eval.evidence.targets import Question, target_values
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, score_labels_with_logits, shared_prefix
from rationale_eval.models.task import load_task
from transformers import AutoModelForCausalLM

TEXTS = ("A lovely film.", "The hotel near the station was dreadful and stale last week!")
VERBALISERS = {"no": "negative", "maybe": "neither of them", "yes": "positive indeed"}
SCALES = ("log_odds", "log_probability", "probability", "logit")
TARGETS = {
    "predicted": {},
    "gold": {"gold": 1},
    "runner-up": {"runner_up": True},
    "foil": {"contrast": (2, 1)},
}
SUMS = {"grad_sum": "grad_l1", "gxi_dot": "gxi_l1"}


@pytest.fixture
def task(prompt_file):
    return load_task(prompt_file(verbalisers=VERBALISERS))


@pytest.fixture
def prompts_for(task):
    return lambda loaded: PromptEncoder(loaded.tokenizer, task, None).encode([{"text": text} for text in TEXTS])


@pytest.fixture
def eager(tiny_card):
    folder = tiny_card("gpt2", "byte_level").parent / "snapshot"
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.mark.parametrize("of", SCALES)
@pytest.mark.parametrize("explained", TARGETS.values(), ids=TARGETS.keys())
def test_gradients_and_gradient_x_attention_are_of_the_target(
    of, explained, tiny_loaded, eager, prompts_for, assert_close
):
    loaded = tiny_loaded("gpt2")
    questions = [Question(prompt, **explained) for prompt in prompts_for(loaded)]
    prefix = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    gradients = measure(loaded, prefix, questions, gradients=True, attention=False, of=of)
    attention = measure_gradient_x_attention(loaded, prefix, questions, of=of)
    for question, first, second in zip(questions, gradients, attention, strict=True):
        scores = label_scores(eager, question.prompt)
        assert_close(first["scores"], scores)
        expected = statistics(eager, question.prompt, question.explained(scores), of)
        for found, kind in ((first, "gradients"), (second, "gradient_x_attention")):
            for name, values in expected[kind].items():
                assert_close(found[name], values, expected[kind][SUMS.get(name, name)])


@pytest.mark.parametrize("of", SCALES)
@pytest.mark.parametrize("explained", TARGETS.values(), ids=TARGETS.keys())
def test_integrated_gradients_add_up_to_the_change_of_the_target(of, explained, tiny_loaded, eager, prompts_for):
    loaded = tiny_loaded("gpt2")
    questions = [Question(prompt, **explained) for prompt in prompts_for(loaded)]
    found = integrate(loaded, Prefix(loaded, ()), questions, 48, baseline_embedding(loaded, "mean"), of=of)
    for question, row in zip(questions, found, strict=True):
        explained = question.explained(label_scores(eager, question.prompt))
        values = []
        for content in (None, eager.get_input_embeddings().weight.detach().mean(0)):
            scores = label_scores(eager, question.prompt, scale(of), content)
            values.append(float(target(scores, explained, of)))
        size = float(np.abs(row["ig_l1"]).sum())
        assert float(row["difference"][0]) == pytest.approx(values[0] - values[1], abs=1e-4 * size)
        assert float(row["ig_dot"].sum()) == pytest.approx(values[0] - values[1], abs=1e-3 * size)


def test_the_sums_of_logits_are_the_models(tiny_loaded, eager, prompts_for, assert_close):
    loaded = tiny_loaded("gpt2")
    prompts = prompts_for(loaded)
    scores, logits = score_labels_with_logits(loaded, Prefix(loaded, ()), prompts)
    for index, prompt in enumerate(prompts):
        assert_close(scores[index], label_scores(eager, prompt))
        assert_close(logits[index], label_scores(eager, prompt, "logit"))


# Scores of three labels, of which the second is predicted; then the label explained and what it is held against.
WORKED = [
    ({}, (1, None)),
    ({"gold": 0}, (0, None)),
    ({"gold": 1}, (1, None)),
    ({"runner_up": True}, (1, 2)),
    ({"contrast": (0, 2)}, (1, 2)),
    ({"contrast": (0, 1)}, (1, 0)),
]


@pytest.mark.parametrize(("explained", "expected"), WORKED)
def test_what_is_explained(explained, expected):
    assert Question(None, **explained).explained([-3.0, -0.5, -1.0]) == expected


def test_of_equal_scores_the_earlier_label_is_predicted():
    assert Question(None, runner_up=True).explained([-2.0, -1.0, -1.0]) == (1, 2)


def test_targets_of_worked_scores():
    found = torch.tensor([[[-1.0, -2.0], [-0.5, -0.25]], [[3.0, 5.0], [7.0, 2.0]]])
    pairs = [(0, 1), (1, None)]
    # Against one other label the log-odds are a difference, against two the logit of the share that they leave.
    assert target_values(found, pairs, "log_odds").tolist() == pytest.approx([1.0, 0.25])
    assert target_values(found, pairs, "log_probability").tolist() == pytest.approx([1.0, -0.25])
    assert target_values(found, pairs, "probability").tolist() == pytest.approx(
        [np.exp(-1) - np.exp(-2), np.exp(-0.25)]
    )
    assert target_values(found, pairs, "logit").tolist() == pytest.approx([-2.0, 2.0])


def test_log_odds_of_three_labels_by_hand():
    """Labels that have 6, 3 and 1 % of all answers have odds of 6 : 4, 3 : 7 and 1 : 9 among themselves."""
    scores = torch.tensor([[0.06, 0.03, 0.01]]).log().repeat(3, 1)[None]
    found = target_values(scores, [(label, None) for label in range(3)], "log_odds")
    assert found.exp().tolist() == pytest.approx([6 / 4, 3 / 7, 1 / 9])
    assert target_values(scores, [(2, 1)] * 3, "log_odds").exp().tolist() == pytest.approx([1 / 3] * 3)


def test_what_all_labels_share_is_no_part_of_the_log_odds():
    """Their gradient is 1 for the label and minus each other label's share of the others: it adds up to 0."""
    scores = torch.tensor([[[-1000.0, -1001.0, -1000.5]]], requires_grad=True)  # whose exponentials are 0 in float32
    target_values(scores, [(0, None)], "log_odds").sum().backward()
    shares = np.exp([-1001.0 + 1000.5, 0.0])
    assert scores.grad[0, 0].tolist() == pytest.approx([1.0, *(-shares / shares.sum())], abs=1e-6)


@pytest.mark.parametrize("of", ["log_odds", "log_probability"])
def test_of_two_labels_the_log_odds_are_the_contrast_with_the_runner_up(of, tiny_loaded, prompt_file, assert_close):
    loaded = tiny_loaded("gpt2")
    task = load_task(prompt_file(verbalisers={"no": "a dreadful film", "yes": "positive indeed"}))
    prompts = PromptEncoder(loaded.tokenizer, task, None).encode([{"text": text} for text in TEXTS])
    nothing, baseline = Prefix(loaded, ()), baseline_embedding(loaded, "mean")
    pairs = []
    for explained, scale_of in (({}, "log_odds"), ({"runner_up": True}, of)):
        questions = [Question(prompt, **explained) for prompt in prompts]
        pairs.append(
            [
                (*measure(loaded, nothing, questions, True, False, of=scale_of),),
                (*measure_gradient_x_attention(loaded, nothing, questions, of=scale_of),),
                (*integrate(loaded, nothing, questions, 4, baseline, of=scale_of),),
            ]
        )
    for odds, contrast in zip(*pairs, strict=True):
        for one, other in zip(odds, contrast, strict=True):
            for name in set(other) - {"difference", "completeness_error"}:
                assert_close(one[name], other[name], other[SUMS.get(name, "ig_l1" if name == "ig_dot" else name)])


def test_the_target_of_a_bfloat16_model_loses_nothing_after_its_last_states(tiny_card, prompt_file):
    """Labels of one token: their logits are products of the last states in float32, and the normaliser cancels."""
    loaded = load(tiny_card("gpt2", "byte_level"), "bfloat16")
    task = load_task(prompt_file(verbalisers={"no": "negative", "maybe": "light", "yes": "positive"}))
    prompts = PromptEncoder(loaded.tokenizer, task, None).encode([{"text": text} for text in TEXTS])
    assert {len(ids) for prompt in prompts for ids in prompt.labels} == {1}
    head = loaded.model.get_output_embeddings()
    states = []
    handle = head.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0].double()))
    for prompt in prompts:
        found = score_labels_with_logits(loaded, Prefix(loaded, ()), [prompt])
        value = target_values(found, [(1, None)], "log_odds")
        assert value.dtype == torch.float32
        last = states.pop()[0, len(prompt.tokens) - 1]
        logits = [float(last @ head.weight[token].double()) for (token,) in prompt.labels]
        odds = np.exp(logits[1]) / (np.exp(logits[0]) + np.exp(logits[2]))
        assert float(value) == pytest.approx(np.log(odds), abs=1e-5)
    handle.remove()


@pytest.mark.parametrize(
    ("of", "expected"),
    [("log_odds", 1.0 + 2.9), ("log_probability", 2.0), ("probability", np.exp(-1) - np.exp(-3)), ("logit", 4.0 - 6.0)],
)
def test_a_word_scores_what_the_target_loses_without_it(of, expected):
    """The label that is predicted for the whole text, the second, is followed."""
    scores = [np.array([-2.0, -1.0], dtype=np.float32), np.array([-0.1, -3.0], dtype=np.float32)]
    logits = [np.array([9.0, 4.0], dtype=np.float32), np.array([1.0, 6.0], dtype=np.float32)]
    found = [np.stack(pair) for pair in zip(scores, logits, strict=True)] if of == "logit" else scores
    assert word_scores(Question(None), found, of) == pytest.approx([expected])


def instance(foil=None):
    return Instance("row-7", "maybe", {"text": "A film"}, (), None, foil=foil)


@pytest.mark.parametrize(
    ("target", "foil", "expected"),
    [
        ("auto", None, {}),
        ("auto", "yes", {"contrast": (1, 2)}),
        ("foil", "yes", {"contrast": (1, 2)}),
        ("predicted", "yes", {}),
        ("gold", "yes", {"gold": 1}),
        ("runner_up", None, {"runner_up": True}),
    ],
)
def test_the_question_of_a_target(target, foil, expected, task):
    assert question_of(instance(foil), None, task, target) == Question(None, **expected)


def test_a_foil_that_an_instance_lacks_is_named(task):
    with pytest.raises(UserError, match=r"'row-7' has no foil.*runner_up"):
        question_of(instance(), None, task, "foil")


def test_what_is_explained_is_part_of_the_memos_key(tiny_loaded, prompts_for):
    (prompt, _) = prompts_for(tiny_loaded("gpt2"))
    keys = {question_key(Question(prompt, **explained)) for explained in TARGETS.values()}
    assert len(keys) == len(TARGETS)
