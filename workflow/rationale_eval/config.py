"""The configuration as types: what may be written in config.yaml. ``config_checks`` reads it with them.

Only the Snakefile and the generators of the schema and the reference import this module. Stages receive the slice they
read as JSON, so that an unrelated option never re-runs them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rationale_eval.config_corpora import Corpus, Name, PathText, Seed, Strict
from rationale_eval.config_methods import Budget, Method
from rationale_eval.config_models import AnyModel


class Task(Strict):
    """What a model is asked about the instances of a corpus."""

    prompts: PathText = Field(description="Prompt file: classification prompt and verbalisers of the labels.")
    verbalisers: dict[str, str] | None = Field(
        default=None, description="How answers begin, by label, instead of the file's own; null: the file's."
    )
    shots: int = Field(
        default=0, ge=0, description="Solved examples before each classification, drawn from the train rows."
    )
    shots_seed: Seed = Field(default=0, description="Seed of the choice of these examples.")


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
    announce: bool = Field(
        default=False, description="Say in the prompt, of the whole text too, that words may be missing."
    )


Ratio = Annotated[float, Field(gt=0, le=1)]


class Faithfulness(Strict):
    """What is scored beside the rationales, for the measures that need it; each point costs model time."""

    aopc_ratios: list[Ratio] = Field(
        default=[0.01, 0.05, 0.1, 0.2, 0.5], description="Shares of words over which the AOPC averages; none: no AOPC."
    )
    curve_ratios: list[Ratio] = Field(
        default=[], description="Further shares of words, for finer deletion and insertion curves and words to flip."
    )
    leave_one_out: bool = Field(
        default=False, description="Mask each word by itself, to compare the order of words with that."
    )
    random_seeds: list[Seed] = Field(
        default=[0, 1, 2],
        description="Draws of as many random words as each choice has; the first alone for models behind an API.",
    )


class Interval(Strict):
    """Intervals over instances."""

    resamples: int = Field(default=2000, ge=100, description="Number of bootstrap resamples.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level.")
    seed: int = Field(default=0, ge=0, description="Seed of the resampling.")


class Validity(Strict):
    """When what was measured says nothing: of a model's answers, of a method's words."""

    max_majority_share: float = Field(
        default=0.95, gt=0, le=1, description="A cell whose most predicted label has this share or more is collapsed."
    )
    min_usable_replies: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Where a smaller share of a prompted method's replies names a word of the text, it is flagged.",
    )
    min_label_mass: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="The page warns of cells where all labels together have less probability than this, in the median.",
    )
    max_completeness_error: float = Field(
        default=0.1,
        gt=0,
        description="Integrated gradients whose mean completeness error is a larger share of the mean change of the "
        "target are incomplete.",
    )


class Margins(Strict):
    """Rises smaller than these count as none in claims that something does not rise."""

    f1_corrected: float = Field(default=0.02, gt=0, lt=1, description="Of F1 above chance.")


class Claims(Strict):
    """How the paper's claims are judged; what is claimed is fixed in the code."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="Level of the tests, after Holm's correction.")
    margins: Margins = Field(default=Margins(), description="Margins of non-superiority, by measure.")
    min_instances: int = Field(
        default=30, ge=2, description="With fewer informative instances a cell has no verdict but inconclusive."
    )
    same_ranking: float = Field(
        default=0.8, gt=0, le=1, description="Rankings whose Kendall's tau is surely this or more count as the same."
    )


class Compute(Strict):
    """Sizes that change speed and memory but not results; editing them re-runs nothing."""

    batch_tokens: int = Field(default=2048, ge=1, description="Most tokens in a batch, padding included.")
    batch_rows: int = Field(default=16, ge=1, description="Most rows in a batch.")
    shards: int = Field(
        default=1, ge=1, description="Jobs, each with a GPU, that share out the instances of a model's checkpoint."
    )
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
    checkpoints_of: dict[Name, Annotated[list[Checkpoint], Field(min_length=1)]] = Field(
        default={}, description="By corpus, other checkpoints than `checkpoints`."
    )
    seeds: list[Seed] = Field(default=[0], min_length=1, description="Seeds of fine-tuning: a run of epochs for each.")
    methods: list[Name] = Field(min_length=1, description="Names from `methods`.")
    methods_of: dict[Name, Annotated[list[Name], Field(min_length=1)]] = Field(
        default={}, description="By corpus, those of `methods` that are run on it, where these are not all."
    )
    budgets: list[Name] = Field(min_length=1, description="Names from `budgets`.")
    main_budget: Name = Field(description="The budget that the figures show and for which words are also kept alone.")
    operators: list[Name] = Field(
        default=[], description="Names from `operators`: is every conclusion the same under these?"
    )
    metrics: list[Name] = Field(default=[], description="Further measures of alignment, registered by plugins.")
    not_available: Literal["refuse", "show"] = Field(
        default="refuse",
        description="A method whose evidence a model cannot give: refused, or shown as not available in the tables.",
    )

    def methods_on(self, corpus: str) -> list[str]:
        """The methods that are run on a corpus, in the order of all."""
        chosen = self.methods_of.get(corpus, self.methods)
        return [name for name in self.methods if name in chosen]

    def checkpoints_on(self, corpus: str) -> list[Checkpoint]:
        """The checkpoints that are measured on a corpus."""
        return self.checkpoints_of.get(corpus, self.checkpoints)

    def epochs(self, corpus: str) -> list[int]:
        """Those of them that are fine-tuned."""
        return [checkpoint for checkpoint in self.checkpoints_on(corpus) if isinstance(checkpoint, int)]


class Config(Strict):
    """The whole configuration: registries of what there is, and `study`, which picks from them what is run."""

    results_dir: PathText = Field(default="results", min_length=1, description="Where results go.")
    cache_dir: PathText = Field(default="cache", min_length=1, description="Where downloads are kept.")
    memo_dir: PathText = Field(default="memo", min_length=1, description="Where computed results are kept for re-use.")
    data_root: PathText | None = Field(
        default=None, description="A folder of files that are here already; `local` of corpora and models lies in it."
    )
    plugins: list[PathText] = Field(default=[], description="Python files that register corpora, methods and metrics.")
    corpora: dict[Name, Corpus] = Field(description="Corpora by name.")
    models: dict[Name, AnyModel] = Field(description="Models by name.")
    tasks: dict[Name, Task] = Field(description="Tasks by name.")
    methods: dict[Name, Method] = Field(description="Rationale methods by name.")
    budgets: dict[Name, Budget] = Field(description="Budgets by name.")
    finetuning: Finetuning = Field(default=Finetuning(), description="How checkpoints are trained.")
    perturbation: Perturbation = Field(default=Perturbation(), description="How words are masked.")
    operators: dict[Name, Perturbation] = Field(default={}, description="Other ways to mask words, by name.")
    faithfulness: Faithfulness = Field(default=Faithfulness(), description="What measures of faithfulness rest on.")
    interval: Interval = Field(default=Interval(), description="Intervals in tables and figures.")
    validity: Validity = Field(default=Validity(), description="When a cell says nothing.")
    claims: Claims = Field(default=Claims(), description="How the paper's claims are judged.")
    compute: Compute = Field(default=Compute(), description="Batch sizes and what a cluster is asked for.")
    study: Study = Field(description="The grid that is run.")
