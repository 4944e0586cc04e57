"""How many tokens the answers of each task are for the models that are here, and whether one begins another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokenizers import Tokenizer

from rationale_eval.checks.finding import OK, PROBLEM, WARNING, Finding
from rationale_eval.sources.card import locate
from rationale_eval.study import StudyPlan


def verbalisers(plan: StudyPlan) -> Iterator[Finding]:
    """A line for each model of the study whose tokenizer is here, and each of its tasks.

    Answers are tokenised behind a space; a chat template may put something else before them.
    """
    tasks = {plan.config.corpora[corpus].task: plan.task(corpus).verbalisers for corpus in plan.study.corpora}
    for name in plan.study.models:
        tokenizer = _tokenizer(plan, name)
        if tokenizer is None:
            continue
        for task, words in tasks.items():
            ids = {text: tokenizer.encode(f" {text}", add_special_tokens=False).ids for text in words.values()}
            yield _of_task(f"answers of {name}", task, ids)


def _tokenizer(plan: StudyPlan, name: str) -> Tokenizer | None:
    if name not in plan.opened:
        return None
    try:
        file = locate(Path(plan.sources.path(plan.opened[name]))) / "tokenizer.json"
        return Tokenizer.from_file(str(file)) if file.is_file() else None
    # The library raises plain exceptions; what is wrong with the files is another line's.
    except Exception:
        return None


def _of_task(what: str, task: str, ids: Mapping[str, list[int]]) -> Finding:
    for one, other in itertools.permutations(ids, 2):
        if ids[other][: len(ids[one])] == ids[one]:
            text = f"task {task}: {one!r} is the beginning of {other!r}, which could never be predicted; choose others"
            return Finding(PROBLEM, what, text)
    counts = ", ".join(f"{text!r} {len(found)}" for text, found in ids.items())
    if len({len(found) for found in ids.values()}) > 1:
        text = f"task {task}: of unequal numbers of tokens ({counts}): each further token makes an answer less probable"
        return Finding(WARNING, what, text)
    return Finding(OK, what, f"task {task}: tokens {counts}")
