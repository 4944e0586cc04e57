"""Bodies of an API's answers: what is packed is unpacked in pieces, and an error's is read up to a limit."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import httpx2
import pytest
from rationale_eval.apis.bodies import MOST_OF_ERROR, bound

TEXT = b'{"a": "reply"}' * 1000
BOMB = gzip.compress(bytes(100_000_000), 1)
BARE = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZIP": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "identity": TEXT,
}


def pieces(status, encoding, body):
    """The pieces of a body that the client gets."""

    async def get():
        transport = httpx2.MockTransport(
            lambda request: httpx2.Response(status, headers={"Content-Encoding": encoding}, stream=Sent(body))
        )
        async with (
            httpx2.AsyncClient(transport=transport, event_hooks={"response": [bound]}) as client,
            client.stream("GET", "http://server/") as response,
        ):
            return [piece async for piece in response.aiter_bytes()]

    return asyncio.run(get())


class Sent(httpx2.AsyncByteStream):
    def __init__(self, body):
        self.body = body

    async def __aiter__(self):
        for start in range(0, len(self.body), 10_000):
            yield self.body[start : start + 10_000]


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("status", [200, 400])
def test_a_body_arrives_whole(encoding, status):
    assert b"".join(pieces(status, encoding, PACKED[encoding])) == TEXT


def test_bare_deflate_is_unpacked_too():
    assert b"".join(pieces(200, "deflate", BARE.compress(TEXT) + BARE.flush())) == TEXT


@pytest.mark.parametrize("status", [302, 400, 404, 429, 503])
@pytest.mark.parametrize(("encoding", "body"), [("gzip", BOMB), ("identity", bytes(10_000_000))])
def test_no_more_of_an_error_is_read_than_the_limit(status, encoding, body):
    assert sum(map(len, pieces(status, encoding, body))) == MOST_OF_ERROR


def test_a_reply_is_unpacked_in_small_pieces():
    assert max(map(len, pieces(200, "gzip", BOMB))) <= 1 << 16


@pytest.mark.parametrize("encoding", ["utf-8", "none", "", "br", "identity, gzip"])
def test_what_names_no_packing_that_is_known_stays_as_it_is(encoding):
    body = gzip.compress(TEXT) if "gzip" in encoding else TEXT
    assert b"".join(pieces(200, encoding, body)) == TEXT


@pytest.mark.parametrize("split", [TEXT[:40_000], TEXT[:7]])
def test_a_body_of_several_parts_is_put_together_and_padding_left_out(split):
    body = gzip.compress(split) + gzip.compress(TEXT[len(split) :]) + bytes(20_000)
    assert b"".join(pieces(200, "gzip", body)) == TEXT


def test_damage_is_told():
    with pytest.raises(httpx2.DecodingError, match="is no gzip"):
        pieces(200, "gzip", TEXT)
