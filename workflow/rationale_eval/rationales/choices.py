"""The words that every method keeps in every instance under every budget that applies to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.rationales.budgets import MATCHED, is_short, selections, sizes, wanted
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.tables import read_table


@dataclass(frozen=True)
class Choice:
    """One rationale under one budget; ``selected`` is None unless ``status`` is ok.

    ``short`` is true where a reply names fewer words than the budget asks for.
    """

    instance: Instance
    method: str
    rationale: Mapping[str, Any]
    budget: str
    status: str
    selected: list[bool] | None
    short: bool

    @property
    def key(self) -> dict[str, Any]:
        """The columns that name the choice in a table, and the numbers of words."""
        return {
            "id": self.instance.id,
            "method": self.method,
            "sample": self.rationale["sample"],
            "budget": self.budget,
            "status": self.status,
            "words": len(self.instance.words),
            "selected": None if self.selected is None else sum(self.selected),
        }


def gold_of(instance: Instance) -> tuple[bool, ...]:
    """The marked words; none where the instance has no annotation."""
    return instance.rationale or (False,) * len(instance.words)


def choices(
    methods: Sequence[Mapping[str, Any]], paths: Sequence[Path], instances: Mapping[str, Instance]
) -> Iterator[Choice]:
    """Every choice of a study's methods, in their order.

    ``methods`` lists ``{"name", "budgets": {name: entry}}`` with the budgets that apply to each, ``paths`` the tables
    of their rationales. Raises ``UserError`` where these do not go together.
    """
    if len(methods) != len(paths):
        raise UserError(f"--rationales: {len(paths)} tables for {len(methods)} methods")
    tables = {method["name"]: read_table(path, RATIONALES) for method, path in zip(methods, paths, strict=True)}
    matched: dict[tuple[str, str], int | None] = {}
    for method in methods:
        for budget in method["budgets"].values():
            if budget["kind"] == MATCHED:
                matched |= sizes(budget["to"], tables[budget["to"]])
    for method, path in zip(methods, paths, strict=True):
        for rationale in tables[method["name"]]:
            if rationale["id"] not in instances:
                raise UserError(f"{path}: row {rationale['id']!r} is not among the instances")
            instance = instances[rationale["id"]]
            for budget, status, mask in selections(rationale, gold_of(instance), method["budgets"], matched):
                count = wanted(rationale, gold_of(instance), method["budgets"][budget], matched)
                short = mask is not None and is_short(rationale, count)
                yield Choice(instance, method["name"], rationale, budget, status, mask, short)
