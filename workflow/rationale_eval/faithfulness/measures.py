"""Faithfulness of each rationale from the perturbed scores, per instance.

With y the label predicted for the whole input, p the softmax of the label scores over the labels and r the rationale:
flip (Fayyaz et al. 2024): masking r changes the predicted label; comprehensiveness (DeYoung et al. 2020): p(y | x) -
p(y | x without r); sufficiency: p(y | x) - p(y | r alone); and by how much the log-odds of y fall without r. Beside
them stands what equally many random words and all words do, and where between these the rationale lies.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.faithfulness.answers import Answer, ByRequest, by_instance, drop, flip, log_odds_drop
from rationale_eval.faithfulness.schema import (
    ALL,
    FAITHFULNESS,
    KEEP,
    LEAST_RANGE,
    MASK,
    NO_RANDOM,
    NO_RANGE,
    NORMALISED,
    NOT_MEASURED,
    OK,
    RANDOM,
    is_choice,
    numbered,
)
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.tables import write_table


def normalised(value: float | None, chance: float | None, best: float | None) -> tuple[float | None, str]:
    """Where ``value`` lies from ``chance`` (0) to ``best`` (1), as (value - chance) / (best - chance), and its status.

    Higher is better. Null with the status that says why where one of the three is missing, and where best is not above
    chance by ``LEAST_RANGE``. It can lie outside of 0 and 1.
    """
    if value is None:
        return None, NOT_MEASURED
    if chance is None or best is None:
        return None, NO_RANDOM
    if best - chance < LEAST_RANGE:
        return None, NO_RANGE
    return (value - chance) / (best - chance), OK


def by_chance(
    before: Answer, requests: ByRequest, words: int, count: int, operation: str
) -> tuple[float | None, float | None]:
    """The mean flip and the mean drop over draws of ``count`` random words masked, or kept; None without a draw.

    No words and all words are no draw: there it is the whole input, or the input without words.
    """
    hidden = count if operation == MASK else words - count
    if hidden == 0:
        return 0.0, 0.0
    if hidden == words:
        after = [requests.get((ALL, 0, AS_GIVEN, MASK))]
    else:
        after = []
        while (draw := requests.get((RANDOM, len(after), numbered(count), operation))) is not None:
            after.append(draw)
    flips, drops = [flip(before, draw) for draw in after], [drop(before, draw) for draw in after]
    return _mean(flips), _mean(drops)


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def measure(before: Answer, requests: ByRequest, key: tuple[str, int, str]) -> dict[str, Any]:
    """The faithfulness row of one rationale, by method, sample and budget, from all answers of its instance."""
    masked, kept = requests[*key, MASK], requests.get((*key, KEEP))
    row = dict.fromkeys(FAITHFULNESS.columns.names)
    row |= {name: masked[name] for name in ("id", "method", "sample", "budget", "status", "words", "selected")}
    row |= {f"{name}_normalised_status": NOT_MEASURED for name in NORMALISED}
    if before["status"] != OK:
        return row | {"status": before["status"]}
    row["flip"], row["comprehensiveness"] = flip(before, masked), drop(before, masked)
    row["flip_when_kept"], row["sufficiency"] = flip(before, kept), drop(before, kept)
    row["log_odds_drop"] = log_odds_drop(before, masked)
    everything = requests.get((ALL, 0, AS_GIVEN, MASK))
    row["flip_all"], row["comprehensiveness_all"] = flip(before, everything), drop(before, everything)
    words, count = masked["words"], masked["selected"]
    if count is not None:
        row["flip_random"], row["comprehensiveness_random"] = by_chance(before, requests, words, count, MASK)
        row["sufficiency_random"] = by_chance(before, requests, words, count, KEEP)[1]
    # A sufficiency is a loss: the best is to lose nothing.
    scales = {name: (row[name], row[f"{name}_random"], row[f"{name}_all"]) for name in ("flip", "comprehensiveness")}
    scales["sufficiency"] = _negated(row["sufficiency"]), _negated(row["sufficiency_random"]), 0.0
    for name, scale in scales.items():
        row[f"{name}_normalised"], row[f"{name}_normalised_status"] = normalised(*scale)
    return row


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval faithfulness", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: {} (the stage has no settings)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the whole inputs (Parquet)")
    parser.add_argument("--perturbations", type=Path, required=True, help="scores of the perturbed inputs (Parquet)")
    parser.add_argument("--output", type=Path, required=True, help="output: faithfulness (Parquet)")
    args = parser.parse_args(argv)
    rows = [
        measure(before, requests, (method, sample, budget))
        for before, requests in by_instance(args.predictions, args.perturbations)
        for method, sample, budget, operation in requests
        if operation == MASK and is_choice(method, budget)
    ]
    inputs = {"predictions": args.predictions, "perturbations": args.perturbations}
    made = provenance("faithfulness", json.loads(args.spec), inputs, ("numpy",))
    write_table(args.output, rows, FAITHFULNESS, made)
    say(f"{args.output}: {len(rows)} rows")
