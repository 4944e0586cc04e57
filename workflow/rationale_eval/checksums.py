"""Checksums of large files that are asked for again and again, each computed once.

A file's time can be set back (``cp -p``, ``rsync -a``, an archive), and its size can stay: what tells of another
content is the time of the last change of its inode, which cannot be set.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from rationale_eval.provenance import sha256_file
from rationale_eval.tables import write_json


class Checksums:
    """SHA-256 of files, remembered in the JSON file ``memory`` where that can be written."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, str] = {}
        self._new = False
        with suppress(OSError, ValueError):
            found = json.loads(memory.read_text(encoding="utf-8"))
            self._known = found if isinstance(found, dict) else {}

    def of(self, path: Path) -> str:
        """The checksum of a file, or of the one that a link leads to."""
        facts = path.stat()
        key = f"{facts.st_dev} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
        if key not in self._known:
            self._known[key] = sha256_file(path)
            self._new = True
        return self._known[key]

    def save(self) -> None:
        """Remember what was computed; without room or rights it is computed again next time."""
        if self._new:
            with suppress(OSError):
                write_json(self._memory, self._known)
            self._new = False
