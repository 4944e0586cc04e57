"""The label that a model gives in a conversation that has already begun: the one with the highest label score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rationale_eval.code_digest import memo_code
from rationale_eval.evidence.conversations import Conversation
from rationale_eval.memo import Memo, digest
from rationale_eval.models.asking import Renderer
from rationale_eval.models.batching import run
from rationale_eval.models.chat import TurnAlteredError
from rationale_eval.models.encoding import Prompt, PromptEncoder
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.scoring import Prefix, score_labels, shared_prefix
from rationale_eval.models.task import Task
from rationale_eval.progress import say


def answers(
    questions: Sequence[tuple[Conversation, Mapping[str, str]]],
    task: Task,
    renderer: Renderer,
    loaded: LoadedModel,
    memo_folder: Path,
    batch: tuple[int, int],
) -> list[str | None]:
    """The answer to each classification question about these fields, scored as predictions are.

    None, and counted in the log, where the conversation is too long for the model, or its chat template does not show
    what the model said earlier.
    """
    prompts = [_prompt(question, fields, task, renderer, loaded) for question, fields in questions]
    wanted = {digest([prompt.tokens, prompt.labels]): prompt for prompt in prompts if prompt is not None}
    shared = shared_prefix(list(wanted.values()), before_content=False)
    prefix = Prefix(loaded, shared)
    with Memo(memo_folder, "answers", {"code": memo_code("replies"), **loaded.context()}) as memo:
        run(
            "answers",
            wanted,
            lambda prompt: len(prompt.tokens) - len(shared),
            lambda prompts: list(score_labels(loaded, prefix, prompts).cpu().numpy()),
            memo,
            *batch,
        )
        scored = [None if prompt is None else memo[digest([prompt.tokens, prompt.labels])] for prompt in prompts]
    say(f"answers: {len(scored)} asked for, {sum(scores is None for scores in scored)} could not be asked")
    return [None if scores is None else task.labels[int(scores.argmax())] for scores in scored]


def _prompt(
    question: Conversation, fields: Mapping[str, str], task: Task, renderer: Renderer, loaded: LoadedModel
) -> Prompt | None:
    try:
        chat = renderer.of(question.turns)
    except TurnAlteredError:
        return None
    (prompt,) = PromptEncoder.of(chat, task).encode([fields])
    return None if prompt.status(loaded.max_length) else prompt
