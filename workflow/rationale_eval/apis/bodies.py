"""Bodies of answers within bounds: a few kilobytes may be compressed gigabytes, and those of errors are read whole."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx2

PACKINGS = ("gzip", "x-gzip", "deflate")
ENCODINGS = "gzip, deflate"  # what is asked for: others cannot be unpacked in pieces of a known size
MOST_OF_ERROR = 1 << 16  # bytes of an error's body that are read
_PIECE = 1 << 16


async def bound(response: httpx2.Response) -> None:
    """A hook of the client: the body of ``response`` is unpacked piece by piece, and that of an error cut off.

    What is packed in another way than was asked for stays as it is, and so do bodies of servers that name there what is
    no packing, such as utf-8. Reading a body that is damaged raises ``httpx2.DecodingError``.
    """
    named = {part.strip().lower() for part in response.headers.pop("Content-Encoding", "").split(",")}
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    is_packed = not named.isdisjoint(PACKINGS)
    response.stream = _Bounded(stream, is_packed, None if response.status_code < 300 else MOST_OF_ERROR)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, is_packed: bool, most: int | None) -> None:
        self._stream, self._is_packed, self._most = stream, is_packed, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for piece in self._pieces():
            yield piece if left is None else piece[:left]
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    return

    async def _pieces(self) -> AsyncIterator[bytes]:
        unpacker, is_first = None, True
        async for packed in self._stream:
            if not self._is_packed:
                yield packed
                continue
            while packed:
                if unpacker is None:
                    # A body of gzip may have several parts; of anything else that is behind the first nothing is known.
                    if not is_first and packed[:1] != b"\x1f":
                        break
                    # The header of gzip or zlib, else it is bare deflate, as some servers send it.
                    unpacker = zlib.decompressobj(47 if packed[:1] == b"\x1f" or packed[0] & 15 == 8 else -15)
                    is_first = False
                try:
                    piece = unpacker.decompress(packed, _PIECE)
                except zlib.error as error:
                    raise httpx2.DecodingError(f"the reply is no {ENCODINGS}: {error}", request=None) from None
                packed = unpacker.unconsumed_tail
                if unpacker.eof:
                    packed, unpacker = unpacker.unused_data, None
                if piece:
                    yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
