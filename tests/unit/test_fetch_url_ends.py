"""Downloads whose answers lie about their end, or lead nowhere: no half of a file counts as whole."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc

import pytest
from downloads import DATA, NAME, SHA256, leave_partial, left
from rationale_eval.errors import UserError
from rationale_eval.sources import url as stage


def answers(server, *sent):
    """Let the server answer with these bytes, each to one request, and hang up."""
    waiting = list(sent)

    class Raw(server.handler):
        owner = server

        def do_GET(self):  # noqa: N802
            server.seen.append(self.path)
            self.wfile.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            self.close_connection = True

    server.http.RequestHandlerClass = Raw


OK = b"HTTP/1.1 200 OK\r\n"
HALF = DATA[:1000]
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"3e8\r\n" + HALF + b"\r\n"
LENGTHS = {
    "no length": OK + b"\r\n" + HALF,
    "no length, HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + HALF,
    "no number": OK + b"Content-Length: many\r\n\r\n" + HALF,
    "a negative length": OK + b"Content-Length: -1\r\n\r\n" + HALF,
    "an endless length": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + HALF,
}


@pytest.mark.parametrize("sent", LENGTHS.values(), ids=LENGTHS.keys())
def test_a_file_of_which_nothing_tells_the_end_must_be_pinned(server, target, sent):
    answers(server, sent)
    with pytest.raises(UserError, match=r"does not say how long the file is.*pin its `sha256`"):
        stage.download(server.url + NAME, None, target)
    assert left(target) == []
    assert stage.download(server.url + NAME, hashlib.sha256(HALF).hexdigest(), target)
    assert target.read_bytes() == HALF
    with pytest.raises(UserError, match="sha256 is"):
        stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == HALF


def test_chunks_tell_the_end(server, target):
    answers(server, CHUNKED + CHUNK + b"0\r\n\r\n")
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == HALF


BROKEN = {
    "after a chunk": CHUNKED + CHUNK,
    "within a chunk": CHUNKED + CHUNK[:-300],
    "within a length": CHUNKED + CHUNK + b"3e",
    "a length that is none": CHUNKED + CHUNK + b"xyz\r\n",
    "fewer bytes than the length": OK + b"Content-Length: 1001\r\n\r\n" + HALF,
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_a_body_that_ends_too_early_is_asked_for_again_and_never_kept(server, target, sent):
    answers(server, sent)
    with pytest.raises(UserError, match="gave up after 4 tries"):
        stage.download(server.url + NAME, None, target)
    assert not target.exists()
    answers(server, sent, CHUNKED + CHUNK + b"0\r\n\r\n")
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == HALF


def test_a_length_beside_chunks_does_not_count(server, target):
    answers(server, CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + CHUNK + b"0\r\n\r\n")
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == HALF


LOCATIONS = {
    b"http://[::1": "malformed address",
    b"http://127.0.0.1:port/a": "not downloaded .the URL is malformed",
    b"http://127.0.0.1:99999/a": "not downloaded .the URL is malformed",
    b"": "without saying where to",
    b"/caf\xe9": "malformed address",
    b"http://\xff/a": "malformed address",
    b"file:///etc/passwd": "only http:// and https://",
    b"ftp://127.0.0.1/a": "only http:// and https://",
    b"data:text/plain,a": "only http:// and https://",
    b"javascript:alert(1)": "only http:// and https://",
    b"http://a..b/c": "cannot be requested|gave up",
    b"http://" + b"a" * 300 + b"/c": "cannot be requested|gave up",
}


@pytest.mark.parametrize(("location", "words"), LOCATIONS.items())
def test_a_redirect_to_no_address_is_one_message(server, target, location, words):
    answers(server, b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")
    with pytest.raises(UserError, match=words) as caught:
        stage.download(server.url + NAME, None, target)
    assert str(caught.value).startswith(f"{server.url}{NAME}: ")
    assert left(target) == []


def test_a_redirect_in_utf_8_is_followed(server, target):
    server.files["/café"] = DATA
    server.answers[NAME] = [(302, {"Location": "/café".encode().decode("latin-1")})]
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == DATA


def test_a_range_whose_numbers_have_no_end_means_a_fresh_start(server, target):
    leave_partial(server, target, 1000)
    digits = b"9" * 5000
    answers(
        server,
        b"HTTP/1.1 206 Partial\r\nContent-Length: 0\r\nContent-Range: bytes 1000-"
        + digits
        + b"/"
        + digits
        + b"\r\n\r\n",
        CHUNKED + CHUNK + b"0\r\n\r\n",
    )
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == HALF


@pytest.mark.parametrize("status", ["302 Found\r\nLocation: /corpus.tar.gz", "404 No", "500 Bad", "418 Tea"])
def test_the_body_of_an_error_or_a_redirect_is_not_read(server, target, status):
    packed = gzip.compress(bytes(200_000_000), 1)
    answers(
        server,
        f"HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed,
    )
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            stage.download(server.url + NAME, None, target)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert left(target) == []
