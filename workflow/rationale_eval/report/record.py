"""What the report's cells were made from and with, and where they differ though they are compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.home_paths import without_home
from rationale_eval.provenance import sha256_file
from rationale_eval.report.layout import Cell
from rationale_eval.tables import read_provenance

CELL_TABLES = ("predictions", "alignment", "perturbations", "faithfulness", "curves")


@dataclass(frozen=True)
class Record:
    """One table of a cell: where it lies, its checksum and the provenance stored in it."""

    cell: Cell
    name: str
    path: Path
    sha256: str
    made: Mapping[str, Any]

    @property
    def versions(self) -> str:
        """The package versions in words."""
        return ", ".join(f"{name} {version}" for name, version in sorted(self.made.get("versions", {}).items()))

    @property
    def device(self) -> str:
        """Device and floating-point type, for tables that a model made."""
        return ", ".join(str(self.made[key]) for key in ("device", "dtype") if key in self.made)

    @property
    def slice(self) -> str:
        """The slice of the configuration that the table depends on, as JSON, without home folders."""
        return json.dumps(without_home(self.made.get("spec", {})), indent=2, sort_keys=True, ensure_ascii=False)


def records(
    cells: Sequence[Cell],
    results: Path,
    methods: Iterable[str],
    prompted: Iterable[str],
    operators: Iterable[str] = (),
) -> list[Record]:
    """The records of all tables that the report rests on.

    Rationales of ``methods``, replies to the ``prompted``, and what was masked by ``operators`` beside the main one.
    """
    names = [*CELL_TABLES, *(f"rationales/{method}" for method in methods)]
    names += [f"evidence/replies/{method}" for method in prompted]
    names += [f"{table}/{operator}" for operator in operators for table in ("perturbations", "faithfulness")]
    found = []
    for cell in cells:
        for name in names:
            path = cell.folder(results) / f"{name}.parquet"
            found.append(Record(cell, name, path, sha256_file(path), read_provenance(path)))
    return found


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """What should be the same wherever two records of the study both have it, as (what, value)."""
    cell, made = record.cell, record.made
    for package, version in made.get("versions", {}).items():
        yield f"version of {package}", version
    for key in ("device", "dtype"):
        if key in made:
            yield f"{key} of {cell.model}", str(made[key])
    # Two stages may read attention through different kernels; the same stage should not.
    if "attention" in made:
        yield f"attention kernel of {cell.model} in the stage {made.get('stage')}", str(made["attention"])
    owners = {"test": cell.corpus, "prompts": cell.corpus, "model": cell.model}
    for name, owner in owners.items():
        if name in made.get("inputs", {}):
            yield f"checksum of the input “{name}” of {owner}", made["inputs"][name]["sha256"][:12]


def differences(found: Sequence[Record]) -> list[str]:
    """A sentence for each version, device, type or shared input in which tables of the study differ."""
    seen: dict[str, dict[str, list[str]]] = {}
    for record in found:
        for fact, value in _facts(record):
            seen.setdefault(fact, {}).setdefault(value, []).append(f"{record.cell.title}: {record.name}")
    return [
        f"{fact}: "
        + "; ".join(f"{value} in {len(where)} tables (first: {where[0]})" for value, where in values.items())
        for fact, values in sorted(seen.items())
        if len(values) > 1
    ]
