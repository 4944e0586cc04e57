"""The classification of texts by an API: what is asked, and how the answers are read."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.apis.asking import with_alternatives
from rationale_eval.apis.client import without_logprobs
from rationale_eval.apis.completion import OK
from rationale_eval.apis.labels import UNPARSED, label_of, label_scores
from rationale_eval.apis.request import Message, Request, chat_messages, request
from rationale_eval.models.shots import Shot
from rationale_eval.models.task import Task
from rationale_eval.thoughts import CUT_OFF, answer, cut_off

ALTERNATIVES = 20  # the most that OpenAI gives
LOGPROBS = "logprobs"


def add_api_arguments(parser: argparse.ArgumentParser) -> None:
    """The memo, and how the API may be asked."""
    parser.add_argument("--memo", type=Path, required=True, help="the memo's folder")
    parser.add_argument(
        "--limits",
        type=json.loads,
        required=True,
        help='JSON: {"name", "key" (an environment variable), "concurrency", "requests_per_minute", '
        '"tokens_per_minute", "timeout", "retries", "budget", "price"}',
    )


def settings_of(spec: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """What ``ask_all`` needs to know: which model, from the spec, and how it may be asked."""
    return {"address": spec["api"]["address"], "model": spec["api"]["model"], **limits}


class Classifier:
    """Puts the classification prompt of ``task`` with solved examples before it, as ``spec`` says.

    ``spec`` has ``api`` (address, model, predict, answer_tokens, token_limit, options) and ``system_prompt``.
    """

    def __init__(self, spec: Mapping[str, Any], task: Task, shots: Sequence[Shot]) -> None:
        self._api, self._task = spec["api"], task
        self._by_scores = self._api["predict"] == LOGPROBS
        turns = [(task.message(fields)[0], task.verbalisers[label]) for fields, label in shots]
        self._before = chat_messages(spec["system_prompt"], turns)

    def messages(self, fields: Mapping[str, str]) -> list[Message]:
        """The conversation for these texts."""
        return [*self._before, *chat_messages(None, (), self._task.message(fields)[0])]

    def request(self, messages: Sequence[Message]) -> Request:
        """The request for a conversation that ends with the classification prompt, at temperature 0."""
        more: dict[str, Any] = {"temperature": 0}
        if self._by_scores:
            more |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
        return request(self._api, messages, self._api["answer_tokens"], **more)

    def read(self, outcome: Mapping[str, Any], name: str) -> dict[str, Any]:
        """``status``, ``predicted`` and ``scores`` (None where the label is read from the text).

        ``name`` is the model's in the configuration. Raises ``UserError`` where log-probabilities were asked for and
        the server gives none.
        """
        nothing = {"status": outcome["status"], "predicted": None, "scores": None}
        if outcome["status"] != OK:
            return nothing
        if self._by_scores and not with_alternatives(outcome["logprobs"]):
            raise without_logprobs({"name": name, **self._api})
        if cut_off(outcome["text"], outcome["finish"]):
            return nothing | {"status": CUT_OFF}
        said = answer(outcome["text"]) or ""
        if not self._by_scores:
            status, label = label_of(said, self._task.verbalisers)
            return nothing | {"status": status, "predicted": label}
        scores = label_scores(outcome["logprobs"], self._task.verbalisers)
        if scores is None:
            status, _ = label_of(said, self._task.verbalisers)
            return nothing | {"status": UNPARSED if status == OK else status}
        best = max(range(len(scores)), key=scores.__getitem__)
        return {"status": OK, "predicted": self._task.labels[best], "scores": scores}


def served(outcomes: Mapping[Any, Mapping[str, Any]]) -> dict[str, int]:
    """How many replies came from which model and system, as the server names them."""
    found: dict[str, int] = {}
    for outcome in outcomes.values():
        if "served" in outcome:
            name = ", ".join(filter(None, outcome["served"])) or "not named"
            found[name] = found.get(name, 0) + 1
    return found
