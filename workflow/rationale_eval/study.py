"""The study as the rules see it: cells, paths, and for each step exactly the slice of the configuration it reads.

A slice is canonical JSON. It is a rule's param ``spec``: an edit of the configuration re-runs the steps whose slice
changed, and no others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rationale_eval.code_digest import PACKAGE
from rationale_eval.config import Config
from rationale_eval.config_apis import ApiModel
from rationale_eval.config_checks import check_plugins
from rationale_eval.config_corpora import FORMATS, Planted, PluginCorpus
from rationale_eval.config_methods import (
    ABLATION_SCORES,
    NEEDS,
    AblationMethod,
    AttentionMethod,
    ExternalMethod,
    FixedMethod,
    GradientAttentionMethod,
    GradientMethod,
    IntegratedGradientsMethod,
    PluginMethod,
    PromptMethod,
    RandomMethod,
)
from rationale_eval.config_models import Model
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import setting_of
from rationale_eval.models.task import EXPLAIN, Task
from rationale_eval.plugins import CORPUS_FORMAT, METHOD, METRIC, Plugin, load
from rationale_eval.study_cells import BASE, Cell, canonical, epoch_name
from rationale_eval.study_masking import Masking
from rationale_eval.study_prompts import Prompts
from rationale_eval.study_report import ReportSlices
from rationale_eval.study_sources import Sources

# What an entry says of a corpus that no number depends on.
ABOUT = {"description", "annotation", "marked_by", "licence", "privacy", "caveats", "citation", "format"}
# What of a model behind an API says how a label is had from it.
CLASSIFYING = {"predict", "answer_tokens"}
# The budget of sets of words, by the name that it has in tables.
AS_GIVEN: dict[str, Any] = {"as_given": {"kind": "as_given"}}


class StudyPlan:
    """Slices and paths of one configuration. Raises ``UserError`` for a plugin that cannot be used."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.study = config.study
        self.sources = Sources(config)
        self.masking = Masking(config)
        self.prompts = Prompts(config)
        self.report = ReportSlices(self)
        self.registry = load([Path(path) for path in config.plugins])
        check_plugins(config, self.registry)

    def check(self) -> None:
        """Raise ``UserError`` for what no study can be run with: its prompt files, names of its files, this place."""
        if ":" in str(PACKAGE):
            raise UserError(
                f"{PACKAGE}: a colon in the path of the project parts it in two for Python; move it elsewhere"
            )
        self.prompts.check()
        self.sources.check_names(self.entries)

    @property
    def cells(self) -> list[Cell]:
        """Every checkpoint of every model on every corpus of the study, in the order of the configuration."""
        return [
            Cell(corpus, model, checkpoint)
            for corpus in self.study.corpora
            for model in self.study.models
            # What is behind an API cannot be fine-tuned here.
            for checkpoint in ([BASE] if model in self.apis else self._checkpoints(corpus))
        ]

    def _checkpoints(self, corpus: str) -> list[str]:
        """The names of the checkpoints of a model that is opened, an epoch's for each seed."""
        return [
            name
            for checkpoint in self.study.checkpoints_on(corpus)
            for name in (
                [epoch_name(checkpoint, seed) for seed in self.study.seeds] if isinstance(checkpoint, int) else [BASE]
            )
        ]

    @property
    def planted_cells(self) -> list[Cell]:
        """The cells of corpora whose deciding words are known by construction."""
        return [cell for cell in self.cells if isinstance(self.config.corpora[cell.corpus], Planted)]

    @property
    def apis(self) -> dict[str, ApiModel]:
        """The models behind an API, by name."""
        return {name: entry for name, entry in self.config.models.items() if isinstance(entry, ApiModel)}

    @property
    def opened(self) -> dict[str, Model]:
        """All other models, by name."""
        return {name: entry for name, entry in self.config.models.items() if isinstance(entry, Model)}

    def fetch(self, artifact: str) -> str:
        """Slice of the download of one package file."""
        return canonical(self.sources.packages[artifact].model_dump(include={"package", "version", "sha256"}))

    @property
    def entries(self) -> list[Any]:
        """The corpora and models of the study that have files."""
        corpora = [self.config.corpora[name] for name in self.study.corpora]
        return [*corpora, *(self.opened[name] for name in self.study.models if name in self.opened)]

    def reader(self, corpus: str) -> str | None:
        """The format of a corpus if the package itself reads it; None for a plugin's."""
        entry = self.config.corpora[corpus]
        return entry.format if entry.format in FORMATS else None

    def corpus_plugins(self, corpus: str) -> list[Plugin]:
        """The plugin that reads a corpus, if one does."""
        entry = self.config.corpora[corpus]
        return [self.registry.get(CORPUS_FORMAT, entry.format)] if isinstance(entry, PluginCorpus) else []

    def method_plugins(self, method: str) -> list[Plugin]:
        """The plugin whose method it is, if it is one's."""
        entry = self.config.methods[method]
        return [self.registry.get(METHOD, entry.kind)] if isinstance(entry, PluginMethod) else []

    @property
    def metric_plugins(self) -> list[Plugin]:
        """The plugins of the study's metrics."""
        return [self.registry.get(METRIC, name) for name in self.study.metrics]

    def external(self, method: str, corpus: str, model: str, checkpoint: str) -> list[str]:
        """The file of rationales made elsewhere, if the method is that."""
        entry = self.config.methods[method]
        if not isinstance(entry, ExternalMethod):
            return []
        names = {"corpus": corpus, "model": model, "checkpoint": checkpoint}
        path = entry.path
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", value)
        return [path]

    def corpus(self, name: str, side: str) -> str:
        """Slice of the reading of one side of a corpus: more test rows must not train a checkpoint anew.

        Where the source lies is an input, not part of the slice. Train rows are also those whose text is in no test
        row; which files have the train rows is nothing to the test rows.
        """
        entry = self.config.corpora[name]
        rows = {"train": entry.train_rows, "test": entry.test_rows}[side]
        apart = {"source", "local", "task", "train_rows", "test_rows", *ABOUT} - {"format"}
        if side == "test":
            apart.add("train")
        return canonical({"name": name, "rows": rows, **entry.model_dump(exclude=apart)})

    def corpus_card(self, name: str) -> str:
        """Slice of a corpus card."""
        return canonical({"name": name, **self.config.corpora[name].model_dump(include=ABOUT)})

    def task(self, corpus: str) -> Task:
        """What models are asked about a corpus. Raises ``UserError`` for a faulty prompt file."""
        return self.prompts.task(corpus)

    def task_slice(self, corpus: str, *strategies: str, setting: str = EXPLAIN) -> dict[str, Any]:
        """The part of the prompt file that a stage reads."""
        return self.prompts.slice(corpus, strategies, setting)

    def _shots(self, corpus: str) -> dict[str, int]:
        entry = self.prompts.entry(corpus)
        return {"count": entry.shots, "seed": entry.shots_seed}

    def shots(self, corpus: str) -> bool:
        """Whether classifications of a corpus show solved examples from its train rows."""
        return self._shots(corpus)["count"] > 0

    def model(self, name: str) -> str:
        """Slice of the preparation of a model, or of the card of one behind an API.

        Not its licence and citation, which the page alone reads: correcting one must not train a checkpoint anew.
        """
        entry = self.config.models[name]
        if isinstance(entry, ApiModel):
            source: dict[str, Any] = entry.source.model_dump(include={"api", "model"})
        else:
            source = self.sources.described(entry)
        return canonical({"name": name, "source": source})

    def _asking(self, model: str) -> dict[str, Any]:
        entry = self.config.models[model]
        if isinstance(entry, ApiModel):
            source = entry.source
            api = {"address": source.api, **source.model_dump(include={"model", "token_limit", "options"})}
            return {"api": api, "system_prompt": entry.system_prompt}
        return {"asking": entry.model_dump(include={"dtype", "system_prompt", "prompt_style", "template"})}

    def _classifying(self, corpus: str, model: str) -> dict[str, Any]:
        """The part of a slice that says how a model is asked to classify."""
        asking = self._asking(model)
        entry = self.config.models[model]
        if isinstance(entry, ApiModel):
            asking["api"] |= entry.model_dump(include=CLASSIFYING)
        return asking | {"task": self.task_slice(corpus), "shots": self._shots(corpus)}

    def limits(self, model: str) -> str:
        """How a model behind an API may be asked: nothing that a result depends on."""
        entry = self.apis[model]
        parts = {"budget": entry.budget.model_dump(), "price": entry.price and entry.price.model_dump()}
        return canonical({"name": model, "key": entry.source.key, **entry.limits.model_dump(), **parts})

    def evidence(self, corpus: str, model: str) -> str:
        """Slice of predictions and evidence."""
        return canonical(self._classifying(corpus, model) | {"evidence": self.opened[model].evidence})

    def predictions(self, corpus: str, model: str) -> str:
        """Slice of the predictions of a model behind an API."""
        return canonical(self._classifying(corpus, model))

    def attribution_table(self, method: str) -> str | None:
        """The name of the table of attributions that ``method`` reads, if it reads one.

        A table serves all methods that differ in the reduction alone where its name says all else: the kind, and after
        the @, which no method's name has, the target.
        """
        entry = self.config.methods[method]
        if isinstance(entry, IntegratedGradientsMethod | AblationMethod):
            return method
        if isinstance(entry, GradientMethod) and (entry.target, entry.of) == ("auto", "log_odds"):
            return None  # comes with the predictions
        if isinstance(entry, GradientMethod | GradientAttentionMethod):
            return f"{entry.kind}@{entry.target}-{entry.of}"
        return None

    @property
    def integrated(self) -> list[str]:
        """The methods of the configuration that are integrated gradients."""
        return [name for name, entry in self.config.methods.items() if isinstance(entry, IntegratedGradientsMethod)]

    @property
    def attributed(self) -> dict[str, str]:
        """The tables of attributions that the configuration's methods read, each with the first of them."""
        found: dict[str, str] = {}
        for method in self.config.methods:
            if table := self.attribution_table(method):
                found.setdefault(table, method)
        return found

    def attributions(self, corpus: str, model: str, table: str) -> str:
        """Slice of a table of attributions: not how words are chosen by them."""
        settings = self.config.methods[self.attributed[table]].model_dump(
            exclude={"statistic", "aggregation", "punctuation"}
        )
        return canonical(self._classifying(corpus, model) | settings)

    def evidence_of(self, method: str) -> str | None:
        """The kind of evidence that ``method`` reads, if any."""
        entry = self.config.methods[method]
        if isinstance(entry, PluginMethod):
            return self.registry.get(METHOD, entry.kind).evidence
        return entry.kind if isinstance(entry, GradientMethod | AttentionMethod) else None

    def available(self, method: str, model: str) -> bool:
        """Whether a model can give what a method needs."""
        entry = self.config.methods[method]
        plugin = self.evidence_of(method) if isinstance(entry, PluginMethod) else None
        needs = {*NEEDS.get(type(entry), ()), plugin} - {None}
        if model in self.apis:
            return not needs
        return needs <= {*self.opened[model].evidence, ABLATION_SCORES}

    def method(self, name: str, model: str) -> str:
        """Slice of one method's rationales."""
        if not self.available(name, model):
            return canonical({"kind": "not_available"})
        return canonical(self.config.methods[name].model_dump())

    @property
    def prompted(self) -> list[str]:
        """The prompted methods that the configuration names."""
        return [name for name, entry in self.config.methods.items() if isinstance(entry, PromptMethod)]

    def replies(self, corpus: str, model: str, method: str) -> str:
        """Slice of the replies of a prompted method."""
        entry = self._prompt(method)
        settings = entry.model_dump(exclude={"kind", "shots_seed"}) | {"gives": entry.reads}
        settings["shots"] = {"count": entry.shots, "seed": entry.shots_seed}
        task = self.task_slice(corpus, entry.strategy, setting=setting_of(settings))
        asking = self._asking(model)
        if settings["order"] == "before" and model in self.apis:
            # The label is asked for after the reply.
            asking["api"] |= self.apis[model].model_dump(include=CLASSIFYING)
        return canonical(asking | {"task": task} | settings)

    def explained_shots(self, method: str) -> bool:
        """Whether a prompted method shows solved examples from the train rows."""
        return self._prompt(method).shots > 0

    def reading(self, corpus: str, method: str) -> str:
        """Slice of the reading of a prompted method's replies: of the prompts only what labels are called there."""
        entry = self._prompt(method)
        labels = {name for pair in self.task(corpus).verbalisers.items() for name in pair}
        return canonical({"gives": entry.reads, "vote": entry.samples > 1, "labels": sorted(labels)})

    def _prompt(self, method: str) -> PromptMethod:
        entry = self.config.methods[method]
        assert isinstance(entry, PromptMethod)
        return entry

    def finetuning(self, corpus: str, model: str) -> str:
        """Slice of the training of a model's checkpoints."""
        asked = {**self._asking(model)["asking"], "task": self.task_slice(corpus), "shots": self._shots(corpus)}
        return canonical(asked | self.config.finetuning.model_dump(exclude={"save_steps"}))

    def budgets(self) -> dict[str, Any]:
        """The study's budgets, by name."""
        return {name: self.config.budgets[name].model_dump() for name in self.study.budgets}

    def budgets_of(self, method: str) -> dict[str, Any]:
        """The budgets that apply to a method: scores and rankings are cut to the study's, sets are taken as given.

        A reply names its words in an order, so that one that was asked for as many words as people marked can also be
        cut to that number.
        """
        entry = self.config.methods[method]
        budgets = self.budgets()
        if isinstance(entry, FixedMethod) and not entry.is_cut:
            return AS_GIVEN
        if isinstance(entry, ExternalMethod) and entry.gives == "selected":
            return AS_GIVEN
        if isinstance(entry, PromptMethod):
            if entry.is_cut:
                return budgets
            setting = setting_of(entry.model_dump())
            corpus = next(name for name in self.study.corpora if method in self.study.methods_on(name))
            sized = self.task(corpus).takes_size(entry.strategy, setting)
            return AS_GIVEN | {name: entry for name, entry in budgets.items() if sized and entry["kind"] == "top_var"}
        if isinstance(entry, RandomMethod) and entry.budgets is not None:
            return {name: budgets[name] for name in self.study.budgets if name in entry.budgets}
        return budgets

    def evaluated(self, corpus: str | None = None) -> list[dict[str, Any]]:
        """The methods of a corpus, or of the whole study, each with its budgets.

        A budget that is matched to a method has no size where that is not run.
        """
        methods = self.study.methods if corpus is None else self.study.methods_on(corpus)
        return [
            {
                "name": name,
                "budgets": {
                    budget: entry
                    for budget, entry in self.budgets_of(name).items()
                    if entry["kind"] != "matched" or entry["to"] in methods
                },
            }
            for name in methods
        ]

    def alignment(self, corpus: str) -> str:
        """Slice of the alignment."""
        return canonical({"methods": self.evaluated(corpus), "metrics": self.study.metrics})

    def perturbation(self, corpus: str, model: str, operator: str | None = None) -> str:
        """Slice of the perturbation scores by the main operator, or by one of ``study.operators``."""
        chosen = {"methods": self.evaluated(corpus), "keep_only_budgets": [self.study.main_budget, *AS_GIVEN]}
        return canonical(self._classifying(corpus, model) | chosen | self.masking.asked(corpus, model, operator))

    def curves(self, corpus: str, model: str) -> str:
        """Slice of the measures of orders of words."""
        return canonical(self.masking.curves(corpus, model))
