"""Which perturbed inputs the methods and budgets of a study ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.faithfulness.schema import KEEP, MASK
from rationale_eval.progress import say
from rationale_eval.rationales.choices import Choice, choices

# A row of the table without what the model says, and which words its input masks; None where it has no input.
Wanted = tuple[dict[str, Any], tuple[bool, ...] | None]


def requests(choice: Choice, keep_only: Collection[str]) -> Iterator[Wanted]:
    """What one choice asks for: its words masked, and for the budgets ``keep_only`` all others masked."""
    for operation in (MASK, KEEP) if choice.budget in keep_only else (MASK,):
        row = {**choice.key, "operation": operation, "predicted": None, "scores": None}
        if choice.selected is None:
            yield row, None
        else:
            yield row, tuple(chosen == (operation == MASK) for chosen in choice.selected)


def perturbed_inputs(
    spec: Mapping[str, Any], rationales: Sequence[Path], instances: Mapping[str, Instance]
) -> list[Wanted]:
    """All of them, by ``methods`` and ``keep_only_budgets`` of ``spec``. Raises ``UserError`` as ``choices`` does."""
    wanted = [
        request
        for choice in choices(spec["methods"], rationales, instances)
        for request in requests(choice, spec["keep_only_budgets"])
    ]
    different = {(row["id"], masked) for row, masked in wanted if masked is not None}
    say(f"{len(wanted)} perturbations ask for {len(different)} different inputs")
    return wanted
