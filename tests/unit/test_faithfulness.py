"""Faithfulness from perturbed scores, by hand; what of a rationale is asked for."""

from __future__ import annotations

import json
import math

import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.answers import log_odds, softmax
from rationale_eval.faithfulness.inputs import requests
from rationale_eval.faithfulness.measures import main, measure, normalised
from rationale_eval.faithfulness.schema import ALL, FAITHFULNESS, LEAST_RANGE, NORMALISED, PERTURBATIONS, RANDOM, WHOLE
from rationale_eval.rationales.budgets import selections
from rationale_eval.rationales.choices import Choice
from rationale_eval.tables import read_table, write_table

INSTANCE = Instance("i", "yes", {"text": "a b c d"}, whitespace_words(["a b c d"]), (True, False, True, False))
BUDGETS = {"one": {"kind": "top_k", "k": 1}, "var": {"kind": "top_var"}}
LABELS = ["no", "yes", "maybe"]
KEEP_ONLY = ["var", "as_given"]
MEASURED = ("flip", "comprehensiveness", "sufficiency", "flip_when_kept", "log_odds_drop")
MEASURED += tuple(f"{name}_normalised" for name in NORMALISED)


def requests_of(rationale, budgets):
    """The perturbations that one row of a rationales table asks for."""
    gold = INSTANCE.rationale
    return [
        request
        for budget, status, mask in selections(rationale, gold, budgets, {})
        for request in requests(Choice(INSTANCE, "m", rationale, budget, status, mask, False), KEEP_ONLY)
    ]


def scores(*probabilities):
    """Label scores with these class probabilities, away from their normalised form."""
    return [math.log(probability) - 7.5 for probability in probabilities]


def row(operation, status="ok", values=(0.5, 0.5), **changes):
    return {
        "id": "i",
        "method": "gxi",
        "sample": 0,
        "budget": "var",
        "operation": operation,
        "status": status,
        "words": 4,
        "selected": 2,
        "predicted": LABELS[values.index(max(values))] if status == "ok" else None,
        "scores": scores(*values) if status == "ok" else None,
        **changes,
    }


def measured(before, *rows):
    """The faithfulness row of the method gxi at the budget var, from these rows of its instance."""
    answers = {(found["method"], found["sample"], found["budget"], found["operation"]): found for found in rows}
    return measure(before, answers, ("gxi", 0, "var"))


def prediction(values=(0.2, 0.7, 0.1), status="ok"):
    found = scores(*values) if status == "ok" else None
    return {
        "id": "i",
        "status": status,
        "gold": "no",
        "predicted": LABELS[values.index(max(values))] if status == "ok" else None,
        "labels": LABELS,
        "scores": found,
        "probabilities": None,
        "tokens": 9,
    }


def test_softmax_is_normalised_and_stable():
    assert softmax(scores(0.2, 0.7, 0.1)).tolist() == pytest.approx([0.2, 0.7, 0.1])
    assert softmax([-1e4, -1e4]).tolist() == [0.5, 0.5]


def test_a_flip_with_its_drops():
    found = measured(prediction(), row("mask", values=(0.6, 0.3, 0.1)), row("keep", values=(0.1, 0.8, 0.1)))
    assert found["flip"] is True
    assert found["flip_when_kept"] is False
    assert found["comprehensiveness"] == pytest.approx(0.7 - 0.3)
    assert found["sufficiency"] == pytest.approx(0.7 - 0.8)
    assert (found["status"], found["words"], found["selected"]) == ("ok", 4, 2)


def test_drops_are_of_the_predicted_label_not_of_the_gold_or_the_new_one():
    found = measured(prediction((0.5, 0.3, 0.2)), row("mask", values=(0.45, 0.15, 0.4)))
    assert found["flip"] is False
    assert found["comprehensiveness"] == pytest.approx(0.05)
    assert found["sufficiency"] is None
    assert found["flip_when_kept"] is None


@pytest.mark.parametrize("status", ["no_gold", "too_long"])
def test_what_could_not_be_scored_keeps_its_status_and_no_number(status):
    found = measured(prediction(), row("mask", status, selected=None))
    assert found["status"] == status
    assert [found[name] for name in MEASURED] == [None] * len(MEASURED)


def test_without_a_prediction_there_is_nothing_to_compare_with():
    found = measured(prediction(status="chat_markup"), row("mask"), row("keep"))
    assert found["status"] == "chat_markup"
    assert [found[name] for name in MEASURED] == [None] * len(MEASURED)


def test_one_operation_that_does_not_fit_leaves_the_other():
    found = measured(prediction(), row("mask", values=(0.1, 0.8, 0.1)), row("keep", "too_long"))
    assert found["flip"] is False
    assert found["sufficiency"] is None


def test_log_odds_are_of_the_label_against_all_others():
    assert log_odds(scores(0.2, 0.7, 0.1), 1) == pytest.approx(math.log(0.7 / 0.3))
    found = measured(prediction(), row("mask", values=(0.6, 0.3, 0.1)))
    assert found["log_odds_drop"] == pytest.approx(math.log(0.7 / 0.3) - math.log(0.3 / 0.7))


def test_a_label_without_scores_can_flip_but_has_no_drop():
    asked = prediction() | {"scores": None}
    rows = row("mask", values=(0.6, 0.3, 0.1), scores=None), row("keep", values=(0.1, 0.8, 0.1), scores=None)
    found = measured(asked, *rows)
    assert (found["flip"], found["flip_when_kept"], found["flip_normalised_status"]) == (True, False, "no_random")
    assert [found[name] for name in ("comprehensiveness", "sufficiency", "log_odds_drop")] == [None] * 3


def test_a_rationale_stands_between_random_words_and_all_words():
    random = {"method": RANDOM, "budget": "(2)"}
    found = measured(
        prediction((0.2, 0.8)),
        row("mask", values=(0.5, 0.5)),
        row("keep", values=(0.3, 0.7)),
        row("mask", values=(0.1, 0.9), **random),
        row("mask", values=(0.7, 0.3), **random, sample=1),
        row("keep", values=(0.6, 0.4), **random),
        row("keep", values=(0.4, 0.6), **random, sample=1),
        row("mask", values=(0.9, 0.1), method=ALL, budget="as_given", selected=4),
    )
    assert found["comprehensiveness_random"] == pytest.approx((-0.1 + 0.5) / 2)
    assert found["comprehensiveness_all"] == pytest.approx(0.7)
    assert found["comprehensiveness_normalised"] == pytest.approx((0.3 - 0.2) / (0.7 - 0.2))
    # half of the random draws flip, all words do, the rationale (which ties, and the first label wins) does
    assert (found["flip_random"], found["flip_all"], found["flip"]) == (0.5, True, True)
    assert found["flip_normalised"] == pytest.approx(1.0)
    # random words alone lose 0.3 on average, the rationale alone 0.1; none is best
    assert found["sufficiency_random"] == pytest.approx((0.4 + 0.2) / 2)
    assert found["sufficiency_normalised"] == pytest.approx((0.3 - 0.1) / 0.3)
    assert {found[f"{name}_normalised_status"] for name in NORMALISED} == {"ok"}


def test_no_words_and_all_words_are_no_draw():
    everything = row("mask", values=(0.6, 0.4), method=ALL, budget="as_given", selected=4)
    none = measured(
        prediction((0.2, 0.8)), row("mask", values=(0.2, 0.8), selected=0), row("keep", selected=0), everything
    )
    assert (none["flip_random"], none["comprehensiveness_random"]) == (0, 0)
    assert none["comprehensiveness_normalised"] == pytest.approx(0)
    assert none["sufficiency_random"] == pytest.approx(0.4)
    full = measured(prediction((0.2, 0.8)), row("mask", values=(0.6, 0.4), selected=4), everything)
    assert full["comprehensiveness_random"] == full["comprehensiveness_all"] == pytest.approx(0.4)
    assert full["comprehensiveness_normalised"] is None
    assert full["comprehensiveness_normalised_status"] == "no_range"


def test_nothing_is_normalised_without_draws_or_where_all_words_do_no_more():
    everything = row("mask", values=(0.6, 0.4), method=ALL, budget="as_given", selected=4)
    found = measured(prediction((0.2, 0.8)), row("mask"), everything)
    assert [found[f"{name}_normalised_status"] for name in NORMALISED] == ["no_random", "no_random", "not_measured"]
    assert normalised(0.3, 0.2, 0.2 + LEAST_RANGE / 2) == (None, "no_range")
    assert normalised(0.3, 0.2, -0.5) == (None, "no_range")
    assert normalised(None, 0.2, 0.5) == (None, "not_measured")
    assert normalised(0.2, 0.2, 0.5) == (0.0, "ok")
    assert normalised(0.5, 0.2, 0.5)[0] == pytest.approx(1)


def test_masks_hide_the_rationale_and_keeping_hides_the_rest():
    rationale = {"sample": 3, "status": "ok", "scores": [0.0, 0.3, 0.2, 0.1], "selected": None}
    found = {(row["budget"], row["operation"]): (row, hidden) for row, hidden in requests_of(rationale, BUDGETS)}
    assert set(found) == {("one", "mask"), ("var", "mask"), ("var", "keep")}
    assert found["one", "mask"][1] == (False, True, False, False)
    assert found["var", "mask"][1] == (False, True, True, False)
    assert found["var", "keep"][1] == (True, False, False, True)
    row, _ = found["var", "keep"]
    assert (row["id"], row["method"], row["sample"], row["status"]) == ("i", "m", 3, "ok")
    assert (row["words"], row["selected"], row["scores"]) == (4, 2, None)


def test_sets_of_words_are_masked_and_kept():
    rationale = {"sample": 0, "status": "ok", "scores": None, "selected": [True, False, False, False]}
    found = [
        (row["budget"], row["operation"], hidden)
        for row, hidden in requests_of(rationale, {"as_given": {"kind": "as_given"}})
    ]
    assert found == [
        ("as_given", "mask", (True, False, False, False)),
        ("as_given", "keep", (False, True, True, True)),
    ]


def test_rationales_that_do_not_exist_ask_for_no_input_but_keep_their_rows():
    rationale = {"sample": 0, "status": "too_long", "scores": None, "selected": None}
    found = requests_of(rationale, BUDGETS)
    assert {(row["budget"], row["operation"]) for row, _ in found} == {
        ("one", "mask"),
        ("var", "mask"),
        ("var", "keep"),
    }
    assert all(hidden is None and row["status"] == "too_long" and row["selected"] is None for row, hidden in found)


def run_stage(folder, perturbations):
    write_table(folder / "predictions.parquet", [prediction()], PREDICTIONS, {})
    write_table(folder / "perturbations.parquet", perturbations, PERTURBATIONS, {})
    command = ["--spec", json.dumps({})]
    for name in ("predictions", "perturbations"):
        command += [f"--{name}", str(folder / f"{name}.parquet")]
    main([*command, "--output", str(folder / "faithfulness.parquet")])
    return read_table(folder / "faithfulness.parquet", FAITHFULNESS)


def test_the_stage_joins_the_two_operations_of_each_cell(tmp_path):
    rows = run_stage(
        tmp_path,
        [
            row("mask", values=(0.6, 0.3, 0.1)),
            row("keep", values=(0.2, 0.7, 0.1)),
            row("mask", values=(0.2, 0.7, 0.1), budget="one"),
            row("mask", values=(0.2, 0.7, 0.1), sample=1),
        ],
    )
    assert [(cell["budget"], cell["sample"], cell["flip"]) for cell in rows] == [
        ("var", 0, True),
        ("one", 0, False),
        ("var", 1, False),
    ]
    assert rows[0]["sufficiency"] == pytest.approx(0, abs=1e-6)
    assert rows[1]["sufficiency"] is None


@pytest.mark.parametrize("announced", [False, True])
def test_where_nothing_is_masked_nothing_changes_whatever_another_pass_rounds_to(tmp_path, announced):
    other = {"values": (0.71, 0.2, 0.09)}  # even a flip, where two labels are nearly alike
    rows = run_stage(
        tmp_path,
        [
            row("mask", selected=0, **other),
            row("keep", selected=0, values=(0.6, 0.3, 0.1)),
            row("mask", budget="one", selected=4, values=(0.6, 0.3, 0.1)),
            row("keep", budget="one", selected=4, **other),
            row("mask", budget="two", selected=0, status="too_long"),
        ]
        + ([row("mask", method=WHOLE, budget="as_given", selected=0, values=(0.2, 0.5, 0.3))] if announced else []),
    )
    none, every, long = rows
    start = 0.5 if announced else 0.7
    assert (none["flip"], none["comprehensiveness"], none["log_odds_drop"]) == (False, 0.0, 0.0)
    assert (none["flip_when_kept"], none["sufficiency"]) == (True, pytest.approx(start - 0.3, abs=1e-6))
    assert (every["flip_when_kept"], every["sufficiency"]) == (False, 0.0)
    assert (every["flip"], every["comprehensiveness"]) == (True, pytest.approx(start - 0.3, abs=1e-6))
    assert (long["status"], long["flip"]) == ("too_long", None)


def test_an_announced_mask_is_compared_with_the_whole_text_under_the_announcement(tmp_path):
    rows = run_stage(
        tmp_path,
        [
            row("mask", values=(0.1, 0.8, 0.1)),
            row("mask", values=(0.5, 0.4, 0.1), method=WHOLE, budget="as_given", selected=0),
        ],
    )
    # without the announcement the prediction is the second label, with it the first
    assert [(found["method"], found["flip"]) for found in rows] == [("gxi", True)]
    assert rows[0]["comprehensiveness"] == pytest.approx(0.5 - 0.1)


def test_what_measures_are_compared_with_is_no_rationale(tmp_path):
    others = [row("mask", method=ALL, budget="as_given"), row("mask", method=RANDOM, budget="(2)")]
    rows = run_stage(tmp_path, [row("mask"), row("mask", budget="(2)"), *others])
    assert [(found["method"], found["budget"]) for found in rows] == [("gxi", "var")]


def test_the_stage_refuses_perturbations_of_other_instances(tmp_path):
    with pytest.raises(UserError, match="row 'other' has no prediction"):
        run_stage(tmp_path, [row("mask", id="other")])
