"""Sampled replies: the model's own distribution, the same in any batch, in any run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rationale_eval.memo import digest
from rationale_eval.models.generation import generate
from rationale_eval.models.sampling import Sampling, pick, probabilities, uniform_numbers
from rationale_eval.models.scoring import Prefix, shared_tokens
from scipy import stats

TEXTS = ["the garden was warm", "a bleak and hollow novel by the lake", "fine", "such a lovely evening with friends"]
NEW = 12


def never(_: str) -> bool:
    return False


def prompts_of(tokenizer) -> list[tuple[int, ...]]:
    return [tuple(tokenizer(f"Name the words. Text: {text}", add_special_tokens=False)["input_ids"]) for text in TEXTS]


def keys_of(prompts, seed=0, sample=0) -> list[str]:
    return [digest([prompt, seed, sample]) for prompt in prompts]


def chi_square(counts, expected) -> float:
    """The p-value of ``counts`` under the probabilities ``expected``; rare tokens are put together."""
    n = counts.sum()
    common = expected * n >= 5
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum()) * n
    kept = wanted > 0
    assert observed[~kept].sum() == 0, "a token without probability was drawn"
    return float(stats.chisquare(observed[kept], wanted[kept] * observed.sum() / wanted[kept].sum()).pvalue)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.3, 1.0), (1.0, 0.5)])
def test_first_tokens_come_as_often_as_the_softmax_says(tiny_loaded, temperature, top_p):
    loaded = tiny_loaded()
    prompt = prompts_of(loaded.tokenizer)[0]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([prompt])).logits[0, -1].double().numpy() / temperature
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    if top_p < 1:
        order = np.argsort(-expected)
        kept = order[: np.searchsorted(np.cumsum(expected[order]), top_p) + 1]
        expected = np.where(np.isin(np.arange(len(expected)), kept), expected, 0)
        expected /= expected.sum()
    keys = [digest([prompt, 0, sample]) for sample in range(2000)]
    numbers = torch.tensor([uniform_numbers(key, 1)[0] for key in keys])
    same = torch.tensor(logits * temperature).repeat(len(keys), 1)
    drawn = pick(same, Sampling(temperature, top_p), numbers)
    assert chi_square(np.bincount(drawn, minlength=len(expected)), expected) > 0.001
    # And by way of generation: a reply of one token each.
    sampling = Sampling(temperature, top_p)
    replies = generate(loaded, Prefix(loaded, ()), [prompt] * 300, 1, never, 64, sampling, keys[:300])
    stops = [reply.tokens[0] if reply.tokens else None for reply in replies]
    assert [token for token in stops if token is not None] == [
        int(token) for token, reply in zip(drawn[:300], replies, strict=True) if reply.tokens
    ]


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_reply_does_not_depend_on_the_batch(tiny_loaded, architecture):
    loaded = tiny_loaded(architecture)
    prompts = prompts_of(loaded.tokenizer)
    keys, sampling = keys_of(prompts), Sampling(1.0, 0.9)
    together = generate(loaded, Prefix(loaded, shared_tokens(prompts)), prompts, NEW, never, 2, sampling, keys)
    alone = [
        generate(loaded, Prefix(loaded, ()), [prompt], NEW, never, 1, sampling, [key])[0]
        for prompt, key in zip(prompts, keys, strict=True)
    ]
    assert together == alone
    backwards = generate(loaded, Prefix(loaded, ()), prompts[::-1], NEW, never, 3, sampling, keys[::-1])
    assert backwards[::-1] == together


def test_seeds_and_samples_differ_and_greedy_is_not_sampled(tiny_loaded):
    loaded = tiny_loaded()
    prompts = prompts_of(loaded.tokenizer)

    def drawn(**which):
        replies = generate(loaded, Prefix(loaded, ()), prompts, NEW, never, 4, Sampling(1.5), keys_of(prompts, **which))
        return [reply.tokens for reply in replies]

    greedy = [reply.tokens for reply in generate(loaded, Prefix(loaded, ()), prompts, NEW, never, 4)]
    found = [drawn(), drawn(sample=1), drawn(seed=1), greedy]
    assert all(one != other for place, one in enumerate(found) for other in found[:place])
    assert drawn() == found[0]
    cold = generate(loaded, Prefix(loaded, ()), prompts, NEW, never, 4, Sampling(1e-6), keys_of(prompts))
    assert [reply.tokens for reply in cold] == greedy


def test_the_nucleus_is_the_smallest_set_that_has_the_probability():
    logits = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()
    for top_p, kept in ((0.4, [0]), (0.5, [0]), (0.51, [0, 1]), (0.75, [0, 1, 2]), (1.0, [0, 1, 2, 3])):
        found = probabilities(logits, Sampling(1.0, top_p))[0]
        assert found.nonzero().flatten().tolist() == kept
        assert found.sum() == pytest.approx(1)


def test_numbers_are_the_keys_own():
    assert uniform_numbers(digest("a"), 5)[:3].tolist() == uniform_numbers(digest("a"), 3).tolist()
    assert uniform_numbers(digest("a"), 3).tolist() != uniform_numbers(digest("b"), 3).tolist()
    assert ((uniform_numbers(digest("c"), 1000) >= 0) & (uniform_numbers(digest("c"), 1000) < 1)).all()
