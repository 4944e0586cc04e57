"""A linear model of bags of words, every attribution of which is known in closed form.

Its logits after a position are W times the sum of the embeddings so far, so that with one-token answers a and b

    log p(a) - log p(b) = (W_a - W_b) · sum of e_i:

the gradient is W_a - W_b at every token, gradient x input and leave one out are (W_a - W_b) · e_i, and integrated
gradients from b are (W_a - W_b) · (e_i - b), with any number of steps.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rationale_eval.evidence.attributions import word_scores
from rationale_eval.evidence.integrated import baseline_embedding, integrate
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.targets import Question
from rationale_eval.models.encoding import ContentToken, Prompt
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Prefix, score_labels
from transformers import PretrainedConfig

VOCABULARY, HIDDEN = 20, 6
NEGATIVE, POSITIVE, PAD = 1, 2, 0


class BagOfWords(torch.nn.Module):
    """The interface of a causal language model that scoring uses, without a cache."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(11)
        self.table = torch.nn.Embedding.from_pretrained(torch.randn((VOCABULARY, HIDDEN), generator=generator))
        self.head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False)
        self.head.weight.data = torch.randn((VOCABULARY, HIDDEN), generator=generator)
        self.config = PretrainedConfig(max_position_embeddings=64)
        self.dtype = torch.float32

    def get_input_embeddings(self):
        return self.table

    def get_output_embeddings(self):
        return self.head

    def forward(self, input_ids=None, inputs_embeds=None, logits_to_keep=None, past_key_values=None, **_):
        assert past_key_values is None
        summed = (self.table(input_ids) if inputs_embeds is None else inputs_embeds).cumsum(1)
        return SimpleNamespace(logits=self.head(summed if logits_to_keep is None else summed[:, logits_to_keep]))


@pytest.fixture
def loaded():
    model = BagOfWords().eval().requires_grad_(False)
    return LoadedModel(model, SimpleNamespace(pad_token_id=PAD), torch.device("cpu"), "float32", {})


def prompt_of(tokens):
    """A prompt whose first token is no content, and whose answers are single tokens."""
    content = tuple(ContentToken(place, 0, place - 1, place) for place in range(1, len(tokens)))
    return Prompt("", tuple(tokens), content, ((NEGATIVE,), (POSITIVE,)))


PROMPTS = (prompt_of([3, 7, 12, 9, 12]), prompt_of([3, 15, 4]), prompt_of([3, 8, 8, 19, 11, 5, 6]))
CONTRAST, GOLD = {"contrast": (0, 1)}, {"gold": 0}


def direction(loaded, prompt, explained):
    """The gradient of the target: with a contrast the log-probability's, else the logit's."""
    weights = loaded.model.head.weight
    if explained == GOLD:
        return weights[NEGATIVE]
    sums = loaded.model.table(torch.tensor(prompt.tokens)).sum(0) @ weights.T
    sign = 1 if sums[POSITIVE] > sums[NEGATIVE] else -1
    return sign * (weights[POSITIVE] - weights[NEGATIVE])


@pytest.mark.parametrize(("explained", "of"), [(CONTRAST, "log_probability"), (CONTRAST, "logit"), (GOLD, "logit")])
def test_attributions_are_those_of_the_closed_form(explained, of, loaded, assert_close):
    questions = [Question(prompt, **explained) for prompt in PROMPTS]
    nothing = Prefix(loaded, ())
    gradients = measure(loaded, nothing, questions, gradients=True, attention=False, of=of)
    baseline = baseline_embedding(loaded, "pad")
    integrals = integrate(loaded, nothing, questions, 2, baseline, of=of)
    for prompt, gradient, integral in zip(PROMPTS, gradients, integrals, strict=True):
        slope = direction(loaded, prompt, explained)
        embedded = loaded.model.table(torch.tensor(prompt.tokens[1:]))
        count = torch.ones(len(embedded))
        assert_close(gradient["grad_l1"], slope.abs().sum() * count)
        assert_close(gradient["grad_l2"], slope.norm() * count)
        assert_close(gradient["grad_sum"], slope.sum() * count, slope.abs().sum())
        assert_close(gradient["gxi_dot"], embedded @ slope, gradient["gxi_l1"])
        assert_close(gradient["gxi_l1"], (embedded * slope).abs().sum(-1))
        assert_close(gradient["gxi_l2"], (embedded * slope).norm(dim=-1))
        assert_close(integral["ig_dot"], (embedded - baseline) @ slope, integral["ig_l1"])
        assert_close(integral["ig_l1"], ((embedded - baseline) * slope).abs().sum(-1))
        assert abs(float(integral["completeness_error"][0])) < 1e-4 * float(integral["ig_l1"].sum())


def test_leaving_a_word_out_takes_away_its_share(loaded, assert_close):
    for prompt in PROMPTS:
        without = [prompt_of(np.delete(prompt.tokens, place).tolist()) for place in range(1, len(prompt.tokens))]
        scores = [score_labels(loaded, Prefix(loaded, ()), [one])[0].numpy() for one in (prompt, *without)]
        found = word_scores(Question(prompt, runner_up=True), scores, "log_probability")
        slope = direction(loaded, prompt, CONTRAST)
        assert_close(found, loaded.model.table(torch.tensor(prompt.tokens[1:])) @ slope)
