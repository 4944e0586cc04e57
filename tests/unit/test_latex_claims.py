"""LaTeX says what the page says: who marked the words, how many texts are informative, and what limits a claim."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.report.latex_claims import MOST_REASONS, claims
from rationale_eval.report.latex_grids import GRIDS, Measure, course_grids, grids, shown
from rationale_eval.report.latex_short import SHORT
from report_trees import estimate

NUMBERS = ("estimate", "low", "high", "n", "n_informative", "p_corrected", "hierarchical_low", "hierarchical_high")
SETTINGS = {"level": 0.95, "alpha": 0.05}
METHODS = {"grad": {"kind": "gradients"}, "human": {"kind": "human"}}
SPEC = {"methods": METHODS, "budgets": {"top_var": {"kind": "top_var"}}, "main_budget": "top_var", "level": 0.95}
SPEC["marked_by"] = {"c": "proxy", "d": "people"}


def claim(checkpoint, values, reason="the interval lies wholly on the claimed side"):
    """A claim on one checkpoint whose decisive row has ``values`` of ``NUMBERS``."""
    row = dict(zip(NUMBERS, values, strict=True)) | {"seeds": 1, "models": 1}
    row["corpora"] = 1 if row["hierarchical_low"] is None else 2
    about = {
        "text": "Prompting is better",
        "kind": "difference",
        "measure": "f1_corrected",
        "unit": "F1 above chance",
        "margin": None,
    }
    return about | {"terms": [{"checkpoint": checkpoint}], "decisive": row, "verdict": "supported", "reason": reason}


def found(*several):
    return {"claims": list(several), "settings": SETTINGS}


def test_a_claim_has_its_reason_its_scope_and_the_interval_over_corpora():
    numbers, why = claims(found(claim("base", (0.2, 0.1, 0.3, 60, 40, 0.01, -0.05, 0.4))))
    assert "{[}$-$0.05, 0.40{]}" in numbers
    assert "One seed" not in numbers
    assert "the interval lies wholly on the claimed side; with corpora, models and seeds drawn anew" in why
    assert "nothing follows for others than these" in why


def test_the_seed_is_named_where_a_claim_is_on_the_tuned_model():
    values = (0.2, 0.1, 0.3, 60, 40, 0.01, None, None)
    numbers, why = claims(found(claim("base", values), claim("tuned", values)))
    assert "One seed of the fine-tuning." in numbers
    assert why.count("one seed of the fine-tuning, so that another run may end elsewhere") == 1
    assert why.count("one corpus with one model: nothing follows for others") == 2


def test_reasons_are_spread_over_floats_and_no_claim_has_none():
    untested = claim("base", (None,) * 8, "cells 4% & few") | {"decisive": None, "verdict": "not tested"}
    numbers, *reasons = claims(found(*[untested] * (MOST_REASONS + 1)))
    assert [text.count("cells 4\\% \\& few") for text in reasons] == [MOST_REASONS, 1]
    assert numbers.count("not tested") == MOST_REASONS + 1
    assert len({text.split("\\label{")[1].split("}")[0] for text in (numbers, *reasons)}) == 3


def rows_of(corpus, **more):
    cell = {"corpus": corpus, "model": "m", "checkpoint": "base"}
    grad, human = estimate("grad", 0.3, 0.2, 0.4), estimate("human", 1.0, 0.9, 1.0, "human", "as_given")
    return [cell | row | more for row in (grad | {"n_informative": 23}, human)]


@pytest.mark.parametrize(("corpora", "expected"), [("c", {"human, proxy"}), ("cd", {"human, proxy", "human"})])
def test_the_row_of_the_marked_words_says_that_a_proxy_marked_them(corpora, expected):
    table = pd.DataFrame([row for corpus in corpora for row in rows_of(corpus)])
    for text in grids("alignment", table, SPEC):
        names = {line.split("&")[0].removeprefix(r"\quad ").strip() for line in text.splitlines() if "human" in line}
        assert names == expected


def test_splits_operators_and_courses_say_so_too():
    splits = pd.DataFrame(rows_of("c", split="outcome", group="right", n_f1=60, n_flip_rate=60))
    level = {"conclusion": "level", "measure": "flip", "operator": "x", "value": 0.2, "value_low": 0.1}
    operators = pd.DataFrame(rows_of("c", value_high=0.3, **level)).rename(columns={"method": "subject"})
    values = {f"{name}{end}": 0.2 for name in ("f1", "flip_beyond_random") for end in ("", "_min", "_max")}
    course = pd.DataFrame(rows_of("c", epoch=0, seeds=1, n_f1=60, n_flip_beyond_random=60, **values))
    for text in (
        *SHORT["splits"](splits, SPEC),
        *SHORT["sensitivity"](operators.drop(columns="kind"), SPEC),
        *course_grids(course, SPEC),
    ):
        assert r"\quad human, proxy" in text


def test_a_grid_says_how_many_texts_are_informative():
    text = grids("alignment", pd.DataFrame(rows_of("c")), SPEC)[0]
    assert r"0.30 \rationaleinterval{0.20, 0.40; 23 inf.}" in text
    assert "inf.: of these texts those that are informative" in text
    whole = pd.DataFrame(rows_of("c")).assign(n_informative=60)
    assert "inf." not in grids("alignment", whole, SPEC)[0]


def test_a_count_of_its_own_has_its_own_informative_texts():
    flips = GRIDS["faithfulness_normalised"][0]
    row = {"flip_normalised": 0.3, "flip_normalised_low": 0.2, "flip_normalised_high": 0.4, "kind": "prompt"}
    row |= {"n_flip": 40, "n_flip_informative": 35, "most": 48}
    assert "; n~=~40; 35 inf.}" in shown(row, flips)
    # The informative ones of other instances than these are not known.
    kept = Measure("flip_normalised", "", "number", "n_kept")
    assert "inf." not in shown(row | {"n": 48, "n_informative": 20, "n_kept": 30}, kept)
