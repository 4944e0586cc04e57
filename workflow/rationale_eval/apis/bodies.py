"""Bodies of answers within bounds: a few kilobytes may be compressed gigabytes, and those of errors are read whole."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx2

ENCODINGS = "gzip, deflate"  # what is asked for: others cannot be unpacked in pieces of a known size
MOST_OF_ERROR = 1 << 16  # bytes of an error's body that are read
_PIECE = 1 << 16


async def bound(response: httpx2.Response) -> None:
    """A hook of the client: the body of ``response`` is unpacked piece by piece, and that of an error cut off.

    Raises ``httpx2.DecodingError`` for an encoding that was not asked for; so does reading the body, if it is damaged.
    """
    encoding = response.headers.pop("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise httpx2.DecodingError(f"the reply is encoded as {encoding[:40]!r}, not as asked for", request=None)
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(stream, encoding != "identity", None if response.status_code < 300 else MOST_OF_ERROR)


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
        unpacker = None
        async for packed in self._stream:
            if not self._is_packed:
                yield packed
                continue
            if unpacker is None and packed:
                # The header of gzip or zlib, else it is bare deflate, as some servers send it.
                known = packed[:1] == b"\x1f" or packed[0] & 15 == 8
                unpacker = zlib.decompressobj(47 if known else -15)
            while packed and unpacker is not None:
                try:
                    piece = unpacker.decompress(packed, _PIECE)
                except zlib.error as error:
                    raise httpx2.DecodingError(f"the reply is no {ENCODINGS}: {error}", request=None) from None
                packed = unpacker.unconsumed_tail
                if piece:
                    yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
