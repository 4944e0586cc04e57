"""Collect the study's cells into tables: of accuracy, labels, alignment, faithfulness, splits, prompting and more.

Each is written as Parquet and as CSV.

Every mean is a mean over instances. The samples of a method that draws at random are averaged within an instance first,
so that counts are counts of instances. `instances` counts all test rows of the cell and `n` those in the mean; the
columns `status_…` say why the others are not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.aggregate import (
    Row,
    correctness,
    instance_means,
    means,
    n_informative,
    status_counts,
    with_corrected_interval,
    with_interval,
)
from rationale_eval.report.belonging import check_belonging
from rationale_eval.report.cell_flags import flag_inputs, read_completeness
from rationale_eval.report.cells import (
    METRIC_PREFIX,
    read_alignment,
    read_faithfulness,
    read_predictions,
    read_rationales,
    read_readings,
    read_replies,
    readings_path,
    replies_path,
)
from rationale_eval.report.completeness import COMPLETENESS_COLUMNS
from rationale_eval.report.flags import Flags, flag_of, method_flags
from rationale_eval.report.label_spread import LABEL_COLUMNS, label_rows
from rationale_eval.report.layout import CELL, Cell, by_definition, of_cell, ordered, prompted
from rationale_eval.report.measured import Measured, measured
from rationale_eval.report.positions import POSITION_COLUMNS, position_inputs, position_row, read_positions
from rationale_eval.report.prompting import PROMPTING_COLUMNS, prompting_row
from rationale_eval.report.table_files import write
from rationale_eval.report.trajectory import TRAJECTORY_COLUMNS, trajectory_rows
from rationale_eval.report.usability import usable_ids
from rationale_eval.report.validity import (
    LABEL_MASS,
    MARGINS,
    groups,
    is_collapsed,
    label_mass_quantiles,
    margin_quantiles,
    random_flips,
    reference_flips,
)
from rationale_eval.report.word_agreement import AGREEMENT_COLUMNS, agreement_rows
from rationale_eval.statistics.comparison import holm
from rationale_eval.statistics.intervals import DIFFERENCE, proportion_interval
from rationale_eval.statistics.labels import entropy, macro_f1, macro_f1_interval, majority


def _estimate(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


_METHOD = (*CELL, "method", "kind", "budget")
_OUTCOMES = ("n_correct", "n_wrong")


def _outcomes(name: str) -> tuple[str, ...]:
    return (*_estimate(f"{name}_correct"), *_estimate(f"{name}_wrong"), *_OUTCOMES)


# Shares and F1 are fractions of 1, the entropy is in bits; `labels` is the number of labels to choose from. `margin_q…`
# are quantiles of the difference of the two highest label probabilities, `label_mass_q…` of the probability that the
# answer begins with any verbaliser. `collapsed`: see `validity.is_collapsed`; the other tables repeat it. `flag` in
# these: why a method's values say nothing of its words, see `flags`; null if they do.
ACCURACY_COLUMNS = (
    *(*CELL, "instances", "n", *_estimate("accuracy"), *_estimate("macro_f1"), "labels"),
    *("majority_predicted", "majority_predicted_share", "majority_gold", "majority_gold_share", "predicted_entropy"),
    *(*MARGINS, *LABEL_MASS, "collapsed"),
)
# `n_informative`: those of the n instances in which the words could have been others, see `aggregate.can_differ`.
# `selected`: mean number of words; `n_short`: instances whose reply names fewer than the budget asks for. `f1_chance`:
# the expected F1 of random sets of the same sizes; `f1_corrected`: F1 minus that; `auprc_chance`: the expected AUPRC of
# random orders. `…_correct` and `…_wrong`: over
# instances that the model classified correctly or wrongly. What plugins measure follows at the end as `metric_…`.
ALIGNMENT_COLUMNS = (
    *(*_METHOD, "instances", "n", "n_informative", "selected", "n_short"),
    *(*_estimate("precision"), *_estimate("recall")),
    *(*_estimate("f1"), "f1_chance", *_estimate("f1_corrected"), *_estimate("iou"), *_estimate("auprc")),
    *("auprc_chance", *_outcomes("f1"), "collapsed", "flag"),
)
# `n_short`: as above. `flip_rate`: share of predicted labels that change when the words are masked. Comprehensiveness
# and sufficiency are differences of the predicted label's probability. Only some budgets are also scored with the words
# alone kept: `sufficiency` and `flip_when_kept` are means over `n_kept` instances. What a flip rate is read beside
# follows: `flip_random`, equally many random words on the `n_random` instances where such were drawn, and
# `flip_beyond_random`, the difference on these instances, with its effect size and p, which is corrected by Holm over
# the rows of the cell; the cell's flip rates of all and of people's words; and what the accuracy table says of it.
_BESIDE = ("accuracy", "majority_predicted_share", "predicted_entropy", *MARGINS, "collapsed")
FAITHFULNESS_COLUMNS = (
    *(*_METHOD, "instances", "n", "n_informative", "selected", "n_short"),
    *(*_estimate("flip_rate"), *_estimate("comprehensiveness")),
    *("n_kept", *_estimate("sufficiency"), *_estimate("flip_when_kept"), *_outcomes("flip_rate")),
    *("n_random", *_estimate("flip_random"), *_estimate("flip_beyond_random")),
    *("beyond_random_effect", "beyond_random_p", "beyond_random_p_corrected"),
    *(*_estimate("flip_all_words"), *_estimate("flip_human"), *_BESIDE, "flag"),
)
# By `split` (outcome, label, length) the instances of each `group`, at the main budget and for sets as given.
SPLIT_COLUMNS = (
    *(*_METHOD, "split", "group", "n_f1", *_estimate("f1_corrected"), "n_flip_rate", *_estimate("flip_rate")),
    *("collapsed", "flag"),
)
COLUMNS = {
    "accuracy": ACCURACY_COLUMNS,
    "alignment": ALIGNMENT_COLUMNS,
    "faithfulness": FAITHFULNESS_COLUMNS,
    "splits": SPLIT_COLUMNS,
    "labels": LABEL_COLUMNS,
    "prompting": PROMPTING_COLUMNS,
    "agreement": AGREEMENT_COLUMNS,
    "completeness": COMPLETENESS_COLUMNS,
    "positions": POSITION_COLUMNS,
    "trajectory": TRAJECTORY_COLUMNS,
}


def _by_outcome(name: str, values: pd.Series, correct: pd.Series, interval: Mapping[str, Any]) -> Row:
    outcome = correct.reindex(values.index)
    row: Row = {}
    for side, right in (("correct", 1.0), ("wrong", 0.0)):
        mine = values[outcome == right]
        row |= {f"{name}_{side}": float(mine.mean()) if len(mine) else None, f"n_{side}": len(mine)}
        row |= with_interval(f"{name}_{side}", mine, interval)
    return row


def _without_constants(row: Row, kind: str) -> Row:
    """``row`` without the bounds of what is a constant by definition, not by what was seen."""
    names = {name.removesuffix("_low").removesuffix("_high") for name in row}
    constant = [name for name in names if by_definition(kind, name)]
    return row | {f"{name}{end}": None for name in constant for end in ("_low", "_high")}


def accuracy_row(predictions: pd.DataFrame, interval: Mapping[str, Any], validity: Mapping[str, Any]) -> Row:
    """The accuracy of one cell, with a Wilson interval, how its predicted labels are spread, and how sure it is."""
    predicted = predictions[predictions["predicted"].notna()]
    gold, labels = predicted["gold"].to_list(), predicted["predicted"].to_list()
    hits, n = sum(map(str.__eq__, gold, labels)), len(labels)
    low, high = proportion_interval(hits, n, interval["level"])
    majority_predicted, majority_predicted_share = majority(labels)
    majority_gold, majority_gold_share = majority(gold)
    return status_counts(predictions) | {
        "n": n,
        "accuracy": hits / n if n else None,
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": macro_f1(gold, labels),
        **dict(zip(("macro_f1_low", "macro_f1_high"), macro_f1_interval(gold, labels, interval), strict=True)),
        "labels": len({label for labels in predictions["labels"] for label in labels}),
        "majority_predicted": majority_predicted,
        "majority_predicted_share": majority_predicted_share,
        "majority_gold": majority_gold,
        "majority_gold_share": majority_gold_share,
        "predicted_entropy": entropy(labels),
        **margin_quantiles(predictions),
        **label_mass_quantiles(predictions),
        "collapsed": is_collapsed(majority_predicted_share, validity),
    }


def alignment_row(frame: pd.DataFrame, correct: pd.Series, interval: Mapping[str, Any], kind: str = "") -> Row:
    """The alignment of one method of this ``kind`` under one budget in one cell."""
    measures = ("selected", "precision", "recall", "f1", "f1_chance", "f1_corrected", "iou", "auprc", "auprc_chance")
    metrics = [str(column) for column in frame.columns if str(column).startswith(METRIC_PREFIX)]
    values = instance_means(frame, "f1", (*measures, *metrics))
    return {
        **status_counts(frame),
        "n": len(values),
        "n_informative": n_informative(frame, "f1"),
        "n_short": int(frame.loc[frame["short"].eq(True), "id"].nunique()),
        **means(values),
        **{
            name: bound
            for measure in ("precision", "recall", "f1", "iou", "auprc")
            for name, bound in with_interval(measure, values[measure], interval).items()
        },
        **with_corrected_interval("f1_corrected", values, interval, kind),
        **{
            name: bound
            for metric in metrics
            for name, bound in with_interval(metric, values[metric], interval, None).items()
        },
        **_by_outcome("f1", values["f1"], correct, interval),
    }


def faithfulness_row(frame: pd.DataFrame, correct: pd.Series, interval: Mapping[str, Any]) -> Row:
    """The faithfulness of one method under one budget in one cell."""
    masked = instance_means(frame, "flip", ("selected", "flip", "comprehensiveness"))
    masked = masked.rename(columns={"flip": "flip_rate"})
    kept = instance_means(frame, "flip_when_kept", ("sufficiency", "flip_when_kept"))
    return {
        **status_counts(frame),
        "n": len(masked),
        "n_informative": n_informative(frame, "flip"),
        **means(masked),
        **with_interval("flip_rate", masked["flip_rate"], interval),
        **with_interval("comprehensiveness", masked["comprehensiveness"], interval, DIFFERENCE),
        "n_kept": len(kept),
        **means(kept),
        **with_interval("sufficiency", kept["sufficiency"], interval, DIFFERENCE),
        **with_interval("flip_when_kept", kept["flip_when_kept"], interval),
        **_by_outcome("flip_rate", masked["flip_rate"], correct, interval),
    }


def split_rows(
    predictions: pd.DataFrame, alignment: pd.DataFrame, faithfulness: pd.DataFrame, spec: Mapping[str, Any]
) -> Iterator[Row]:
    """The rows of the splits of one cell: each method at the main budget, and sets as given, by groups of instances."""
    words = pd.concat([alignment, faithfulness]).drop_duplicates("id").set_index("id")["words"]
    parts = list(groups(predictions, words))
    budgets = (spec["main_budget"], AS_GIVEN)
    aligned, masked = (dict(iter(frame.groupby(["method", "budget"]))) for frame in (alignment, faithfulness))
    for method in ordered(spec["methods"]):
        for budget in budgets:
            if (method, budget) not in aligned:
                continue
            f1 = instance_means(aligned[method, budget], "f1", ("f1", "f1_chance", "f1_corrected"))
            flips = instance_means(masked[method, budget], "flip", ("flip",))["flip"]
            for split, group, ids in parts:
                mine, flipped = f1[f1.index.isin(ids)], flips[flips.index.isin(ids)]
                row = {
                    **{"method": method, "kind": spec["methods"][method]["kind"], "budget": budget},
                    **{"split": split, "group": group, "n_f1": len(mine), "n_flip_rate": len(flipped)},
                    "f1_corrected": float(mine["f1_corrected"].mean()) if len(mine) else None,
                    **with_corrected_interval("f1_corrected", mine, spec["interval"], spec["methods"][method]["kind"]),
                    "flip_rate": float(flipped.mean()) if len(flipped) else None,
                    **with_interval("flip_rate", flipped, spec["interval"]),
                }
                yield _without_constants(row, row["kind"])


def _groups(frame: pd.DataFrame, spec: Mapping[str, Any]) -> Iterator[tuple[Row, pd.DataFrame]]:
    """The rows of each method under each of the study's budgets that it has, references last."""
    groups = dict(iter(frame.groupby(["method", "budget"], sort=False)))
    for method in ordered(spec["methods"]):
        for budget in (*spec["budgets"], AS_GIVEN):
            if (method, budget) in groups:
                names = {"method": method, "kind": spec["methods"][method]["kind"], "budget": budget}
                yield names, groups[method, budget]


def _flag(row: Row, flags: Flags, spec: Mapping[str, Any]) -> Row:
    return {"flag": flag_of(row["method"], row["budget"], flags, spec["budgets"])}


def collect(cells: Sequence[Cell], results: Path, spec: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The rows of each table by its name. Raises ``UserError`` for tables that are missing or lack a method."""
    rows: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    by_instance: dict[Cell, Measured] = {}
    interval, whole = spec["interval"], spec
    for cell in cells:
        spec = of_cell(whole, cell)
        names = {"corpus": cell.corpus, "model": cell.model, "checkpoint": cell.checkpoint}
        predictions = read_predictions(cell, results)
        alignment = read_alignment(cell, results, spec["methods"])
        faithfulness = read_faithfulness(cell, results, spec["methods"])
        correct = correctness(predictions)
        asked = prompted(spec["methods"])
        rationales = {method: read_rationales(cell, results, method) for method in asked}
        usable = {method: usable_ids(found) for method, found in rationales.items()}
        completeness = read_completeness(cell, results, spec)
        flags = method_flags(usable, completeness, spec["validity"])
        by_instance[cell] = measured(predictions, alignment, faithfulness)
        accuracy = accuracy_row(predictions, interval, spec["validity"])
        rows["accuracy"].append(names | accuracy)
        flagged = {"collapsed": accuracy["collapsed"]}
        short = {}
        for group, frame in _groups(alignment, spec):
            row = _without_constants(alignment_row(frame, correct, interval, group["kind"]), group["kind"])
            short[group["method"], group["budget"]] = row["n_short"]
            rows["alignment"].append(names | group | row | flagged | _flag(group, flags, spec))
        beside = {name: accuracy[name] for name in _BESIDE} | reference_flips(faithfulness, spec["methods"], interval)
        masked = []
        for group, frame in _groups(faithfulness, spec):
            row = _without_constants(faithfulness_row(frame, correct, interval), group["kind"])
            row |= random_flips(frame, spec) | {"n_short": short[group["method"], group["budget"]]}
            masked.append(names | group | row | beside | _flag(group, flags, spec))
        for row, corrected in zip(masked, holm([row["beyond_random_p"] for row in masked]), strict=True):
            row["beyond_random_p_corrected"] = corrected
        rows["faithfulness"] += masked
        rows["splits"] += [
            names | row | flagged | _flag(row, flags, spec)
            for row in split_rows(predictions, alignment, faithfulness, spec)
        ]
        for group, frame in _groups(read_positions(cell, results, spec), spec):
            rows["positions"].append(
                names | group | position_row(frame, group["kind"], interval) | flagged | _flag(group, flags, spec)
            )
        rows["labels"] += [names | row | flagged for row in label_rows(predictions)]
        readings = {method: read_readings(cell, results, method) for method in asked}
        for method in asked:
            replies = read_replies(cell, results, method)
            row = prompting_row(rationales[method], readings[method], replies, predictions)
            rows["prompting"].append(names | {"method": method} | row | flagged | {"flag": flags.get(method)})
        rows["agreement"] += [
            names | row | flagged | {"flag": flags.get(row["method"]) or flags.get(row["other"])}
            for row in agreement_rows(rationales, readings)
        ]
        rows["completeness"] += [names | {"method": method} | row | flagged for method, row in completeness.items()]
    rows["trajectory"] = trajectory_rows(rows, by_instance)
    return rows


def inputs_of(cell: Cell, results: Path, spec: Mapping[str, Any]) -> dict[str, Path]:
    """The tables of one cell that are read, by what they are."""
    spec = of_cell(spec, cell)
    methods = spec["methods"]
    found = {name: cell.folder(results) / f"{name}.parquet" for name in ("predictions", "alignment", "faithfulness")}
    found |= position_inputs(cell, results, spec)
    for method in prompted(methods):
        found[f"readings of {method}"] = readings_path(cell, results, method)
        found[f"replies to {method}"] = replies_path(cell, results, method)
    return {f"{cell.title}: {name}": path for name, path in found.items()} | flag_inputs([cell], results, spec)


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval tables", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, "budgets": {name: entry}, '
        '"evaluated": [{"name", "budgets"}], "unavailable": {model: [method]}, '
        '"main_budget": name, "interval": {"resamples", "seed", "level"}, "validity": that section}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the tables")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    cells = [Cell(**cell) for cell in spec["cells"]]
    if not cells:
        raise UserError("the study has no cell: give it at least one corpus, model and checkpoint")
    rows = collect(cells, args.results, spec)
    inputs = {name: path for cell in cells for name, path in inputs_of(cell, args.results, spec).items()}
    check_belonging(inputs.values(), args.results)
    made = provenance("tables", spec, inputs, ("numpy", "pandas", "scipy", "statsmodels"))
    for name, found in rows.items():
        write(args.output, name, COLUMNS[name], found, made)
        say(f"{args.output / name}: {len(found)} rows")
