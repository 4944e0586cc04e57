"""Whether the corpora, models and files that a study names are here or can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rationale_eval.apis.client import key_of
from rationale_eval.checks.finding import OK, PROBLEM, WARNING, Finding
from rationale_eval.config_corpora import LocalPath
from rationale_eval.errors import UserError
from rationale_eval.sources.card import locate
from rationale_eval.study import StudyPlan


def sources(plan: StudyPlan) -> Iterator[Finding]:
    """A line for each corpus and model of the study."""
    for name in plan.study.corpora:
        yield _files(plan, f"corpora.{name}", plan.config.corpora[name])
    for name in plan.study.models:
        if name in plan.apis:
            yield _key(plan, name)
        else:
            yield _files(plan, f"models.{name}", plan.opened[name])


def _files(plan: StudyPlan, key: str, entry: Any) -> Finding:
    downloads = plan.sources.fetched([entry])
    if not downloads:
        local = isinstance(entry.source, LocalPath) and plan.sources.local(entry) is None
        where = f"{key}.source.path" if local else f"{key}.local"
        path = plan.sources.path(entry)
        if not Path(path).exists():
            return Finding(PROBLEM, key, f"{path}: is not there; set {where} to where it is")
        absent = [file for file in plan.sources.inputs(entry) if not Path(file).exists()]
        if absent or (Path(path).is_dir() and not any(Path(path).iterdir())):
            return Finding(PROBLEM, key, f"{absent[0] if absent else path}: is not there or empty; see {where}")
        return Finding(OK, key, f"{path}: is here")
    absent = [file for file in downloads if not Path(file).exists()]
    if absent:
        return Finding(WARNING, key, f"{len(absent)} of {len(downloads)} downloads to come; snakemake --cores 2 fetch")
    try:
        for file in downloads:
            locate(Path(file))
    except UserError as error:
        return Finding(PROBLEM, key, str(error))
    return Finding(OK, key, f"fetched: {downloads[0]}{f' and {len(downloads) - 1} more' if len(downloads) > 1 else ''}")


def _key(plan: StudyPlan, name: str) -> Finding:
    """Whether the key of an API is set: it is never shown, nor is the API asked."""
    source = plan.apis[name].source
    try:
        key_of({"name": name, "key": source.key})
    except UserError as error:
        return Finding(PROBLEM, f"models.{name}", str(error))
    key = "without a key" if source.key is None else f"with the key in {source.key}, which is set"
    return Finding(OK, f"models.{name}", f"{source.model} at {source.api} {key}")


def external_files(plan: StudyPlan) -> Iterator[Finding]:
    """A line for each method of the study whose rationales were made elsewhere."""
    for method in plan.study.methods:
        named = sorted(
            {
                path
                for cell in plan.cells
                if method in plan.study.methods_on(cell.corpus)
                for path in plan.external(method, cell.corpus, cell.model, cell.checkpoint)
            }
        )
        if absent := [path for path in named if not Path(path).exists()]:
            text = f"{absent[0]}: is not there ({len(absent)} of {len(named)} files); see methods.{method}.path"
            yield Finding(PROBLEM, f"methods.{method}", text)
        elif named:
            yield Finding(OK, f"methods.{method}", f"{len(named)} files are here")
