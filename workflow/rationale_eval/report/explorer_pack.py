"""Pack columns and texts into one compact text that a page can hold and a browser's own functions can unpack."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Typed arrays of JavaScript begin at multiples of their item's size; 8 is one of all of them.
ALIGNMENT = 8
# Shares and differences of probabilities lie within -1 and 1 and are kept to four decimals.
SCALE, MISSING = 10_000, -32_768
# Scores are shown as heat, so they are kept to a 127th of the largest of their text.
LEVELS = 127


def pack(values: Mapping[str, Any]) -> str:
    """``values`` as base64 of a deflated (zlib) block: a header, then the arrays.

    NumPy arrays become little-endian typed arrays, everything else is kept as JSON. The block begins with the header's
    length (4 bytes) and the header, JSON ``{"arrays": {name: [type, offset, items]}, "values": {...}}``, padded with
    spaces; offsets count from the header's end.
    """
    arrays: dict[str, list[Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            continue
        content = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<")).tobytes()
        arrays[name] = [value.dtype.name, offset, value.size]
        content += bytes(-len(content) % ALIGNMENT)
        parts.append(content)
        offset += len(content)
    rest = {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}
    header = json.dumps({"arrays": arrays, "values": rest}, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-(4 + len(header)) % ALIGNMENT)
    block = b"".join([len(header).to_bytes(4, "little"), header, *parts])
    return base64.b64encode(zlib.compress(block, 6)).decode("ascii")


def fixed(value: float | None) -> int:
    """A number between -3 and 3 to four decimals as a 16-bit integer; ``MISSING`` for none."""
    return MISSING if value is None or np.isnan(value) else round(value * SCALE)


def counts(values: Sequence[int]) -> np.ndarray:
    """Whole numbers from 0 to 2^32 - 1 in the smallest type that holds the largest of them."""
    return np.array(values, dtype=np.min_scalar_type(max(values, default=0)))


def levels(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """The scores of one text in ``LEVELS`` steps on either side of 0, and the largest size of a score."""
    largest = float(np.abs(scores).max(initial=0.0))
    steps = np.rint(scores / largest * LEVELS) if largest > 0 else np.zeros(len(scores))
    return steps.astype(np.int8), largest


def utf16_offsets(text: str) -> np.ndarray | None:
    """For each character and the end of ``text`` its offset in UTF-16 units, as JavaScript counts.

    None where these are the offsets of characters.
    """
    if not text or max(text) <= "\uffff":
        return None
    widths = [1 + (character > "\uffff") for character in text]
    return np.concatenate([[0], np.cumsum(widths)])
