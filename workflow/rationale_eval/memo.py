"""A content-addressed store of computed results, so that work survives a kill, a re-run and ``rm -rf results``.

Results live under ``memo_dir/{stage}/{context}/``. The *context* is everything but the input that a result depends on
(spec, code, checkpoint, dtype, device, versions); it is written out beside the results. Each process that writes has
a file of its own and only ever appends whole lines to it; readers read all files. A line carries a checksum, so that
a half-written tail or a damaged line is recognised, reported and left out: it costs time, never a wrong number.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import uuid
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rationale_eval.progress import say


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value`` (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"f4": base64.b64encode(np.ascontiguousarray(value, dtype="<f4").tobytes()).decode()}
    raise TypeError(f"cannot store {type(value).__name__}")


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() == {"f4"}:
        return np.frombuffer(base64.b64decode(value["f4"]), dtype="<f4")
    return value


class Memo:
    """Results of one stage in one context; a context manager.

    ``context`` is any JSON value. Values are JSON with numpy arrays, which are kept as float32.
    """

    def __init__(self, root: Path, stage: str, context: Mapping[str, Any]) -> None:
        self.folder = root / stage / digest(context)[:24]
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_once(self.folder / "context.json", json.dumps(context, indent=2, sort_keys=True))
        self._results: dict[str, Any] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            self._read(path)
        self._path = self.folder / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._stream: io.FileIO | None = None

    def _read(self, path: Path) -> None:
        if not path.is_file():
            say(f"memo: {path}: is no file and is not read")
            return
        damaged = 0
        for line in path.read_bytes().splitlines():
            checksum, _, body = line.partition(b" ")
            try:
                if checksum != _checksum(body):
                    raise ValueError
                record = json.loads(body, object_hook=_decode)
                key, value = record["key"], record["value"]
                self._results[key] = value
            except (ValueError, LookupError, TypeError, RecursionError):  # of another program, if the checksum is right
                damaged += 1
        if damaged:
            say(f"memo: {path}: {damaged} damaged line(s) left out; what they held is computed again")

    def __contains__(self, key: str) -> bool:
        return key in self._results

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, key: str) -> Any:
        return self._results[key]

    def keys(self) -> Iterator[str]:
        """The keys of all that is stored."""
        return iter(self._results)

    def values(self) -> Iterator[Any]:
        """All that is stored."""
        return iter(self._results.values())

    def put(self, results: Mapping[str, Any]) -> None:
        """Store ``results`` and flush them to the disk before returning; where that fails, none of them."""
        lines, stored = [], {}
        for key, value in results.items():
            body = json.dumps({"key": key, "value": value}, default=_encode, separators=(",", ":")).encode()
            lines.append(_checksum(body) + b" " + body + b"\n")
            # Through the same decoding as a later read: the process that computed a result and one that finds it
            # must go on with the same numbers (float32, not the float64 that the caller may have passed).
            stored[key] = json.loads(body, object_hook=_decode)["value"]
        self._append(b"".join(lines))
        self._results |= stored

    def _append(self, lines: bytes) -> None:
        if self._stream is None:
            self._stream = self._path.open("ab", buffering=0)
        start = self._stream.tell()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._stream.write(rest) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            self._stream.truncate(start)  # a full disk then has room for the message, at least
            self._stream.seek(start)  # else the next write that fails is cut off at a wrong place
            error.filename = str(self._path)
            raise

    def __enter__(self) -> Memo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()


def _checksum(body: bytes) -> bytes:
    return f"{zlib.crc32(body):08x}".encode()


def _write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
