"""A file to be downloaded from a server on the loopback interface, for the tests of downloads."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from loopback_hub import FileServer
from rationale_eval.errors import UserError
from rationale_eval.sources import url as stage

DATA = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
NAME = "/corpus.tar.gz"


def left(target: Path) -> list[str]:
    """The names of the files in the folder of ``target``."""
    return sorted(path.name for path in target.parent.iterdir())


def leave_partial(server: FileServer, target: Path, sent: int) -> None:
    """What a download leaves that was broken off for good after ``sent`` bytes."""
    server.cut[NAME] = [sent]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "WAITS", ())
        with pytest.raises(UserError, match="gave up after 1 try"):
            stage.download(server.url + NAME, None, target)
    assert left(target) == [".corpus.tar.gz.partial", ".corpus.tar.gz.partial.json"]
    server.seen.clear()
