"""Decompression and headers of archives within bounds: a file of kilobytes says how many gigabytes to take.

The readers of the standard library bound what they give out, but some not what they take: a dictionary of xz, a whole
compressed block of a zip's member, a header whose length the archive itself names.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from copy import copy
from typing import IO, Any, cast

MAX_DECODER_BYTES = 256 * 1024**2  # of memory; `xz -9` asks for 65 MiB
_CHUNK = 1 << 16
_END_MARKED = 2  # the flag of a zip's member whose LZMA stream has a mark at its end


class TooLargeError(Exception):
    """What would take more memory than is allowed, and the limit."""


class Guarded:
    """A seekable stream that refuses to read more than ``most`` bytes at once: headers say how many to read.

    While ``left`` is a number, no more than so many bytes are read altogether. Raises ``TooLargeError``.
    """

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most = stream, most
        self.left: int | None = None
        self.seek, self.tell = stream.seek, stream.tell

    def seekable(self) -> bool:
        """True: ``zipfile`` asks."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        found = self._stream.read(min(size, self._most + 1) if size >= 0 else self._most + 1)
        if self.left is not None:
            self.left -= len(found)
        if len(found) > self._most or (self.left is not None and self.left < 0):
            raise TooLargeError(f"a header in it takes more than the limit of {self._most} bytes")
        return found


class Unpacked(io.RawIOBase):
    """What ``packed`` decompresses to: no more at a time than is asked for. Seeking back starts anew.

    ``decoder`` makes the decompressor of each stream; those of xz and bzip2 may follow one another. The first gets
    ``head`` before the bytes of ``packed`` from ``start``. ``expected`` is the size and the CRC-32 that a zip tells.
    Raises ``TooLargeError`` for an xz or LZMA stream whose decoder needs more than ``MAX_DECODER_BYTES``, what the
    decompressors raise for damage, ``EOFError`` and ``zipfile.BadZipFile``.
    """

    def __init__(
        self,
        packed: IO[bytes],
        decoder: Callable[[], Any],
        head: bytes = b"",
        start: int = 0,
        expected: tuple[int, int] | None = None,
    ) -> None:
        self._packed, self._new, self._head, self._start, self._expected = packed, decoder, head, start, expected
        self._rewind()

    def _rewind(self) -> None:
        self._packed.seek(self._start)
        self._decoder, self._rest, self._position, self._crc = self._new(), self._head, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._next(len(buffer))
        except lzma.LZMAError as error:
            if "limit" not in str(error):
                raise
            raise TooLargeError(
                f"its decoder needs more than the limit of {MAX_DECODER_BYTES} bytes of memory; compress it anew with "
                "a smaller dictionary, as that of `xz -9`"
            ) from None
        buffer[: len(data)] = data
        self._position += len(data)
        self._check(data, len(buffer))
        return len(data)

    def _next(self, most: int) -> bytes:
        while most:
            if self._decoder.eof:
                self._rest = self._decoder.unused_data or self._packed.read(_CHUNK)
                # Xz pads with zeros; what else follows is another stream, or not looked at, as by its own reader.
                if not self._rest.strip(b"\0") or self._expected is not None:
                    return b""
                self._decoder = self._new()
                try:
                    data = self._decoder.decompress(self._rest, most)
                except lzma.LZMAError:
                    return b""
            else:
                if not self._rest and self._decoder.needs_input:
                    self._rest = self._packed.read(_CHUNK)
                    if not self._rest:
                        raise EOFError("the compressed data ends before its end is marked")
                data = self._decoder.decompress(self._rest, most)
            self._rest = b""
            if data:
                return cast(bytes, data)
        return b""

    def _check(self, data: bytes, asked: int) -> None:
        if self._expected is None:
            return
        size, crc = self._expected
        self._crc = zlib.crc32(data, self._crc)
        if self._position > size or (asked and not data and (self._position, self._crc) != (size, crc)):
            raise zipfile.BadZipFile("a member has another size or checksum than the archive says")

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            while self.read(_CHUNK):
                pass
        target = offset + (0 if whence == os.SEEK_SET else self._position)
        if target < self._position:
            self._rewind()
        while self._position < target and self.read(min(_CHUNK, target - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._packed.close()
        super().close()


def unpacked_xz(stream: IO[bytes]) -> Unpacked:
    """What a file of xz holds; see ``Unpacked``."""
    return Unpacked(stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DECODER_BYTES))


def open_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """A stream of a zip's member; see ``Unpacked``, as ``zipfile`` unpacks all that it has read of LZMA and bzip2."""
    if member.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return archive.open(member)
    packed = copy(member)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    packed.CRC = cast(int, None)  # of the unpacked bytes: none to check the packed ones by
    stream = archive.open(packed)
    expected = member.file_size, member.CRC
    if member.compress_type == zipfile.ZIP_BZIP2:
        return cast(IO[bytes], Unpacked(stream, bz2.BZ2Decompressor, expected=expected))
    # A version, the size of the properties (5), the properties (APPNOTE 5.8.8): an .lzma file has these and a length.
    head = stream.read(9)
    if len(head) < 9 or head[2:4] != b"\5\0":
        raise zipfile.BadZipFile("a member has no header of LZMA")
    length = b"\xff" * 8 if member.flag_bits & _END_MARKED else member.file_size.to_bytes(8, "little")

    def decoder() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_DECODER_BYTES)

    return cast(IO[bytes], Unpacked(stream, decoder, head[4:] + length, len(head), expected))
