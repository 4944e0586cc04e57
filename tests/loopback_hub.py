"""Small servers on the loopback interface: plain files with ranges and faults, and the API of the Hugging Face hub.

The hub speaks what ``huggingface_hub`` asks while it gets a snapshot: information on a repository at a revision, the
list of its files, and the files with the headers of the real hub. Large files are redirected to another host name, as
the hub does with its storage. API: https://huggingface.co/docs/hub/api; error codes as in ``huggingface_hub.errors``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

LARGE = 10_000  # bytes; larger files are redirected to storage and identified by their sha256


@dataclass(frozen=True)
class Seen:
    """A request that a server got; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class QuietServer(ThreadingHTTPServer):
    """Leaves no trace in the output of clients that are killed, which is what they are here for."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors of the tests' own servers, not connections that end."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FileServer:
    """Serves ``files`` (path -> bytes) at ``url`` while it is entered as a context.

    ``cut[path]``: how many bytes the next answers send before the connection drops, one entry an answer.
    ``hold[path]``: after how many bytes an answer stops and waits until the server ends. ``answers[path]``: statuses
    that the next requests get instead, with their headers. ``validators[path]``: headers instead of the usual ETag.
    """

    handler: ClassVar[type[Handler]]

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = files or {}
        self.cut: dict[str, list[int]] = {}
        self.hold: dict[str, int] = {}
        self.answers: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.validators: dict[str, dict[str, str]] = {}
        self.seen: list[Seen] = []
        self.holding, self.ending = threading.Event(), threading.Event()

    def __enter__(self) -> Any:
        self.http = QuietServer(("127.0.0.1", 0), type("Bound", (self.handler,), {"owner": self}))
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def asked(self, part: str, method: str = "GET") -> list[Seen]:
        """The requests whose path contains ``part``."""
        return [seen for seen in self.seen if part in seen.path and seen.method == method]


class Handler(BaseHTTPRequestHandler):
    """Files by path, with HEAD, Range and If-Range."""

    owner: FileServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of the tests clean."""

    def do_GET(self) -> None:
        """Record the request, and answer with a planned fault or the resource."""
        path = unquote(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.seen.append(Seen(self.command, self.path, headers))
        if planned := self.owner.answers.get(path):
            status, more = planned.pop(0)
            self.answer(status, b"planned", more)
        else:
            self.resource(path)

    do_HEAD = do_GET  # noqa: N815

    def resource(self, path: str) -> None:
        """Send the file at ``path``."""
        if path not in self.owner.files:
            self.answer(404)
        else:
            self.deliver(path, self.owner.files[path], {})

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """A whole answer at once."""
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def deliver(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        """A file or the range of it that is asked for, broken off or held up where that is planned."""
        tags = self.owner.validators.get(path, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"'})
        headers = {**tags, **headers}
        start, status = 0, 200
        condition = self.headers.get("If-Range")
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and (condition is None or condition in tags.values()):
            start, status = int(asked[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data) - start), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = self.owner.cut.get(path)
        held = not cuts and path in self.owner.hold
        end = start + cuts.pop(0) if cuts else self.owner.hold.get(path, len(data))
        self.wfile.write(data[start:end])
        self.wfile.flush()
        if held:
            self.owner.holding.set()
            self.owner.ending.wait(30)
        self.close_connection = end < len(data)


FileServer.handler = Handler


@dataclass
class Repository:
    """A repository of the hub: ``commits`` (id -> files by name), ``branches`` (name -> commit).

    ``gated``: only a request with the hub's token gets files. ``damaged``: names whose bytes arrive changed.
    """

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated: bool = False
    damaged: set[str] = field(default_factory=set)


def git_id(data: bytes) -> str:
    """Git's object id of a file's content."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


class Hub(FileServer):
    """``repositories``: (kind, "owner/name") -> repository; ``token``: the one that opens gated ones."""

    def __init__(self, repositories: dict[tuple[str, str], Repository], token: str = "") -> None:
        super().__init__()
        self.repositories, self.token = repositories, token
        self.down = False


class HubHandler(Handler):
    """The part of the hub's API that a snapshot needs."""

    owner: Hub

    def resource(self, path: str) -> None:
        """Route to information, file list, file or storage."""
        if self.owner.down:
            self.answer(503)
        elif path.startswith("/storage/"):
            self.deliver(path, self.owner.files[path], {})
        elif match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            self.about(*match.groups())
        elif match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.file("dataset" if match[1] else "model", match[2], match[3], match[4])
        else:
            self.fault(404, "EntryNotFound")

    def fault(self, status: int, code: str) -> None:
        """An error as the hub reports it."""
        self.answer(status, json.dumps({"error": code}).encode(), {"X-Error-Code": code})

    def commit(self, kind: str, name: str, revision: str) -> tuple[Repository, str] | None:
        """The repository and the commit that a revision stands for; None after a fault has been answered."""
        repository = self.owner.repositories.get((kind, name))
        if repository is None:
            self.fault(401 if "Authorization" not in self.headers else 404, "RepoNotFound")
            return None
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            self.fault(404, "RevisionNotFound")
            return None
        return repository, commit

    def about(self, kind: str, name: str, question: str, revision: str) -> None:
        """Information on a repository at a revision, or the list of its files."""
        found = self.commit(kind, name, revision)
        if found is None:
            return
        files = found[0].commits[found[1]]
        if question == "revision":
            siblings = [{"rfilename": path} for path in files]
            said: Any = {"id": name, "sha": found[1], "gated": found[0].gated, "tags": [], "siblings": siblings}
        else:
            said = [{"type": "file", "path": path, **self.entry(data)} for path, data in files.items()]
            said += [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders(files)]
        self.answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def entry(self, data: bytes) -> dict[str, Any]:
        """How the list of files describes one."""
        large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return {"oid": git_id(data), "size": len(data)} | ({"lfs": large} if len(data) > LARGE else {})

    def file(self, kind: str, name: str, revision: str, path: str) -> None:
        """A file itself, or the way to the storage of a large one."""
        found = self.commit(kind, name, revision)
        if found is None:
            return None
        repository, commit = found
        sent = self.headers.get("Authorization")
        if repository.gated and sent != f"Bearer {self.owner.token}":
            return self.fault(403 if sent else 401, "GatedRepo")
        if path not in repository.commits[commit]:
            return self.fault(404, "EntryNotFound")
        data = repository.commits[commit][path]
        body = bytes([data[0] ^ 1]) + data[1:] if path in repository.damaged else data
        sha256 = hashlib.sha256(data).hexdigest()
        if len(data) <= LARGE:
            return self.deliver(self.path, body, {"ETag": f'"{git_id(data)}"', "X-Repo-Commit": commit})
        self.owner.files[f"/storage/{sha256}"] = body
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256}"', "X-Repo-Commit": commit}
        where = f"http://localhost:{self.owner.port}/storage/{sha256}"
        return self.answer(302, b"", {"Location": where, **linked})


Hub.handler = HubHandler


def folders(files: dict[str, bytes]) -> set[str]:
    """The folders in which the files lie."""
    return {path.rpartition("/")[0] for path in files if "/" in path}
