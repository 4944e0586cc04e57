"""What belongs to a method's order of words: AOPC, areas under curves, words to flip, agreement with leave-one-out.

Per instance, method and sample. A set of words has no order (status ``no_order``), and no row says more than was
scored: without points of a curve there is no curve, without each word left out no agreement.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from rationale_eval.errors import UserError
from rationale_eval.faithfulness.answers import Answer, ByRequest, by_instance, drop, flip, log_odds_drop, probability
from rationale_eval.faithfulness.curves import aopc, area, curve_counts, words_to_flip
from rationale_eval.faithfulness.schema import ALL, CURVES, KEEP, LEFT_OUT, MASK, NO_ORDER, OK, numbered
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.tables import read_table, write_table

Row = dict[str, Any]


def tau(scores: Sequence[float], drops: Sequence[float | None]) -> float | None:
    """Kendall's tau-b of a method's word scores with what the label's log-odds lose without each word.

    Jain & Wallace 2019 compare attention so. None where a drop is missing and where either is the same for all words.
    """
    if len(scores) < 2 or any(value is None for value in drops):
        return None
    found = float(stats.kendalltau(scores, drops, variant="b").statistic)
    return None if np.isnan(found) else found


def points(
    requests: ByRequest, method: str, sample: int, words: int, counts: Sequence[int]
) -> dict[str, dict[int, Answer | None]]:
    """The answers along an order by operation and number of words masked or kept; None where there is none.

    All words masked is no word kept, and the other way round; the whole input is left to the caller.
    """
    found: dict[str, dict[int, Answer | None]] = {MASK: {}, KEEP: {}}
    for operation, answers in found.items():
        for count in counts:
            if count < words:
                answers[count] = requests.get((method, sample, numbered(count), operation))
    found[MASK][words] = found[KEEP][0] = requests.get((ALL, 0, AS_GIVEN, MASK))
    return found


def along(before: Answer, requests: ByRequest, rationale: Mapping[str, Any], name: str, spec: Mapping[str, Any]) -> Row:
    """The measures of the curves of method ``name`` in one instance, along the scores of its ``rationale``."""
    words = len(rationale["scores"])
    found = points(requests, name, rationale["sample"], words, curve_counts(words, spec["ratios"]))
    masked, kept = found[MASK], found[KEEP]
    start = probability(before, before)
    deleted = {0: start} | {count: probability(before, after) for count, after in masked.items()}
    inserted = {words: start} | {count: probability(before, after) for count, after in kept.items()}
    lost = {count: drop(before, after) for count, after in masked.items()}
    lacking = {words: 0.0} | {count: drop(before, after) for count, after in kept.items()}
    thresholds = curve_counts(words, spec["aopc_ratios"])
    flips, share = words_to_flip({count: flip(before, after) for count, after in masked.items()}, words)
    return {
        "points": len(deleted),
        "aopc_thresholds": len(thresholds),
        "aopc_comprehensiveness": aopc(lost, thresholds),
        "aopc_sufficiency": aopc(lacking, thresholds),
        "deletion_auc": area(deleted, words),
        "insertion_auc": area(inserted, words),
        "flips": flips,
        "words_to_flip": share,
    }


def measure(
    before: Answer,
    requests: ByRequest,
    rationale: Mapping[str, Any],
    method: Mapping[str, Any],
    spec: Mapping[str, Any],
) -> Row:
    """The row of one method's order in one instance; ``method`` says its name and whether it has ``curves``."""
    words = requests[ALL, 0, AS_GIVEN, MASK]["words"]
    row = dict.fromkeys(CURVES.columns.names)
    row |= {"id": rationale["id"], "method": method["name"], "sample": rationale["sample"], "words": words}
    scores = rationale["scores"]
    if before["status"] != OK or rationale["status"] != OK or scores is None:
        status = next((state for state in (before["status"], rationale["status"]) if state != OK), NO_ORDER)
        return row | {"status": status}
    left_out = [requests.get((LEFT_OUT, 0, numbered(word), MASK)) for word in range(words)]
    row |= {"status": OK, "leave_one_out_tau": tau(scores, [log_odds_drop(before, after) for after in left_out])}
    return row | (along(before, requests, rationale, method["name"], spec) if method["curves"] else {})


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval curves", description=__doc__)
    parser.add_argument(
        "--spec", required=True, help='JSON: {"methods": [{"name", "curves": true or false}], "aopc_ratios", "ratios"}'
    )
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the whole inputs (Parquet)")
    parser.add_argument("--perturbations", type=Path, required=True, help="scores of the perturbed inputs (Parquet)")
    parser.add_argument("--rationales", type=Path, nargs="+", required=True, help="one table for each of the methods")
    parser.add_argument("--output", type=Path, required=True, help="output: measures of orders (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    answers = {before["id"]: (before, asked) for before, asked in by_instance(args.predictions, args.perturbations)}
    inputs = {"predictions": args.predictions, "perturbations": args.perturbations}
    rows = []
    for method, path in zip(spec["methods"], args.rationales, strict=True):
        inputs[method["name"]] = path
        for rationale in read_table(path, RATIONALES):
            if rationale["id"] not in answers:
                raise UserError(f"{path}: row {rationale['id']!r} has no perturbation in {args.perturbations}")
            rows.append(measure(*answers[rationale["id"]], rationale, method, spec))
    write_table(args.output, rows, CURVES, provenance("curves", spec, inputs, ("numpy", "scipy")))
    say(f"{args.output}: {len(rows)} rows")
