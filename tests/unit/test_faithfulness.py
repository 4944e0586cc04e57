"""Faithfulness from perturbed scores, by hand; which inputs are asked for."""

from __future__ import annotations

import json
import math

import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.inputs import requests
from rationale_eval.faithfulness.measures import main, measure, softmax
from rationale_eval.faithfulness.schema import FAITHFULNESS, PERTURBATIONS
from rationale_eval.rationales.budgets import selections
from rationale_eval.rationales.choices import Choice
from rationale_eval.tables import read_table, write_table

INSTANCE = Instance("i", "yes", {"text": "a b c d"}, whitespace_words(["a b c d"]), (True, False, True, False))
BUDGETS = {"one": {"kind": "top_k", "k": 1}, "var": {"kind": "top_var"}}
KEEP_ONLY = ["var", "as_given"]
LABELS = ["no", "yes", "maybe"]


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
    perturbed = {"mask": row("mask", values=(0.6, 0.3, 0.1)), "keep": row("keep", values=(0.1, 0.8, 0.1))}
    found = measure(prediction(), perturbed)
    assert found["flip"] is True
    assert found["flip_when_kept"] is False
    assert found["comprehensiveness"] == pytest.approx(0.7 - 0.3)
    assert found["sufficiency"] == pytest.approx(0.7 - 0.8)
    assert (found["status"], found["words"], found["selected"]) == ("ok", 4, 2)


def test_a_label_without_scores_can_flip_but_has_no_drop():
    asked = prediction() | {"scores": None}
    masked, kept = row("mask", values=(0.6, 0.3, 0.1), scores=None), row("keep", values=(0.1, 0.8, 0.1), scores=None)
    found = measure(asked, {"mask": masked, "keep": kept})
    assert (found["flip"], found["flip_when_kept"]) == (True, False)
    assert (found["comprehensiveness"], found["sufficiency"]) == (None, None)


def test_drops_are_of_the_predicted_label_not_of_the_gold_or_the_new_one():
    found = measure(prediction((0.5, 0.3, 0.2)), {"mask": row("mask", values=(0.45, 0.15, 0.4))})
    assert found["flip"] is False
    assert found["comprehensiveness"] == pytest.approx(0.05)
    assert found["sufficiency"] is None
    assert found["flip_when_kept"] is None


@pytest.mark.parametrize("status", ["no_gold", "too_long"])
def test_what_could_not_be_scored_keeps_its_status_and_no_number(status):
    found = measure(prediction(), {"mask": row("mask", status, selected=None)})
    assert found["status"] == status
    assert [found[name] for name in ("flip", "comprehensiveness", "sufficiency", "flip_when_kept")] == [None] * 4


def test_without_a_prediction_there_is_nothing_to_compare_with():
    perturbed = {"mask": row("mask"), "keep": row("keep")}
    found = measure(prediction(status="chat_markup"), perturbed)
    assert found["status"] == "chat_markup"
    assert [found[name] for name in ("flip", "comprehensiveness", "sufficiency", "flip_when_kept")] == [None] * 4


def test_one_operation_that_does_not_fit_leaves_the_other():
    found = measure(prediction(), {"mask": row("mask", values=(0.1, 0.8, 0.1)), "keep": row("keep", "too_long")})
    assert found["flip"] is False
    assert found["sufficiency"] is None


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


def test_the_stage_refuses_perturbations_of_other_instances(tmp_path):
    with pytest.raises(UserError, match="row 'other' has no prediction"):
        run_stage(tmp_path, [row("mask", id="other")])
