"""What is asked about an instance: its prompt, whether it can be put to the model, and the label it is held against."""

from __future__ import annotations

from rationale_eval.corpora.instances import Instance
from rationale_eval.evidence.measure import Question
from rationale_eval.evidence.schema import MARKUP, OK, TOO_LONG
from rationale_eval.memo import digest
from rationale_eval.models.encoding import Prompt
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.task import Task


def question_key(question: Question) -> str:
    """The memo key: the prompt's tokens, where its content lies, the tokens of the verbalisers, and the contrast."""
    prompt = question.prompt
    return digest([prompt.tokens, [token.position for token in prompt.content], prompt.labels, question.contrast])


def contrast_of(instance: Instance, task: Task) -> tuple[int, int] | None:
    """The indices of the label and its foil in a contrastive corpus; else None."""
    return None if instance.foil is None else (task.labels.index(instance.label), task.labels.index(instance.foil))


def prompt_status(prompt: Prompt, loaded: LoadedModel) -> str:
    """Whether the prompt can be put to the model."""
    if prompt.markup:
        return MARKUP
    longest = len(prompt.tokens) + max(map(len, prompt.labels))
    return TOO_LONG if longest > loaded.max_length else OK
