"""Folders, tar archives and zip archives under one face: which files they hold, and a stream for each of them.

Nothing is extracted by name and nothing in an archive is run. A compressed or nested archive is decompressed into a
temporary file that has no name, because tar and zip need to jump about and a compressed stream cannot.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from rationale_eval.corpora.unpacking import Guarded, TooLargeError, open_zipped, unpacked_xz
from rationale_eval.errors import UserError

MAX_ARCHIVE_BYTES = 2 * 1024**3
IN_MEMORY_BYTES = 16 * 1024**2
CHUNK_BYTES = 1024**2
# What is held of an archive in memory: its list of members, at most 0.4 GB with these limits.
MAX_MEMBERS = 250_000
MAX_NAME_CHARS = 4096  # Linux takes no longer path
MAX_NAMES_CHARS = 1 << 25  # of all names together
MAX_HEADER_BYTES = 1 << 20  # of a tar's member, with its long names and attributes
MAX_GLOBAL_CHARS = 1 << 16  # of a tar's attributes that go for every member
MAX_HOLES = 100_000  # pieces of a tar's sparse files together
MAX_DIRECTORY_BYTES = 1 << 25  # of a zip's list of members

_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,  # headers of a tar that follow headers
    ValueError,
)
_DECOMPRESSORS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": unpacked_xz,
}
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_MAGIC, _TAR_MAGIC_PLACE = b"ustar", 257


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a folder or an archive.

    ``place`` is the archive, or the file itself on the disk, and ``name`` the member's, None for one on the disk: the
    word of an archive about sizes is not to be trusted. ``fault`` says why it must not be read (None for a plain file).
    """

    place: str
    name: str | None
    fault: str | None
    open: Callable[[], IO[bytes]]

    @property
    def where(self) -> str:
        """What names the file in messages; not stored, as each would hold the place again."""
        return self.place if self.name is None else f"{self.place} -> {self.name}"

    @property
    def packed(self) -> bool:
        """Whether it comes from an archive."""
        return self.name is not None


@contextmanager
def damage_named(where: str) -> Iterator[None]:
    """Turn what the readers of tar, zip and their compressions raise into one ``UserError`` that names ``where``."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except TooLargeError as error:
        raise UserError(f"{where}: {error}") from None
    except _DAMAGE as error:
        # The libraries raise OSError without a number for bad data; with one it is the disk or the permissions.
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{where}: cannot be read ({error.strerror})") from None
        raise UserError(f"{where}: not a whole tar or zip archive ({error})") from None


def is_archive(stream: IO[bytes]) -> bool:
    """Whether the first bytes are those of a zip, a tar or a compressed file; the stream stays where it was."""
    start = stream.read(_TAR_MAGIC_PLACE + len(_TAR_MAGIC))
    stream.seek(-len(start), os.SEEK_CUR)
    return start.startswith((*_ZIP_MAGIC, *_DECOMPRESSORS)) or start.endswith(_TAR_MAGIC)


def folder_entries(folder: Path) -> dict[str, Entry]:
    """The files below ``folder`` by their path in it. Links are followed: model and data caches are made of them."""
    entries: dict[str, Entry] = {}
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        # A link to a folder above would otherwise be walked for ever.
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            path = Path(parent, name)
            entries[path.relative_to(folder).as_posix()] = plain_entry(path)
    return entries


def plain_entry(path: Path) -> Entry:
    """A file on the disk."""
    fault = None if path.is_file() else "is not a plain file (or a link that leads nowhere)"
    return Entry(str(path), None, fault, lambda: path.open("rb"))


def archive_entries(stream: IO[bytes], where: str, stack: ExitStack) -> dict[str, Entry]:
    """The files of the tar (plain or compressed with gzip, bzip2 or xz) or zip in ``stream``, by their path in it.

    ``stream`` must be seekable; what is opened on the way is closed with ``stack``. Of several members with one name
    the last counts, as when the archive is extracted. Raises ``UserError`` for a damaged archive, for one that
    decompresses to more than ``MAX_ARCHIVE_BYTES``, and for one whose headers or list of members pass the limits above.
    """
    with damage_named(where):
        start = stream.read(max(map(len, (*_ZIP_MAGIC, *_DECOMPRESSORS))))
        stream.seek(-len(start), os.SEEK_CUR)
        if start.startswith(_ZIP_MAGIC):
            guarded = cast(IO[bytes], Guarded(stream, MAX_DIRECTORY_BYTES))
            return _named(_zip_members(stack.enter_context(zipfile.ZipFile(guarded))), where)
        for magic, decompressor in _DECOMPRESSORS.items():
            if start.startswith(magic):
                with decompressor(stream) as decompressed:
                    stream = spooled(decompressed, where, stack)
                break
        return _named(_tar_members(stream, stack), where)


def spooled(stream: IO[bytes], where: str, stack: ExitStack) -> IO[bytes]:
    """A seekable copy of ``stream`` in memory or, if long, in a nameless temporary file, closed with ``stack``.

    Raises ``UserError`` for more than ``MAX_ARCHIVE_BYTES``, counted as they come: a header may lie about the size.
    """
    copy = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # noqa: SIM115
    size = 0
    while chunk := stream.read(CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_ARCHIVE_BYTES:
            raise UserError(f"{where}: decompresses to more than the limit of {MAX_ARCHIVE_BYTES} bytes for an archive")
        copy.write(chunk)
    copy.seek(0)
    return cast(IO[bytes], copy)


_Member = tuple[str, str | None, Callable[[], IO[bytes]]]


def _tar_members(stream: IO[bytes], stack: ExitStack) -> Iterator[_Member]:
    guarded = Guarded(stream, MAX_HEADER_BYTES)
    guarded.left = MAX_HEADER_BYTES  # the first member is read when the archive is opened
    archive = stack.enter_context(tarfile.open(fileobj=cast(IO[bytes], guarded), mode="r:"))  # noqa: SIM115
    holes = 0
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # it would hold them, with all their attributes
        guarded.left = MAX_HEADER_BYTES
        if sum(len(key) + len(value) for key, value in archive.pax_headers.items()) > MAX_GLOBAL_CHARS:
            raise TooLargeError(f"its attributes for all members take more than the limit of {MAX_GLOBAL_CHARS}")
        holes += len(member.sparse or ())
        if holes > MAX_HOLES:
            raise TooLargeError(f"its sparse files have more than the limit of {MAX_HOLES} pieces; pack them as others")
        if member.isdir():
            continue
        fault = None
        if member.issym() or member.islnk():
            fault = f"is a link to {member.linkname[:200]!r}, not a plain file"
        elif not member.isfile():
            fault = "is a device or a pipe, not a plain file"
        yield member.name, fault, partial(_tar_stream, archive, member.offset_data, member.size, member.sparse)
    # tarfile takes a broken or missing header for the end; the true end is a block of zeros.
    guarded.left = None  # from here on members are read
    guarded.seek(archive.offset)
    if guarded.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"it breaks off or is damaged at byte {archive.offset}")


def _tar_stream(archive: tarfile.TarFile, place: int, size: int, sparse: Any) -> IO[bytes]:
    member = tarfile.TarInfo()
    member.offset_data, member.size, member.sparse = place, size, sparse
    stream = archive.extractfile(member)
    assert stream is not None, "only plain files are opened"
    return stream


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for member in archive.infolist():
        if member.is_dir():
            continue
        # The upper half is the mode that a Unix zip stored; 0 if the archive was made elsewhere.
        kind = stat.S_IFMT(member.external_attr >> 16)
        fault = None
        if member.flag_bits & 1:
            fault = "is encrypted; decrypt the archive first"
        elif kind not in (0, stat.S_IFREG):
            fault = "is a link or a device, not a plain file"
        yield member.filename, fault, partial(open_zipped, archive, member)


def _named(members: Iterable[_Member], where: str) -> dict[str, Entry]:
    """Entries by path without ``./``; a path that leads out of the archive is a fault and loses what leads out."""
    entries = {}
    count = chars = 0
    for name, fault, opener in members:
        count, chars = count + 1, chars + len(name)
        if len(name) > MAX_NAME_CHARS:
            raise TooLargeError(f"the name of a file in it, {name[:40]!r}…, is longer than {MAX_NAME_CHARS} characters")
        if count > MAX_MEMBERS or chars > MAX_NAMES_CHARS:
            raise TooLargeError(f"it holds more than the limit of {MAX_MEMBERS} files, or their names are too long")
        parts = name.split("/")
        if name.startswith("/") or ".." in parts:
            fault = "has an absolute path or one with `..`, which a data archive never needs"
        inside = "/".join(part for part in parts if part not in ("", ".", ".."))
        entries[inside] = Entry(where, name, fault, opener)
    return entries
