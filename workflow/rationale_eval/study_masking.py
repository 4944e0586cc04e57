"""What a study masks and keeps beside the rationales' own words, for each model and operator."""

from __future__ import annotations

from typing import Any

from rationale_eval.config import Config
from rationale_eval.config_apis import ApiModel
from rationale_eval.config_methods import ExternalMethod, FixedMethod, PromptMethod


class Masking:
    """The parts of slices that say what measures of faithfulness rest on."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def _is_paid(self, model: str) -> bool:
        return isinstance(self._config.models[model], ApiModel)

    def curved(self, corpus: str, model: str) -> list[str]:
        """The methods whose order of words has curves: those of a corpus that score words.

        None for a model behind an API: reference rows alone would have some, and each point is paid for.
        """
        if self._is_paid(model):
            return []
        methods = self._config.study.methods_on(corpus)
        return [name for name in methods if _scores_words(self._config.methods[name])]

    def random_seeds(self, model: str) -> list[int]:
        """The draws of random words; one for a model behind an API, which is paid for each."""
        seeds = self._config.faithfulness.random_seeds
        return seeds[:1] if self._is_paid(model) else seeds

    def leaves_one_out(self, corpus: str, model: str) -> bool:
        """Whether each word is masked by itself: only where there is an order to compare with that."""
        return self._config.faithfulness.leave_one_out and bool(self.curved(corpus, model))

    @property
    def ratios(self) -> list[float]:
        """The shares of words at which the curves of an order have points."""
        return sorted({*self._config.faithfulness.aopc_ratios, *self._config.faithfulness.curve_ratios})

    @property
    def operators(self) -> dict[str, Any]:
        """The study's operators beside the main one, by name."""
        return {name: self._config.operators[name].model_dump() for name in self._config.study.operators}

    def asked(self, corpus: str, model: str, operator: str | None) -> dict[str, Any]:
        """What the perturbation by the main operator (None) or by one of the registry is told.

        By the others rationales alone are scored: what else measures rest on is by the main one.
        """
        main = operator is None
        entry = self._config.perturbation if operator is None else self._config.operators[operator]
        return {
            "curves": {"methods": self.curved(corpus, model) if main else [], "ratios": self.ratios if main else []},
            "random_seeds": self.random_seeds(model) if main else [],
            "leave_one_out": self.leaves_one_out(corpus, model) and main,
            **entry.model_dump(),
        }

    def curves(self, corpus: str, model: str) -> dict[str, Any]:
        """What the measures of orders are told."""
        curved = self.curved(corpus, model) if self.ratios else []
        methods = [{"name": name, "curves": name in curved} for name in self._config.study.methods_on(corpus)]
        return {"methods": methods, "aopc_ratios": self._config.faithfulness.aopc_ratios, "ratios": self.ratios}


def _scores_words(entry: Any) -> bool:
    """Whether a method orders all words: gives a score to each."""
    if isinstance(entry, PromptMethod):
        return entry.reads == "scores" or entry.samples > 1
    if isinstance(entry, ExternalMethod):
        return entry.gives == "scores"
    return not isinstance(entry, FixedMethod) or entry.is_cut
