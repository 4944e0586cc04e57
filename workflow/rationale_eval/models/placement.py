"""A model's layers spread over several GPUs, by accelerate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rationale_eval.errors import UserError


def spread(name: str, gpus: int) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that spread model ``name`` over ``gpus`` GPUs from the current one on.

    Raises ``UserError`` if there are fewer.
    """
    from accelerate.utils import get_max_memory  # takes a second, and most models have one GPU

    if (found := torch.cuda.device_count()) < gpus:
        raise UserError(f"models.{name}.gpus is {gpus}, but this job sees {found} of them; lower it or ask for more")
    free, first = get_max_memory(), torch.cuda.current_device()
    return {"device_map": "auto", "max_memory": {index: free[index] for index in range(first, first + gpus)}}


def check_placed(name: str, placed: Mapping[str, Any]) -> None:
    """Raise ``UserError`` if part of the model is not on a GPU: each pass would move it there."""
    if beside := sorted(part for part, device in placed.items() if device in ("cpu", "disk")):
        raise UserError(f"models.{name}: does not fit on its GPUs ({beside[0]} and more has no room); raise `gpus`")
