"""Reading files of a folder, a tar or a zip, also nested ones, without unpacking them by name or running anything."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from heapq import nsmallest
from pathlib import Path
from typing import IO, Any, cast

from rationale_eval.corpora.containers import (
    CHUNK_BYTES,
    Entry,
    archive_entries,
    damage_named,
    folder_entries,
    is_archive,
    plain_entry,
    spooled,
)
from rationale_eval.errors import UserError

MAX_MEMBER_BYTES = 1024**3  # of a file in an archive, or of what a .gz holds
MAX_TOTAL_BYTES = 2 * 1024**3

_ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip")


def open_members(source: Path, inner: Sequence[str], patterns: Sequence[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield ``(where, stream)`` of every plain file whose path matches one of ``patterns``, sorted by path.

    ``source`` is a folder, a tar (plain, gzip, bzip2 or xz), a zip, or a single plain file. A folder whose only file
    is an archive is that archive, as a download from the hub may be. ``inner`` names the archives to go through,
    outermost first. A pattern is a glob for the whole path inside, in which ``*`` also
    matches ``/``, or for the file's name alone if it has no slash; a path written out needs no escapes. ``where`` names
    source, archives and path for messages. A stream is seekable and is closed when the next one is asked for.

    Raises ``UserError`` for a pattern that nothing matches, a damaged archive, a matching member that is a link, a
    device, encrypted or has a path that leads out of the archive, a member that decompresses to more than
    ``MAX_MEMBER_BYTES`` and members that come to more than ``MAX_TOTAL_BYTES`` together, counted as they are read.
    """
    for _, where, stream in open_named_members(source, inner, patterns):
        yield where, stream


def open_named_members(
    source: Path, inner: Sequence[str], patterns: Sequence[str]
) -> Iterator[tuple[str, str, IO[bytes]]]:
    """As ``open_members``, with the path inside before ``where``: for files whose name means something."""
    total = 0

    def spend(count: int, where: str) -> None:
        nonlocal total
        total += count
        if total > MAX_TOTAL_BYTES:
            raise UserError(f"{where}: the files read up to here hold more than the limit of {MAX_TOTAL_BYTES} bytes")

    with _opened(source, inner) as (place, entries):
        for name in _matching(entries, patterns, place):
            with _stream(entries[name], spend) as stream:
                yield name, entries[name].where, stream


@contextmanager
def open_member(source: Path, inner: Sequence[str], member: str) -> Iterator[IO[bytes]]:
    """A stream of the file at ``member``, a path written out, of what ``open_members`` reads; same errors."""
    with _opened(source, inner) as (place, entries), _stream(_entry(entries, member, place)) as stream:
        yield stream


def read_member(source: Path, inner: Sequence[str], member: str) -> bytes:
    """The bytes of the file at ``member``, as of ``open_member``."""
    with open_member(source, inner, member) as stream:
        return stream.read()


def unpacked_gz(stream: IO[bytes], where: str) -> IO[bytes]:
    """What the .gz in ``stream`` holds, counted as files of an archive are, and together with these if it is one.

    What damage raises is left as it is: the reader knows in which line it is.
    """
    spend = stream.spend if isinstance(stream, _Member) else None
    unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    return _Member(_Counted(unpacked, where, spend), spend)


def shared_members(source: Path, inner: Sequence[str], one: Sequence[str], other: Sequence[str]) -> list[str]:
    """The paths that patterns of both lists match; same errors as ``open_members``."""
    with _opened(source, inner) as (place, entries):
        return sorted(set(_matching(entries, one, place)) & set(_matching(entries, other, place)))


def matches(name: str, pattern: str) -> bool:
    """Whether the file ``name``, a path inside a source, is one that ``pattern`` of ``open_members`` is about."""
    pattern = pattern.removeprefix("./")
    candidate = name if "/" in pattern else name.rpartition("/")[2]
    return candidate == pattern or fnmatchcase(candidate, pattern)


def only_archive(names: Iterable[str], inner: Sequence[str]) -> str | None:
    """The only file in a folder with the files ``names``, hidden ones aside, if it is an archive by its name.

    None if it is not, and where ``inner`` says which archives to open.
    """
    if inner:
        return None
    found = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    if len(found) != 1 or not found[0].lower().endswith(_ARCHIVE_SUFFIXES):
        return None
    return found[0]


@contextmanager
def _opened(source: Path, inner: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Entry]]]:
    """The name for messages and the entries of ``source`` or of the last archive of ``inner``."""
    with ExitStack() as stack:
        place = str(source)
        if source.is_dir():
            entries = folder_entries(source)
            if only := only_archive(entries, inner):
                inner = [only]
        else:
            with damage_named(place):
                stream: IO[bytes] = stack.enter_context(source.open("rb"))
                if inner or source.name.lower().endswith(_ARCHIVE_SUFFIXES) or is_archive(stream):
                    entries = archive_entries(stream, place, stack)
                else:
                    entries = {source.name: plain_entry(source)}
        for step in inner:
            entry = _entry(entries, step, place)
            place = entry.where
            with _stream(entry) as packed:
                copy = spooled(packed, place, stack)
            entries = archive_entries(copy, place, stack)
        yield place, entries


def _entry(entries: Mapping[str, Entry], path: str, place: str) -> Entry:
    entry = entries.get(path.removeprefix("./"))
    if entry is None:
        raise UserError(f"{place}: there is no file {path!r} in it{_examples(entries)}")
    return entry


def _matching(entries: Mapping[str, Entry], patterns: Sequence[str], place: str) -> list[str]:
    found = set()
    for pattern in patterns:
        names = [name for name in entries if matches(name, pattern)]
        if not names:
            raise UserError(f"{place}: no file in it matches {pattern!r}{_examples(entries)}")
        found.update(names)
    return sorted(found)


def _examples(entries: Mapping[str, Entry]) -> str:
    if not entries:
        return "; it is empty"
    return f"; it holds {len(entries)}, such as {', '.join(repr(name[:100]) for name in nsmallest(3, entries))}"


@contextmanager
def _stream(entry: Entry, spend: _Spend = None) -> Iterator[IO[bytes]]:
    if entry.fault is not None:
        raise UserError(f"{entry.where}: {entry.fault}")
    with damage_named(entry.where):
        opened = entry.open()
    with opened:
        if not entry.packed:
            yield opened
            return
        with _Member(_Measured(opened, entry.where, spend), spend) as measured:
            yield measured


_Spend = Callable[[int, str], None] | None


class _Member(io.BufferedReader):
    """The stream of a file in an archive. ``spend`` counts the bytes of all of them together."""

    def __init__(self, raw: io.RawIOBase, spend: _Spend) -> None:
        super().__init__(raw, buffer_size=1 << 16)
        self.spend = spend


class _Counted(io.RawIOBase):
    """A stream that counts what comes out of it, and refuses what passes the limits."""

    def __init__(self, stream: IO[bytes], where: str, spend: _Spend) -> None:
        self._stream, self._where, self._spend = stream, where, spend
        self._position = self._furthest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(min(len(buffer), CHUNK_BYTES))  # no more than a header may take
        buffer[: len(chunk)] = chunk
        self._move(self._position + len(chunk))
        return len(chunk)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._move(self._stream.seek(offset, whence))
        return self._position

    def _move(self, position: int) -> None:
        new = max(0, position - self._furthest)
        self._position, self._furthest = position, self._furthest + new
        if self._furthest > MAX_MEMBER_BYTES:
            raise UserError(
                f"{self._where}: decompresses to more than the limit of {MAX_MEMBER_BYTES} bytes for a file"
            )
        if new and self._spend is not None:
            self._spend(new, self._where)


class _Measured(_Counted):
    """That of a file in an archive, which says in one message what is wrong with it."""

    def readinto(self, buffer: Any) -> int:
        with damage_named(self._where):
            return super().readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with damage_named(self._where):
            return super().seek(offset, whence)
