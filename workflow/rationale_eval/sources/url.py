"""Download a file from a URL: taken up again after an interruption, checked, and under its name only when it is whole.

Until then it is ``.NAME.partial`` beside its place, and ``.NAME.partial.json`` says what the server told of it. Ranges
and their conditions are those of RFC 9110 (sections 13.1.5 and 14): a partial file is continued only if the server
vouches that it still has the same one.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import re
import shutil
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from rationale_eval.errors import UserError
from rationale_eval.progress import Progress, say
from rationale_eval.provenance import sha256_file

CHUNK = 1 << 16  # bytes that a kill may cost
TIMEOUT = (20.0, 60.0)  # seconds: to connect, and to wait for the next bytes
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each new try; counted anew whenever it gets further
REDIRECTS = 10
NUMBER = "[0-9]{1,18}"  # Python reads no endless ones
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
FULL = (errno.ENOSPC, errno.EDQUOT)


class TransientError(Exception):
    """Something that may be better at the next try."""


def download(url: str, sha256: str | None, target: Path) -> str:
    """Put the file at ``url`` at ``target`` and return its sha256, which must be ``sha256`` if that is given.

    Raises ``UserError`` for a URL that is not http or https or carries a password, for a server that cannot be reached,
    lacks the file, refuses it or redirects to nowhere, for other bytes than the pinned ones, for a file of which
    neither server nor checksum tells whether it is whole, and for a full disk.
    """
    check_url(url)
    partial = target.with_name(f".{target.name}.partial")
    notes = partial.with_name(f"{partial.name}.json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(partial) as stream:
            if sha256 and target.is_file() and sha256_file(target) == sha256.lower():
                return sha256.lower()
            _transfer(url, stream, notes, pinned=sha256 is not None)
            os.fsync(stream.fileno())
            found = sha256_file(partial)
            if sha256 and found != sha256.lower():
                stream.truncate(0)
                raise UserError(f"{_shown(url)}: sha256 is {found}, the configuration expects {sha256.lower()}")
            partial.replace(target)
            notes.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise UserError(f"{target}: the disk is full; make room and run again, what has arrived is kept") from None
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from None
    return found


def check_url(url: str) -> None:
    """Raise ``UserError`` unless ``url`` is http or https, names a host and carries no user name or password."""
    try:
        parts = urlsplit(url)
        host, secret, _ = parts.hostname, parts.username or parts.password, parts.port
    except ValueError:  # whose text may quote what stands before the host
        raise UserError("the URL is malformed: its host or port cannot be read") from None
    if secret is not None:
        raise UserError(f"the URL on {host} carries a user name or password, which logs would show: use ~/.netrc")
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"{_shown(url)}: only http:// and https:// addresses are downloaded; give a local file as path")


@contextmanager
def _alone(partial: Path) -> Iterator[BinaryIO]:
    """Open ``partial`` for appending, once no other process is at it; it goes away again if it stays empty."""
    while True:
        stream = partial.open("a+b")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(stream, fcntl.LOCK_EX)
        # Whoever had the lock may have renamed or deleted the file that was opened here.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), partial.stat()):
                break
        stream.close()
    with stream:
        try:
            yield stream
        finally:
            with suppress(FileNotFoundError):
                if not partial.stat().st_size and not os.fstat(stream.fileno()).st_size:
                    partial.unlink()
                    partial.with_name(f"{partial.name}.json").unlink(missing_ok=True)


class _Session(requests.Session):
    """A session that leaves redirects alone: it would read the body of each whole, and follow any address."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None."""
        return None


def _transfer(url: str, stream: BinaryIO, notes: Path, pinned: bool) -> None:
    """Bring ``stream`` to the whole file, with new tries after transient faults."""
    failures = 0
    furthest = stream.seek(0, os.SEEK_END)
    with _Session() as session:
        while True:
            try:
                return _receive(session, url, stream, notes, pinned)
            except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError, TransientError) as error:
                innermost = _innermost(error)
            except requests.RequestException as error:
                raise UserError(f"{_shown(url)}: cannot be requested ({type(error).__name__})") from None
            if isinstance(innermost, ssl.SSLCertVerificationError):
                raise UserError(f"{_shown(url)}: the server's certificate is not trusted: {innermost.verify_message}")
            if (size := stream.seek(0, os.SEEK_END)) > furthest:
                furthest, failures = size, 0
            if failures == len(WAITS):
                tries = f"{failures + 1} tries" if failures else "1 try"
                raise UserError(f"{_shown(url)}: gave up after {tries}: {innermost}; run again to go on")
            say(f"{_shown(url)}: {innermost}; next try in {WAITS[failures]:g} s")
            time.sleep(WAITS[failures])
            failures += 1


def _receive(session: requests.Session, url: str, stream: BinaryIO, notes: Path, pinned: bool) -> None:
    """One request: continue ``stream``, or start it anew if the server does not vouch for the same file."""
    start, noted = _resumable(url, stream, notes)
    # Compressed on the way, lengths and ranges would count other bytes than those that are kept.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": noted["validator"]}
    with _follow(session, url, headers) as response:
        _check_status(response, url)
        if response.status_code == 200:
            if not (pinned or _is_chunked(response)) and _length(response) is None:
                raise UserError(
                    f"{_shown(url)}: the server does not say how long the file is, so a part of it would pass for all; "
                    "pin its `sha256` in the configuration"
                )
            start = 0
            stream.truncate(0)  # before the note: it must never speak of bytes of another file
            noted = {"url": url, "validator": _validator(response), "length": _length(response)}
            notes.write_text(json.dumps(noted), encoding="utf-8")
        elif not _continues(response, start, noted):
            stream.truncate(0)
            raise TransientError("the file has changed on the server, its download starts again")
        stream.truncate(start)
        length = noted["length"]
        name = urlsplit(url).path.rpartition("/")[2] or _shown(url)
        if start:
            say(f"{name}: goes on after {start} of {length} bytes")
        if length is not None and shutil.disk_usage(notes.parent).free < length - start:
            raise OSError(errno.ENOSPC, "the file is larger than the free space")
        progress = Progress(name, length // 1000, "kB", skipped=start // 1000) if length else None
        size = start
        for block in response.raw.stream(CHUNK, decode_content=False):
            stream.write(block)
            stream.flush()
            if progress:
                progress.advance((size + len(block)) // 1000 - size // 1000)
            size += len(block)
    if length is not None and size != length:
        raise TransientError(f"the server sent {size} of {length} bytes")


def _resumable(url: str, stream: BinaryIO, notes: Path) -> tuple[int, dict[str, Any]]:
    """From which byte the file can be continued, and what was noted of it; 0 where nothing proves it the same."""
    size = stream.seek(0, os.SEEK_END)
    try:
        noted = json.loads(notes.read_text(encoding="utf-8"))
        if noted["url"] == url and noted["validator"] and noted["length"]:
            # At least one byte is asked for again: a request for none is an error, even if the file is the same.
            return min(size, noted["length"] - 1), noted
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return 0, {}


def _follow(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Request ``url`` and what it redirects to, each address checked like the first, never from https down to http."""
    asked = url
    for _ in range(REDIRECTS + 1):
        response = session.get(asked, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
        if not response.is_redirect:
            return response
        response.close()
        target = _redirected(asked, response.headers["Location"], url)
        if urlsplit(asked).scheme == "https" and urlsplit(target).scheme != "https":
            raise UserError(f"{_shown(url)}: redirects from https to unprotected http on {urlsplit(target).hostname}")
        asked = target
    raise UserError(f"{_shown(url)}: more than {REDIRECTS} redirects")


def _redirected(asked: str, location: str, url: str) -> str:
    """The address that ``location``, a header of the answer at ``asked``, stands for; ``url`` is for messages."""
    if not location:
        raise UserError(f"{_shown(url)}: redirects without saying where to")
    try:
        # Headers come as Latin-1, in which those that are not ASCII are seldom meant.
        target = urljoin(asked, location.encode("latin-1").decode("utf-8"))
        check_url(target)
    except ValueError:  # whose text may quote a signature
        raise UserError(f"{_shown(url)}: redirects to a malformed address") from None
    except UserError as error:
        raise UserError(f"{_shown(url)}: redirects to an address that is not downloaded ({error})") from None
    return target


def _check_status(response: requests.Response, url: str) -> None:
    status, reason = response.status_code, " ".join(str(response.reason or "").split())[:100]
    if status in TRANSIENT_STATUS:
        raise TransientError(f"the server answered {status} {reason}")
    if status in (404, 410):
        raise UserError(f"{_shown(url)}: there is no such file ({status}); check the address")
    if status in (401, 403):
        raise UserError(f"{_shown(url)}: the server refuses it ({status}); it may need a login or other terms of use")
    if status not in (200, 206, 416):
        raise UserError(f"{_shown(url)}: the server answered {status} {reason}")


def _validator(response: requests.Response) -> str | None:
    """What identifies these bytes in ``If-Range``: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _length(response: requests.Response) -> int | None:
    """The bytes of the body, as far as the server says. Chunks tell their end; a length beside them does not count."""
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(NUMBER, length) and not _is_chunked(response) else None


def _is_chunked(response: requests.Response) -> bool:
    return bool(getattr(response.raw, "chunked", False))


def _continues(response: requests.Response, start: int, noted: dict[str, Any]) -> bool:
    """Whether a partial answer is the rest of the noted file from ``start``."""
    found = re.fullmatch(f"bytes ({NUMBER})-{NUMBER}/({NUMBER})", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or found is None or _validator(response) not in (None, noted.get("validator")):
        return False
    return [int(number) for number in found.groups()] == [start, noted.get("length")]


def _shown(url: str) -> str:
    """The address without its query, which may be a signature."""
    return re.split(r"[?#]", url, maxsplit=1)[0]


def _innermost(error: BaseException) -> BaseException:
    """What lies at the root: the outer errors of the libraries quote whole addresses."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval fetch_url", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"url", "sha256" (or null)}')
    parser.add_argument("--output", type=Path, required=True, help="where the file goes")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    found = download(spec["url"], spec["sha256"], args.output)
    pinned = "as pinned" if spec["sha256"] else "not pinned in the configuration: add it there to be told of changes"
    say(f"{args.output}: {args.output.stat().st_size} bytes, sha256 {found}, {pinned}")
