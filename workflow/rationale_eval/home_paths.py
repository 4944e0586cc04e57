"""Paths as they stand in what is passed on: a home folder names a person, and says nothing to anybody else."""

from __future__ import annotations

import os
import re
from typing import Any

# As on Linux, macOS and clusters, and as Windows has them in its own world and in that of Linux.
_HOME = re.compile(
    r"^(?:file://)?(?:/(?:export|nfs|mnt/\w))?(?:/home|/[Uu]sers)/[^/]+(?=/|$)|^[A-Za-z]:\\Users\\[^\\]+(?=\\|$)"
)


def without_home(value: Any) -> Any:
    """``value``, JSON, in which ``~`` stands for the home folder that a text begins with, whoever's it is."""
    if isinstance(value, dict):
        return {key: without_home(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_home(part) for part in value]
    if not isinstance(value, str):
        return value
    home = os.path.expanduser("~")  # noqa: PTH111 -- pathlib raises for a user without a home
    below = home != "/" and (value == home or value.startswith(f"{home}/"))
    return f"~{value[len(home) :]}" if below else _HOME.sub("~", value)
