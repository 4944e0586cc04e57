"""The slices of the configuration that the stages of the report read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rationale_eval.home_paths import without_home
from rationale_eval.study_cells import canonical

if TYPE_CHECKING:
    from rationale_eval.study import StudyPlan

# What stages read that compare cells and say which of their values say nothing.
FLAGGED = ("cells", "methods", "budgets", "interval", "validity", "unavailable")


class ReportSlices:
    """For each stage of the report exactly the part of a study that it reads, as canonical JSON."""

    def __init__(self, plan: StudyPlan) -> None:
        self._plan = plan

    def measure_tables(self) -> str:
        """Slice of the report's tables of orders of words and of normalised measures."""
        return canonical(self._compared(*FLAGGED))

    def sensitivity(self) -> str:
        """Slice of the report's table of the sensitivity to the operator."""
        compared = self._compared(*FLAGGED, "main_budget")
        own = {"operators": self._plan.masking.operators, "min_instances": self._plan.config.claims.min_instances}
        return canonical(compared | own)

    def _compared(self, *names: str) -> dict[str, Any]:
        """The parts ``names`` of what the stages share that compare the cells."""
        parts = {
            "cells": [vars(cell) for cell in self._plan.cells],
            "methods": self._methods(),
            "budgets": self._plan.budgets(),
            "main_budget": self._plan.study.main_budget,
            "interval": self._plan.config.interval.model_dump(),
            "validity": self._plan.config.validity.model_dump(),
            # Of each model the methods that it cannot serve.
            "unavailable": {
                model: [method for method in self._plan.study.methods if not self._plan.available(method, model)]
                for model in self._plan.study.models
            },
        }
        # Of each corpus the methods that are run on it, where these are not all.
        fewer = {"methods_of": self._plan.study.methods_of} if self._plan.study.methods_of else {}
        return {name: parts[name] for name in names} | fewer

    def tables(self) -> str:
        """Slice of the report's tables."""
        return canonical(self._compared(*FLAGGED, "main_budget") | {"evaluated": self._plan.evaluated()})

    def claims(self) -> str:
        """Slice of the claims."""
        compared = self._compared(*FLAGGED, "main_budget")
        return canonical(compared | {"claims": self._plan.config.claims.model_dump()})

    def calibration(self) -> str:
        """Slice of the calibration on planted corpora."""
        compared = self._compared(*FLAGGED, "main_budget")
        return canonical(compared | {"cells": [vars(cell) for cell in self._plan.planted_cells]})

    def cost(self) -> str:
        """Slice of the table of what jobs took."""
        methods = self._plan.study.methods
        tables = {table for method in methods if (table := self._plan.attribution_table(method))}
        parts = {"methods": sorted(methods), "attributions": sorted(tables)}
        parts["operators"] = sorted(self._plan.masking.operators)
        return canonical({"cells": [vars(cell) for cell in self._plan.cells]} | parts)

    def figures(self) -> str:
        """Slice of the report's figures."""
        return canonical({"methods": self._methods(), "main_budget": self._plan.study.main_budget})

    def latex(self, tables: Sequence[str]) -> str:
        """Slice of the report's ``tables`` as LaTeX."""
        kinds = {name: {"kind": self._plan.config.methods[name].kind} for name in self._plan.study.methods}
        chosen = {"tables": list(tables), "methods": kinds, "level": self._plan.config.interval.level}
        corpora = self._plan.config.corpora
        chosen["marked_by"] = {name: corpora[name].marked_by for name in self._plan.study.corpora}
        return canonical(chosen | self._main_budget())

    def latex_examples(self) -> str:
        """Slice of the examples as LaTeX."""
        return canonical({"cells": [vars(cell) for cell in self._plan.cells]} | self._main_budget())

    def _main_budget(self) -> dict[str, Any]:
        name = self._plan.study.main_budget
        return {"main_budget": name, "budgets": {name: self._plan.budgets()[name]}}

    def explorer(self) -> str:
        """Slice of the explorer."""
        compared = self._compared("cells", "methods", "budgets", "main_budget")
        masked = self._plan.config.perturbation.model_dump()
        return canonical(
            compared | {"title": self._plan.study.title, "evaluated": self._plan.evaluated(), "perturbation": masked}
        )

    def page(self) -> str:
        """Slice of the report's page."""
        about = {
            "title": self._plan.study.title,
            "perturbation": self._plan.config.perturbation.model_dump(),
            "operators": self._plan.masking.operators,
            "planted": bool(self._plan.planted_cells),
            "tasks": {corpus: self._plan.task_slice(corpus) for corpus in self._plan.study.corpora},
            "models": {
                model: self._plan.config.models[model].model_dump(include={"licence", "citation"})
                for model in self._plan.study.models
            },
        }
        return canonical(self._compared("cells", "methods", "budgets", "main_budget") | about)

    def _methods(self) -> dict[str, Any]:
        # No stage of the report reads a file of a method's own, but readers of the report see what is here.
        return {name: without_home(self._plan.config.methods[name].model_dump()) for name in self._plan.study.methods}
