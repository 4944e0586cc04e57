"""The configuration as types: what may be written in config.yaml. ``config_checks`` reads it with them.

Only the Snakefile and the generators of the schema and the reference import this module. Stages receive the slice they
read as JSON, so that an unrelated option never re-runs them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

# Names become parts of file paths and wildcards.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Rows = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """No unknown keys, no silent conversions ("5" is not 5), no changes after validation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PackageFile(Strict):
    """A file that a pinned release of a package on the Python package index carries. Nothing in it is run."""

    package: str = Field(description="Name of the package.")
    version: str = Field(description="Exact version.")
    artifact: str = Field(description="File name of the wheel or source distribution.", pattern=r"^[\w.+-]+$")
    sha256: Sha256 = Field(description="SHA-256 of the artifact; a file with another one is refused.")


class GgufInPackage(PackageFile):
    """A GGUF model file inside a wheel; it is de-quantised once."""

    gguf: str = Field(description="Path of the GGUF file in the wheel.")


class LocalPath(Strict):
    """A file or folder on this machine."""

    path: str = Field(description="Path, relative to the folder that Snakemake runs in.", min_length=1)


def _source_kind(raw: Any) -> str:
    """Which kind of source is meant, so that a fault in it is reported once and not for every kind there is."""
    return "(path)" if isinstance(raw, LocalPath) or (isinstance(raw, dict) and "path" in raw) else "(package)"


CorpusSource = Annotated[
    Annotated[PackageFile, Tag("(package)")] | Annotated[LocalPath, Tag("(path)")], Discriminator(_source_kind)
]
ModelSource = Annotated[
    Annotated[GgufInPackage, Tag("(package)")] | Annotated[LocalPath, Tag("(path)")], Discriminator(_source_kind)
]


class RatedSnippets(Strict):
    """Sentences with a mean rating by people, and a lexicon of words rated by people.

    The rationale of a sentence is a proxy: its words whose own rating agrees in sign with the label and is strong
    enough. Ratings go from -4 to 4.
    """

    format: Literal["rated_snippets"] = Field(description="Which reader takes the source.")
    source: CorpusSource = Field(description="Where the files are: in a package, or a local folder or tar.")
    archive: list[str] = Field(default=[], description="Archives to go through inside the source, outermost first.")
    snippets: str = Field(description="File with id, mean rating and text, separated by tabs.")
    lexicon: str = Field(description="File with word and mean rating (further columns are ignored).")
    lexicon_encoding: Literal["utf-8", "latin-1"] = Field(default="utf-8", description="Encoding of the lexicon.")
    task: Name = Field(description="The task, whose prompt file is named in `tasks`.")
    min_rating: float = Field(default=0.75, ge=0, le=4, description="Sentences rated nearer to zero are left out.")
    min_word_rating: float = Field(default=1.0, gt=0, le=4, description="How strong a word's rating must be.")
    min_words: int = Field(default=4, ge=1, description="Shorter sentences are left out.")
    max_words: int = Field(default=40, ge=1, description="Longer sentences are left out.")
    train_rows: Rows = Field(description="Number of train rows.")
    test_rows: Rows = Field(description="Number of test rows; each has at least one word in its rationale.")
    test_share: float = Field(default=0.5, gt=0, lt=1, description="Share of the texts on the test side of the split.")
    seed: int = Field(default=13, ge=0, description="Seed of the split and of the order in which rows are taken.")
    description: str = Field(default="", description="What the texts are; shown in the report.")
    annotation: str = Field(default="", description="Who marked the rationales and how; shown wherever they are used.")
    licence: str = Field(default="", description="Licence of the corpus.")
    citation: str = Field(default="", description="Publication to cite.")

    @model_validator(mode="after")
    def _lengths(self) -> RatedSnippets:
        if self.max_words < self.min_words:
            raise ValueError(f"max_words ({self.max_words}) is below min_words ({self.min_words})")
        return self


class Model(Strict):
    """A causal language model with a chat template."""

    source: ModelSource = Field(
        description="A GGUF file in a package, or a local folder with safetensors, config and tokenizer."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Precision; auto is bfloat16 on a GPU and float32 on a CPU."
    )
    system_prompt: str | None = Field(
        default=None, description="System message; null sends none, and the chat template may add its own."
    )
    evidence: list[Literal["gradients", "attention"]] = Field(
        default=["gradients", "attention"],
        description="Evidence that this model can give; leave one out if its architecture cannot.",
    )
    licence: str = Field(default="", description="Licence of the model.")
    citation: str = Field(default="", description="Publication to cite.")


class Task(Strict):
    """What a model is asked about the instances of a corpus."""

    prompts: str = Field(description="Prompt file: classification prompt and verbalisers of the labels.")


class GradientMethod(Strict):
    """One reduction of the gradient of the predicted label's score with respect to the input embeddings."""

    kind: Literal["gradients"] = Field(description="The evidence it reads.")
    statistic: Literal["grad_l1", "grad_l2", "grad_sum", "gxi_l1", "gxi_l2", "gxi_dot"] = Field(
        description="Reduction over the hidden dimension: of the gradient (grad) or gradient x input (gxi)."
    )
    aggregation: Literal["max", "mean", "sum"] = Field(description="From the tokens of a word to the word.")


class AttentionMethod(Strict):
    """Attention from the last prompt position, averaged over heads."""

    kind: Literal["attention"] = Field(description="The evidence it reads.")
    statistic: Literal["last", "mean", "rollout"] = Field(
        description="Of the last layer, the mean over layers, or attention rollout."
    )
    aggregation: Literal["max", "mean", "sum"] = Field(description="From the tokens of a word to the word.")


class RandomMethod(Strict):
    """Reference row: uniformly random words."""

    kind: Literal["random"] = Field(description="Random words.")
    seeds: list[Seed] = Field(min_length=1, description="One draw for each seed.")
    budgets: list[Name] | None = Field(
        default=None, description="Budgets of the study at which it is drawn; null: at all. Draws cost model time."
    )


class PromptMethod(Strict):
    """The model is asked which words made it decide, in a chat of its own, given its predicted label."""

    kind: Literal["prompt"] = Field(description="A prompted rationale.")
    strategy: Name = Field(description="Which of the explanation prompts in the task's prompt file is put.")
    max_words: int = Field(
        default=20, ge=1, description="Most words asked for by a prompt that names a number; the cap is counted."
    )
    max_new_tokens: int = Field(default=96, ge=1, description="A reply is cut off after so many tokens.")


class FixedMethod(Strict):
    """Reference row that needs neither evidence nor settings."""

    kind: Literal["first_words", "human", "all_words"] = Field(
        description="The first words; the words that people marked; all words."
    )


Method = Annotated[
    GradientMethod | AttentionMethod | PromptMethod | RandomMethod | FixedMethod, Field(discriminator="kind")
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


class Finetuning(Strict):
    """How the checkpoints `epoch-NN` are trained, with the classification prompt, on the labels alone."""

    method: Literal["lora", "full"] = Field(default="lora", description="LoRA adapters, or all weights.")
    rank: int = Field(default=8, ge=1, description="LoRA: rank of the update.")
    alpha: int = Field(default=16, ge=1, description="LoRA: the update is scaled by alpha / rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="LoRA: dropout before the adapter.")
    targets: Literal["all_linear"] | list[str] = Field(
        default="all_linear", description="LoRA: all linear layers, or the names of modules."
    )
    learning_rate: float = Field(default=2e-4, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.0, ge=0, description="Weight decay of AdamW.")
    batch_rows: int = Field(default=8, ge=1, description="Rows in a batch.")
    accumulation: int = Field(default=1, ge=1, description="Batches in an optimizer step.")
    warmup_steps: int = Field(default=4, ge=0, description="Steps over which the learning rate rises.")
    schedule: Literal["constant", "inverse_sqrt"] = Field(
        default="constant", description="After the warm-up; neither depends on the number of epochs to come."
    )
    max_grad_norm: float | None = Field(default=1.0, gt=0, description="Gradients are clipped to it; null: not.")
    gradient_checkpointing: bool = Field(default=False, description="Less memory for more time.")
    validation_rows: int = Field(default=20, ge=0, description="Train rows held out, by text.")
    balance: Literal["none", "equal"] = Field(default="none", description="Leave rows out until labels are equal.")
    save_steps: int | None = Field(
        default=None, ge=1, description="Steps after which a killed job can go on; null: none."
    )


Checkpoint = Literal["base"] | Annotated[int, Field(ge=1)]


class Perturbation(Strict):
    """How words are taken away from the model."""

    operator: Literal["replace", "delete"] = Field(
        default="replace", description="Replace each word by the mask, or delete it."
    )
    mask: str = Field(default="___", min_length=1, description="What stands for a masked word.")


class Interval(Strict):
    """Bootstrap intervals over instances."""

    resamples: int = Field(default=2000, ge=100, description="Number of bootstrap resamples.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level.")
    seed: int = Field(default=0, ge=0, description="Seed of the resampling.")


class Compute(Strict):
    """Sizes that change speed and memory but not results; editing them re-runs nothing."""

    batch_tokens: int = Field(default=2048, ge=1, description="Most tokens in a batch, padding included.")
    batch_rows: int = Field(default=16, ge=1, description="Most rows in a batch.")
    mem_mb: int = Field(default=6000, ge=1, description="Memory of a model job, times the attempt.")
    runtime: int = Field(default=60, ge=1, description="Minutes of a model job, times the attempt.")


class Study(Strict):
    """The grid that is run: every corpus with every model, and every method and budget on each."""

    title: str = Field(default="Rationales of language models", description="Title of the report.")
    corpora: list[Name] = Field(min_length=1, description="Names from `corpora`.")
    models: list[Name] = Field(min_length=1, description="Names from `models`.")
    checkpoints: list[Checkpoint] = Field(
        default=["base"], min_length=1, description="`base`, and numbers of epochs of fine-tuning."
    )
    seeds: list[Seed] = Field(default=[0], min_length=1, description="Seeds of fine-tuning: a run of epochs for each.")
    methods: list[Name] = Field(min_length=1, description="Names from `methods`.")
    budgets: list[Name] = Field(min_length=1, description="Names from `budgets`.")
    main_budget: Name = Field(description="The budget that the figures show and for which words are also kept alone.")


class Config(Strict):
    """The whole configuration: registries of what there is, and `study`, which picks from them what is run."""

    results_dir: str = Field(default="results", min_length=1, description="Where results go.")
    cache_dir: str = Field(default="cache", min_length=1, description="Where downloads are kept.")
    memo_dir: str = Field(default="memo", min_length=1, description="Where computed results are kept for re-use.")
    corpora: dict[Name, RatedSnippets] = Field(description="Corpora by name.")
    models: dict[Name, Model] = Field(description="Models by name.")
    tasks: dict[Name, Task] = Field(description="Tasks by name.")
    methods: dict[Name, Method] = Field(description="Rationale methods by name.")
    budgets: dict[Name, Budget] = Field(description="Budgets by name.")
    finetuning: Finetuning = Field(default=Finetuning(), description="How checkpoints are trained.")
    perturbation: Perturbation = Field(default=Perturbation(), description="How words are masked.")
    interval: Interval = Field(default=Interval(), description="Intervals in tables and figures.")
    compute: Compute = Field(default=Compute(), description="Batch sizes and what a cluster is asked for.")
    study: Study = Field(description="The grid that is run.")
