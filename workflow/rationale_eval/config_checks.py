"""Reading the configuration: every fault at once, each with its path and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rationale_eval.config import (
    AttentionMethod,
    Compute,
    Config,
    Finetuning,
    FixedMethod,
    GgufInPackage,
    GradientMethod,
    Interval,
    LocalPath,
    Matched,
    Model,
    PackageFile,
    Perturbation,
    PromptMethod,
    RandomMethod,
    RatedSnippets,
    Strict,
    Study,
    Task,
    TopK,
    TopRatio,
    TopVar,
)
from rationale_eval.errors import UserError


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
    by_branch |= {"gradients": GradientMethod, "attention": AttentionMethod, "prompt": PromptMethod, "matched": Matched}
    by_branch |= dict.fromkeys(("first_words", "human", "all_words"), FixedMethod)
    by_section: dict[int | str, type[Strict]] = {"corpora": RatedSnippets, "models": Model, "tasks": Task}
    by_section |= {
        "finetuning": Finetuning,
        "perturbation": Perturbation,
        "interval": Interval,
        "compute": Compute,
        "study": Study,
    }
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
    for section in ("checkpoints", "seeds"):
        listed = getattr(study, section)
        if len(set(listed)) < len(listed):
            yield f"study.{section}: something is listed twice in {listed}"
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
    for name, method in config.methods.items():
        for index, budget_name in enumerate((isinstance(method, RandomMethod) and method.budgets) or []):
            if budget_name not in config.budgets:
                hint = _suggest(budget_name, config.budgets)
                yield f"methods.{name}.budgets[{index}]: {budget_name!r} is not in `budgets`{hint}"
    for index, budget_name in enumerate(study.budgets):
        budget = config.budgets.get(budget_name)
        if isinstance(budget, Matched):
            prompted = [name for name in study.methods if isinstance(config.methods.get(name), PromptMethod)]
            if budget.to not in prompted:
                yield (
                    f"study.budgets[{index}]: {budget_name!r} matches {budget.to!r}, which is no prompted method of "
                    f"the study{_suggest(budget.to, prompted)}"
                )
    for index, method_name in enumerate(study.methods):
        asked = config.methods.get(method_name)
        for model_name in study.models:
            model = config.models.get(model_name)
            needs = asked.kind if isinstance(asked, GradientMethod | AttentionMethod) else None
            if model and needs and needs not in model.evidence:
                yield (
                    f"study.methods[{index}]: {method_name!r} needs {needs}, which model {model_name!r} cannot give "
                    f"(models.{model_name}.evidence is {model.evidence})"
                )
