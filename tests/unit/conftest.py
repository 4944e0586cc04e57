"""Fixtures of the unit tests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def raw() -> dict[str, Any]:
    """What config.yaml holds, to be changed."""
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[None]:
    """statsmodels collects garbage at each correction: what is there already need not be searched every time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., Any]:
    """``rows_of(rows, spec, ending, side, left_out)``: what is read of such rows of a table, see ``table_rows``."""
    from table_rows import read_rows

    return partial(read_rows, tmp_path)
