"""What of a cell's tables reaches the claims: flips beyond random words, chance, words that could differ, and flags."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted import METHODS
from planted_study import BY_NAME, STUDY
from rationale_eval.claims.contrasts import Contrast, contrasts, resolve
from rationale_eval.claims.estimates import bounds_of, cell_row, pooled_row
from rationale_eval.claims.ranking import ranked_methods, rankings
from rationale_eval.evidence.attribution_schema import INTEGRATED
from rationale_eval.report.cell_flags import read_flags
from rationale_eval.report.flags import INCOMPLETE
from rationale_eval.report.layout import Cell
from rationale_eval.report.measured import Measured, measured, read_measured
from rationale_eval.tables import write_table
from report_trees import METHODS as OF_TREE
from report_trees import VALIDITY, write_cell

IDS = [f"{place:02d}" for place in range(30)]
SAID, ATT = ("said", "as_given"), ("att", "cut")
SPEC = STUDY | {"methods": {name: METHODS[name] for name in ("att", "said")}}
BASE, TUNED = Cell("c", "m", "base"), Cell("c", "m", "epoch-01-seed-0")


def by_key(found):
    series = {key: pd.Series(np.broadcast_to(values, 30), index=IDS) for key, values in found.items()}
    return pd.concat(series, names=["method", "budget", "id"])


def cell_of(f1, chance, informative=None):
    """A cell of 30 texts, half of them classified correctly; all by (method, budget)."""
    values = {"f1_corrected": by_key(f1) - by_key(chance), "f1_chance": by_key(chance)}
    some = {} if informative is None else {"f1_corrected": by_key(informative)}
    return Measured(pd.Series([0.0, 1.0] * 15, index=IDS), values, 0.6, gold_share=0.5, informative=some)


def row_of(name, cells):
    claim = BY_NAME[name]
    (found,) = contrasts(claim, resolve(claim, SPEC["methods"], SPEC["budgets"], "top_var"), cells, SPEC)
    return cell_row(found, claim, SPEC)


def test_flips_beyond_random_are_flips_minus_those_by_random_words():
    keys = {"id": ["x", "y"], "method": "m", "budget": "b", "selected": 1, "words": 4}
    faithfulness = pd.DataFrame(keys | {"flip": [1.0, 0.0], "flip_random": [0.25, 0.5]})
    alignment = pd.DataFrame(keys | {"gold": 1, "f1": 0.5, "f1_chance": 0.2, "f1_corrected": 0.3})
    predictions = pd.DataFrame({"id": ["x", "y"], "predicted": "a", "gold": "a"})
    values = measured(predictions, alignment, faithfulness).values
    assert values["flip_beyond_random"].to_list() == [0.75, -0.5]
    assert values["flip"].to_list() == [1.0, 0.0]


def test_where_no_reply_hits_a_marked_word_chance_alone_shows_nothing():
    # F1 of 0 less a chance of .05 to .12: these 30 vary, but a reply that was not seen may hit.
    row = row_of("alignment_poor_accuracy_prompting", {BASE: cell_of({SAID: 0.0}, {SAID: np.linspace(0.05, 0.12, 30)})})
    assert row["estimate"] == pytest.approx(-0.085)
    assert row["high"] > 0
    # No text can have less than an F1 of 0 with a chance of .12.
    assert row["low"] >= -0.12


def test_a_base_is_told_from_chance_by_the_f1_that_it_could_have():
    # All F1 are .1, and chance is .07 or .11: above by .01 on average, but texts with an F1 of 0 can have been missed.
    one = cell_of({SAID: 0.1}, {SAID: np.tile([0.07, 0.11], 15)})
    floor = row_of("tuning_prompting_alignment", {BASE: one, TUNED: one})["floor"]
    assert floor.startswith("before fine-tuning it is not told from chance (0.01 [")


@pytest.mark.parametrize(
    ("name", "without_chance", "bounds"),
    [
        ("alignment_poor_accuracy_attribution", True, (0, 1)),
        ("alignment_poor_accuracy_attribution", False, (-1, 1)),
        ("alignment_prompting_better", True, (-1, 1)),
        ("alignment_prompting_better", False, (-2, 2)),
        ("tuning_input_x_gradient", True, (-2, 2)),
        ("faithfulness_prompting_lower", False, (-1, 1)),
        # Each of the two is a difference itself.
        ("tuning_prompting_faithfulness", False, (-2, 2)),
    ],
)
def test_a_contrast_is_within_what_its_measure_allows(name, without_chance, bounds):
    assert bounds_of(BY_NAME[name], without_chance) == bounds


def test_a_text_informs_if_the_words_of_any_term_could_differ():
    said, att = np.arange(30) < 10, np.arange(30) < 20
    here = cell_of({SAID: 0.5, ATT: 0.2}, {SAID: 0.1, ATT: 0.1}, {SAID: said, ATT: att})
    assert row_of("alignment_prompting_better", {BASE: here})["n_informative"] == 20


def test_a_text_that_two_models_read_informs_once():
    def of_model(model, informative):
        known = pd.Series([name in informative for name in "xyz"], index=list("xyz"))
        values = pd.DataFrame({0: [0.1, 0.2, 0.4]}, index=list("xyz"))
        return Contrast("c", model, values, None, None, 0, informative=known)

    row = pooled_row([of_model("m", "x"), of_model("k", "xy")], BY_NAME["alignment_prompting_better"], STUDY)
    assert (row["n"], row["n_informative"]) == (3, 2)


# Flags


def test_a_method_that_is_flagged_in_one_cell_is_not_ranked():
    flips = {(name, "top_var"): pd.Series([0.0, 1.0], index=["x", "y"]) for name in "abcd"}
    values = pd.concat(flips, names=["method", "budget", "id"])
    spec = STUDY | {"methods": {name: {"kind": "attention"} for name in "abcd"}}
    cells = {
        cell: Measured(pd.Series(dtype=float), {"flip_beyond_random": values}, 0.6, flags=flags)
        for cell, flags in ((BASE, {}), (TUNED, {"b": INCOMPLETE}))
    }
    assert ranked_methods(BY_NAME["ranking_without_errors"], cells, spec) == ["a", "c", "d"]


def test_a_ranking_needs_correct_texts_whose_words_could_differ():
    # 45 of 60 texts are classified correctly, and the words of 20 of these could have been others.
    ids = [str(place) for place in range(60)]
    keys = pd.MultiIndex.from_product([list("abc"), ["top_var"], ids], names=["method", "budget", "id"])
    flips = pd.Series(np.random.default_rng(0).uniform(size=180), index=keys)
    place = keys.get_level_values("id").astype(int)
    correct = pd.Series([1.0] * 45 + [0.0] * 15, index=ids)
    some = {"flip_beyond_random": pd.Series((place < 20) | (place >= 45), index=keys)}
    here = Measured(correct, {"flip_beyond_random": flips}, 0.6, informative=some)
    spec = STUDY | {"methods": {name: {"kind": "attention"} for name in "abc"}}
    _, (row,), _ = rankings(BY_NAME["ranking_without_errors"], {BASE: here}, spec)
    assert row["reason"] == "too few instances: 20 of at least 30 (of 45: in the others the words could not differ)"


def test_what_reads_a_cell_is_told_which_attributions_do_not_add_up(tmp_path):
    write_cell(tmp_path, "c", "yes", "some words", {})
    # An error of half of the change; the flag is for more than a tenth.
    evidence = dict.fromkeys(INTEGRATED.columns.names) | {"id": "0", "status": "ok", "steps": 20}
    evidence |= {"difference": 2.0, "completeness_error": -1.0, "within_tolerance": False}
    write_table(tmp_path / "c/m/base/evidence/attributions/grad.parquet", [evidence], INTEGRATED, {})
    entry = {"kind": "integrated_gradients", "statistic": "ig_dot", "baseline": "pad", "tolerance": 0.1}
    spec = {"methods": OF_TREE | {"grad": entry}, "unavailable": {"m": []}, "validity": VALIDITY}
    assert read_measured(BASE, tmp_path, spec).flags == {"grad": INCOMPLETE}
    assert read_flags(BASE, tmp_path, spec) == {"grad": INCOMPLETE}
    assert read_flags(BASE, tmp_path, spec | {"unavailable": {"m": ["grad"]}}) == {}
