"""What is asked about an instance: its prompt, whether it can be put to the model, and the label it is held against."""

from __future__ import annotations

from collections.abc import Sequence

from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import OK
from rationale_eval.evidence.targets import AUTO, FOIL, GOLD, RUNNER_UP, Question
from rationale_eval.memo import digest
from rationale_eval.models.encoding import ALTERED, Prompt
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.task import Task


def question_key(question: Question) -> str:
    """The memo key: the prompt's tokens, where its content lies, the verbalisers' tokens, and what is explained."""
    prompt = question.prompt
    explained = [question.contrast, question.gold, question.runner_up]
    return digest([prompt.tokens, [token.position for token in prompt.content], prompt.labels, explained])


def question_of(instance: Instance, prompt: Prompt, task: Task, target: str = AUTO) -> Question:
    """What is asked about an instance for a ``target``. Raises ``UserError`` for a foil that the instance lacks."""
    label = task.labels.index(instance.label)
    if target == FOIL and instance.foil is None:
        raise UserError(f"instance {instance.id!r} has no foil, so target: foil cannot be explained; use runner_up")
    if target in (AUTO, FOIL) and instance.foil is not None:
        return Question(prompt, contrast=(label, task.labels.index(instance.foil)))
    return Question(prompt, gold=label if target == GOLD else None, runner_up=target == RUNNER_UP)


def statuses(prompts: Sequence[Prompt], loaded: LoadedModel) -> list[str]:
    """Of each prompt, whether it can be put to the model: ``OK`` or why not.

    Raises ``UserError`` where the chat template alters all of several texts: the fault is not theirs.
    """
    found = [prompt.status(loaded.max_length) or OK for prompt in prompts]
    if len(found) > 1 and set(found) == {ALTERED}:
        raise UserError(
            f"the model's chat template alters all {len(found)} texts, so their words cannot be located in it; with "
            "prompt_style: completion the model is asked by plain text"
        )
    return found
