"""Explorers of the small trees of results that report_trees makes, and their blocks read as explorer_pack.py says."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from rationale_eval.report import explorer
from report_trees import BIDI, BUDGETS, HOSTILE, IMAGE, METHODS, SCRIPT, budgets_of, write_cell

EMOJI = "\N{GRINNING FACE} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{MICROSCOPE}"
LONG = "x" * 10_000
TEXT = f"{EMOJI} {SCRIPT} {IMAGE} {BIDI} {LONG}"
MODEL = f"m {IMAGE} {BIDI}"


def spec_of(cells: list[tuple[str, str, str]]) -> dict[str, Any]:
    """The slice of an explorer of ``cells`` (corpus, model, checkpoint)."""
    return {
        "title": f"A study {HOSTILE}",
        "cells": [dict(zip(("corpus", "model", "checkpoint"), cell, strict=True)) for cell in cells],
        "methods": METHODS,
        "evaluated": [{"name": name, "budgets": budgets_of(name)} for name in METHODS],
        "budgets": BUDGETS,
        "main_budget": "top_var",
        "perturbation": {"operator": "replace", "mask": IMAGE, "announce": False},
    }


def build(results: Path, cells: list[tuple[str, str, str]]) -> Path:
    """The explorer of ``cells``, made by the stage."""
    page = results / "report" / "explorer.html"
    explorer.main(["--spec", json.dumps(spec_of(cells)), "--results", str(results), "--output", str(page)])
    return page


def hostile(results: Path) -> Path:
    """An explorer whose texts, labels, replies, model, method and title try to inject and to reorder.

    The corpus `one` has a base and an epoch of a model with such a name, `two` a base of a plain text.
    """
    for checkpoint in ("base", "epoch-01-seed-0"):
        write_cell(results, "one", HOSTILE, TEXT, {}, checkpoint)
    shutil.copytree(results / "one" / "m", results / "one" / MODEL)
    write_cell(results, "two", "yes", "seven plain words of a \N{GRINNING FACE} text", {})
    return build(results, [("one", MODEL, "base"), ("one", MODEL, "epoch-01-seed-0"), ("two", "m", "base")])


def blocks_of(page: Path) -> dict[str, dict[str, Any]]:
    """All blocks of a page by id."""
    html = page.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/octet-stream" id="([\w-]+)">([\w+/=]*)</script>', html)
    return {name: unpacked(block) for name, block in found}


def unpacked(block: str) -> dict[str, Any]:
    """What ``pack`` packed."""
    content = zlib.decompress(base64.b64decode(block))
    begin = 4 + int.from_bytes(content[:4], "little")
    header = json.loads(content[4:begin])
    found = dict(header["values"])
    for name, (kind, offset, items) in header["arrays"].items():
        found[name] = np.frombuffer(content, np.dtype(kind).newbyteorder("<"), items, begin + offset)
    return found
