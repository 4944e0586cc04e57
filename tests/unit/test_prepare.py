"""Model folders: what is linked, what is missing, and that a changed file is noticed on loading."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest
from rationale_eval.errors import UserError
from rationale_eval.models.prepare import link_folder, main
from rationale_eval.provenance import sha256_file
from tiny_models import make_tiny, make_tiny_llama, write_gguf
from tokenizers import Tokenizer

SPEC = {"name": "m", "source": {"path": "x"}}


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 3, "hidden_size": 8}'
    )
    (source / "tokenizer.json").write_text("{}")
    (source / "model.safetensors").write_bytes(b"weights")
    (source / "pytorch_model.bin").write_bytes(b"a pickle")
    (source / "modeling_own.py").write_text("raise SystemExit")
    return source


def prepare(source, target, gguf=None):
    spec = SPEC | {"source": {"path": "x", "gguf": gguf}}
    command = ["--spec", json.dumps(spec), "--source", str(source), "--cache", str(target.parent / "gguf")]
    main([*command, "--snapshot", str(target / "snapshot"), "--card", str(target / "card.json")])
    return json.loads((target / "card.json").read_text())


def test_a_folder_is_linked_with_neither_pickles_nor_code(folder, tmp_path):
    card = prepare(folder, tmp_path / "m")
    linked = {path.name: path for path in (tmp_path / "m" / "snapshot").iterdir()}
    assert set(linked) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert all(path.is_symlink() and path.resolve() == folder / path.name for path in linked.values())
    assert card["files"]["model.safetensors"] == {"bytes": 7, "sha256": sha256_file(folder / "model.safetensors")}
    assert (card["architecture"], card["layers"], card["hidden_size"]) == ("LlamaForCausalLM", 3, 8)
    assert (card["name"], card["source"]) == ("m", {"path": "x", "gguf": None})


def test_links_hold_for_a_source_given_relative_to_the_working_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    link_folder(Path("source"), Path("elsewhere/snapshot"))
    monkeypatch.chdir("/")
    assert (tmp_path / "elsewhere" / "snapshot" / "model.safetensors").read_bytes() == b"weights"


def test_preparing_again_replaces_what_was_there(folder, tmp_path):
    prepare(folder, tmp_path / "m")
    (tmp_path / "m" / ".snapshot.partial").mkdir()
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert prepare(folder, tmp_path / "m")["files"]["model.safetensors"]["bytes"] == 13
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["card.json", "snapshot"]
    assert len(list(folder.iterdir())) == 5, "the source is untouched"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer.json"),
        ("model.safetensors", "no .safetensors file"),
    ],
)
def test_what_a_folder_lacks_is_named(folder, tmp_path, missing, message):
    (folder / "pytorch_model.bin").unlink()
    (folder / missing).unlink()
    with pytest.raises(UserError, match=message):
        prepare(folder, tmp_path / "m")
    assert not (tmp_path / "m" / "card.json").exists()
    assert not (tmp_path / "m" / "snapshot").exists()


def nothing_is_left(target):
    return not target.exists() or not list(target.iterdir())


def test_weights_that_are_pickles_alone_are_refused_with_what_to_do(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"are pickles \(pytorch_model.bin\), which can run code .* if you trust them"):
        prepare(folder, tmp_path / "m")
    assert nothing_is_left(tmp_path / "m")


def test_a_tokenizer_without_its_fast_form_is_refused_with_what_to_do(folder, tmp_path):
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    with pytest.raises(UserError, match=r"has no tokenizer.json; .*save_pretrained of transformers make one"):
        prepare(folder, tmp_path / "m")
    assert nothing_is_left(tmp_path / "m")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}', r"names \['model-2.safetensors'\]"),
        ("{", "index.json: not valid JSON"),
        ("[]", "index.json: is no JSON object"),
    ],
)
def test_a_folder_that_lacks_a_part_of_the_weights_is_refused(folder, tmp_path, index, message):
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(UserError, match=message):
        prepare(folder, tmp_path / "m")
    assert nothing_is_left(tmp_path / "m")


def test_an_adapter_beside_the_model_is_refused(folder, tmp_path):
    # transformers would attach it, to a model that it may have been merged into.
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    with pytest.raises(UserError, match=r"source: holds an adapter \(adapter_config.json\) beside the model"):
        prepare(folder, tmp_path / "m")


def test_two_models_in_one_folder_are_refused(folder, tmp_path):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    (folder / "part-1.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"has model.safetensors and, in model.safetensors.index.json, other files"):
        prepare(folder, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "consolidated.safetensors").write_bytes(b"the same in another form")
    assert set(prepare(folder, tmp_path / "m")["files"]) > {"part-1.safetensors"}
    assert not (tmp_path / "m" / "snapshot" / "consolidated.safetensors").exists()


def test_weights_that_nothing_names_are_refused(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "lora.safetensors")
    with pytest.raises(UserError, match=r"has neither model.safetensors nor .*; it has \['lora.safetensors'\]"):
        prepare(folder, tmp_path / "m")


@pytest.mark.parametrize("index", ["[]", "null", '{"a": ["x"]}'])
def test_an_index_that_names_no_files_is_refused(folder, tmp_path, index):
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {index}}}')
    with pytest.raises(UserError, match=r"index.json: its weight_map does not name the file of each weight"):
        link_folder(folder, tmp_path / "snapshot")


def test_a_broken_config_is_named_and_leaves_nothing(folder, tmp_path):
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json: not valid JSON"):
        prepare(folder, tmp_path / "m")
    assert nothing_is_left(tmp_path / "m")


def test_a_hub_snapshot_of_links_is_linked_to_the_files_themselves(folder, tmp_path):
    """The hub's cache keeps its files under their checksums and shows them by name in a folder of links."""
    (tmp_path / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(tmp_path / "blobs" / str(number))
        path.symlink_to(Path("..") / "blobs" / str(number))
    card = prepare(folder, tmp_path / "m")
    linked = {path.name: path.resolve().parent.name for path in (tmp_path / "m" / "snapshot").iterdir()}
    assert linked == dict.fromkeys(["config.json", "model.safetensors", "tokenizer.json"], "blobs")
    assert card["files"]["model.safetensors"]["bytes"] == 7


def test_gpt2_has_names_of_its_own_for_its_size(folder, tmp_path):
    (folder / "config.json").write_text('{"n_layer": 12, "n_embd": 768}')
    card = prepare(folder, tmp_path / "m")
    assert (card["layers"], card["hidden_size"], card["architecture"]) == (12, 768, "unknown")


def wheel(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
        archive.writestr("data/short.gguf", b"GGUF\x03")
    return path


# what is at the source, the name given for the GGUF file, the message
NO_GGUF = {
    "nothing at all": (None, None, "there is no such model folder or file"),
    "a wheel without the file": (wheel, "weights.gguf", r"has no file 'weights.gguf'"),
    "a broken wheel": (lambda path: path.write_bytes(b"PK not a zip"), "weights.gguf", "not a whole wheel"),
    "a file, but of what": (lambda path: path.write_bytes(b"x"), None, r"is no model: neither a folder .* \.gguf file"),
    "a folder without the file": (lambda path: path.mkdir(), "weights.gguf", r"has no file 'weights.gguf'"),
    "not that format": (lambda path: wheel(path), "other.txt", r"'other.txt' is not a GGUF file"),
}


@pytest.mark.parametrize(("make", "gguf", "message"), NO_GGUF.values(), ids=NO_GGUF)
def test_a_source_without_the_gguf_file_is_named(tmp_path, make, gguf, message):
    if make:
        make(tmp_path / "source")
    with pytest.raises(UserError, match=message) as caught:
        prepare(tmp_path / "source", tmp_path / "m", gguf)
    assert f"{tmp_path / 'source'}: " in str(caught.value)
    assert nothing_is_left(tmp_path / "m")


def test_gguf_files_of_a_folder_must_be_chosen_by_name(tmp_path):
    (tmp_path / "two").mkdir()
    for name in ("q4.gguf", "q8.gguf"):
        (tmp_path / "two" / name).write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"name it as `gguf`: \['q4.gguf', 'q8.gguf'\]"):
        prepare(tmp_path / "two", tmp_path / "m")


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    """A tiny Llama's folder, and the same model as a GGUF file."""
    folder = tmp_path_factory.mktemp("gguf")
    return make_tiny_llama(folder / "plain"), write_gguf(folder / "plain", folder / "tiny.gguf")


@pytest.mark.parametrize("how", ["the file", "in a folder", "in a wheel"])
def test_a_gguf_file_gives_the_model_that_it_was_made_from(gguf_file, tmp_path, how):
    import torch
    from rationale_eval.models.loading import load

    plain, path = gguf_file
    source, name = path, None
    if how == "in a folder":
        # A snapshot of the hub, where the file's own name is a checksum; what else lies there is not asked.
        source, name = tmp_path / "hub", "tiny.gguf"
        source.mkdir()
        (source / "config.json").write_text("not even JSON")
        (tmp_path / "blob").write_bytes(path.read_bytes())
        (source / name).symlink_to(tmp_path / "blob")
    elif how == "in a wheel":
        source, name = tmp_path / "some.whl", "some/data/tiny.gguf"
        with zipfile.ZipFile(source, "w") as archive:
            archive.write(path, name)
    card = prepare(source, tmp_path / "m", name)
    assert (card["architecture"], card["layers"], card["hidden_size"]) == ("LlamaForCausalLM", 3, 32)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["card.json", "snapshot"]
    found, expected = load(tmp_path / "m" / "card.json", "float32"), prepare_and_load(plain, tmp_path / "p")
    text = "<|im_start|>user\nA lovely film, día 😀<|im_end|>\n"
    tokens = expected.tokenizer(text)["input_ids"]
    assert found.tokenizer(text)["input_ids"] == tokens
    assert found.tokenizer.chat_template == expected.tokenizer.chat_template
    ids = torch.tensor([tokens])
    assert torch.allclose(found.model(ids).logits, expected.model(ids).logits, atol=1e-4)


def test_studies_share_what_a_gguf_file_was_made_into(gguf_file, tmp_path, monkeypatch):
    _, path = gguf_file
    first = prepare(path, tmp_path / "one")
    (made,) = (tmp_path / "gguf").iterdir()
    monkeypatch.setattr("rationale_eval.models.prepare.convert_gguf", None)  # not called again
    assert prepare(path, tmp_path / "two") == first
    links = {file.resolve().parent for file in (tmp_path / "two/snapshot").iterdir()}
    assert links == {made.resolve()}
    # Another file under the same name is another model.
    monkeypatch.undo()
    (tmp_path / "tiny.gguf").write_bytes(write_gguf(gguf_file[0], tmp_path / "other.gguf", eot=7).read_bytes())
    assert prepare(tmp_path / "tiny.gguf", tmp_path / "three")["files"] != first["files"]
    assert len(list((tmp_path / "gguf").iterdir())) == 2


def test_a_conversion_that_fails_leaves_nothing_in_the_cache(gguf_file, tmp_path):
    (tmp_path / "cut.gguf").write_bytes(gguf_file[1].read_bytes()[:2000])
    with pytest.raises(UserError, match="cannot read the GGUF file"):
        prepare(tmp_path / "cut.gguf", tmp_path / "m")
    assert nothing_is_left(tmp_path / "gguf")


def prepare_and_load(source, target):
    from rationale_eval.models.loading import load

    prepare(source, target)
    return load(target / "card.json", "float32")


@pytest.mark.parametrize(
    ("pre", "pieces"), [("gpt-2", ["123", " 456"]), ("smollm", ["1", "2", "3", " ", "4", "5", "6"])]
)
def test_a_gguf_file_splits_text_by_the_rule_that_it_names(gguf_file, tmp_path, pre, pieces):
    plain, _ = gguf_file
    prepare(write_gguf(plain, tmp_path / "t.gguf", pre), tmp_path / "m")
    tokenizer = Tokenizer.from_file(str(tmp_path / "m" / "snapshot" / "tokenizer.json"))
    split = tokenizer.pre_tokenizer.pre_tokenize_str("123 456")
    assert [text.replace("Ġ", " ") for text, _ in split] == pieces


@pytest.mark.parametrize(
    ("pre", "said"), [("poro-chat", "says tokenizer.ggml.pre = 'poro-chat'"), (None, "does not say tokenizer.ggml.pre")]
)
def test_a_gguf_file_whose_rule_is_not_known_is_refused(gguf_file, tmp_path, pre, said):
    plain, _ = gguf_file
    with pytest.raises(UserError, match=rf"'t.gguf' {said}, so it is not known how its vocabulary splits text"):
        prepare(write_gguf(plain, tmp_path / "t.gguf", pre), tmp_path / "m")
    assert nothing_is_left(tmp_path / "m")


def test_the_turn_of_a_gguf_file_ends_where_it_says(gguf_file, tmp_path):
    plain, _ = gguf_file
    prepare(write_gguf(plain, tmp_path / "t.gguf", eot=7), tmp_path / "m")
    loaded = json.loads((tmp_path / "m" / "snapshot" / "generation_config.json").read_text())
    assert 7 in loaded["eos_token_id"]
    assert len(loaded["eos_token_id"]) == 2


def test_a_gguf_file_that_is_not_whole_is_refused(gguf_file, tmp_path):
    _, path = gguf_file
    content = path.read_bytes()
    for size in (5, 2000, len(content) // 2):
        (tmp_path / "cut.gguf").write_bytes(content[:size])
        with pytest.raises(UserError, match=r"cannot read the GGUF file 'cut.gguf' .*is it whole"):
            prepare(tmp_path / "cut.gguf", tmp_path / "m")
        assert nothing_is_left(tmp_path / "m")


def test_a_gguf_file_of_an_architecture_that_is_not_known_is_refused(gguf_file, tmp_path):
    _, path = gguf_file
    (tmp_path / "odd.gguf").write_bytes(path.read_bytes().replace(b"llama", b"odder"))
    with pytest.raises(UserError, match=r"'odd.gguf' .*architecture odder is not supported"):
        prepare(tmp_path / "odd.gguf", tmp_path / "m")


def test_weights_that_a_gguf_file_lacks_are_not_made_up(gguf_file, tmp_path):
    _, path = gguf_file
    content = path.read_bytes().replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight")
    (tmp_path / "part.gguf").write_bytes(content)
    with pytest.raises(UserError, match=r"lacks 1 weights of the model, such as model.layers.1.mlp.up_proj.weight"):
        prepare(tmp_path / "part.gguf", tmp_path / "m")
    assert nothing_is_left(tmp_path / "m")


def test_a_gguf_file_without_output_weights_has_those_of_its_embeddings(gguf_file, tmp_path):
    """Small models are often published so; these weights are not missing."""
    _, path = gguf_file
    name = struct.pack("<Q", len("output.weight")) + b"output.weight"
    content = path.read_bytes()
    assert content.count(name) == 1
    (tmp_path / "tied.gguf").write_bytes(content.replace(name, name.replace(b"output", b"absent")))
    model = prepare_and_load(tmp_path / "tied.gguf", tmp_path / "m").model
    assert model.get_output_embeddings().weight.equal(model.get_input_embeddings().weight)


def test_a_base_model_is_prepared_without_a_chat_template(tmp_path):
    loaded = prepare_and_load(make_tiny(tmp_path / "base", tokenizer="sentencepiece_base"), tmp_path / "m")
    assert loaded.tokenizer.chat_template is None
    assert loaded.tokenizer("film")["input_ids"][0] == loaded.tokenizer.bos_token_id


def test_a_model_changed_since_its_card_was_made_is_not_loaded(folder, tmp_path):
    from rationale_eval.models.loading import load

    prepare(folder, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"weights and more")
    with pytest.raises(UserError, match=r"model.safetensors: missing or changed since the card was made"):
        load(tmp_path / "m" / "card.json", "float32")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="missing or changed"):
        load(tmp_path / "m" / "card.json", "float32")
