"""Fixtures of the unit tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def raw() -> dict[str, Any]:
    """What config.yaml holds, to be changed."""
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def frozen() -> Iterator[None]:
    """statsmodels collects garbage at each correction: what is there already need not be searched every time."""
    gc.freeze()
    yield
    gc.unfreeze()
