"""Model folders: what is linked, what is missing, and that a changed file is noticed on loading."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from rationale_eval.errors import UserError
from rationale_eval.models.prepare import convert_gguf, link_folder, main
from rationale_eval.provenance import sha256_file

SPEC = {"name": "m", "source": {"path": "x"}, "licence": "none", "citation": "nobody"}


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


def prepare(source, target):
    command = ["--spec", json.dumps(SPEC), "--source", str(source), "--snapshot", str(target / "snapshot")]
    main([*command, "--card", str(target / "card.json")])
    return json.loads((target / "card.json").read_text())


def test_a_folder_is_linked_with_neither_pickles_nor_code(folder, tmp_path):
    card = prepare(folder, tmp_path / "m")
    linked = {path.name: path for path in (tmp_path / "m" / "snapshot").iterdir()}
    assert set(linked) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert all(path.is_symlink() and path.resolve() == folder / path.name for path in linked.values())
    assert card["files"]["model.safetensors"] == {"bytes": 7, "sha256": sha256_file(folder / "model.safetensors")}
    assert (card["architecture"], card["layers"], card["hidden_size"]) == ("LlamaForCausalLM", 3, 8)
    assert (card["name"], card["licence"], card["citation"]) == ("m", "none", "nobody")


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
    (folder / missing).unlink()
    with pytest.raises(UserError, match=message):
        prepare(folder, tmp_path / "m")
    assert not (tmp_path / "m" / "card.json").exists()
    assert not (tmp_path / "m" / "snapshot").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no such model folder"):
        prepare(tmp_path / "none", tmp_path / "m")


def test_a_wheel_without_the_gguf_file_or_no_wheel_at_all_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(UserError, match=r"has no file 'weights.gguf'"):
        convert_gguf(tmp_path / "some.whl", "weights.gguf", tmp_path / "first")
    (tmp_path / "broken.whl").write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match="not a whole wheel"):
        convert_gguf(tmp_path / "broken.whl", "weights.gguf", tmp_path / "second")


def test_a_model_changed_since_its_card_was_made_is_not_loaded(folder, tmp_path):
    from rationale_eval.models.loading import load

    prepare(folder, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"weights and more")
    with pytest.raises(UserError, match=r"model.safetensors: missing or changed since the card was made"):
        load(tmp_path / "m" / "card.json", "float32")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="missing or changed"):
        load(tmp_path / "m" / "card.json", "float32")
