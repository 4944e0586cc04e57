"""Folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from rationale_eval.errors import UserError


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which appears as ``target`` at the end or, after an error or a kill, never.

    Everything is flushed to the disk before the rename. An older ``target`` is replaced. Raises ``UserError`` when
    writing fails, the disk being full for one.
    """
    name = target.name.lstrip(".")
    partial, former = target.with_name(f".{name}.partial"), target.with_name(f".{name}.former")
    for leftover in (partial, former):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        for path in sorted(partial.iterdir()):
            path.chmod(0o644)  # safetensors are written readable by their owner alone
            _flush(path)
        _flush(partial)
        if target.exists():
            # Renamed, not deleted in place: half of a folder must never stand under this name.
            target.rename(former)
        partial.rename(target)
        _flush(target.parent)
    except (OSError, SafetensorError) as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        advice = "; make room and run again" if full or "No space left" in str(error) else ""
        raise UserError(f"{target}: the checkpoint could not be saved and does not exist ({error}){advice}") from error
    finally:
        for leftover in (partial, former):
            shutil.rmtree(leftover, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
