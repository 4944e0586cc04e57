"""Telling the model that words may be missing: one sentence before the question, ours in its wording.

Madsen, Chandar & Reddy (2024) tell a model that words are redacted, so that a masked text is one it was told to expect.
The sentence stands before the unmasked text too: what is compared differs in the masked words alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rationale_eval.models.task import Task, task_from_slice


def sentence(operator: str, mask: str) -> str:
    """What is said of words that ``operator`` (replace, delete) takes away."""
    if operator == "delete":
        return "Some words of what follows may have been left out."
    return f"Some words of what follows may have been replaced by {mask}."


def perturbed_task(spec: Mapping[str, Any]) -> Task:
    """The task of a perturbation's ``spec``, with the announcement as a paragraph of its own first, if it has one.

    Solved examples begin with it as well: they have the form of the question. Raises ``UserError`` as
    ``task_from_slice`` does.
    """
    task = task_from_slice(spec["task"])
    if not spec["announce"]:
        return task
    (literal, field), *rest = task.classify
    said = f"{sentence(spec['operator'], spec['mask'])}\n\n{literal}"
    return dataclasses.replace(task, classify=((said, field), *rest))
