"""Prompted methods in the configuration: what goes together, and which budgets and slices follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config_faults import TABLE, faults_of
from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan

ROOT = Path(__file__).parents[2]
MODEL = "smollm2-135m-instruct"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"samples": 3}, "methods.p.temperature: is needed where samples is 3: greedy replies are all alike"),
        (
            {"strategy": "scored", "samples": 3, "temperature": 1.0},
            "methods.p.samples: votes are counted of replies that give words; these are read as scores",
        ),
        ({"top_p": 0.9}, "methods.p.top_p: is for sampled replies; give a temperature, or leave it out"),
        ({"order": "before", "chat": "same"}, "methods.p.chat: is for explanations after the classification"),
        ({"temperature": 0}, "methods.p.temperature: input should be greater than 0 (it is 0)"),
        ({"gives": "word"}, "methods.p.gives: input should be 'words', 'ranking' or 'scores' (it is 'word')"),
    ],
)
def test_what_does_not_go_together_is_named(raw: dict[str, Any], entry: dict[str, Any], message: str) -> None:
    assert message in faults_of(raw, ["methods", "p"], {"kind": "prompt", "strategy": "unbound"} | entry)


@pytest.mark.parametrize("method", ["prompt_ranked", "prompt_scored", "prompt_voted"])
def test_only_sets_have_sizes_to_match(raw: dict[str, Any], method: str) -> None:
    raw["study"]["methods"] += [method]
    said = faults_of(raw, ["budgets", "matched_unbound", "to"], method)
    assert f"'matched_unbound' matches {method!r}, which is cut to budgets itself" in said


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"title": "t", "text": "x"},
            "corpora.my_table: has the field(s) ['title'] that the prompt does not show; it shows ['text']",
        ),
        (
            {"review": "x"},
            "corpora.my_table: lacks the field(s) ['text'] that the prompt shows; it has ['review']",
        ),
    ],
)
def test_the_prompt_shows_exactly_the_fields_of_the_corpus(
    raw: dict[str, Any], fields: dict[str, str], message: str
) -> None:
    raw["corpora"]["my_table"] = TABLE | {"fields": fields}
    raw["study"]["corpora"] = ["my_table"]
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(raw)).prompts.check()
    assert str(caught.value).startswith(message)
    assert raw["tasks"]["sentiment"]["prompts"] in str(caught.value)


def test_every_corpus_of_the_registry_has_the_fields_that_its_prompt_shows(raw: dict[str, Any]) -> None:
    plan = StudyPlan(parse(raw))
    fields = {name: entry.field_names for name, entry in plan.config.corpora.items()}
    assert set(fields.values()) == {("text",), ("premise", "hypothesis"), ("claim", "evidence")}
    for name, shown in fields.items():
        assert shown is not None
        assert sorted(shown) == sorted(plan.task(name).fields)


def test_what_is_an_order_or_scores_is_cut_to_the_studys_budgets(raw: dict[str, Any]) -> None:
    asked = ["prompt_ranked", "prompt_scored", "prompt_voted", "prompt_same_chat", "prompt_before", "prompt_few_shot"]
    raw["study"]["methods"] += asked
    spec = json.loads(StudyPlan(parse(raw)).alignment("movie_reviews"))
    budgets = {method["name"]: set(method["budgets"]) for method in spec["methods"]}
    cut = {"top_var", "top_ratio_20", "matched_unbound", "matched_guided"}
    assert budgets["prompt_ranked"] == budgets["prompt_scored"] == budgets["prompt_voted"] == cut
    assert budgets["prompt_same_chat"] == budgets["prompt_before"] == budgets["prompt_few_shot"] == {"as_given"}


def test_each_way_of_asking_reads_its_own_prompt(raw: dict[str, Any]) -> None:
    plan = StudyPlan(parse(raw))
    for method, section in (
        ("prompt_ranked", "explain"),
        ("prompt_same_chat", "explain_in_chat"),
        ("prompt_before", "explain_before"),
    ):
        task = json.loads(plan.replies("movie_reviews", MODEL, method))["task"]
        strategy = plan.config.methods[method].strategy  # type: ignore[union-attr]
        assert [key for key in task if key.startswith("explain")] == [section]
        assert list(task[section]) == [strategy]
    assert [name for name in plan.prompted if plan.explained_shots(name)] == ["prompt_few_shot"]


def test_replies_are_read_with_the_labels_and_verbalisers_and_nothing_else_of_the_prompts(
    raw: dict[str, Any], tmp_path: Any
) -> None:
    def read(method: str) -> Any:
        return json.loads(StudyPlan(parse(raw)).reading("movie_reviews", method))

    labels = ["bad", "good", "negative", "positive"]
    raw["tasks"]["sentiment"]["verbalisers"] = {"negative": "bad", "positive": "good"}
    assert read("prompt_unbound") == {"gives": "words", "vote": False, "labels": labels}
    assert read("prompt_voted") == {"gives": "words", "vote": True, "labels": labels}
    assert read("prompt_scored") == {"gives": "scores", "vote": False, "labels": labels}
    file = tmp_path / "mine.yaml"
    text = Path(raw["tasks"]["sentiment"]["prompts"]).read_text(encoding="utf-8")
    file.write_text(text.replace("Which words", "What words").replace("Classify", "Judge"), encoding="utf-8")
    raw["tasks"]["sentiment"]["prompts"] = str(file)
    assert read("prompt_voted") == {"gives": "words", "vote": True, "labels": labels}, "re-runs no reading"
    raw["tasks"]["sentiment"]["verbalisers"] = {"negative": "poor", "positive": "good"}
    assert read("prompt_voted")["labels"] == ["good", "negative", "poor", "positive"]


def test_a_prompt_file_without_the_prompt_of_a_setting_is_named(raw: dict[str, Any], tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        'version: 1\nfields: [text]\nclassify: "{text}"\nverbalisers: {a: x, b: y}\n'
        'explain: {unbound: "{text} {label}", guided: "{text} {label} {k}"}\n',
        encoding="utf-8",
    )
    raw["tasks"]["sentiment"]["prompts"] = str(file)
    raw["study"]["methods"] += ["prompt_same_chat"]
    plan = StudyPlan(parse(raw))
    with pytest.raises(UserError, match=r"'prompt_same_chat' asks by .* have under `explain_in_chat`; it has"):
        plan.prompts.check()


def test_a_strategy_with_a_number_in_one_prompt_file_alone_is_refused(raw: dict[str, Any], tmp_path: Path) -> None:
    text = (ROOT / "workflow/prompts/sentiment.yaml").read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("guided:", "chosen:", 1), encoding="utf-8")
    own.write_text(other.read_text(encoding="utf-8").replace("exactly {k}", "a few", 1), encoding="utf-8")
    raw["tasks"] |= {"other": raw["tasks"]["sentiment"] | {"prompts": str(other)}}
    raw["tasks"]["sentiment"] = raw["tasks"]["sentiment"] | {"prompts": str(own)}
    raw["corpora"]["editorials"] |= {"task": "other"}
    raw["methods"]["p"] = {"kind": "prompt", "strategy": "chosen"}
    raw["study"] |= {"corpora": ["movie_reviews", "editorials"], "methods": ["p"], "budgets": ["top_var"]}
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(raw)).prompts.check()
    assert f"'chosen', which has {{k}}, the number of words wanted, in {other} and not in {own}" in str(caught.value)
