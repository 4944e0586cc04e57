"""Fixtures of the unit tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def raw() -> dict[str, Any]:
    """What config.yaml holds, to be changed."""
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    return loaded
