"""What a model is asked, before any template: the settings, the number of words, solved examples, the follow-up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.evidence.conversations import conversation, follow_up
from rationale_eval.evidence.solved import solved_turns
from rationale_eval.models.task import parse_task

TASK = parse_task(
    {
        "version": 1,
        "fields": ["text"],
        "classify": "Label: {text}",
        "verbalisers": {"n": "bad", "p": "good"},
        "explain": {name: f"{name} {{label}}{k}? {{text}}" for name, k in (("unbound", ""), ("guided", " {k}"))}
        | {"ranked": "rank {label} {k}? {text}", "scored": "score {label}? {text}"},
        "explain_in_chat": {"unbound": "Which words?", "guided": "Which {k}?", "ranked": "Which {k} in order?"},
        "explain_before": {"unbound": "Which words matter? {text}", "guided": "Which {k} matter? {text}"},
    },
    "here",
)
SPEC = {"strategy": "unbound", "gives": "words", "order": "after", "chat": "separate", "max_words": 20}
OK = {"status": "ok", "predicted": "n"}


def row(name="1", text="so warm, and fine", gold=(False, True, False, True), label="p"):
    return Instance(name, label, {"text": text}, whitespace_words([text]), gold)


def test_in_a_chat_of_its_own_the_text_is_shown_with_the_predicted_label():
    asked = conversation(row(), OK, TASK, SPEC)
    assert (asked.turns, asked.message) == ((), "unbound bad? so warm, and fine")
    assert (asked.row["label"], asked.row["asked"], asked.row["status"]) == ("n", None, "ok")


def test_in_the_same_chat_the_classification_and_the_models_answer_stand_above():
    asked = conversation(row(), OK, TASK, SPEC | {"chat": "same"})
    assert (asked.turns, asked.message) == ((("Label: so warm, and fine", "bad"),), "Which words?")
    assert asked.row["label"] == "n"


def test_before_the_classification_no_label_is_told_and_then_it_is_asked_for():
    asked = conversation(row(), OK, TASK, SPEC | {"order": "before"})
    assert (asked.turns, asked.message, asked.row["label"]) == ((), "Which words matter? so warm, and fine", None)
    then = follow_up(asked, "- warm\n", row(), TASK)
    assert then.turns == (("Which words matter? so warm, and fine", "- warm"),)
    assert then.message == "Label: so warm, and fine"


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"strategy": "guided"}, 2),
        ({"strategy": "guided", "max_words": 1}, 1),
        # What is cut later asks for all words: the number must not tell how many people marked.
        ({"strategy": "ranked", "gives": "ranking"}, 4),
        ({"strategy": "ranked", "gives": "ranking", "max_words": 3}, 3),
    ],
)
def test_the_number_of_words(change, asked):
    found = conversation(row(), OK, TASK, SPEC | change)
    assert found.row["asked"] == asked
    assert f" {asked}?" in found.message
    assert found.row["capped"] == (asked < 2)


def test_only_a_question_for_as_many_words_as_people_marked_needs_them():
    nothing = row(gold=(False,) * 4)
    assert conversation(nothing, OK, TASK, SPEC | {"strategy": "guided"}).row["status"] == "no_gold"
    ranked = conversation(nothing, OK, TASK, SPEC | {"strategy": "ranked", "gives": "ranking"})
    assert (ranked.row["status"], ranked.row["asked"]) == ("ok", 4)


def test_an_instance_without_a_prediction_is_not_asked():
    asked = conversation(row(), {"status": "too_long", "predicted": None}, TASK, SPEC)
    assert (asked.message, asked.row["status"]) == (None, "too_long")


TRAIN = [row("a", "Warm days!", (True, False)), row("b", "cold soup", (True, True), "n"), row("c", "plain", (False,))]


def solved(**change):
    return solved_turns(TRAIN, TASK, SPEC | {"shots": {"count": 2, "seed": 0}} | change, Path("train"))


def test_solved_examples_answer_in_the_form_that_the_prompt_asks_for():
    assert set(solved()) == {("unbound good? Warm days!", "- Warm"), ("unbound bad? cold soup", "- cold\n- soup")}
    assert ("guided good 1? Warm days!", "- Warm") in solved(strategy="guided")
    assert ("guided bad 1? cold soup", "- cold") in solved(strategy="guided", max_words=1)
    ranked = solved(strategy="ranked", gives="ranking")
    assert ("rank bad 2? cold soup", "1. cold\n2. soup") in ranked, "by position: people marked no order"
    assert ("rank good 2? Warm days!", "1. Warm") in ranked
    assert ("score good? Warm days!", "- Warm: 1\n- days: 0") in solved(strategy="scored", gives="scores")


def test_solved_examples_have_the_turns_of_their_setting():
    shown = dict(zip(solved(chat="same")[::2], solved(chat="same")[1::2], strict=True))
    assert shown[("Label: Warm days!", "good")] == ("Which words?", "- Warm")
    first, second, *_ = solved(order="before")
    assert first[0].startswith("Which words matter?")
    assert second[0].startswith("Label: ")


def test_solved_examples_stand_before_the_question_and_stay_in_the_follow_up():
    examples = solved(order="before")
    asked = conversation(row(), OK, TASK, SPEC | {"order": "before"}, examples)
    assert asked.turns == examples
    assert follow_up(asked, "- warm", row(), TASK).turns[:-1] == examples


@pytest.mark.parametrize("count", [1, 3])
def test_labels_of_which_no_row_is_marked_give_no_examples(count):
    # As "not toxic" of toxic spans: there is nothing to mark.
    train = [row(str(k), f"cold soup {k}", (True, False, False), "n") for k in range(4)]
    train += [row(f"p{k}", f"warm days {k}", (False,) * 3) for k in range(4)]
    turns = solved_turns(train, TASK, SPEC | {"shots": {"count": count, "seed": 0}}, Path("train"))
    assert len(turns) == count
    assert {answer for _, answer in turns} == {"- cold"}
    assert all(question.startswith("unbound bad?") for question, _ in turns)


def test_a_corpus_without_marked_train_rows_is_named_with_the_key():
    with pytest.raises(UserError, match=r"corpus 'bios' has marked words, which `shots: 2` of a prompted method"):
        solved_turns(TRAIN[2:], TASK, SPEC | {"shots": {"count": 2, "seed": 0}}, Path("corpora/bios/train.parquet"))


def test_what_is_asked_needs_no_model_library():
    code = "import sys, rationale_eval.evidence.solved; print({'torch', 'transformers'} & set(sys.modules))"
    package = {"PYTHONPATH": str(Path(__file__).parents[2] / "workflow")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **package}
    )
    assert done.stdout.strip() == "set()", done.stderr
