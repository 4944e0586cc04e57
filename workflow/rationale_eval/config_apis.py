"""The configuration of models behind an API as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from rationale_eval.config_corpora import Strict

# Without user name, password and query: a secret in an address would be in every log.
API_ADDRESS = r"^https?://[^/@?#\s]+(/[^?#\s]*)?$"
# In capitals, as is the custom: a key that stands there by mistake is then mostly refused, and not shown.
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"

Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
OWN_FIELDS = {"model", "messages", "stream", "n", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens"}


class ApiSource(Strict):
    """A model at an endpoint that speaks OpenAI's chat completions."""

    api: str = Field(description="Base address, as in https://api.openai.com/v1.", pattern=API_ADDRESS)
    model: str = Field(min_length=1, description="Name of the model there; a dated one never changes.")
    key: Variable | None = Field(
        description="Name of the environment variable that holds the key; null: the endpoint needs none."
    )
    token_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="Field of a request that limits the reply; newer models know the second only."
    )
    options: dict[str, Any] = Field(
        default={}, description="Further fields of each request, as the endpoint documents them."
    )

    @model_validator(mode="after")
    def _no_own_field(self) -> ApiSource:
        if own := sorted(OWN_FIELDS & set(self.options)):
            raise ValueError(f"`options` cannot hold {own}, which are set by what is asked")
        return self


class ApiLimits(Strict):
    """How fast an API is asked, and how often again; editing these re-runs nothing."""

    concurrency: int = Field(default=8, ge=1, le=1000, description="Most requests under way at a time.")
    requests_per_minute: float | None = Field(default=None, gt=0, description="Most requests in a minute; null: any.")
    tokens_per_minute: float | None = Field(
        default=None, gt=0, description="Most tokens in a minute: the prompt's, estimated, and the reply's limit."
    )
    timeout: float = Field(default=60.0, gt=0, description="Seconds within which a whole reply must be there.")
    retries: int = Field(
        default=6, ge=0, description="Tries after the first, where another may succeed, with growing pauses."
    )


class Price(Strict):
    """What the provider charges, in any currency, for a million tokens."""

    input: float = Field(ge=0, description="Tokens of prompts.")
    output: float = Field(ge=0, description="Tokens of replies.")


class ApiBudget(Strict):
    """What all requests to this endpoint's model together may cost, over all runs with this memo; editing it re-runs
    nothing."""

    requests: int | None = Field(default=None, ge=0, description="Most requests, failed tries included.")
    tokens: int | None = Field(default=None, ge=0, description="Most tokens of prompts and replies.")
    money: float | None = Field(default=None, ge=0, description="Most money, in the currency of `price`.")


class ApiModel(Strict):
    """A language model behind an API: it can be asked, but neither opened nor fine-tuned. Its checkpoint is `base`."""

    source: ApiSource = Field(description="The endpoint and the name of the model.")
    predict: Literal["text", "logprobs"] = Field(
        default="text",
        description="A label is read from the answer's text, or from the log-probabilities of its first tokens.",
    )
    answer_tokens: int = Field(
        default=16,
        ge=1,
        description="Most tokens of an answer to a classification; a model that thinks before it needs more.",
    )
    system_prompt: str | None = Field(default=None, description="System message; null sends none.")
    limits: ApiLimits = Field(default=ApiLimits(), description="How fast it is asked.")
    price: Price | None = Field(default=None, description="What tokens cost; needed for a budget of money.")
    budget: ApiBudget = Field(default=ApiBudget(), description="What may be spent.")
    licence: str = Field(default="", description="Terms of use.")
    citation: str = Field(default="", description="Publication to cite.")

    @model_validator(mode="after")
    def _priced(self) -> ApiModel:
        if self.budget.money is not None and self.price is None:
            raise ValueError("`budget.money` needs `price`")
        return self


def model_kind(raw: Any) -> str:
    """Whether an entry of `models` is one behind an API, by its source."""
    source = raw.get("source") if isinstance(raw, dict) else getattr(raw, "source", None)
    keys = source if isinstance(source, dict) else vars(source) if isinstance(source, BaseModel) else ()
    return "(api)" if "api" in keys else "(local)"
