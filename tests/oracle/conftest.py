"""Fixtures of the tests that run stages on tiny models."""

from __future__ import annotations

import pytest


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
