"""What a table was made from and with: enough to tell two cells apart that should not be compared."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package, and of Python."""
    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}


def provenance(
    stage: str, spec: Mapping[str, Any], inputs: Mapping[str, Path], packages: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """The record stored with a table: stage, config slice, checksums of the inputs, versions, time and ``more``."""
    return {
        "stage": stage,
        "spec": dict(spec),
        "inputs": {name: {"path": str(path), "sha256": sha256_file(path)} for name, path in inputs.items()},
        "versions": versions("pyarrow", *packages),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
