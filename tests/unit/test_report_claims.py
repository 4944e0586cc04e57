"""Claims in words, on the page and in LaTeX: the numbers of the row that decides, and what limits what is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rationale_eval.claims.estimates import VALUES
from rationale_eval.claims.registry import UNITS
from rationale_eval.report import page
from rationale_eval.report.comparisons import claim_sentences, differ_text, scope_notes, shown_claim, usable_text
from rationale_eval.report.latex_claims import claims as latex_claims

NBSP = "\N{NO-BREAK SPACE}"
FEW_DIFFER = {"nonzero": 10, "p_sign_flip": 0.002}
USABLE = {"usable_n": 30, "usable_estimate": -0.3, "usable_low": -0.4, "usable_high": -0.2, "usable_p": 0.9}
ONE_CELL = "one corpus with one model: nothing follows for others"


def row(estimate, low, high, p, n, **more):
    values = {"estimate": estimate, "low": low, "high": high, "p_corrected": p, "n": n, "n_informative": n}
    about = {"corpora": 1, "models": 1, "seeds": 1, "verdict": "supported", "reason": "why"}
    return dict.fromkeys(VALUES) | values | about | more


# An existence claim: cell b decides it, and the pooled row has another sign, p and n.
DECIDES = row(-0.2, -0.25, -0.15, 0.001, 48, n_informative=31, first=0.15, second=0.35, **FEW_DIFFER, **USABLE)
DECIDES |= {"corpus": "b", "model": "m", "checkpoint": "base"}
POOLED = row(0.02, 0.01, 0.03, None, 300, corpora=2, **USABLE)


def claim(**more):
    found = {"name": "always", "version": "v2", "text": "It is so.", "kind": "existence", "measure": "f1_corrected"}
    found |= {"unit": UNITS["f1_corrected"], "contrast": "one - other", "claimed": "below 0", "margin": None}
    found |= {"terms": [{"checkpoint": "base"}], "methods": ["one", "other"], "verdict": "supported", "reason": "so"}
    return found | {"pooled": POOLED, "decisive": DECIDES, "cells": [DECIDES]} | more


def rendered(*claims):
    """The section of the claims on the page, white space as one space."""
    templates = FileSystemLoader(Path(page.__file__).parent)
    template = Environment(loader=templates, undefined=StrictUndefined).get_template("claims.html.j2")
    judged = {"alpha": 0.05, "margins": {"f1_corrected": 0.02}, "min_usable_replies": 0.5, "min_instances": 30}
    shown = {"claims": [shown_claim(one) for one in claims], "judged": judged, "study": {"who_marked": ""}}
    return " ".join(template.render(shown | {"level": "95 %", "claims_file": "claims.json"}).replace(NBSP, " ").split())


def latex(*claims):
    found, *_ = latex_claims({"claims": claims, "settings": {"level": 0.95, "alpha": 0.05}})
    return found


# The row that decides


def test_a_sentence_takes_the_row_that_decides():
    (sentence,) = claim_sentences([claim()])
    assert sentence.replace(NBSP, " ").replace("\N{MINUS SIGN}", "-") == (
        "“It is so.” (v2): supported in this study; in b, m, base: 0.15 against 0.35, -0.20 [-0.25, -0.15], "
        f"n = 48 (31 informative), p 0.001; so; {ONE_CELL}."
    )
    assert "\N{MINUS SIGN}0.20 [\N{MINUS SIGN}0.25, \N{MINUS SIGN}0.15]" in sentence


def test_the_page_shows_the_row_that_decides():
    html = rendered(claim()).replace("\N{MINUS SIGN}", "-")
    assert "(v2; the numbers are those of b, m, base)</span></th> <td><strong>supported</strong></td>" in html
    assert (
        f"<td>-0.20 [-0.25, -0.15]</td><td>0.001</td><td>48 (31 informative)</td><td>–</td> <td>so; {ONE_CELL}" in html
    )
    assert "<dt>Texts that differ</dt><dd>10 (sign-flip p 0.002)</dd>" in html
    usable = "-0.30 [-0.40, -0.20], n = 30, p 0.900 (not corrected)"
    assert f"<dt>Where all replies compared name a word</dt><dd>{usable}; decides nothing</dd>" in html
    cell = "<td>0.15 against 0.35</td><td>–</td><td>0.001</td><td>48 (31 informative)</td>"
    assert f"{cell}<td>10 (sign-flip p 0.002)</td><td>{usable}</td><td>why</td></tr>" in html


def test_latex_shows_the_row_that_decides():
    interval = "$-$0.20 \\rationaleinterval{$-$0.25, $-$0.15}"
    assert f"It is so. (in b, m, base) & {interval} & 0.001 & 48 (31 informative) & supported" in latex(claim())


def test_a_pooled_row_that_decides_names_no_cell():
    pooled = claim(decisive=POOLED | {"p_corrected": 0.004})
    (sentence,) = claim_sentences([pooled])
    assert f"supported in this study; 0.02 [0.01, 0.03], n{NBSP}={NBSP}300, p 0.004; so" in sentence
    html = rendered(pooled)
    assert "(v2)</span></th> <td><strong>supported</strong></td> <td>0.02 [0.01, 0.03]</td><td>0.004</td>" in html
    assert "It is so. & 0.02 \\rationaleinterval{0.01, 0.03} & 0.004 & 300 & supported" in latex(pooled)


def test_the_page_says_how_verdicts_are_reached():
    html = rendered(claim())
    for words in (
        "verdict in this study</th>",
        "Holm’s correction over all claims of this table",
        "that any verdict that rests on a test is false is held at 5.0 % over all claims together",
        "is supported if the interval and the test lie below a margin of 0.02 of F1, whether it falls or not",
        "where it includes 0 (of “does not rise”: the margin), nothing follows for other corpora",
        "p, corrected over claims</th>",
        "p, corrected over cells</th>",
    ):
        assert words in html


# Texts that differ, and those whose replies can be used


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (FEW_DIFFER, "10 (sign-flip p 0.002)"),
        ({"nonzero": 40, "p_sign_flip": None}, "40"),
        ({"nonzero": None, "p_sign_flip": None}, "–"),
    ],
)
def test_where_few_texts_differ_the_sign_flip_test_is_told(found, text):
    assert differ_text(found) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((30, -0.002, -0.05, 0.04, 0.9), "0 points [-5, 4], n = 30, p 0.900 (not corrected)"),
        ((4, None, None, None, None), "n = 4: too few for an estimate"),
        ((None, None, None, None, None), ""),
    ],
)
def test_what_usable_replies_come_to_is_told_uncorrected(found, text):
    names = [f"usable_{name}" for name in ("n", "estimate", "low", "high", "p")]
    shown = usable_text({"unit": UNITS["flip"]}, dict(zip(names, found, strict=True)))
    assert shown.replace(NBSP, " ").replace("\N{MINUS SIGN}", "-") == text


# What limits a claim


@pytest.mark.parametrize(
    ("ends", "margin", "includes"),
    [
        ((-0.1, 0.2), None, "[\N{MINUS SIGN}0.10, 0.20] and includes 0:"),
        ((0.1, 0.2), None, None),
        ((-0.1, 0.03), 0.02, "[\N{MINUS SIGN}0.10, 0.03] and includes 0.02:"),
        ((-0.1, 0.01), 0.02, None),
    ],
)
def test_an_interval_over_corpora_is_held_against_what_the_claim_is_held_against(ends, margin, includes):
    low, high = ends
    found = scope_notes(claim(margin=margin), POOLED | {"hierarchical_low": low, "hierarchical_high": high})
    assert len(found) == (includes is not None)
    assert includes is None or f"the interval is {includes} nothing follows for others than these" in found[0]


def test_one_corpus_with_one_model_says_nothing_of_others():
    assert scope_notes(claim(), DECIDES) == [ONE_CELL]
    # A correlation is over cells, of several corpora or of one, and has no interval over corpora, models and seeds.
    for corpora, notes in ((8, []), (1, [ONE_CELL])):
        over = row(0.6, 0.2, 0.8, 0.01, 8, corpora=corpora, models=1, seeds=None)
        assert scope_notes(claim(kind="association"), over) == notes
    tuned = row(0.6, 0.2, 0.8, 0.01, 8, corpora=8, models=1, seeds=1)
    assert scope_notes(claim(kind="association"), tuned) == [
        "one seed of the fine-tuning, so that another run may end elsewhere"
    ]


@pytest.mark.parametrize(("checkpoint", "seeds", "told"), [("tuned", 1, True), ("tuned", 2, False), ("base", 1, False)])
def test_one_seed_of_the_fine_tuning_is_told(checkpoint, seeds, told):
    found = claim(terms=[{"checkpoint": checkpoint}, {"checkpoint": "base"}], decisive=DECIDES | {"seeds": seeds})
    note = "one seed of the fine-tuning, so that another run may end elsewhere"
    assert (note in scope_notes(found, found["decisive"])) == told
    assert (note in claim_sentences([found])[0]) == told
    assert (note in rendered(found)) == told
    assert ("verdict in this study. One seed of the fine-tuning." in latex(claim(), found)) == told
