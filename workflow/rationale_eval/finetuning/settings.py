"""What a training run depends on besides its data: the checked form of the stage's ``--spec``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from rationale_eval.errors import UserError

ALL_LINEAR = "all_linear"


@dataclass(frozen=True)
class Settings:
    """The spec of a training run.

    ``rank``, ``alpha``, ``dropout`` and ``targets`` belong to LoRA (Hu et al. 2021, arXiv 2106.09685) and may be null
    in full fine-tuning. An optimizer step sees ``batch_rows`` x ``accumulation`` rows. ``warmup_steps`` are optimizer
    steps. ``max_grad_norm`` null does not clip. ``validation_rows`` are held out of the train rows. The last six are
    what prediction has too: how the model is asked, its part of the prompt file, and count and seed of the solved
    examples.
    """

    method: Literal["lora", "full"]
    rank: int
    alpha: int
    dropout: float
    targets: str | list[str]
    learning_rate: float
    weight_decay: float
    batch_rows: int
    accumulation: int
    warmup_steps: int
    schedule: Literal["constant", "inverse_sqrt"]
    max_grad_norm: float | None
    gradient_checkpointing: bool
    validation_rows: int
    balance: Literal["none", "equal"]
    dtype: str
    system_prompt: str | None
    prompt_style: str
    template: Mapping[str, Any]
    task: Mapping[str, Any]
    shots: Mapping[str, int]

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> Settings:
        """The settings in ``spec``. Raises ``UserError`` naming the key that is missing, unknown or out of range."""
        names = {field.name for field in fields(cls)}
        if set(spec) != names:
            missing, unknown = sorted(names - set(spec)), sorted(set(spec) - names)
            raise UserError(f"fine-tuning: the spec lacks {missing} and has the unknown keys {unknown}")
        settings = cls(**spec)
        settings._check()
        return settings

    def _check(self) -> None:
        choices = {"method": ("lora", "full"), "schedule": ("constant", "inverse_sqrt"), "balance": ("none", "equal")}
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise UserError(f"fine-tuning: {key} is {getattr(self, key)!r}, not one of {', '.join(allowed)}")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise UserError(
                f"fine-tuning: dtype is {self.dtype!r}; training works in float32 or bfloat16 (float16 gradients "
                "underflow without loss scaling), or in what auto picks of them"
            )
        limits: dict[str, float] = {"learning_rate": 0, "weight_decay": 0, "warmup_steps": 0, "validation_rows": 0}
        limits |= {"batch_rows": 1, "accumulation": 1}
        if self.method == "lora":
            limits |= {"rank": 1, "alpha": 0, "dropout": 0}
        for key, least in limits.items():
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
                raise UserError(f"fine-tuning: {key} is {value!r}; it must be a number and at least {least}")
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            raise UserError(
                f"fine-tuning: max_grad_norm is {self.max_grad_norm!r}; it must be above 0, or null for none"
            )
        if self.method == "lora" and self.dropout >= 1:
            raise UserError(f"fine-tuning: dropout is {self.dropout!r}; it is the share of inputs set to 0, below 1")

    @property
    def weights_dtype(self) -> str:
        """The dtype in which the model is loaded for training.

        Weights that are trained stay float32 also where products are computed in bfloat16, which would round small
        updates away; adapters are kept in float32 by themselves.
        """
        return "float32" if self.method == "full" else self.dtype

    def identity(self) -> dict[str, Any]:
        """The settings on which the trained weights depend, as JSON."""
        return asdict(self)
