"""The prompt files of a study, each read once: a large study asks for the slices of thousands of jobs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from rationale_eval.config import Config
from rationale_eval.config import Task as Entry
from rationale_eval.config_methods import PromptMethod
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import setting_of
from rationale_eval.models.task import Task, load_task, task_slice


class Prompts:
    """What models are asked about each corpus of one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # Of this object, not of the process: a file may change between two configurations.
        self.task = cache(self._load)
        self.slice = cache(self._cut)

    def entry(self, corpus: str) -> Entry:
        """The configuration's entry of the task of a corpus."""
        return self._config.tasks[self._config.corpora[corpus].task]

    def _load(self, corpus: str) -> Task:
        """The whole task of a corpus. Raises ``UserError`` for a faulty prompt file."""
        entry = self.entry(corpus)
        return load_task(Path(entry.prompts), entry.verbalisers)

    def _cut(self, corpus: str, strategies: tuple[str, ...], setting: str) -> dict[str, Any]:
        """The part of the prompt file that a stage reads, not to be changed."""
        entry = self.entry(corpus)
        return task_slice(Path(entry.prompts), entry.verbalisers, strategies, setting)

    def check(self) -> None:
        """Raise ``UserError`` unless the prompt files of the study are whole, show the fields of the corpora that are
        asked about by them, no others, and have the strategies that the study asks for, which say how many words are
        wanted in all of them or in none: budgets are the same for all corpora."""
        sized: dict[str, tuple[bool, str]] = {}
        for corpus in self._config.study.corpora:
            file = self.entry(corpus).prompts
            task = self.task(corpus)
            fields = self._config.corpora[corpus].field_names
            if fields is not None and (fault := task.field_fault(fields)):
                raise UserError(f"corpora.{corpus}: {fault} ({file})")
            for index, name in enumerate(self._config.study.methods):
                method = self._config.methods[name]
                if not isinstance(method, PromptMethod) or name not in self._config.study.methods_on(corpus):
                    continue
                setting = setting_of(method.model_dump())
                if method.strategy not in task.strategies(setting):
                    raise UserError(
                        f"study.methods[{index}]: {name!r} asks by {method.strategy!r}, which {file} "
                        f"does not have under `{setting}`; it has {sorted(task.strategies(setting))}"
                    )
                says, other = sized.setdefault(name, (task.takes_size(method.strategy, setting), file))
                if task.takes_size(method.strategy, setting) != says:
                    raise UserError(
                        f"study.methods[{index}]: {name!r} asks by {method.strategy!r}, which has {{k}}, the number of "
                        f"words wanted, in {other if says else file} and not in {file if says else other}; write it in "
                        "both or in neither"
                    )
