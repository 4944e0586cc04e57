"""Loading of prepared models: no code of their own is run, and how much text one takes is known."""

from __future__ import annotations

import json

import pytest
import tiny_models
from rationale_eval.errors import UserError
from rationale_eval.models.loading import load
from rationale_eval.models.prepare import card as card_of
from rationale_eval.models.prepare import link_folder
from rationale_eval.tables import write_json


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
