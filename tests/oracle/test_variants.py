"""Prompts laid out as prefix trees score as one plain forward pass for each of them and each label."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import tiny_models
import torch
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.corpora.instances import whitespace_words
from rationale_eval.faithfulness.masking import mask_words
from rationale_eval.memo import Memo
from rationale_eval.models import variants
from rationale_eval.models.encoding import Prompt, PromptEncoder
from rationale_eval.models.loading import load
from rationale_eval.models.scoring import Prefix, can_pack, shared_prefix
from rationale_eval.models.task import load_task
from rationale_eval.models.variants import common_length, rows_of_prompts, score_trees, score_variants, tree_of

TEXTS = ("A lovely film.", "The hotel near the station was dreadful and stale last week!", "A lovely, grim journey")
VERBALISERS = {
    "single": {"no": "negative", "yes": "positive"},
    "several": {"no": "a dreadful film", "other": "a dreadful hotel", "yes": "positive indeed", "maybe": "negative"},
}


def masked(encoder, operator="replace"):
    """Prompts of ``TEXTS``, whole and without each word, some of them twice."""
    fields = []
    for text in TEXTS:
        words = whitespace_words([text])
        for left_out in [None, *range(len(words)), 0]:
            chosen = tuple(place == left_out for place in range(len(words)))
            fields.append(mask_words({"text": text}, words, chosen, operator, "___"))
    return encoder.encode(fields)


@pytest.fixture
def encoder_for(prompt_file):
    """``encoder_for(loaded, verbalisers)``."""

    def made(loaded, verbalisers="several"):
        return PromptEncoder(loaded.tokenizer, load_task(prompt_file(verbalisers=VERBALISERS[verbalisers])), None)

    return made


def plain(loaded, prompts):
    """One unpadded forward pass for each label of each prompt, without cache and mask."""
    scores = []
    for prompt in prompts:
        for answer in prompt.labels:
            ids = torch.tensor([[*prompt.tokens, *answer]])
            with torch.no_grad():
                logits = loaded.model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
            places = range(len(prompt.tokens), ids.shape[1])
            scores.append(sum(float(logits[place - 1, ids[0, place]]) for place in places))
    return np.array(scores).reshape(len(prompts), -1)


def stage(tmp_path, tokens=300, rows=3, memo="memo"):
    return argparse.Namespace(memo=tmp_path / memo, batch_tokens=tokens, batch_rows=rows)


@pytest.mark.parametrize("architecture", tiny_models.ARCHITECTURES)
@pytest.mark.parametrize("verbalisers", VERBALISERS)
@pytest.mark.parametrize("operator", ["replace", "delete"])
def test_variants_score_as_plain_passes_on_every_architecture(
    architecture, verbalisers, operator, tiny_card, encoder_for, assert_close, tmp_path
):
    """Windows of Mistral and Phi-3 are shorter than the prompts, which then do not go into trees; Gemma's are wide."""
    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    if architecture.startswith("gemma"):
        loaded.model.config.sliding_window = 4096
    prompts = masked(encoder_for(loaded, verbalisers), operator)
    assert can_pack(loaded, prompts) == (architecture not in ("mistral", "phi3"))
    expected = plain(loaded, prompts)
    assert_close(score_variants("variants", prompts, loaded, stage(tmp_path)), expected)
    assert np.abs(expected - expected.mean(axis=0)).max() > 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("architecture", ["mistral", "gemma2"])
def test_trees_are_exact_where_a_window_is_as_long_as_the_prompts(
    architecture, tiny_card, encoder_for, assert_close, tmp_path, monkeypatch
):
    """Rows are then longer than the window; what counts is how deep they are."""
    monkeypatch.setattr(variants, "ROW_TOKENS", 10_000)
    loaded = load(tiny_card(architecture, "byte_level"), "float32")
    prompts = masked(encoder_for(loaded))
    loaded.model.config.sliding_window = max(len(one.tokens) + sum(map(len, one.labels)) for one in prompts)
    assert can_pack(loaded, prompts)
    (row,) = rows_of_prompts(prompts, 0, 10_000)
    assert len(tree_of(prompts, row, 0).tokens) > loaded.model.config.sliding_window
    assert_close(score_variants("variants", prompts, loaded, stage(tmp_path, 10_000)), plain(loaded, prompts))


@pytest.mark.parametrize("behind_prefix", [True, False])
@pytest.mark.parametrize("longest_row", [1, 40, 10_000])
def test_scores_do_not_depend_on_how_rows_are_cut(
    behind_prefix, longest_row, tiny_loaded, encoder_for, assert_close, monkeypatch
):
    monkeypatch.setattr(variants, "ROW_TOKENS", longest_row)
    loaded = tiny_loaded()
    prompts = masked(encoder_for(loaded))
    prefix = Prefix(loaded, shared_prefix(prompts, before_content=False) if behind_prefix else ())
    assert_close(score_trees(loaded, prefix, prompts, longest_row)[0], plain(loaded, prompts))


def test_each_token_in_its_context_is_computed_once(tiny_loaded, encoder_for, monkeypatch):
    monkeypatch.setattr(variants, "ROW_TOKENS", 10_000)
    prompts = list(dict.fromkeys(masked(encoder_for(tiny_loaded()))))
    start = len(shared_prefix(prompts, before_content=False))
    (row,) = rows_of_prompts(prompts, start, 10_000)
    tree = tree_of(prompts, row, start)
    paths = [prompt.tokens + answer[:-1] for prompt in prompts for answer in prompt.labels]
    contexts = {path[:end] for path in paths for end in range(start + 1, len(path) + 1)}
    assert len(tree.tokens) == len(contexts)
    for node, parent in enumerate(tree.parents):
        assert parent < node
        assert tree.depths[node] == (start if parent < 0 else tree.depths[parent] + 1)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=9), min_size=1, max_size=12),
    st.integers(1, 30),
    st.integers(1, 12),
)
def test_rows_hold_every_prompt_once_within_the_limit_and_repeat_from_any_of_their_starts(texts, limit, row_tokens):
    prompts = [Prompt("", (7, *tokens), (), ((1, 2), (3,))) for tokens in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "ROW_TOKENS", row_tokens)
        rows = rows_of_prompts(prompts, 1, limit)
        assert sorted(index for row in rows for index in row) == list(range(len(prompts)))
        for row in rows:
            assert len(row) == 1 or len(tree_of(prompts, row, 1).tokens) <= limit
        # A batch is a stretch of rows, given as its prompts: they must fall into the same rows again.
        for first in range(len(rows)):
            part = [index for row in rows[first:] for index in row]
            again = rows_of_prompts([prompts[index] for index in part], 1, limit)
            assert [[part[index] for index in row] for row in again] == rows[first:]


def test_the_common_start_of_two_sequences():
    assert common_length((1, 2, 3), (1, 2, 4)) == 2
    assert common_length((1, 2), (1, 2, 4)) == 2
    assert common_length((), (1,)) == 0


def test_variants_are_scored_once_and_the_log_says_how_much_that_saves(tiny_loaded, encoder_for, tmp_path, capsys):
    loaded = tiny_loaded()
    prompts = masked(encoder_for(loaded))
    different = len({prompt.tokens for prompt in prompts})
    assert different < len(prompts)
    first = score_variants("variants", prompts, loaded, stage(tmp_path))
    log = capsys.readouterr().err
    assert f"variants: {len(prompts)} inputs asked for, {different} different ones" in log
    assert f"variants: {different} inputs, 0 in the memo, {different} to compute" in log
    again = score_variants("variants", prompts, loaded, stage(tmp_path))
    assert f"{different} in the memo, 0 to compute" in capsys.readouterr().err
    assert np.array_equal(first, again)


def test_a_run_that_was_killed_goes_on_to_identical_scores(tiny_loaded, encoder_for, tmp_path, monkeypatch):
    loaded = tiny_loaded()
    prompts = masked(encoder_for(loaded))
    put, puts = Memo.put, []

    def killed_after_two(memo, results):
        put(memo, results)
        puts.append(len(results))
        if len(puts) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(variants, "ROW_TOKENS", 30)
        whole = score_variants("variants", prompts, loaded, stage(tmp_path, 60, 2, "uninterrupted"))
        patch.setattr(Memo, "put", killed_after_two)
        with pytest.raises(KeyboardInterrupt):
            score_variants("variants", prompts, loaded, stage(tmp_path, 60, 2))
        patch.setattr(Memo, "put", put)
        assert sum(puts) < len({prompt.tokens for prompt in prompts})
        resumed = score_variants("variants", prompts, loaded, stage(tmp_path, 60, 2))
    assert np.array_equal(whole, resumed)


def test_half_the_batch_after_running_out_of_memory_gives_the_same(
    tiny_loaded, encoder_for, tmp_path, monkeypatch, assert_close
):
    loaded = tiny_loaded()
    prompts = masked(encoder_for(loaded))

    def small_memory(loaded, prefix, prompts, max_tokens):
        if len(prompts) > 3:
            raise torch.OutOfMemoryError
        return score_trees(loaded, prefix, prompts, max_tokens)

    monkeypatch.setattr(variants, "score_trees", small_memory)
    assert_close(score_variants("variants", prompts, loaded, stage(tmp_path)), plain(loaded, prompts))


def test_what_is_too_long_for_the_model_has_no_scores(tiny_loaded, encoder_for, tmp_path):
    loaded = tiny_loaded()
    encoder = encoder_for(loaded)
    prompts = encoder.encode([{"text": "A lovely film."}, {"text": "so it went on " * 200}])
    found = score_variants("variants", prompts, loaded, stage(tmp_path))
    assert found[0].shape == (4,)
    assert found[1] is None
    assert score_variants("variants", prompts[1:], loaded, stage(tmp_path)) == [None]
    assert score_variants("variants", [], loaded, stage(tmp_path)) == []
