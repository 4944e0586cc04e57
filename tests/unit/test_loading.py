"""Loading of prepared models: no code of their own is run, and how much text one takes is known."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import tiny_models
import torch
from rationale_eval.errors import UserError
from rationale_eval.models.loading import LoadedModel, load
from rationale_eval.models.prepare import card as card_of
from rationale_eval.models.prepare import link_folder
from rationale_eval.tables import write_json
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import BloomConfig, LlamaConfig, MptConfig, PreTrainedTokenizerFast


def prepared(tmp_path, change):
    """A tiny model whose config.json has the entries ``change``."""
    source = tiny_models.make_tiny_llama(tmp_path / "own")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | change))
    return described(source, tmp_path)


def described(source, tmp_path):
    """The card of the model of the folder ``source``, prepared."""
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


QUANTISED = {"quant_method": "bitsandbytes", "load_in_4bit": True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # As after pruning, or with the config.json of a smaller sister.
        ({"num_hidden_layers": 2}, r"9 weights of its files are not used, such as model\.layers\.2\.input_layernorm"),
        ({"num_hidden_layers": 4}, r"lacks 9 weights of the model, such as model\.layers\.3\."),
        ({"hidden_size": 16}, r"models\.own: the shapes of its weights are not those of its config\.json"),
        ({"num_attention_heads": 10**6}, r"models\.own: transformers cannot load it \(.*is not a multiple of"),
        ({"hidden_size": "wide"}, r"models\.own: transformers cannot load it \("),
        ({"quantization_config": QUANTISED}, r"models\.own: transformers cannot load it \(.*bitsandbytes"),
    ],
)
def test_a_config_that_does_not_go_with_the_weights_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as caught:
        load(prepared(tmp_path, change), "float32")
    assert "\n" not in str(caught.value)


def test_buffers_that_older_files_hold_are_no_weights(tmp_path):
    source = tiny_models.make_tiny_llama(tmp_path / "own")
    weights = load_file(source / "model.safetensors")
    old = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    save_file(weights | old, source / "model.safetensors", metadata={"format": "pt"})
    load(described(source, tmp_path), "float32")


def test_tokens_beyond_the_embeddings_are_refused_but_special_ones_that_no_prompt_shows(tmp_path):
    source = tiny_models.make_tiny_llama(tmp_path / "own")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(source)
    rows = load_file(source / "model.safetensors")["model.embed_tokens.weight"].shape[0]
    while len(tokenizer) < rows:
        tokenizer.add_tokens(f"filler{len(tokenizer)}")
    tokenizer.add_special_tokens({"pad_token": "<|padding|>"})
    tokenizer.save_pretrained(source)
    load(described(source, tmp_path), "float32")
    tokenizer.add_tokens("<extra>")
    tokenizer.save_pretrained(source)
    shutil.rmtree(tmp_path / "prepared")
    with pytest.raises(
        UserError, match=rf"its tokenizer has 1 tokens, such as '<extra>', that the model of {rows} emb"
    ):
        load(described(source, tmp_path), "float32")


@pytest.mark.parametrize("named", ["GPT2Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizerFast", "CohereTokenizerFast"])
def test_tokens_are_those_of_the_folders_tokenizer_json(tmp_path, named):
    # transformers builds the rules of these classes anew, whatever the file says.
    source = tiny_models.make_tiny_llama(tmp_path / "own")
    file = Tokenizer.from_file(str(source / "tokenizer.json"))
    file.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("[aeiou]"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    file.save(str(source / "tokenizer.json"))
    config = json.loads((source / "tokenizer_config.json").read_text())
    (source / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": named}))
    loaded = load(described(source, tmp_path), "float32").tokenizer
    text = "A lovely film, in 2023!"
    assert loaded(text, add_special_tokens=False).tokens() == file.encode(text, add_special_tokens=False).tokens
    assert loaded.chat_template
    assert loaded.eos_token_id is not None


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
