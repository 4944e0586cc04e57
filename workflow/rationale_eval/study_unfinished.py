"""Files of results that are older than an attempt to make one of their inputs, which failed or was killed.

Snakemake deletes the outputs of a job before it starts it, and of a job that fails afterwards too. What stood below is
then still there, and the next start calls it up to date: an input that is missing is asked for only by a job that has
to run, and neither of the two has. So such files are marked as incomplete, as Snakemake marks the outputs of a job
under way: with ``rerun-incomplete``, which the profile sets, it makes them anew, if the targets need them.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

METADATA = Path(".snakemake/metadata")
INCOMPLETE = Path(".snakemake/incomplete")


def record_path(store: Path, path: str | Path) -> Path:
    """The file in which Snakemake keeps what it knows of ``path`` in one of its stores, as its own code names it."""
    limit = (os.pathconf(store, "PC_NAME_MAX") or 255) - 1
    name = urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[start : start + limit] for start in range(0, len(name), limit)]
    return store.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def mark_unfinished(results: str) -> list[str]:
    """Mark the files below ``results`` that an attempt at one of their inputs has left behind; their paths, sorted.

    ``results`` is a folder as the rules spell it. Files of which Snakemake has no record are not marked.
    """
    if not METADATA.is_dir():
        return []
    known = set(_known(results))
    missing = {path for path in known if not os.path.lexists(path)}

    needs = {path: missing & set(_texts(_read(record_path(METADATA, path)).get("input"))) for path in missing}
    begun = {path: _begun(path) for path in missing}
    # What is missing between two files passes on what is known of those that it needs; old records may go in a circle.
    while late := {path: last for path in missing if (last := _last(begun, needs[path])) > begun[path]}:
        begun |= late

    def is_older(path: str) -> bool:
        record = _read(record_path(METADATA, path))
        return _last(begun, _texts(record.get("input"))) > _number(record.get("endtime"))

    found = sorted(filter(is_older, known - missing)) if missing else []
    for path in found:
        mark = record_path(INCOMPLETE, path)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps({"external_jobid": None}), encoding="utf-8")
    return found


def note(behind: list[str]) -> str:
    """What is said of files as ``mark_unfinished`` finds them."""
    return (
        f"{len(behind)} files of results, such as {behind[0]}, are older than an attempt to make their inputs, which "
        "did not succeed; they are made anew where the targets need them"
    )


def _known(results: str) -> Iterator[str]:
    """The paths below ``results`` that Snakemake has a record of, or the mark of a job that began."""
    stores = [store for store in (METADATA, INCOMPLETE) if store.is_dir()]
    names = {"".join(_parts(store, file)) for store in stores for file in _files(store)}
    for name in names:
        try:
            path = urlsafe_b64decode(name).decode()
        except ValueError:
            continue  # another file that lies there
        if path.startswith(f"{results}/") or results == ".":
            yield path


def _files(store: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(store):
        yield from (Path(folder, name) for name in names)


def _parts(store: Path, file: Path) -> list[str]:
    """The name of a file, of which long ones are cut into folders that begin with @."""
    return [part.removeprefix("@") for part in file.relative_to(store).parts]


def _begun(path: str) -> float:
    """When the last job that should have made ``path`` began, in seconds since 1970; 0 if that is not known.

    The record of a job that ended, if in failure, says so; one that was killed has left a mark.
    """
    mark = record_path(INCOMPLETE, path)
    marked = mark.stat().st_mtime if mark.exists() else 0.0
    return max(marked, _number(_read(record_path(METADATA, path)).get("starttime")))


def _last(begun: Mapping[str, float], paths: Iterable[str]) -> float:
    return max((begun.get(path, 0.0) for path in paths), default=0.0)


def _texts(value: Any) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
