"""Prompt files: the message with the places of its fields, and what is wrong with a malformed one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.errors import UserError
from rationale_eval.models.task import BEFORE, EXPLAIN, IN_CHAT, SETTINGS, Task, load_task

GOOD = {
    "version": 2,
    "fields": ["premise", "hypothesis"],
    "classify": "\nDoes {{it}} follow?\nH: {hypothesis}\nP: {premise}!\n",
    "verbalisers": {"entailment": "yes", "neutral": "maybe", "contradiction": "no"},
}


@pytest.fixture
def load(tmp_path):
    def write_and_load(changes=None, text=None, given=None, without=()):
        path = tmp_path / "prompt.yaml"
        entry = {key: value for key, value in (GOOD | (changes or {})).items() if key not in without}
        path.write_text(yaml.safe_dump(entry, sort_keys=False) if text is None else text, encoding="utf-8")
        return load_task(path, given)

    return write_and_load


def test_the_message_and_the_places_of_its_fields(load):
    task = load()
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


@given(st.text("ab \n\t\u00a0", max_size=8), st.text("ab \n\t\u00a0", max_size=8))
def test_spaces_at_the_ends_of_a_message_are_left_out(premise, hypothesis):
    # As templates with `| trim` do. The places of all other characters stay those of the fields.
    task = Task(1, ("p", "h"), (("", "h"), (" and ", "p")), {"a": "x", "b": "y"})
    text, places = task.message({"p": premise, "h": hypothesis})
    assert text == f"{hypothesis} and {premise}".strip()
    for value, (start, end) in zip((premise, hypothesis), places, strict=True):
        seen = {place - start: text[place] for place in range(max(start, 0), end)}
        assert seen.items() <= dict(enumerate(value)).items()
        assert {place for place, character in enumerate(value) if not character.isspace()} <= set(seen)


PROMPTS = Path(__file__).parents[2] / "workflow" / "prompts"
LABELS = {
    "fact_checking": ["SUPPORTS", "REFUTES"],
    "nli": ["entailment", "neutral", "contradiction"],
    "occupation": ["psychologist", "surgeon", "nurse", "dentist", "physician"],
    "occupation_contrastive": ["psychologist", "surgeon", "nurse", "dentist", "physician"],
    "planted": ["left", "right"],
    "sentiment": ["negative", "positive"],
}


@pytest.mark.parametrize("name", [*LABELS, "generic"])
def test_the_prompt_files_that_come_with_the_package_are_sound(name):
    task = load_task(PROMPTS / f"{name}.yaml", None if name in LABELS else {"a": "sports", "b": "politics"})
    assert list(task.labels) == LABELS.get(name, ["a", "b"])
    texts = {field: f"<{field}>" for field in task.fields}
    text, places = task.message(texts)
    assert [text[slice(*place)] for place in places] == list(texts.values())
    assert all(words in text for words in task.verbalisers.values()), "the answers to choose from are named"
    label, foil = task.labels[:2]
    for setting in SETTINGS:
        sized = {strategy: task.takes_size(strategy, setting) for strategy in task.strategies(setting)}
        assert sized == {"unbound": False, "guided": True, "ranked": True, "scored": False}
        for strategy in sized:
            contrastive = task.takes_foil(strategy, setting)
            assert contrastive == (name == "occupation_contrastive" and setting != BEFORE)
            k, against = 7 if sized[strategy] else None, foil if contrastive else None
            asked = task.explanation(strategy, texts, label, k, against, setting)
            assert ("exactly 7 in all" in asked) == (strategy == "guided")
            assert ("the most important first" in asked) == (strategy == "ranked")
            if setting == IN_CHAT:
                assert not any(text in asked for text in texts.values()), "they stand above"
            else:
                assert all(text in asked for text in texts.values())
            if setting == EXPLAIN:
                assert task.verbalisers[label] in asked
                assert ("rather than surgeon" in asked) == contrastive
            form = {"ranked": "1. ...\n2. ...", "scored": "- ...: ...\n- ...: ..."}.get(strategy, "- ...\n- ...")
            assert asked.endswith("like this:\n" + form)


def test_every_prompt_file_of_the_package_is_tested():
    assert {path.stem for path in PROMPTS.glob("*.yaml")} == {*LABELS, "generic"}


def test_the_sentiment_prompts_are_those_that_were_tried():
    """Their wording was chosen on the embedded model: the prompts must not change unseen."""
    task = load_task(PROMPTS / "sentiment.yaml")
    assert task.message({"text": "A film."}) == (
        "Classify the sentiment of the text as positive or negative.\n\nText: A film.",
        ((67, 74),),
    )
    assert task.explanation("guided", {"text": "A film."}, "positive", 3) == (
        "Text: A film.\n\nYou classified the sentiment of this text as positive. Which words of the text made you "
        "decide? Answer with a list of single words only, exactly 3 in all, like this:\n- ...\n- ..."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "a prompt file has the keys"),
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
        ({"fields": ["labels"], "classify": "{labels}"}, "stands for the verbalisers of all labels"),
        ({"cue": 3}, "cue must be a text without spaces around it"),
        ({"cue": ""}, "cue must be a text without spaces around it"),
        ({"cue": "Answer: "}, "cue must be a text without spaces around it"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(load, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        load(changes)
    assert "prompt.yaml: " in str(caught.value)


PROMPTS_OF_STRATEGIES = {
    "unbound": "\n{premise} + {hypothesis}: why {label}?\n",
    "guided": "{hypothesis} {{so}} {label}; {k} words of {premise}, I said {k}",
}


def test_explanation_prompts(load):
    task = load({"explain": PROMPTS_OF_STRATEGIES})
    fields = {"premise": "A {dog}", "hypothesis": "It {k}", "other": "x"}
    assert task.explanation("unbound", fields, "neutral") == "A {dog} + It {k}: why maybe?"
    assert task.explanation("guided", fields, "entailment", 3) == "It {k} {so} yes; 3 words of A {dog}, I said 3"
    assert not task.takes_size("unbound")
    assert task.takes_size("guided")


def test_a_number_of_words_is_given_exactly_where_it_is_asked_for(load):
    task = load({"explain": PROMPTS_OF_STRATEGIES})
    fields = {"premise": "a", "hypothesis": "b"}
    with pytest.raises(ValueError, match="'guided' called with k=None"):
        task.explanation("guided", fields, "neutral")
    with pytest.raises(ValueError, match="'unbound' called with k=2"):
        task.explanation("unbound", fields, "neutral", 2)


def test_explanation_prompts_are_optional(load):
    task = load()
    assert task.explain == {}
    with pytest.raises(UserError, match=r"no explanation prompt 'guided' under `explain`; it has \[\]"):
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
        ({"mine": "{premise} {hypothesis} {foil}"}, "explain.mine must use each of"),
        ({"mine": "{premise} {hypothesis} {label} {foil} {foil}"}, "explain.mine must use each of"),
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
    with pytest.raises(UserError, match="a prompt file has the keys"):
        load(text=text)


def test_missing_and_broken_files_are_named(load, tmp_path):
    with pytest.raises(UserError, match="there is no such prompt file"):
        load_task(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="not valid YAML in UTF-8"):
        load(text="a: [")
    (tmp_path / "latin.yaml").write_bytes("classify: Gr\xfc\xdfe".encode("latin-1"))
    with pytest.raises(UserError, match="not valid YAML in UTF-8"):
        load_task(tmp_path / "latin.yaml")


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("verbalisers: {good: good, bad: bad, good: bad2}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"twice.yaml: line 1: 'good' stands twice in one section"):
        load_task(path)


@pytest.mark.parametrize("text", ["classify: {{text}}", "a: 2020-13-45", "x: !!int abc"])
def test_what_yaml_makes_of_a_slip_is_one_message(tmp_path, text):
    path = tmp_path / "slip.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"slip.yaml: not valid YAML in UTF-8"):
        load_task(path)


def test_a_field_named_twice_is_refused(load):
    with pytest.raises(UserError, match="fields"):
        load({"fields": ["premise", "premise"], "classify": "{premise} {premise}"})


@pytest.mark.parametrize("verbaliser", [" yes", "yes ", "yes\n"])
def test_spaces_around_a_verbaliser_are_refused(load, verbaliser):
    """The template decides on the space before the answer; one more would be another token."""
    with pytest.raises(UserError, match="verbaliser"):
        load({"verbalisers": {"a": verbaliser, "b": "no"}})


def test_a_foil_is_named_exactly_where_it_is_asked_for(load):
    task = load({"explain": PROMPTS_OF_STRATEGIES | {"contrast": "{foil} no, {label} why? {premise} {hypothesis}"}})
    fields = {"premise": "a", "hypothesis": "{foil}"}
    assert task.explanation("contrast", fields, "neutral", foil="contradiction") == "no no, maybe why? a {foil}"
    assert (task.takes_foil("contrast"), task.takes_foil("unbound")) == (True, False)
    for strategy, foil in [("contrast", None), ("unbound", "neutral"), ("contrast", "entailment")]:
        with pytest.raises(ValueError, match=f"{strategy!r} called with label='entailment' and foil={foil!r}"):
            task.explanation(strategy, fields, "entailment", foil=foil)


@pytest.mark.parametrize(
    ("verbalisers", "listed"),
    [({"a": "x", "b": "y z"}, "x or y z"), ({"a": "x", "b": "y", "c": "{k}", "d": "z"}, "x, y, {k} or z")],
)
def test_the_answers_to_choose_from_can_be_listed_in_every_prompt(load, verbalisers, listed):
    task = load(
        {
            "classify": "{labels}? {premise} {{labels}} {hypothesis} ({labels})",
            "verbalisers": verbalisers,
            "explain": {"unbound": "{premise} {hypothesis} of {labels}: {label}"},
        }
    )
    text, ((start, end), _) = task.message({"premise": "P", "hypothesis": "H"})
    assert text == f"{listed}? P {{labels}} H ({listed})"
    assert text[start:end] == "P"
    assert task.explanation("unbound", {"premise": "P", "hypothesis": "H"}, "a") == f"P H of {listed}: x"


def test_verbalisers_from_the_configuration_stand_in_for_the_files(load):
    given = {"contradiction": "wrong", "entailment": "right"}
    assert load().labels == ("entailment", "neutral", "contradiction")
    for without in ((), ("verbalisers",)):
        task = load({"classify": "{labels}? {premise} {hypothesis}"}, given=given, without=without)
        assert list(task.verbalisers.items()) == list(given.items()), "wholly and in their order"
        assert task.message({"premise": "", "hypothesis": "h"})[0] == "wrong or right?  h"


def test_a_file_without_verbalisers_needs_them_from_the_configuration(load):
    with pytest.raises(UserError, match=r"prompt.yaml: has no verbalisers: give them .* in the entry of `tasks`"):
        load(without=("verbalisers",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "at least two labels"),
        ({"a": "x"}, "at least two labels"),
        ({"a": "x", "b": True}, "quote words"),
        ({"a": "x", "b": "x"}, "two labels have the same verbaliser"),
        ({"a": "x", "b": " y"}, "has spaces around it"),
    ],
)
def test_what_is_wrong_with_given_verbalisers_is_named_with_their_place(load, given, message):
    with pytest.raises(UserError, match=rf"prompt.yaml: in the entry of `tasks` that names it: .*{message}"):
        load(given=given)


def test_the_cue_of_completions_is_the_files_or_the_usual_one(load):
    assert load().cue == "Answer:"
    assert load({"cue": "Sentiment:"}).cue == "Sentiment:"
