"""The configuration of models as types: those that are opened here, and those behind an API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from rationale_eval.config_apis import ApiModel, model_kind
from rationale_eval.config_corpora import GgufInPackage, HubData, LocalPath, PathText, Strict, source_kind


class LocalModel(LocalPath):
    """A folder with safetensors, config and tokenizer, or a GGUF file, on this machine."""

    gguf: PathText | None = Field(default=None, description="Name of the GGUF file in the folder; null: safetensors.")


class HubModel(HubData):
    """A model on the Hugging Face hub, at a revision. Only safetensors (or a GGUF file) are loaded."""

    gguf: str | None = Field(default=None, description="Name of the GGUF file in the repository; null: safetensors.")


ModelSource = Annotated[
    Annotated[GgufInPackage, Tag("(package)")]
    | Annotated[LocalModel, Tag("(path)")]
    | Annotated[HubModel, Tag("(hub)")],
    Discriminator(source_kind),
]


class Model(Strict):
    """A causal language model."""

    source: ModelSource = Field(description="A GGUF file in a package, a local folder or GGUF file, or a hub model.")
    local: PathText | None = Field(
        default=None, description="Path below `data_root`; where it exists, it is read instead of the source."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Precision; auto is bfloat16 on a GPU and float32 on a CPU; float16 is not fine-tuned.",
    )
    gpus: int = Field(
        default=1,
        ge=1,
        description="GPUs that a job opens it on; its layers are spread over them. More re-run nothing.",
    )
    system_prompt: str | None = Field(
        default=None, description="System message; null sends none, and the chat template may add its own."
    )
    prompt_style: Literal["auto", "chat", "completion"] = Field(
        default="auto", description="By the chat template, or as plain text to go on from; auto: chat if there is one."
    )
    template: dict[str, bool | int | str] = Field(
        default={}, description="Settings that the chat template takes, such as enable_thinking: false."
    )
    evidence: list[Literal["gradients", "attention"]] = Field(
        default=["gradients", "attention"],
        description="Evidence that this model can give; leave one out if its architecture cannot.",
    )
    licence: str = Field(default="", description="Licence of the model.")
    citation: str = Field(default="", description="Publication to cite.")


AnyModel = Annotated[
    Annotated[Model, Tag("(local)")] | Annotated[ApiModel, Tag("(api)")],
    Discriminator(model_kind),
]
