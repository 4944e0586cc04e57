"""Faithfulness of each rationale from the perturbed scores, per instance.

With y the label predicted for the whole input, p the softmax of the label scores over the labels and r the rationale:
flip (Fayyaz et al. 2024): masking r changes the predicted label; comprehensiveness (DeYoung et al. 2020): p(y | x) -
p(y | x without r); sufficiency: p(y | x) - p(y | r alone).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import FAITHFULNESS, KEEP, MASK, OK, PERTURBATIONS
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.tables import read_table, write_table


def softmax(scores: Any) -> Any:
    """The softmax of label scores, in float64."""
    exponentials = np.exp(np.asarray(scores, dtype=float) - np.max(scores))
    return exponentials / exponentials.sum()


def drop(prediction: Mapping[str, Any], perturbed: Mapping[str, Any]) -> float | None:
    """By how much the probability of the predicted label falls; None where there are no scores, but labels alone."""
    if prediction["scores"] is None or perturbed["scores"] is None:
        return None
    label = prediction["labels"].index(prediction["predicted"])
    return float(softmax(prediction["scores"])[label] - softmax(perturbed["scores"])[label])


def measure(prediction: Mapping[str, Any], perturbed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The faithfulness row of one rationale from its perturbation rows by operation."""
    masked, kept = perturbed[MASK], perturbed.get(KEEP)
    row = {name: masked[name] for name in ("id", "method", "sample", "budget", "status", "words", "selected")}
    row |= dict.fromkeys(("flip", "comprehensiveness", "sufficiency", "flip_when_kept"))
    if prediction["status"] != OK:
        return row | {"status": prediction["status"]}
    if masked["status"] == OK:
        row["flip"] = masked["predicted"] != prediction["predicted"]
        row["comprehensiveness"] = drop(prediction, masked)
    if kept is not None and kept["status"] == OK:
        row["flip_when_kept"] = kept["predicted"] != prediction["predicted"]
        row["sufficiency"] = drop(prediction, kept)
    return row


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval faithfulness", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: {} (the stage has no settings)")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions of the whole inputs (Parquet)")
    parser.add_argument("--perturbations", type=Path, required=True, help="scores of the perturbed inputs (Parquet)")
    parser.add_argument("--output", type=Path, required=True, help="output: faithfulness (Parquet)")
    args = parser.parse_args(argv)
    predictions = {row["id"]: row for row in read_table(args.predictions, PREDICTIONS)}
    cells: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for row in read_table(args.perturbations, PERTURBATIONS):
        if row["id"] not in predictions:
            raise UserError(f"{args.perturbations}: row {row['id']!r} has no prediction in {args.predictions}")
        key = (row["method"], row["budget"], row["sample"], row["id"])
        cells.setdefault(key, {})[row["operation"]] = row
    rows = [measure(predictions[key[-1]], perturbed) for key, perturbed in cells.items()]
    inputs = {"predictions": args.predictions, "perturbations": args.perturbations}
    made = provenance("faithfulness", json.loads(args.spec), inputs, ("numpy",))
    write_table(args.output, rows, FAITHFULNESS, made)
    say(f"{args.output}: {len(rows)} rows")
