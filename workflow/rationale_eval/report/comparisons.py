"""Sentences on the paper's claims and on what fine-tuning changed, from what the stage ``claims`` found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rationale_eval.claims.registry import ASSOCIATION, FLIP, RANKING, TUNED, UNITS
from rationale_eval.claims.verdicts import CONTRADICTED, SUPPORTED
from rationale_eval.report.layout import BASE, BEYOND, Cell, epoch_and_seed
from rationale_eval.report.wording import (
    MISSING,
    count_text,
    n_text,
    number,
    number_with_interval,
    p_text,
    percent,
    points_text,
    points_with_interval,
    row_title,
)
from rationale_eval.statistics.comparison import compare

Row = Mapping[str, Any]
POINTS = {UNITS[FLIP], UNITS[BEYOND]}  # differences of shares: shown in percentage points


def estimate_text(claim: Row, row: Row, prefix: str = "") -> str:
    """The estimate of one row of a claim with its interval, in the claim's unit; ``usable_`` for that of such texts."""
    value, low, high, n = (row[f"{prefix}{name}"] for name in ("estimate", "low", "high", "n"))
    if value is None:
        return MISSING
    return (
        points_with_interval(value, low, high, n) if claim["unit"] in POINTS else number_with_interval(value, low, high)
    )


def sides_text(claim: Row, row: Row) -> str:
    """The means of the two sides of a contrast, for example ``0.21 against 0.35``; empty where it has not two."""
    if row["first"] is None or row["second"] is None:
        return ""

    def text(value: float) -> str:
        if claim["unit"] == UNITS[BEYOND]:  # a difference itself
            return points_text(value, row["n"])
        return percent(value, row["n"]) if claim["unit"] in POINTS else number(value)

    return f"{text(row['first'])} against {text(row['second'])}"


def across_text(claim: Row, row: Row) -> str:
    """The interval over corpora, models and seeds drawn anew, in the claim's unit; empty where there is none."""
    ends = [row["hierarchical_low"], row["hierarchical_high"]]
    texts = [f"{100 * one:.0f}" if claim["unit"] in POINTS else number(one) for one in ends if one is not None]
    return f"[{', '.join(texts)}]".replace("-", "\N{MINUS SIGN}") if texts else ""


def usable_text(claim: Row, row: Row) -> str:
    """The same contrast over the texts all of whose replies name a word; empty where no reply is compared."""
    if row["usable_n"] is None:
        return ""
    if row["usable_estimate"] is None:
        return f"{n_text(row['usable_n'])}: too few for an estimate"
    shown = estimate_text(claim, row, "usable_")
    return f"{shown}, {n_text(row['usable_n'])}, p {p_text(row['usable_p'])} (not corrected)"


def differ_text(row: Row) -> str:
    """How many texts differ at all, with the p value of the sign-flip test where these are few."""
    if row["nonzero"] is None:
        return MISSING
    few = f" (sign-flip p {p_text(row['p_sign_flip'])})" if row["p_sign_flip"] is not None else ""
    return f"{row['nonzero']}{few}"


def shown_claim(claim: Row) -> dict[str, Any]:
    """What the page shows of a claim: the row that decides it, its pooled row and the rows of its cells, as texts."""

    def shown(row: Row) -> dict[str, str]:
        return {
            "title": row_title(row),
            "estimate": estimate_text(claim, row),
            "sides": sides_text(claim, row),
            "effect": number(row["effect"]),
            "p": p_text(row["p_corrected"]),
            "differ": differ_text(row),
            "n": count_text(row) if row["n"] else MISSING,
            "across": across_text(claim, row) or MISSING,
            "usable": usable_text(claim, row),
            "verdict": row["verdict"] or MISSING,
            "reason": row["reason"],
        }

    parts: dict[str, Any] = {
        name: None if claim[name] is None else shown(claim[name]) for name in ("pooled", "decisive")
    }
    cells = [shown(row) for row in claim["cells"]]
    of_one_cell = claim["decisive"] is not None and "corpus" in claim["decisive"]
    notes = [] if claim["decisive"] is None else scope_notes(claim, claim["decisive"])
    parts["reason"] = "; ".join([claim["reason"], *notes])
    return {**claim, **parts, "cells": cells, "methods": ", ".join(claim["methods"]), "of_one_cell": of_one_cell}


def of_one_seed(claim: Row, row: Row) -> bool:
    """Whether the row compares fine-tuned models, of one run of the fine-tuning each."""
    over_cells = claim["kind"] in (ASSOCIATION, RANKING)
    return row["seeds"] == 1 and (over_cells or any(term["checkpoint"] == TUNED for term in claim["terms"]))


def scope_notes(claim: Row, row: Row) -> list[str]:
    """What limits what is said of a claim: one run of the fine-tuning, and the study's corpora, models and seeds."""
    notes = []
    if of_one_seed(claim, row):
        notes.append("one seed of the fine-tuning, so that another run may end elsewhere")
    low, high, edge = row["hierarchical_low"], row["hierarchical_high"], claim["margin"] or 0
    if row["corpora"] == row["models"] == 1:
        notes.append("one corpus with one model: nothing follows for others")
    elif low is not None and low <= edge <= high:
        notes.append(
            f"with corpora, models and seeds drawn anew the interval is {across_text(claim, row)} and includes "
            f"{edge:g}: nothing follows for others than these"
        )
    return notes


def claim_sentences(claims: Sequence[Row]) -> list[str]:
    """A sentence for each claim that the study decides, and one for each other verdict: how many claims have it.

    The numbers of a sentence are those of the row that its verdict rests on.
    """
    found = []
    for claim in claims:
        row = claim["decisive"]
        if claim["verdict"] in (SUPPORTED, CONTRADICTED):
            sides = sides_text(claim, row)
            where = f"in {row_title(row)}: " if "corpus" in row else ""
            p = "" if row["p_corrected"] is None else f", p {p_text(row['p_corrected'])}"
            n = n_text(count_text(row)) + (" cells" if claim["kind"] == ASSOCIATION else "")
            values = f"{where}{sides + ', ' if sides else ''}{estimate_text(claim, row)}, {n}{p}"
            why = "; ".join([claim["reason"], *scope_notes(claim, row)])
            found.append(f"“{claim['text']}” ({claim['version']}): {claim['verdict']} in this study; {values}; {why}.")
    others = Counter(claim["verdict"] for claim in claims if claim["verdict"] not in (SUPPORTED, CONTRADICTED))
    for verdict, count in others.items():
        found.append(f"{count} of {len(claims)} claims {verdict}: what was found and why stands in the table below.")
    return found


def accuracy_change(correct: Mapping[Cell, pd.Series], interval: Mapping[str, Any]) -> list[str]:
    """What the last epoch changed of the accuracy, for cells of one corpus and model; paired by instance.

    ``correct`` is as in ``correctness``. Seeds are averaged within an instance; the interval covers the choice of
    instances, not of seeds. So one seed shows no rise or fall, and several do only where all of them have it.
    """
    by_epoch: dict[int, list[pd.Series]] = {}
    for cell, values in correct.items():
        by_epoch.setdefault(epoch_and_seed(cell.checkpoint)[0], []).append(values)
    last = max(by_epoch, default=0)
    if not last or 0 not in by_epoch:
        return []
    base, runs = by_epoch[0][0], by_epoch[last]
    pairs = pd.concat([base, pd.concat(runs, axis=1).mean(axis=1)], axis=1, join="inner").dropna()
    change = compare([(pairs.iloc[:, 1] - pairs.iloc[:, 0]).to_numpy(dtype=float)], interval)
    if change is None:
        return []
    ends = [float(run.reindex(pairs.index).mean()) - float(pairs.iloc[:, 0].mean()) for run in runs]
    before, now = (percent(float(pairs.iloc[:, place].mean()), change.n) for place in (0, 1))
    points = points_with_interval(change.value, change.low, change.high, change.n)
    after = f"after {last} {'epoch' if last == 1 else 'epochs'} of fine-tuning"
    found = f"{now} instead of {before} ({points}, {n_text(change.n)})"
    if len(runs) == 1:
        apart = "" if change.low > 0 or change.high < 0 else ", which these texts do not tell from no change"
        return [f"Accuracy {after}, with one seed: {found}{apart}. One seed cannot tell what another run would do."]
    if change.low <= 0 <= change.high:
        verdict = "not told from no change"
    elif min(ends) > 0 or max(ends) < 0:
        verdict = f"a {'rise' if change.value > 0 else 'fall'} with each seed"
    else:
        verdict = "not in the same direction with each seed"
    return [f"Accuracy {after}, mean of {len(runs)} seeds: {found}: {verdict}."]


def by_course(correct: Mapping[Cell, pd.Series]) -> dict[str, dict[Cell, pd.Series]]:
    """The cells that differ in their checkpoint alone, by their title, where the base and an epoch are among them."""
    found: dict[str, dict[Cell, pd.Series]] = {}
    for cell, values in correct.items():
        found.setdefault(f"{cell.corpus}, {cell.model}", {})[cell] = values
    return {title: part for title, part in found.items() if len(part) > 1 and any(c.checkpoint == BASE for c in part)}
