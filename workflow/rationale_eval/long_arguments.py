"""Slices of the configuration that are too long for a command: the line of a shell is one argument, of at most 128 KiB.

They are written to a file that is named by its content, and given as ``@file``: a change is still one of the params.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rationale_eval.errors import UserError

# Quotes in a shell's line may take another third; the rest is for paths.
MOST_BYTES = 65_536


def as_argument(text: str, folder: Path) -> str:
    """``text`` itself or, if it is long, ``@`` and the file below ``folder`` that holds it from now on."""
    content = text.encode()
    if len(content) <= MOST_BYTES:
        return text
    file = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.json"
    if not file.exists():
        from rationale_eval.tables import write_text  # with Arrow, which reading an argument does not need

        write_text(file, text)
    return f"@{file}"


def expanded(argv: Sequence[str]) -> list[str]:
    """``argv`` with the content of the file behind each ``--spec @file``. Raises ``UserError`` if it is not there."""
    found = list(argv)
    for place in range(1, len(found)):
        if found[place - 1] == "--spec" and found[place].startswith("@"):
            file = Path(found[place][1:])
            try:
                found[place] = file.read_text(encoding="utf-8")
            except OSError as error:
                raise UserError(f"{file}: cannot be read ({error.strerror}); run snakemake again") from None
    return found
