"""The configuration of methods and budgets as types: how rationales are made, and how many words they keep."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from rationale_eval.config_corpora import Name, Seed, Strict
from rationale_eval.models.task import RANKED, SCORED

# A path in which the names of a cell may stand.
CELL_PATH = r"^([^{}]|\{(corpus|model|checkpoint)\})*$"
Target = Annotated[
    Literal["auto", "predicted", "gold", "runner_up", "foil"],
    Field(
        description="The label that is explained: the predicted or the gold one, or the predicted one against the "
        "runner-up or the instance's foil; auto: against the foil if there is one, else the predicted one alone."
    ),
]
Scale = Annotated[
    Literal["log_odds", "log_probability", "probability", "logit"],
    Field(
        description="What of the label: log_odds against the other labels, which is the decision; or, whatever the "
        "others do, its whole verbaliser's log-probability, probability or summed logits."
    ),
]
Punctuation = Annotated[
    Literal["keep", "drop"],
    Field(
        description="Tokens of a word that are punctuation alone: they count like others, or do not count if the word "
        "has others."
    ),
]


class GradientMethod(Strict):
    """One reduction of the gradient of a label's score with respect to the input embeddings.

    Saliency (Simonyan et al. 2014) or input x gradient (Shrikumar et al. 2016). With another target or scale than the
    default, a job of its own for each.
    """

    kind: Literal["gradients"] = Field(description="The evidence it reads.")
    statistic: Literal["grad_l1", "grad_l2", "grad_sum", "gxi_l1", "gxi_l2", "gxi_dot"] = Field(
        description="Reduction over the hidden dimension: of the gradient (grad) or gradient x input (gxi)."
    )
    aggregation: Literal["max", "mean", "sum"] = Field(description="From the tokens of a word to the word.")
    punctuation: Punctuation = "drop"
    target: Target = "auto"
    of: Scale = "log_odds"


class AttentionMethod(Strict):
    """Attention from the last prompt position, averaged over heads; rollout is Abnar & Zuidema 2020."""

    kind: Literal["attention"] = Field(description="The evidence it reads.")
    statistic: Literal["last", "mean", "rollout"] = Field(
        description="Of the last layer, the mean over layers, or attention rollout."
    )
    aggregation: Literal["max", "mean", "sum"] = Field(description="From the tokens of a word to the word.")
    punctuation: Punctuation = "drop"


class GradientAttentionMethod(Strict):
    """Attention from the last prompt position times the gradient of a label's score in it (Chefer et al. 2021)."""

    kind: Literal["gradient_x_attention"] = Field(description="Gradient x attention; a job of its own.")
    statistic: Literal["last", "mean", "relevancy"] = Field(
        default="relevancy", description="Of the last layer, the mean over layers, or the layers put together."
    )
    aggregation: Literal["max", "mean", "sum"] = Field(description="From the tokens of a word to the word.")
    punctuation: Punctuation = "drop"
    target: Target = "auto"
    of: Scale = "log_odds"


class IntegratedGradientsMethod(Strict):
    """Gradients averaged along a line from a baseline to the input (Sundararajan et al. 2017)."""

    kind: Literal["integrated_gradients"] = Field(description="Integrated gradients; a job of its own.")
    steps: int = Field(
        default=40, ge=2, description="Nodes of the first sum: forward and backward passes for each instance."
    )
    tolerance: float = Field(
        default=0.05,
        gt=0,
        description="Of an instance whose completeness error is a larger share of the target's change than this, the "
        "sum is made again, with twice as many nodes.",
    )
    max_steps: int = Field(default=320, ge=2, description="No sum has more nodes.")
    baseline: Literal["pad", "zero", "mean"] = Field(
        default="pad", description="What stands for no token: the padding token, zeros, or the mean embedding."
    )
    statistic: Literal["ig_dot", "ig_l1", "ig_l2"] = Field(
        default="ig_dot", description="Reduction over the hidden dimension; the sum keeps the sign."
    )
    aggregation: Literal["max", "mean", "sum"] = Field(description="From the tokens of a word to the word.")
    punctuation: Punctuation = "keep"  # so that words add up as tokens do
    target: Target = "auto"
    of: Scale = "log_odds"

    @property
    def passes(self) -> int:
        """Forward and backward passes of an instance that needs them all."""
        sums, nodes = 0, self.steps
        while nodes <= self.max_steps:
            sums, nodes = sums + nodes, 2 * nodes
        return sums

    @model_validator(mode="after")
    def _some_sum(self) -> IntegratedGradientsMethod:
        if self.max_steps < self.steps:
            raise ValueError(f"`max_steps` ({self.max_steps}) is less than `steps` ({self.steps})")
        return self


class AblationMethod(Strict):
    """How much the score falls when a word alone is taken away (Zeiler & Fergus 2014; Li et al. 2016)."""

    kind: Literal["ablation"] = Field(description="Leave one word out; a job of its own.")
    operator: Literal["replace", "delete"] = Field(default="replace", description="Replace the word, or delete it.")
    mask: str = Field(default="___", min_length=1, description="What stands for the word.")
    target: Target = "auto"
    of: Scale = "log_odds"


class RandomMethod(Strict):
    """Reference row: uniformly random words."""

    kind: Literal["random"] = Field(description="Random words.")
    seeds: list[Seed] = Field(min_length=1, description="One draw for each seed.")
    budgets: list[Name] | None = Field(
        default=None, description="Budgets of the study at which it is drawn; null: at all. Draws cost model time."
    )


class PromptMethod(Strict):
    """The model is asked which words made it decide."""

    kind: Literal["prompt"] = Field(description="A prompted rationale.")
    strategy: Name = Field(description="Which of the explanation prompts in the task's prompt file is put.")
    max_words: int = Field(
        default=20, ge=1, description="Most words asked for by a prompt that names a number; the cap is counted."
    )
    max_new_tokens: int = Field(default=96, ge=1, description="A reply is cut off after so many tokens.")
    gives: Literal["words", "ranking", "scores"] | None = Field(
        default=None,
        description="What a reply is read as: words, words in order of importance, or a number for each word; null: "
        "ranking for the strategy `ranked`, scores for `scored`, else words.",
    )
    order: Literal["after", "before"] = Field(
        default="after",
        description="After the classification, told the predicted label; or before, told none, and the label is then "
        "asked for in the same chat.",
    )
    chat: Literal["separate", "same"] = Field(
        default="separate", description="After: in a chat of its own, or in that of the classification."
    )
    shots: int = Field(
        default=0, ge=0, description="Solved examples with words that people marked, drawn from the train rows."
    )
    shots_seed: Seed = Field(default=0, description="Seed of the choice of these examples.")
    samples: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Replies to a question; of several, a word's score is its share of votes.",
    )
    temperature: float | None = Field(
        default=None, gt=0, description="Replies are sampled at this temperature; null: greedy."
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="Sampled from the likeliest tokens that together have this probability."
    )
    seed: Seed = Field(default=0, description="Seed of the sampling.")

    @property
    def reads(self) -> str:
        """What a reply is read as: words, ranking or scores."""
        return self.gives or {RANKED: "ranking", SCORED: "scores"}.get(self.strategy, "words")

    @property
    def is_cut(self) -> bool:
        """Whether budgets cut what the method gives: an order or scores. Else it gives a set of words."""
        return self.reads != "words" or self.samples > 1


class FixedMethod(Strict):
    """Reference row that needs neither evidence nor settings."""

    kind: Literal["first_words", "last_words", "human", "all_words"] = Field(
        description="The first words; the last words; the words that people marked; all words."
    )

    @property
    def is_cut(self) -> bool:
        """Whether budgets cut what the method gives: an order of the words. Else it gives a set of words."""
        return self.kind in ("first_words", "last_words")


class ExternalMethod(Strict):
    """Rationales made elsewhere: a table of `id` and `scores` or `selected`."""

    kind: Literal["external"] = Field(description="Rationales made elsewhere.")
    path: str = Field(
        min_length=1,
        pattern=CELL_PATH,
        description="Parquet, JSON Lines or CSV; may hold {corpus}, {model} and {checkpoint}.",
    )
    gives: Literal["scores", "selected"] = Field(
        default="scores", description="The column: a score for each word, or the words themselves as a set."
    )


class PluginMethod(Strict):
    """A method that a plugin registers."""

    kind: Name = Field(description="Name under which a plugin registers it.")
    options: dict[str, Any] = Field(default={}, description="What the plugin's method is told.")


METHODS: dict[str, type[Strict]] = {
    "gradients": GradientMethod,
    "attention": AttentionMethod,
    "gradient_x_attention": GradientAttentionMethod,
    "integrated_gradients": IntegratedGradientsMethod,
    "ablation": AblationMethod,
    "prompt": PromptMethod,
    "random": RandomMethod,
    "external": ExternalMethod,
    **dict.fromkeys(("first_words", "last_words", "human", "all_words"), FixedMethod),
}


# Not a kind of evidence that a model's entry names: any model that is opened can give it.
ABLATION_SCORES = "scores of single words left out"
# What a method of each type needs a model to give.
NEEDS: dict[type[Strict], tuple[str, ...]] = {
    GradientMethod: ("gradients",),
    AttentionMethod: ("attention",),
    GradientAttentionMethod: ("gradients", "attention"),
    IntegratedGradientsMethod: ("gradients",),
    AblationMethod: (ABLATION_SCORES,),
}


def _method_kind(raw: Any) -> str:
    kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
    return f"({METHODS[kind].__name__ if isinstance(kind, str) and kind in METHODS else PluginMethod.__name__})"


# Those that explain a target.
TARGETED = (GradientMethod, GradientAttentionMethod, IntegratedGradientsMethod, AblationMethod)

Method = Annotated[
    Annotated[GradientMethod, Tag("(GradientMethod)")]
    | Annotated[AttentionMethod, Tag("(AttentionMethod)")]
    | Annotated[GradientAttentionMethod, Tag("(GradientAttentionMethod)")]
    | Annotated[IntegratedGradientsMethod, Tag("(IntegratedGradientsMethod)")]
    | Annotated[AblationMethod, Tag("(AblationMethod)")]
    | Annotated[PromptMethod, Tag("(PromptMethod)")]
    | Annotated[RandomMethod, Tag("(RandomMethod)")]
    | Annotated[FixedMethod, Tag("(FixedMethod)")]
    | Annotated[ExternalMethod, Tag("(ExternalMethod)")]
    | Annotated[PluginMethod, Tag("(PluginMethod)")],
    Discriminator(_method_kind),
]


class TopVar(Strict):
    """As many words as people marked in the instance."""

    kind: Literal["top_var"] = Field(description="As many words as people marked in this instance.")


class TopRatio(Strict):
    """A share of the instance's words, rounded up, at least one."""

    kind: Literal["top_ratio"] = Field(description="A share of the instance's words, rounded up.")
    ratio: float = Field(gt=0, le=1, description="The share.")


class TopK(Strict):
    """A fixed number of words."""

    kind: Literal["top_k"] = Field(description="A fixed number of words.")
    k: int = Field(ge=1, description="The number.")


class Matched(Strict):
    """As many words as a prompted method's reply names in the instance, so that methods are compared at equal sizes."""

    kind: Literal["matched"] = Field(description="As many words as a prompted method's reply names in this instance.")
    to: Name = Field(description="The prompted method, which must be in the study too.")


Budget = Annotated[TopVar | TopRatio | TopK | Matched, Field(discriminator="kind")]
