"""The configuration as types: what may be written in config.yaml, with a message a person can act on where it is not.

Only the Snakefile and the generators of the schema and the reference import this module. Stages receive the slice they
read as JSON, so that an unrelated option never re-runs them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from rationale_eval.errors import UserError

# Names become parts of file paths and wildcards.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Rows = Annotated[int, Field(ge=1)]


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
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="One draw for each seed.")


class FixedMethod(Strict):
    """Reference row that needs neither evidence nor settings."""

    kind: Literal["first_words", "human", "all_words"] = Field(
        description="The first words; the words that people marked; all words."
    )


Method = Annotated[GradientMethod | AttentionMethod | RandomMethod | FixedMethod, Field(discriminator="kind")]


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


Budget = Annotated[TopVar | TopRatio | TopK, Field(discriminator="kind")]


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

    batch_tokens: int = Field(default=1024, ge=1, description="Most tokens in a batch, padding included.")
    batch_rows: int = Field(default=16, ge=1, description="Most rows in a batch.")
    mem_mb: int = Field(default=6000, ge=1, description="Memory of a model job, times the attempt.")
    runtime: int = Field(default=60, ge=1, description="Minutes of a model job, times the attempt.")


class Study(Strict):
    """The grid that is run: every corpus with every model, and every method and budget on each."""

    title: str = Field(default="Rationales of language models", description="Title of the report.")
    corpora: list[Name] = Field(min_length=1, description="Names from `corpora`.")
    models: list[Name] = Field(min_length=1, description="Names from `models`.")
    checkpoints: list[Literal["base"]] = Field(default=["base"], min_length=1, description="Checkpoints of each model.")
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
    perturbation: Perturbation = Field(default=Perturbation(), description="How words are masked.")
    interval: Interval = Field(default=Interval(), description="Intervals in tables and figures.")
    compute: Compute = Field(default=Compute(), description="Batch sizes and what a cluster is asked for.")
    study: Study = Field(description="The grid that is run.")


def parse(raw: Mapping[str, Any]) -> Config:
    """The configuration, checked. Raises ``UserError`` with one line for each fault: key path and what is allowed."""
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        faults = [_fault(details) for details in error.errors(include_url=False)]
        raise UserError(_message(dict.fromkeys(faults))) from None
    if faults := list(_references(config)):
        raise UserError(_message(faults))
    return config


def _message(faults: Iterable[str]) -> str:
    return "the configuration is not valid:\n" + "\n".join(f"  {fault}" for fault in faults)


def _fault(details: ErrorDetails) -> str:
    keys = list(details["loc"])
    # Pydantic adds the branch of a union that it took to the path; in the file there is no such key.
    if len(keys) > 2 and keys[0] in ("methods", "budgets"):
        del keys[2]
    shown = [key for key in keys if not (isinstance(key, str) and (key.startswith("(") or key == "[key]"))]
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in shown).lstrip(".")
    if details["type"] == "extra_forbidden":
        return f"{path}: unknown key{_suggest(str(keys[-1]), _allowed_keys(list(details['loc'][:-1])))}"
    if details["type"] == "missing":
        return f"{path}: is missing"
    value = details["input"]
    found = "" if isinstance(value, dict | list) else f" (it is {value!r})"
    return f"{path}: {details['msg'][0].lower()}{details['msg'][1:]}{found}"


def _allowed_keys(keys: list[int | str]) -> list[str]:
    """The keys that a section may have; ``keys`` is the path to it as pydantic tells it, branches included."""
    by_branch: dict[int | str, type[Strict]] = {"(path)": LocalPath}
    by_branch |= {"top_var": TopVar, "top_ratio": TopRatio, "top_k": TopK, "random": RandomMethod}
    by_branch |= {"gradients": GradientMethod, "attention": AttentionMethod}
    by_branch |= dict.fromkeys(("first_words", "human", "all_words"), FixedMethod)
    by_section: dict[int | str, type[Strict]] = {"corpora": RatedSnippets, "models": Model, "tasks": Task}
    by_section |= {"perturbation": Perturbation, "interval": Interval, "compute": Compute, "study": Study}
    if not keys:
        section: type[Strict] = Config
    elif keys[-1] == "(package)":
        section = GgufInPackage if keys[0] == "models" else PackageFile
    elif keys[-1] in by_branch and len(keys) > 2:
        section = by_branch[keys[-1]]
    else:
        section = by_section[keys[0]]
    return list(section.model_fields)


def _suggest(wrong: str, known: Iterable[str]) -> str:
    known = list(known)
    if close := difflib.get_close_matches(wrong, known, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""


def _references(config: Config) -> Iterable[str]:
    """Faults between sections: names that are in no registry, methods that a model cannot serve."""
    study = config.study
    for section in ("corpora", "models", "methods", "budgets"):
        names = getattr(study, section)
        registry = getattr(config, section)
        for index, name in enumerate(names):
            if name not in registry:
                yield f"study.{section}[{index}]: {name!r} is not in `{section}`{_suggest(name, registry)}"
            elif name in names[:index]:
                yield f"study.{section}[{index}]: {name!r} is listed twice"
    if study.main_budget not in study.budgets:
        hint = _suggest(study.main_budget, study.budgets)
        yield f"study.main_budget: {study.main_budget!r} is not in study.budgets{hint}"
    for name, corpus in config.corpora.items():
        if corpus.task not in config.tasks:
            yield f"corpora.{name}.task: {corpus.task!r} is not in `tasks`{_suggest(corpus.task, config.tasks)}"
    for index, method_name in enumerate(study.methods):
        method = config.methods.get(method_name)
        for model_name in study.models:
            model = config.models.get(model_name)
            needs = method.kind if isinstance(method, GradientMethod | AttentionMethod) else None
            if model and needs and needs not in model.evidence:
                yield (
                    f"study.methods[{index}]: {method_name!r} needs {needs}, which model {model_name!r} cannot give "
                    f"(models.{model_name}.evidence is {model.evidence})"
                )
