"""Several verbalisers of several tokens in one row give the scores and gradients that a row for each of them gives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from rationale_eval.evidence import measure as measuring
from rationale_eval.evidence.measure import measure
from rationale_eval.evidence.targets import Question
from rationale_eval.models import scoring
from rationale_eval.models.encoding import PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, can_pack, collate, rows_of, score_labels, shared_prefix
from rationale_eval.models.task import load_task

TEXTS = ("A lovely film.", "The hotel near the station was dreadful and stale last week!", "grim")
LABELS = {"a": "a dreadful film", "b": "positive indeed", "c": "negative", "d": "neither the one nor the other"}
ARCHITECTURES = ("llama", "qwen2", "gpt2", "gemma2")


@pytest.fixture
def prompts_for(prompt_file):
    """``prompts_for(loaded)``: the prompts of ``TEXTS``."""

    def prompts(loaded):
        encoder = PromptEncoder(loaded.tokenizer, load_task(prompt_file(verbalisers=LABELS)), None)
        return encoder.encode([{"text": text} for text in TEXTS])

    return prompts


@pytest.fixture
def unpacked(monkeypatch):
    """``unpacked(function)``: what it returns when no rows are packed."""

    def call(function):
        with monkeypatch.context() as patch:
            for module in (scoring, measuring):
                patch.setattr(module, "can_pack", lambda *_: False)
            return function()

    return call


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("behind_prefix", [True, False])
def test_scores_do_not_depend_on_packing(architecture, behind_prefix, tiny_card, prompts_for, unpacked, assert_close):
    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    prompts = prompts_for(loaded)
    if architecture == "gemma2":
        loaded.model.config.sliding_window = 4096  # as wide as in the published models
    assert can_pack(loaded, prompts)
    prefix = Prefix(loaded, shared_prefix(prompts, before_content=False) if behind_prefix else ())
    found = score_labels(loaded, prefix, prompts)
    assert_close(found, unpacked(lambda: score_labels(loaded, prefix, prompts)))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("contrast", [None, (0, 1), (3, 2)])
def test_evidence_does_not_depend_on_packing(architecture, contrast, tiny_loaded, prompts_for, unpacked, assert_close):
    loaded = tiny_loaded(architecture, "byte_level")
    questions = [Question(prompt, contrast) for prompt in prompts_for(loaded)]
    prefix = Prefix(loaded, shared_prefix([question.prompt for question in questions], before_content=True))
    packed = measure(loaded, prefix, questions, gradients=True, attention=True)
    for found, expected in zip(
        packed, unpacked(lambda: measure(loaded, prefix, questions, gradients=True, attention=True)), strict=True
    ):
        assert set(found) == set(expected)
        for name in ("scores", "grad_l1", "grad_l2", "gxi_l1", "gxi_l2", "last", "mean", "rollout"):
            assert_close(found[name], expected[name])


def test_a_packed_row_holds_each_token_once_and_its_branches_do_not_see_each_other(tiny_loaded, prompts_for):
    loaded = tiny_loaded()
    prompts = prompts_for(loaded)
    rows = [row for owner, prompt in enumerate(prompts) for row in rows_of(owner, prompt, True)]
    assert len(rows) == len(prompts)
    batch = collate(rows, Prefix(loaded, ()), loaded)
    for row, prompt, mask, positions in zip(rows, prompts, batch.mask[:, 0] == 0, batch.positions, strict=True):
        assert len(row.tokens) == len(prompt.tokens) + sum(len(ids) - 1 for ids in prompt.labels)
        start = len(prompt.tokens)
        for length in row.branches:
            for step in range(length):
                seen = set(torch.nonzero(mask[start + step]).flatten().tolist())
                assert seen == {*range(len(prompt.tokens)), *range(start, start + step + 1)}
                assert int(positions[start + step]) == len(prompt.tokens) + step
            start += length
        assert start == len(row.tokens)


def test_rows_are_not_packed_where_a_window_or_the_mask_itself_gives_positions(tiny_loaded, prompts_for):
    loaded = tiny_loaded("mistral", "byte_level")
    assert loaded.model.config.sliding_window < len(prompts_for(loaded)[1].tokens)
    assert not can_pack(loaded, prompts_for(loaded))
    plain = tiny_loaded()
    prompts = prompts_for(plain)
    for config in ({"model_type": "bloom"}, {"model_type": "falcon", "alibi": True}):
        text = SimpleNamespace(**config)
        model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda text=text: text))
        assert not can_pack(SimpleNamespace(model=model, max_length=4096), prompts)
