"""Sets of different sizes are not compared by raw flips: what is bold, and what is ranked."""

from __future__ import annotations

import pandas as pd
import pytest
from rationale_eval.report.bold import Measure, best, competing
from rationale_eval.report.calibration import rank_row
from rationale_eval.report.html_tables import faithfulness_table
from rationale_eval.report.latex_grids import GRIDS, grids
from rationale_eval.report.latex_short import SHORT
from report_trees import METHODS, estimate

ENDS = ("", "_low", "_high")
FLIPS = Measure("flip_rate", "", "share", "n")
SPEC = {"methods": METHODS, "budgets": {"top_var": {"kind": "top_var"}}, "main_budget": "top_var", "level": 0.95}
SPEC["marked_by"] = {"c": "people"}


def flips(method, rate, beyond, kind="gradients", selected=2.0, n_short=0):
    """A row of the faithfulness table: a flip rate, 0.1 to both sides its interval, and flips beyond random words."""
    row = estimate(method, rate, rate - 0.1, rate + 0.1, kind)
    row |= {f"flip_beyond_random{end}": value for end, value in zip(ENDS, beyond, strict=True)}
    row |= {"n_kept": 60, "selected": selected, "n_short": n_short, "n_correct": 1, "n_wrong": 1}
    row |= {"flip_random_low": 0.1, "flip_random_high": 0.3}
    rest = ("comprehensiveness", "sufficiency", "flip_when_kept")
    return row | {f"{name}{end}": rate if name == rest[0] else 0.1 for name in rest for end in ENDS}


# "many" flips most, since its replies are longest, but no more than as many random words; "below" flips fewer.
ROWS = [
    flips("many", 0.6, (0.02, -0.1, 0.12), selected=3.0),
    flips("good", 0.4, (0.2, 0.1, 0.3)),
    flips("short", 0.25, (0.15, 0.05, 0.25), "prompt", selected=0.9, n_short=40),
    flips("below", 0.5, (-0.01, -0.1, 0.11)),
]


def bold_rows(html):
    return [row.split("</th>")[0].split(">")[-1] for row in html.split("<tr>") if "bold" in row]


def test_bold_flips_are_those_beyond_equally_many_random_words():
    table = pd.DataFrame(ROWS)
    assert best(competing(table, FLIPS), FLIPS) == {1, 2}
    assert bold_rows(faithfulness_table(table, "t")) == ["good", "short"]
    # Of these alone none is above random words, and nothing is bold though one flips most.
    assert best(competing(table.iloc[[0, 3]], FLIPS), FLIPS) == set()


def test_latex_has_the_same_rule_and_says_so():
    table = pd.DataFrame(ROWS).assign(corpus="c", model="m", checkpoint="base")
    spec = SPEC | {"methods": {row["method"]: {"kind": row["kind"]} for row in ROWS}}
    columns = [measure.column for measure in GRIDS["faithfulness"]]
    texts = dict(zip(columns, grids("faithfulness", table, spec), strict=True))
    for column in ("flip_rate", "flip_beyond_random"):
        bold = [line.split("&")[0] for line in texts[column].splitlines() if r"\textbf" in line]
        assert bold == [r"\quad good ", r"\quad short "]
        assert "equally many random words, and none is bold" in texts[column]
    # A short reply takes less from the probability because it is short: it does not compete by that.
    assert "short" not in str([line for line in texts["comprehensiveness"].splitlines() if r"\textbf" in line])
    shortest = pd.DataFrame([flips("a", 0.2, (0, 0, 0)), flips("b", 0.9, (0, 0, 0), "prompt", n_short=1), ROWS[1]])
    measure = Measure("comprehensiveness", "", "", "n")
    assert 1 not in best(competing(shortest, measure), measure)
    assert 1 in best(competing(shortest.assign(n_short=0), measure), measure)


def test_no_flip_rate_is_bold_by_outcome_and_by_operator():
    splits = pd.DataFrame(ROWS).assign(split="outcome", group="right", n_f1=60, n_flip_rate=60)
    (text,) = SHORT["splits"](
        splits.drop(columns="flip_beyond_random").assign(corpus="c", model="m", checkpoint="b"), SPEC
    )
    rows = {line.split("&")[0].split()[-1]: line.split("&") for line in text.splitlines() if line.startswith(r"\quad")}
    assert r"\textbf" in rows["many"][1]
    assert not any(r"\textbf" in cells[2] for cells in rows.values())
    level = {"corpus": "c", "model": "m", "checkpoint": "b", "conclusion": "level", "measure": "flip", "operator": "x"}
    level |= {"collapsed": False, "n": 60, "flag": None}
    values = [("grad", 0.9), ("asked", 0.2)]
    rows = [
        level | {"subject": name, "value": value, "value_low": value - 0.05, "value_high": value + 0.05}
        for name, value in values
    ]
    (text,) = SHORT["sensitivity"](pd.DataFrame(rows), SPEC)
    assert r"\textbf" not in text
    assert "None is in bold" in text


def test_sets_as_given_are_not_ranked_among_those_that_are_cut():
    def row(cue, flip, budget="top_var", kind="gradients"):
        values = {"cue_words": cue, "flip_rate": flip, "comprehensiveness": flip, "sufficiency": 1 - flip}
        return {"kind": kind, "budget": budget, "flag": None} | values

    cut = [row(0.9, 0.3), row(0.6, 0.2), row(0.3, 0.1)]
    # A copied text has all cues and flips most.
    found = rank_row([*cut, row(0.2, 1.0, "as_given", "prompt")])
    assert found["n_methods"] == 3
    assert found["tau_flip_rate"] == pytest.approx(1.0)
