"""The configuration of models behind an API: what is refused, and what the rules see of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from config_faults import faults_of
from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan

SOURCE = {"api": "https://api.example.org/v1", "model": "m-1", "key": "THE_KEY"}
SECRET = "sk-0123456789"


def entry(**changes: Any) -> dict[str, Any]:
    return {"source": dict(SOURCE)} | changes


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (entry(dtype="float32"), "models.asked.dtype: unknown key"),
        (entry(evidence=[]), "models.asked.evidence: unknown key"),
        (entry(local="x"), "models.asked.local: unknown key"),
        (entry(predict="scores"), "models.asked.predict: input should be 'text' or 'logprobs'"),
        (entry(limits={"concurency": 2}), "models.asked.limits.concurency: unknown key; did you mean 'concurrency'?"),
        (
            entry(limits={"concurrency": 0}),
            "models.asked.limits.concurrency: input should be greater than or equal to 1",
        ),
        (entry(budget={"money": 1}), "models.asked: `budget.money` needs `price`"),
        (entry(price={"input": 1}), "models.asked.price.output: is missing"),
        (entry(budget={"dollars": 1}), "models.asked.budget.dollars: unknown key; known are requests, tokens, money"),
        ({"source": {"api": "https://x.org/v1", "model": "m"}}, "models.asked.source.key: is missing"),
        ({"source": {"apy": "https://x.org/v1"}}, "models.asked.source.apy: unknown key; did you mean 'api'?"),
        ({"source": SOURCE | {"options": {"messages": []}}}, "models.asked.source: `options` cannot hold ['messages']"),
    ],
)
def test_a_mistake_is_one_line(made: dict[str, Any], message: str, raw: dict[str, Any]) -> None:
    told = faults_of(raw, ["models", "asked"], made).splitlines()[1:]
    assert len(told) == 1
    assert told[0].strip().startswith(message)


@pytest.mark.parametrize(
    "source",
    [
        SOURCE | {"key": SECRET},
        SOURCE | {"api": f"https://user:{SECRET}@example.org/v1"},
        SOURCE | {"api": f"https://example.org/v1?key={SECRET}"},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(source: dict[str, Any], raw: dict[str, Any]) -> None:
    told = faults_of(raw, ["models", "asked"], {"source": source})
    assert "models.asked.source." in told
    assert SECRET not in told


METHODS = [
    "saliency_l2",
    "attention_last",
    "integrated_gradients",
    "leave_one_out",
    "prompt_unbound",
    "random",
    "human",
]


def mixed(raw: dict[str, Any], **study: Any) -> dict[str, Any]:
    made = copy.deepcopy(raw)
    made["models"]["asked"] = entry()
    made["study"] |= {"models": ["smollm2-135m-instruct", "asked"], "methods": METHODS, "budgets": ["top_var"]} | study
    return made


def test_methods_that_need_an_open_model_are_refused_each_with_the_way_out(raw: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(mixed(raw)))
    told = str(caught.value).splitlines()[1:]
    needs = ["gradients", "attention", "gradients", "scores of single words left out"]
    assert told == [
        f"  study.methods[{index}]: {method!r} needs {needed}, which model 'asked' behind an API cannot give: "
        "leave one of them out, or set study.not_available: show"
        for index, (method, needed) in enumerate(zip(METHODS, needs, strict=False))
    ]


def test_shown_they_need_nothing_and_the_others_stay(raw: dict[str, Any]) -> None:
    plan = StudyPlan(parse(mixed(raw, not_available="show")))
    assert [plan.available(method, "asked") for method in METHODS] == [False] * 4 + [True] * 3
    assert all(plan.available(method, "smollm2-135m-instruct") for method in METHODS)
    assert json.loads(plan.method("saliency_l2", "asked")) == {"kind": "not_available"}
    assert plan.method("human", "asked") == plan.method("human", "smollm2-135m-instruct")


def test_a_local_model_that_lacks_some_evidence_can_be_shown_too(raw: dict[str, Any]) -> None:
    made = mixed(raw, not_available="show", models=["smollm2-135m-instruct"])
    made["models"]["smollm2-135m-instruct"]["evidence"] = ["attention"]
    plan = StudyPlan(parse(made))
    assert [plan.available(method, "smollm2-135m-instruct") for method in METHODS] == [False, True, False] + [True] * 4


def test_a_model_behind_an_api_has_its_base_alone(raw: dict[str, Any]) -> None:
    plan = StudyPlan(parse(mixed(raw, not_available="show", checkpoints=[1, 2])))
    points = {(cell.model, cell.checkpoint) for cell in plan.cells}
    assert points == {("asked", "base")} | {
        ("smollm2-135m-instruct", name) for name in ("epoch-01-seed-0", "epoch-02-seed-0")
    }


def test_there_is_nothing_to_fetch_of_it(raw: dict[str, Any]) -> None:
    both = StudyPlan(parse(mixed(raw, not_available="show")))
    alone = StudyPlan(parse(mixed(raw, not_available="show", models=["smollm2-135m-instruct"])))
    assert both.sources.fetched(both.entries) == alone.sources.fetched(alone.entries)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"limits": {"concurrency": 2}}, True),
        ({"price": {"input": 1.0, "output": 1.0}, "budget": {"money": 5}}, True),
        ({"source": SOURCE | {"key": "OTHER_KEY"}}, True),
        ({"licence": "terms"}, True),
        ({"predict": "logprobs"}, False),
        ({"system_prompt": "Be brief."}, False),
        ({"source": SOURCE | {"model": "m-2"}}, False),
        ({"source": SOURCE | {"options": {"user": "me"}}}, False),
    ],
)
def test_only_what_a_result_depends_on_is_in_the_slices(
    changes: dict[str, Any], same: bool, raw: dict[str, Any]
) -> None:
    def slices(made: dict[str, Any]) -> list[str]:
        plan = StudyPlan(parse(made))
        return [plan.predictions("editorials", "asked"), plan.perturbation("editorials", "asked")]

    made = mixed(raw, not_available="show")
    changed = copy.deepcopy(made)
    changed["models"]["asked"] |= changes
    assert (slices(made) == slices(changed)) is same
