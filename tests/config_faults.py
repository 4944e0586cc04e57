"""What the tests of the configuration share: a fault put into it, and the message that comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan

# A corpus of one's own, and one of a plugin's format.
TABLE = {
    "format": "table",
    "source": {"path": "my/table"},
    "train": ["train.csv"],
    "test": ["test.csv"],
    "fields": {"text": "review"},
    "label": "verdict",
    "rationale": {"kind": "mask", "column": "marks"},
    "task": "sentiment",
    "train_rows": None,
    "test_rows": None,
}
MINE = {"format": "mine", "source": {"path": "x"}, "task": "sentiment", "train_rows": None, "test_rows": None}


def faults_of(raw: dict[str, Any], path: list[str], value: Any) -> str:
    """What is said of the configuration with ``value`` at ``path``."""
    section = raw
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(raw))
    return str(caught.value)
