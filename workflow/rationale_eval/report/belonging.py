"""Whether the tables that a report reads were made from each other: none is another cell's, or from another run."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

from rationale_eval.errors import UserError
from rationale_eval.provenance import sha256_file
from rationale_eval.report.layout import is_checkpoint
from rationale_eval.tables import read_provenance

# Inputs that people bring, wherever they lie.
BROUGHT = ("source", "external")


def check_belonging(paths: Collection[Path], results: Path) -> None:
    """Raise ``UserError`` for the first of the tables ``paths`` that does not belong where it lies below ``results``.

    Each names the files that it was made from, with their checksums. These must be of its own cell; and those that are
    among ``paths`` too must have that content now. Results may have been moved as a whole since they were made.
    """
    checksum = cache(sha256_file)
    paths = set(paths)
    for path in sorted(paths):
        for name, entry in read_provenance(path).get("inputs", {}).items():
            place = None if name in BROUGHT else _place(Path(entry.get("path", "")), results)
            if place is None:
                continue
            cell = _cell(place)
            if cell is not None and cell != _cell(path.relative_to(results)):
                raise UserError(
                    f"{path}: was made from {entry['path']}, so it is a table of {cell}, in the place of another "
                    "cell's; put each where it was, or delete both and run again"
                )
            if (made_from := results / place) in paths and checksum(made_from) != entry.get("sha256"):
                raise UserError(
                    f"{path}: does not belong to {made_from}, which it was made from: that has another content now; "
                    f"delete {path} and run again"
                )


def _place(made_from: Path, results: Path) -> Path | None:
    """Where below ``results`` a file lies that a table names, wherever they were then; None for one from elsewhere."""
    for folder in (results, results.absolute()):
        if made_from.is_relative_to(folder):
            return made_from.relative_to(folder)
    if made_from.exists():
        return None
    parts = made_from.parts
    return next((Path(*parts[i:]) for i in range(1, len(parts)) if (results / Path(*parts[i:])).is_file()), None)


def _cell(place: Path) -> str | None:
    """The cell of a file of the results: corpus, model and checkpoint; None for what cells share."""
    is_of_cell = len(place.parts) > 3 and is_checkpoint(place.parts[2])
    return "/".join(place.parts[:3]) if is_of_cell else None
