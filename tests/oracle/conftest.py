"""Fixtures of the tests that run stages on tiny models."""

from __future__ import annotations

import copy
import functools
import json

import pytest
from prompt_texts import ANSWERS, SHOTS


@pytest.fixture
def cell_of(tmp_path, tiny_card, prompt_file):
    """``cell_of(architecture, tokenizer, **prompt)``: a cell with the tiny model of that architecture."""
    from model_cells import Cell

    def cell(architecture="llama", tokenizer="byte_level", **prompt):
        return Cell(tmp_path, tiny_card(architecture, tokenizer), prompt_file(**prompt))

    return cell


@pytest.fixture
def training(tmp_path, tiny_card, prompt_file):
    """``training(verbalisers, architecture)``: 30 rows of made-up sentences for a tiny model."""

    import tiny_models
    from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
    from training_runs import Training

    def made(verbalisers=None, architecture="llama"):
        stream = tiny_models.sentences(seed=5)
        rows = []
        for number in range(30):
            rating, text = next(stream)
            label = "positive" if rating > 0 else "negative"
            rows.append(Instance(f"row-{number}", label, {"text": text}, whitespace_words([text]), None))
        write_instances(tmp_path / "train.parquet", rows, {})
        return Training(tmp_path, tiny_card(architecture, "byte_level"), prompt_file(verbalisers=verbalisers))

    return made


@pytest.fixture(scope="module")
def tokenizer_of(tiny_card):
    """``tokenizer_of(kind)``: the tokenizer as a model's folder gives it, a fresh copy that may be changed."""
    from transformers import AutoTokenizer

    load = functools.cache(lambda kind: AutoTokenizer.from_pretrained(tiny_card("llama", kind).parent / "snapshot"))
    return lambda kind: copy.deepcopy(load(kind))


@pytest.fixture
def load_task_of(tmp_path):
    """``load_task_of(classify, verbalisers)``: the task of a prompt file with one field, ``text``."""
    from rationale_eval.models.task import load_task

    def load(classify, verbalisers=ANSWERS):
        path = tmp_path / "prompt.yaml"
        entry = {"version": 1, "fields": ["text"], "classify": classify, "verbalisers": verbalisers}
        path.write_text(json.dumps(entry), encoding="utf-8")
        return load_task(path)

    return load


@pytest.fixture(scope="module")
def encoder_of(tokenizer_of, tmp_path_factory):
    """``encoder_of(kind, classify, fields, ...)``, made once: examples of hypothesis share it."""
    from rationale_eval.models.encoding import PromptEncoder
    from rationale_eval.models.task import load_task

    folder = tmp_path_factory.mktemp("prompts")

    @functools.cache
    def encoder(kind, classify="Text: {text}\nSentiment?", fields=("text",), system="Be brief.", style="auto", shots=0):
        path = folder / "prompt.yaml"
        entry = {"version": 1, "fields": list(fields), "classify": classify, "verbalisers": ANSWERS}
        path.write_text(json.dumps(entry), encoding="utf-8")
        return PromptEncoder(tokenizer_of(kind), load_task(path), system, style, SHOTS[:shots])

    return encoder
