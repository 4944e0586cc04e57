"""The cells of a study, by name, and the form of the slices of its configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


def canonical(value: Any) -> str:
    """JSON with the keys in their order, which may be meaning (the fields of a table, a plugin's options).

    Equal slices are equal texts: keys come in the order of the types' fields or of the study's lists, and where the
    configuration itself names them in its own order.
    """
    return json.dumps(value, ensure_ascii=False)


BASE = "base"


def epoch_name(epoch: int, seed: int) -> str:
    """The name of the checkpoint after ``epoch`` epochs of the run with ``seed``."""
    return f"epoch-{epoch:02d}-seed-{seed}"


@dataclass(frozen=True)
class Cell:
    """One checkpoint of a model on one corpus."""

    corpus: str
    model: str
    checkpoint: str

    @property
    def path(self) -> str:
        """The cell's folder below the results folder."""
        return f"{self.corpus}/{self.model}/{self.checkpoint}"
