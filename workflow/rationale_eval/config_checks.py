"""Reading the configuration: every fault at once, each with its path and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from rationale_eval.config import Config
from rationale_eval.config_apis import ApiModel
from rationale_eval.config_corpora import (
    FORMATS,
    Corpus,
    Eraser,
    MedicalBios,
    PluginCorpus,
    SplitFiles,
    TableCorpus,
)
from rationale_eval.config_messages import lines, suggestion
from rationale_eval.config_methods import (
    ABLATION_SCORES,
    METHODS,
    NEEDS,
    TARGETED,
    Matched,
    PluginMethod,
    PromptMethod,
    RandomMethod,
)
from rationale_eval.config_models import Model
from rationale_eval.config_sources import source_faults
from rationale_eval.errors import UserError
from rationale_eval.plugins import CORPUS_FORMAT, METHOD, METRIC, Registry

RESERVED_BUDGETS = {"as_given"}


def parse(raw: Mapping[str, Any]) -> Config:
    """The configuration, checked. Raises ``UserError`` with one line for each fault: key path and what is allowed."""
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        raise UserError(_message(lines(error, raw))) from None
    if faults := list(_references(config)):
        raise UserError(_message(faults))
    return config


def _message(faults: Iterable[str]) -> str:
    return "the configuration is not valid:\n" + "\n".join(f"  {fault}" for fault in faults)


def _table_faults(where: str, corpus: TableCorpus) -> Iterable[str]:
    """What of a table's entry does not go together."""
    field = corpus.rationale.field
    if field is not None and field not in corpus.fields:
        yield f"{where}.rationale.field: {field!r} is not in `fields`{suggestion(field, corpus.fields)}"
    if corpus.rationale.column is None and corpus.annotators is None:
        yield f"{where}.rationale.column: is needed, the column with the rationale, where `annotators` names none"
    if corpus.test_share is None and set(corpus.train) & set(corpus.test):
        yield f"{where}.test_share: is needed where train and test are the same files: the share of texts for tests"
    if corpus.test_share is not None and set(corpus.train) != set(corpus.test):
        yield f"{where}.test_share: is for train and test in the same files; here these differ"


def _prompt_faults(where: str, method: PromptMethod) -> Iterable[str]:
    """What of a prompted method's entry does not go together."""
    if method.samples > 1 and method.temperature is None:
        yield f"{where}.temperature: is needed where samples is {method.samples}: greedy replies are all alike"
    if method.samples > 1 and method.reads != "words":
        yield f"{where}.samples: votes are counted of replies that give words; these are read as {method.reads}"
    if method.temperature is None and method.top_p < 1:
        yield f"{where}.top_p: is for sampled replies; give a temperature, or leave it out"
    if method.order == "before" and method.chat == "same":
        yield f"{where}.chat: is for explanations after the classification; before it there is one chat"


def plugin_faults(config: Config, registry: Registry) -> Iterable[str]:
    """Names that no plugin registers, and plugin methods whose evidence a model of the study cannot give."""
    study = config.study
    named = [
        (f"corpora.{name}.format", CORPUS_FORMAT, entry.format)
        for name, entry in config.corpora.items()
        if isinstance(entry, PluginCorpus)
    ]
    for name, method in config.methods.items():
        if isinstance(method, PluginMethod):
            named.append((f"methods.{name}.kind", METHOD, method.kind))
    named += [(f"study.metrics[{index}]", METRIC, name) for index, name in enumerate(study.metrics)]
    own = {CORPUS_FORMAT: list(FORMATS), METHOD: list(METHODS), METRIC: []}
    for path, kind, name in named:
        if name not in registry.of(kind):
            known = [*own[kind], *registry.of(kind)]
            yield f"{path}: {name!r} is no {kind} of the package or of a plugin{suggestion(name, known)}"
    for index, name in enumerate(study.methods):
        entry = config.methods[name]
        plugin = registry.methods.get(entry.kind) if isinstance(entry, PluginMethod) else None
        if plugin is not None and plugin.evidence is not None:
            yield from _evidence_faults(config, index, name, plugin.evidence)


def check_plugins(config: Config, registry: Registry) -> None:
    """Raise ``UserError`` with a line for each of ``plugin_faults``."""
    if faults := list(plugin_faults(config, registry)):
        raise UserError(_message(faults))


def _evidence_faults(config: Config, index: int, method: str, needs: str) -> Iterable[str]:
    """The models of the study that cannot give the evidence that a method ``needs``."""
    if config.study.not_available == "show":
        return
    way_out = "leave one of them out, or set study.not_available: show"
    for name in config.study.models:
        model = config.models.get(name)
        if isinstance(model, ApiModel):
            yield (
                f"study.methods[{index}]: {method!r} needs {needs}, which model {name!r} behind an API cannot give: "
                f"{way_out}"
            )
        elif model and needs != ABLATION_SCORES and needs not in model.evidence:
            yield (
                f"study.methods[{index}]: {method!r} needs {needs}, which model {name!r} cannot give "
                f"(models.{name}.evidence is {model.evidence}): {way_out}"
            )


def _repetitions(config: Config) -> Iterable[str]:
    """Lists in which something is twice, which would count it twice."""
    lists: dict[str, list[Any]] = {
        "study.checkpoints": config.study.checkpoints,
        **{f"study.checkpoints_of.{name}": listed for name, listed in config.study.checkpoints_of.items()},
        "study.seeds": config.study.seeds,
        "faithfulness.random_seeds": config.faithfulness.random_seeds,
    }
    for name, method in config.methods.items():
        if isinstance(method, RandomMethod):
            lists[f"methods.{name}.seeds"] = method.seeds
    for key, listed in lists.items():
        if len(set(listed)) < len(listed):
            yield f"{key}: something is listed twice in {listed}"


def _cannot_run(config: Config) -> Iterable[str]:
    """What of the study can only fail later, though each part of it is right by itself."""
    study = config.study
    for key, of in (("checkpoints_of", study.checkpoints_of), ("methods_of", study.methods_of)):
        for name in of:
            if name not in study.corpora:
                yield f"study.{key}: {name!r} is not in study.corpora{suggestion(name, study.corpora)}"
    for corpus, chosen in study.methods_of.items():
        for name in chosen:
            if name not in study.methods:
                where = f"study.methods_of.{corpus}"
                yield f"{where}: {name!r} is not in study.methods{suggestion(name, study.methods)}"
    for index, name in enumerate(study.methods):
        if not any(name in study.methods_on(corpus) for corpus in study.corpora):
            yield f"study.methods[{index}]: {name!r} is run on no corpus, by study.methods_of"
    main = config.budgets.get(study.main_budget)
    for corpus in study.corpora:
        if isinstance(main, Matched) and main.to in study.methods and main.to not in study.methods_on(corpus):
            yield f"study.methods_of.{corpus}: lacks {main.to!r}, to which the main budget is matched"
    if any(study.epochs(corpus) for corpus in study.corpora):
        for name in study.models:
            model = config.models.get(name)
            if isinstance(model, Model) and model.dtype == "float16":
                yield (
                    f"models.{name}.dtype: float16 is for models as they are, but the study has fine-tuned "
                    "ones; training works in bfloat16, float32 or auto"
                )
    yield from _without_train_rows(config)
    for name in study.methods:
        method = config.methods.get(name)
        limited = method.budgets if isinstance(method, RandomMethod) else None
        if limited is not None and not set(limited) & set(study.budgets):
            yield f"methods.{name}.budgets: none of these is in study.budgets, {study.budgets}"


def _without_train_rows(config: Config) -> Iterable[str]:
    """What of the study needs train rows of a corpus that says it has none."""
    study = config.study
    trained = [name for name in study.models if isinstance(config.models.get(name), Model)]
    for name in study.corpora:
        corpus = config.corpora.get(name)
        if not isinstance(corpus, SplitFiles) or corpus.train:
            continue
        none = f"corpora.{name}.train: is empty, but"
        if corpus.train_rows is not None:
            yield f"{none} train_rows is {corpus.train_rows}; set it to null"
        if (epochs := study.epochs(name)) and trained:
            yield f"{none} the study has epoch {epochs[0]} of model {trained[0]!r}, which is trained on them"
        if corpus.task in config.tasks and config.tasks[corpus.task].shots:
            yield f"{none} tasks.{corpus.task}.shots asks for solved examples from them"
        for method in study.methods_on(name):
            entry = config.methods.get(method)
            if isinstance(entry, PromptMethod) and entry.shots:
                yield f"{none} methods.{method}.shots asks for solved examples from them"


def _may_have_foils(corpus: Corpus) -> bool:
    """Whether instances of a corpus can name a foil; what a plugin reads is only known when it is read."""
    return isinstance(corpus, PluginCorpus) or (isinstance(corpus, MedicalBios) and corpus.setting == "contrastive")


def _references(config: Config) -> Iterable[str]:
    """Faults between sections: names that are in no registry, methods that a model cannot serve."""
    study = config.study
    yield from _repetitions(config)
    for section in ("corpora", "models", "methods", "budgets", "operators"):
        names = getattr(study, section)
        registry = getattr(config, section)
        for index, name in enumerate(names):
            if name not in registry:
                yield f"study.{section}[{index}]: {name!r} is not in `{section}`{suggestion(name, registry)}"
            elif name in names[:index]:
                yield f"study.{section}[{index}]: {name!r} is listed twice"
    if study.main_budget not in study.budgets:
        hint = suggestion(study.main_budget, study.budgets)
        yield f"study.main_budget: {study.main_budget!r} is not in study.budgets{hint}"
    for name in sorted(RESERVED_BUDGETS & set(config.budgets)):
        yield f"budgets.{name}: the tables call sets of words so that are taken as they are given; choose another name"
    for name, corpus in config.corpora.items():
        if corpus.task not in config.tasks:
            yield f"corpora.{name}.task: {corpus.task!r} is not in `tasks`{suggestion(corpus.task, config.tasks)}"
        if isinstance(corpus, TableCorpus):
            yield from _table_faults(f"corpora.{name}", corpus)
        if isinstance(corpus, Eraser) and corpus.query_field == corpus.document_field:
            yield f"corpora.{name}.query_field: is the same as document_field, {corpus.document_field!r}"
    yield from source_faults(config)
    yield from _cannot_run(config)
    for name, method in config.methods.items():
        if isinstance(method, PromptMethod):
            yield from _prompt_faults(f"methods.{name}", method)
        for index, budget_name in enumerate((isinstance(method, RandomMethod) and method.budgets) or []):
            if budget_name not in config.budgets:
                hint = suggestion(budget_name, config.budgets)
                yield f"methods.{name}.budgets[{index}]: {budget_name!r} is not in `budgets`{hint}"
    for index, budget_name in enumerate(study.budgets):
        budget = config.budgets.get(budget_name)
        if isinstance(budget, Matched):
            methods = {name: config.methods.get(name) for name in study.methods}
            prompted = {name: entry for name, entry in methods.items() if isinstance(entry, PromptMethod)}
            matches = f"study.budgets[{index}]: {budget_name!r} matches {budget.to!r}, which"
            if budget.to not in prompted:
                yield f"{matches} is no prompted method of the study{suggestion(budget.to, prompted)}"
            elif prompted[budget.to].is_cut:
                yield f"{matches} is cut to budgets itself: only a method that gives a set of words has sizes to match"
    for index, method_name in enumerate(study.methods):
        asked = config.methods.get(method_name)
        for needed in NEEDS.get(type(asked), ()) if asked else ():
            yield from _evidence_faults(config, index, method_name, needed)
        if isinstance(asked, TARGETED) and asked.target == "foil":
            for name in study.corpora:
                if (entry := config.corpora.get(name)) and not _may_have_foils(entry):
                    yield (
                        f"methods.{method_name}.target: foil is for contrastive corpora; {name!r} of the study is none "
                        f"(auto, predicted, gold and runner_up are for every corpus)"
                    )
