"""Reading members of (nested) tar archives without unpacking them to the disk or running anything in them."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from rationale_eval.errors import UserError

MAX_MEMBER_BYTES = 256 * 1024 * 1024


def read_member(path: Path, inner: Sequence[str], member: str) -> bytes:
    """The bytes of ``member``, found in ``path`` itself (a folder or a tar) or in the tars nested in it.

    ``inner`` names the archives to go through, outermost first. Raises ``UserError`` for a missing member, a damaged
    archive, or one whose member claims more than ``MAX_MEMBER_BYTES``.
    """
    if path.is_dir():
        if inner:
            raise UserError(f"{path}: is a folder, so `archive` must be empty; it names {list(inner)}")
        try:
            return (path / member).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise UserError(f"{path}: there is no file {member!r} in this folder") from None
    steps = [*inner, member]
    content: bytes | None = None
    where = str(path)
    for step in steps:
        content = _one(path if content is None else io.BytesIO(content), where, step)
        where += f" -> {step}"
    assert content is not None
    return content


def _one(source: Path | io.BytesIO, where: str, member: str) -> bytes:
    try:
        with tarfile.open(source) if isinstance(source, Path) else tarfile.open(fileobj=source) as archive:
            info = archive.getmember(member)
            stream = archive.extractfile(info) if info.isfile() else None
            if stream is None:
                raise UserError(f"{where}: member {member!r} is not a plain file")
            if info.size > MAX_MEMBER_BYTES:
                raise UserError(
                    f"{where}: member {member!r} has {info.size} bytes, over the limit of {MAX_MEMBER_BYTES}"
                )
            return stream.read()
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except KeyError:
        raise UserError(f"{where}: there is no member {member!r} in this archive") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{where}: not a whole tar archive ({error})") from None
