"""Sentences on the paper's claims and on what fine-tuning changed, from what the stage ``claims`` found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rationale_eval.claims.verdicts import CONTRADICTED, SUPPORTED
from rationale_eval.report.aggregate import Measured
from rationale_eval.report.layout import BASE, Cell, epoch_and_seed
from rationale_eval.report.wording import (
    MISSING,
    claim_p,
    n_text,
    number,
    number_with_interval,
    percent,
    points_with_interval,
)
from rationale_eval.statistics.comparison import compare

Row = Mapping[str, Any]
POINTS = "share of predictions that flip"  # a difference of shares: shown in percentage points


def estimate_text(claim: Row, row: Row) -> str:
    """The estimate of one row of a claim with its interval, in the claim's unit."""
    if row["estimate"] is None:
        return MISSING
    value, low, high = row["estimate"], row["low"], row["high"]
    shown = points_with_interval(value, low, high, row["n"])
    return shown if claim["unit"] == POINTS else number_with_interval(value, low, high)


def sides_text(claim: Row, row: Row) -> str:
    """The means of the two sides of a contrast, for example ``0.21 against 0.35``; empty where it has not two."""
    if row["first"] is None or row["second"] is None:
        return ""
    first, second = (
        percent(row[side], row["n"]) if claim["unit"] == POINTS else number(row[side]) for side in ("first", "second")
    )
    return f"{first} against {second}"


def shown_claim(claim: Row) -> dict[str, Any]:
    """What the page shows of a claim: its pooled row and the rows of its cells, as texts."""

    def shown(row: Row) -> dict[str, str]:
        across = [row["hierarchical_low"], row["hierarchical_high"]]
        points = claim["unit"] == POINTS
        texts = [f"{100 * one:.0f}" if points else number(one) for one in across if one is not None]
        return {
            "estimate": estimate_text(claim, row),
            "sides": sides_text(claim, row),
            "effect": number(row["effect"]),
            "p": claim_p(claim, row),
            "n": str(row["n"]),
            "across": f"[{', '.join(texts)}]".replace("-", "\N{MINUS SIGN}") if texts else MISSING,
            "verdict": row["verdict"],
            "reason": row["reason"],
        }

    cells = [shown(row) | {"title": f"{row['corpus']}, {row['model']}, {row['checkpoint']}"} for row in claim["cells"]]
    pooled = None if claim["pooled"] is None else shown(claim["pooled"])
    return {**claim, "pooled": pooled, "cells": cells, "methods": ", ".join(claim["methods"])}


def claim_sentences(claims: Sequence[Row]) -> list[str]:
    """A sentence for each claim that the study decides, and one for each other verdict: how many claims have it."""
    found = []
    for claim in claims:
        row = claim["pooled"]
        if claim["verdict"] in (SUPPORTED, CONTRADICTED):
            sides = sides_text(claim, row)
            values = f"{sides + ', ' if sides else ''}{estimate_text(claim, row)}, {n_text(row['n'])}"
            found.append(f"“{claim['text']}” ({claim['version']}): {claim['verdict']}; {values}; {claim['reason']}.")
    others = Counter(claim["verdict"] for claim in claims if claim["verdict"] not in (SUPPORTED, CONTRADICTED))
    for verdict, count in others.items():
        found.append(f"{count} of {len(claims)} claims {verdict}: what was found and why stands in the table below.")
    return found


def accuracy_change(cells: Mapping[Cell, Measured], interval: Mapping[str, Any]) -> list[str]:
    """What the last epoch changed of the accuracy, for ``cells`` of one corpus and model; paired by instance.

    Seeds are averaged within an instance; the interval covers the choice of instances, not of seeds. So one seed shows
    no rise or fall, and several do only where all of them have it.
    """
    by_epoch: dict[int, list[Measured]] = {}
    for cell, values in cells.items():
        by_epoch.setdefault(epoch_and_seed(cell.checkpoint)[0], []).append(values)
    last = max(by_epoch, default=0)
    if not last or 0 not in by_epoch:
        return []
    base, runs = by_epoch[0][0].correct, [run.correct for run in by_epoch[last]]
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


def by_course(cells: Mapping[Cell, Measured]) -> dict[str, dict[Cell, Measured]]:
    """The cells that differ in their checkpoint alone, by their title, where the base and an epoch are among them."""
    found: dict[str, dict[Cell, Measured]] = {}
    for cell, values in cells.items():
        found.setdefault(f"{cell.corpus}, {cell.model}", {})[cell] = values
    return {title: part for title, part in found.items() if len(part) > 1 and any(c.checkpoint == BASE for c in part)}
