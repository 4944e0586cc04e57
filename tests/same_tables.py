"""Whether two Parquet tables say the same: byte for byte apart from the time, or as far as rounding lets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rationale_eval.tables import read_provenance


def columns(path: Path) -> dict[str, list[Any]]:
    """The columns of a table by name."""
    found: dict[str, list[Any]] = pq.ParquetFile(path).read().to_pydict()
    return found


def provenance(path: Path) -> dict[str, Any]:
    """What a table was made from and with, the time aside."""
    return {name: value for name, value in read_provenance(path).items() if name != "created"}


def without_time(path: Path) -> bytes:
    """The bytes of a file, with the time in its provenance blanked."""
    return path.read_bytes().replace(read_provenance(path)["created"].encode(), b"")


def _flat(values: list[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def differences(found: Path, expected: Path, tolerance: float = 1e-4) -> list[str]:
    """The columns that differ: floats by more than ``tolerance`` times the largest of their column, all else at all."""
    left, right = columns(found), columns(expected)
    if left.keys() != right.keys():
        return sorted(left.keys() ^ right.keys())
    return [name for name in right if not _close(left[name], right[name], tolerance)]


def _close(left: list[Any], right: list[Any], tolerance: float) -> bool:
    one, other = _flat(left), _flat(right)
    if not any(isinstance(value, float) for value in other):
        return left == right
    if [value is None for value in one] != [value is None for value in other]:
        return False
    numbers = [np.array([value for value in values if value is not None]) for values in (one, other)]
    return bool(np.abs(numbers[0] - numbers[1]).max() <= tolerance * np.abs(numbers[1]).max())
