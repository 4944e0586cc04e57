"""Prompt files: the message with the places of its fields, and what is wrong with a malformed one."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.errors import UserError
from rationale_eval.models.task import Task, load_task

GOOD = {
    "version": 2,
    "fields": ["premise", "hypothesis"],
    "classify": "\nDoes {{it}} follow?\nH: {hypothesis}\nP: {premise}!\n",
    "verbalisers": {"entailment": "yes", "neutral": "maybe", "contradiction": "no"},
}


@pytest.fixture
def load(tmp_path):
    def write_and_load(changes=None, text=None):
        path = tmp_path / "prompt.yaml"
        path.write_text(yaml.safe_dump(GOOD | (changes or {})) if text is None else text, encoding="utf-8")
        return load_task(path)

    return write_and_load


def test_the_message_and_the_places_of_its_fields(load):
    task = load(text=yaml.safe_dump(GOOD, sort_keys=False))
    text, (premise, hypothesis) = task.message({"premise": "A {dog}", "hypothesis": "It"})
    assert text == "Does {it} follow?\nH: It\nP: A {dog}!"
    assert text[slice(*premise)] == "A {dog}"
    assert text[slice(*hypothesis)] == "It"
    assert task.labels == ("entailment", "neutral", "contradiction"), "in the order of the file"
    assert (task.version, task.fields) == (2, ("premise", "hypothesis"))


@given(st.text(max_size=20), st.text(max_size=20))
def test_places_are_right_for_any_text(premise, hypothesis):
    task = Task(1, ("p", "h"), (("Hm ", "h"), (" {} ", "p"), (".", None)), {"a": "x", "b": "y"})
    text, (first, second) = task.message({"p": premise, "h": hypothesis})
    assert text[slice(*first)] == premise
    assert text[slice(*second)] == hypothesis
    assert len(text) == len("Hm  {} .") + len(premise) + len(hypothesis)


def test_the_prompt_files_that_come_with_the_package_are_sound():
    from pathlib import Path

    files = sorted((Path(__file__).parents[2] / "workflow" / "prompts").glob("*.yaml"))
    assert files
    for path in files:
        task = load_task(path)
        text, places = task.message(dict.fromkeys(task.fields, "xyz"))
        assert [text[slice(*place)] for place in places] == ["xyz"] * len(task.fields)
        assert {name: task.takes_size(name) for name in task.explain} == {"unbound": False, "guided": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "has exactly the keys"),
        ({"version": "1"}, "version must be a whole number"),
        ({"fields": "premise"}, "fields must be a list of names"),
        ({"fields": []}, "fields must be a list of names"),
        ({"fields": ["premise", 3]}, "fields must be a list of names"),
        ({"classify": ["a"]}, "classify must be a text"),
        ({"classify": "{premise}"}, "classify must use each of"),
        ({"classify": "{premise} {hypothesis} {premise}"}, "classify must use each of"),
        ({"classify": "{premise} {hypothesis} {other}"}, "it uses .*'other'"),
        ({"classify": "{premise} {hypothesis} {}"}, "classify must use each of"),
        ({"classify": "{premise} {hypothesis.name}"}, "classify must use each of"),
        ({"classify": "{premise} {hypothesis"}, "write {{ and }} for literal braces"),
        ({"classify": "{premise} {hypothesis} }"}, "write {{ and }} for literal braces"),
        ({"classify": "{premise:>9} {hypothesis}"}, "without format or conversion"),
        ({"classify": "{premise!r} {hypothesis}"}, "without format or conversion"),
        ({"verbalisers": {"yes": "yes"}}, "at least two labels"),
        ({"verbalisers": ["yes", "no"]}, "at least two labels"),
        ({"verbalisers": {"a": "yes", "b": False}}, 'quote words such as "yes"'),
        ({"verbalisers": {True: "yes", False: "no"}}, 'quote words such as "yes"'),
        ({"verbalisers": {"a": "yes", "b": "  "}}, "verbalisers must"),
        ({"verbalisers": {"a": "yes", "b": "yes"}}, "two labels have the same verbaliser"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(load, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        load(changes)
    assert "prompt.yaml: " in str(caught.value)


EXPLAIN = {
    "unbound": "\n{premise} + {hypothesis}: why {label}?\n",
    "guided": "{hypothesis} {{so}} {label}; {k} words of {premise}, I said {k}",
}


def test_explanation_prompts(load):
    task = load({"explain": EXPLAIN})
    fields = {"premise": "A {dog}", "hypothesis": "It {k}", "other": "x"}
    assert task.explanation("unbound", fields, "neutral") == "A {dog} + It {k}: why maybe?"
    assert task.explanation("guided", fields, "entailment", 3) == "It {k} {so} yes; 3 words of A {dog}, I said 3"
    assert not task.takes_size("unbound")
    assert task.takes_size("guided")


def test_a_number_of_words_is_given_exactly_where_it_is_asked_for(load):
    task = load({"explain": EXPLAIN})
    fields = {"premise": "a", "hypothesis": "b"}
    with pytest.raises(ValueError, match="'guided' called with k=None"):
        task.explanation("guided", fields, "neutral")
    with pytest.raises(ValueError, match="'unbound' called with k=2"):
        task.explanation("unbound", fields, "neutral", 2)


def test_explanation_prompts_are_optional(load):
    task = load()
    assert task.explain == {}
    with pytest.raises(UserError, match=r"no explanation prompt 'guided'; it has \[\]"):
        task.explanation("guided", {"premise": "a", "hypothesis": "b"}, "neutral", 3)


@pytest.mark.parametrize(
    ("explain", "message"),
    [
        ([], "explain must map names of strategies to texts"),
        ({1: "{premise} {hypothesis} {label}"}, "explain must map names of strategies to texts"),
        ({"unbound": ["a"]}, "explain.unbound must be a text"),
        ({"unbound": "{premise} {label}"}, "explain.unbound must use each of"),
        ({"unbound": "{premise} {hypothesis}"}, "explain.unbound must use each of"),
        ({"unbound": "{premise} {hypothesis} {label} {colour}"}, "it uses .*'colour'"),
        ({"unbound": "{premise} {hypothesis} {label} {k}"}, "explain.unbound must not use {k}"),
        ({"guided": "{premise} {hypothesis} {label}"}, "explain.guided must use {k}"),
        ({"guided": "{premise} {hypothesis} {label} {k:d}"}, "explain.guided: placeholders are plain"),
        ({"mine": "{premise} {hypothesis} {label} }"}, "explain.mine: .* write {{ and }} for literal braces"),
    ],
)
def test_what_is_wrong_with_an_explanation_prompt_is_named(load, explain, message):
    with pytest.raises(UserError, match=message) as caught:
        load({"explain": explain})
    assert "prompt.yaml: " in str(caught.value)


def test_fields_named_like_placeholders_of_explanations_are_refused(load):
    changes = {"fields": ["label"], "classify": "{label}"}
    assert load(changes).fields == ("label",), "nothing is asked about it"
    with pytest.raises(UserError, match="placeholders of its own; name these fields otherwise"):
        load(changes | {"explain": {"unbound": "{label}"}})


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "1"])
def test_a_file_of_another_shape_is_refused(load, text):
    with pytest.raises(UserError, match="has exactly the keys"):
        load(text=text)


def test_missing_and_broken_files_are_named(load, tmp_path):
    with pytest.raises(UserError, match="there is no such prompt file"):
        load_task(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="not valid YAML in UTF-8"):
        load(text="a: [")
    (tmp_path / "latin.yaml").write_bytes("classify: Gr\xfc\xdfe".encode("latin-1"))
    with pytest.raises(UserError, match="not valid YAML in UTF-8"):
        load_task(tmp_path / "latin.yaml")


def test_a_field_named_twice_is_refused(load):
    with pytest.raises(UserError, match="fields"):
        load({"fields": ["premise", "premise"], "classify": "{premise} {premise}"})


@pytest.mark.parametrize("verbaliser", [" yes", "yes ", "yes\n"])
def test_spaces_around_a_verbaliser_are_refused(load, verbaliser):
    """The template decides on the space before the answer; one more would be another token."""
    with pytest.raises(UserError, match="verbaliser"):
        load({"verbalisers": {"a": verbaliser, "b": "no"}})
