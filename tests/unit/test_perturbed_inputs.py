"""Which perturbed inputs a study asks for: shared ones, curves, random words, the announced question."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.faithfulness.announcement import perturbed_task
from rationale_eval.faithfulness.inputs import perturbed_inputs
from rationale_eval.faithfulness.schema import ALL, LEFT_OUT, RANDOM, WHOLE
from rationale_eval.rationales.reference import random_scores
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import write_table

WORDS = 10
TEXT = " ".join(f"w{place}" for place in range(WORDS))
INSTANCE = Instance("i", "yes", {"text": TEXT}, whitespace_words([TEXT]), tuple(place < 3 for place in range(WORDS)))
SPEC = {
    "methods": [
        {"name": "scored", "budgets": {"var": {"kind": "top_var"}, "one": {"kind": "top_k", "k": 1}}},
        {"name": "set", "budgets": {"as_given": {"kind": "as_given"}}},
    ],
    "keep_only_budgets": ["var", "as_given"],
    "announce": False,
    "curves": {"methods": [], "ratios": []},
    "random_seeds": [],
    "leave_one_out": False,
}
SCORES = [float(WORDS - place) for place in range(WORDS)]


@pytest.fixture
def asked(tmp_path):
    """``asked(**changes)``: what a study with these parts of its spec asks for, by its key without the id."""

    def ask(scores=SCORES, chosen=range(3), status="ok", **changes):
        tables = {
            "scored": rationale_row("i", status=status, scores=scores if status == "ok" else None),
            "set": rationale_row("i", selected=[place in chosen for place in range(WORDS)]),
        }
        for name, row in tables.items():
            write_table(tmp_path / f"{name}.parquet", [row], RATIONALES, {})
        wanted = perturbed_inputs(SPEC | changes, [tmp_path / f"{name}.parquet" for name in tables], {"i": INSTANCE})
        keys = [(row["method"], row["sample"], row["budget"], row["operation"]) for row, _ in wanted]
        assert Counter(keys).most_common(1)[0][1] == 1, "a key of the table of perturbations is there twice"
        assert all(row["selected"] == masked.count(row["operation"] == "mask") for row, masked in wanted if masked)
        return dict(zip(keys, (masked for _, masked in wanted), strict=True))

    return ask


def hidden(masked):
    return {place for place, hides in enumerate(masked) if hides}


def test_beside_the_choices_all_words_are_masked(asked):
    found = asked()
    assert set(found) == {
        ("scored", 0, "var", "mask"),
        ("scored", 0, "var", "keep"),
        ("scored", 0, "one", "mask"),
        ("set", 0, "as_given", "mask"),
        ("set", 0, "as_given", "keep"),
        (ALL, 0, "as_given", "mask"),
    }
    assert all(found[ALL, 0, "as_given", "mask"])


def test_the_same_words_are_one_input_whoever_chose_them(asked, capsys):
    asked()
    # the two choices of three words are the same words
    assert "6 perturbations ask for 4 different inputs, 1.5 each" in capsys.readouterr().err


def test_the_whole_text_is_asked_about_again_under_an_announcement(asked):
    assert not any(asked(announce=True)[WHOLE, 0, "as_given", "mask"])


def test_random_words_are_as_many_as_each_choice_has_and_nested(asked):
    found = asked(chosen=range(5), random_seeds=[4, 9])
    drawn = {key[1:]: hidden(masked) for key, masked in found.items() if key[0] == RANDOM}
    # one word is masked only, since that budget keeps none alone
    assert set(drawn) == {
        (sample, f"({count})", operation)
        for sample in (0, 1)
        for count, operation in ((1, "mask"), (3, "mask"), (3, "keep"), (5, "mask"), (5, "keep"))
    }
    for sample in (0, 1):
        assert drawn[sample, "(1)", "mask"] < drawn[sample, "(3)", "mask"] < drawn[sample, "(5)", "mask"]
        assert drawn[sample, "(3)", "keep"] == set(range(WORDS)) - drawn[sample, "(3)", "mask"]
    assert drawn[0, "(5)", "mask"] != drawn[1, "(5)", "mask"]


def test_random_words_are_those_of_the_method_random_with_the_seed(asked):
    found = asked(scores=random_scores(INSTANCE, 4), random_seeds=[4])
    assert found[RANDOM, 0, "(3)", "mask"] == found["scored", 0, "var", "mask"]


def test_no_words_and_all_words_are_drawn_by_nobody(asked):
    assert not any(key[0] == RANDOM for key in asked(chosen=(), status="too_long", random_seeds=[0]))
    assert not any(key[0] == RANDOM for key in asked(chosen=range(WORDS), status="too_long", random_seeds=[0]))


def test_a_curve_goes_through_the_ratios_rounded_up_each_number_once(asked):
    found = asked(curves={"methods": ["scored", "set"], "ratios": [0.01, 0.05, 0.1, 0.2, 0.5, 1.0]})
    points = {key[2:]: hidden(masked) for key, masked in found.items() if key[2].startswith("(")}
    # 1, 5 and 10 % of ten words are one word; all words are asked for anyway; a set of words has no order
    assert set(points) == {(f"({count})", operation) for count in (1, 2, 5) for operation in ("mask", "keep")}
    assert points["(2)", "mask"] == {0, 1}
    assert points["(5)", "keep"] == {5, 6, 7, 8, 9}


def test_each_word_is_left_out_alone(asked):
    found = asked(leave_one_out=True)
    left_out = {key[2]: hidden(masked) for key, masked in found.items() if key[0] == LEFT_OUT}
    assert left_out == {f"({place})": {place} for place in range(WORDS)}


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(WORDS)), st.lists(st.floats(0.01, 1), max_size=6), st.integers(0, WORDS))
def test_points_of_a_curve_take_more_and_more_words_of_one_order(tmp_path_factory, order, ratios, size):
    folder = tmp_path_factory.mktemp("order")
    scores = [float(-order.index(place)) for place in range(WORDS)]
    write_table(folder / "scored.parquet", [rationale_row("i", scores=scores)], RATIONALES, {})
    method = {"name": "scored", "budgets": {"k": {"kind": "top_k", "k": max(1, size)}}}
    spec = SPEC | {"methods": [method], "curves": {"methods": ["scored"], "ratios": ratios}}
    for row, masked in perturbed_inputs(spec, [folder / "scored.parquet"], {"i": INSTANCE}):
        if row["budget"].startswith("("):
            first = set(order[: row["selected"]])
            assert hidden(masked) == (first if row["operation"] == "mask" else set(range(WORDS)) - first)


TASK = {
    "version": 1,
    "fields": ["text"],
    "classify": "Classify: {text}",
    "verbalisers": [["no", "no"], ["yes", "yes"]],
}


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ("replace", "Some words of what follows may have been replaced by [REDACTED].\n\nClassify: "),
        ("delete", "Some words of what follows may have been left out.\n\nClassify: "),
    ],
)
def test_the_announcement_is_the_first_paragraph_of_every_question(operator, said):
    spec = {"task": TASK, "operator": operator, "mask": "[REDACTED]"}
    for text in ("A warm film.", "A [REDACTED] film."):
        plain, places = perturbed_task(spec | {"announce": False}).message({"text": text})
        assert plain == f"Classify: {text}"
        message, places = perturbed_task(spec | {"announce": True}).message({"text": text})
        assert message == said + text
        assert message[slice(*places[0])] == text
