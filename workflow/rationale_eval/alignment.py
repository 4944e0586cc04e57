"""Alignment: how well a rationale agrees with the words that people marked, per instance.

Precision, recall and F1 over words (DeYoung et al. 2020, ERASER; Fayyaz et al. 2024), intersection over union, the
area under the precision-recall curve of scored methods, and F1 corrected for chance (see ``expected_f1``).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rationale_eval.corpora.instances import read_instances
from rationale_eval.plugins import METRIC, Plugin, load, run_metric
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.choices import Choice, choices, gold_of
from rationale_eval.rationales.schema import NO_GOLD
from rationale_eval.tables import TableSchema, write_table

MEASURES = ("precision", "recall", "f1", "f1_chance", "f1_corrected", "iou", "auprc", "auprc_chance")

# `short`: a reply names fewer words than the budget asks for. `auprc` does not depend on the budget: it stands in every
# row of a scored method. `metrics` holds those of plugins.
ALIGNMENT = TableSchema(
    name="alignment",
    columns=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("method", pa.string()),
            pa.field("sample", pa.int16()),
            pa.field("budget", pa.string()),
            pa.field("status", pa.string()),
            pa.field("words", pa.int32()),
            pa.field("gold", pa.int32()),
            pa.field("selected", pa.int32()),
            pa.field("short", pa.bool_()),
            *(pa.field(measure, pa.float32()) for measure in MEASURES),
            pa.field("metrics", pa.map_(pa.string(), pa.float32())),
        ]
    ),
    key=("id", "method", "sample", "budget"),
    required=("status", "words", "gold"),
)


def expected_f1(selected: int, gold: int, words: int) -> float:
    """The F1 that a random set of ``selected`` of ``words`` words is expected to have against ``gold`` marked ones.

    The number of hits is hypergeometric with mean selected * gold / words, and F1 = 2 hits / (selected + gold) is
    linear in it, so the expectation is exact.
    """
    return 2 * selected * gold / (words * (selected + gold))


def expected_average_precision(gold: int, words: int) -> float:
    """The average precision that a random order of ``words`` words is expected to have, ``gold`` of them marked.

    A marked word at place k has the precision (1 + (k - 1) (gold - 1) / (words - 1)) / k on average, and each place is
    as likely; with H = 1 + 1/2 + ... + 1/words the mean over places is
    (H + (gold - 1) / (words - 1) (words - H)) / words. This is of orders without ties: words of equal scores share a
    threshold in ``average_precision``, and if all are equal it is gold / words. ``gold`` is 1 at least.
    """
    harmonic = sum(1 / place for place in range(1, words + 1))
    others = (gold - 1) / (words - 1) if words > 1 else 0.0
    return (harmonic + others * (words - harmonic)) / words


def average_precision(scores: Sequence[float], gold: Sequence[bool]) -> float:
    """The area under the precision-recall curve as average precision, sum over thresholds of (R_n - R_{n-1}) P_n.

    Equal scores share a threshold, as in scikit-learn, whose function takes too long to import for a job this small.
    ``gold`` must mark at least one word.
    """
    values, truth = np.asarray(scores, dtype=float), np.asarray(gold, dtype=bool)
    order = np.argsort(-values, kind="stable")
    values, truth = values[order], truth[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    hits = np.cumsum(truth)[last_of_equals]
    precision = hits / (last_of_equals + 1)
    recall = hits / truth.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def agreement(selected: Sequence[bool], gold: Sequence[bool]) -> dict[str, float]:
    """Measures of one set of words against the marked ones; an empty set has precision, recall and F1 of 0.

    ``gold`` must mark at least one word.
    """
    hits = sum(a and b for a, b in zip(selected, gold, strict=True))
    chosen, marked = sum(selected), sum(gold)
    f1 = 2 * hits / (chosen + marked)
    chance = expected_f1(chosen, marked, len(gold))
    return {
        "precision": hits / chosen if chosen else 0.0,
        "recall": hits / marked,
        "f1": f1,
        "f1_chance": chance,
        "f1_corrected": f1 - chance,
        "iou": hits / (chosen + marked - hits),
    }


def row_of(choice: Choice, metrics: Sequence[Plugin] = ()) -> dict[str, Any]:
    """The alignment row of one rationale under one budget. Raises ``UserError`` where a plugin's metric fails."""
    gold = gold_of(choice.instance)
    row: dict[str, Any] = {
        **choice.key,
        "short": choice.short,
        "gold": sum(gold),
        **dict.fromkeys(MEASURES),
        "metrics": {},
    }
    if choice.selected is None:
        return row
    if not any(gold):
        return row | {"status": NO_GOLD}
    row |= agreement(choice.selected, gold)
    if choice.rationale["scores"] is not None:
        row["auprc"] = average_precision(choice.rationale["scores"], gold)
        row["auprc_chance"] = expected_average_precision(sum(gold), len(gold))
    row["metrics"] = {metric.name: run_metric(metric, choice.selected, gold, choice.instance.id) for metric in metrics}
    return row


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval alignment", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"methods": [{"name", "budgets"}], "metrics"}')
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--rationales", type=Path, nargs="+", required=True, help="one table for each of the methods")
    parser.add_argument("--plugins", type=Path, nargs="*", default=[], help="Python files that register metrics")
    parser.add_argument("--output", type=Path, required=True, help="output: the alignment (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    instances = {instance.id: instance for instance in read_instances(args.test)}
    registry = load(args.plugins)
    metrics = [registry.get(METRIC, name) for name in spec["metrics"]]
    rows = [row_of(choice, metrics) for choice in choices(spec["methods"], args.rationales, instances)]
    names = [method["name"] for method in spec["methods"]]
    inputs = {"test": args.test, **dict(zip(names, args.rationales, strict=True))}
    write_table(args.output, rows, ALIGNMENT, provenance("alignment", spec, inputs, ("numpy",)))
    say(f"{args.output}: {len(rows)} rows, {dict(Counter(row['status'] for row in rows))}")
