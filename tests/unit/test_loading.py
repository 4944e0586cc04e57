"""Loading of prepared models: no code of their own is run, and how much text one takes is known."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import tiny_models
import torch
from rationale_eval.errors import UserError
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.prepare import card as card_of
from rationale_eval.models.prepare import link_folder
from rationale_eval.tables import write_json
from transformers import BloomConfig, LlamaConfig, MptConfig


def prepared(tmp_path, change):
    """A tiny model whose config.json has the entries ``change``."""
    source = tiny_models.make_tiny_llama(tmp_path / "own")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | change))
    link_folder(source, tmp_path / "prepared" / "snapshot")
    spec = {"name": "own", "source": {}, "licence": "", "citation": ""}
    write_json(tmp_path / "prepared" / "card.json", card_of(spec, tmp_path / "prepared" / "snapshot"))
    return tmp_path / "prepared" / "card.json"


def test_code_of_a_model_is_neither_run_nor_asked_about(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("builtins.input", lambda *_: asked.append(1) or "y")
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    card = prepared(tmp_path, {"model_type": "own", "architectures": ["OwnModel"], "auto_map": code})
    with pytest.raises(UserError, match=r"^models\.own: needs code from its own repository"):
        load(card, "float32")
    assert not asked


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(max_position_embeddings=77), 77),
        (MptConfig(max_seq_len=88), 88),
        (BloomConfig(seq_length=99), 99),
        (BloomConfig(), None),
    ],
    ids=["llama", "mpt", "bloom", "bloom that does not say"],
)
def test_how_long_a_text_may_be_is_known_of_models_without_embeddings_of_positions_too(config, expected):
    model = SimpleNamespace(config=config)
    loaded = LoadedModel(model, None, torch.device("cpu"), "float32", {"name": "own"})
    if expected is not None:
        assert loaded.max_length == expected
        return
    with pytest.raises(UserError, match=r"^models\.own: its config\.json does not say how long"):
        _ = loaded.max_length
