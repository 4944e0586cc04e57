"""A few instances with the words that people and methods point at, chosen by a rule and not by how well they look."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.rationales.budgets import AS_GIVEN, MATCHED, selections, sizes
from rationale_eval.rationales.choices import gold_of
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report.cells import (
    rationales_path,
    read_alignment,
    read_faithfulness,
    read_predictions,
    read_replies,
)
from rationale_eval.report.findings import candidates
from rationale_eval.report.flags import has_flag
from rationale_eval.report.layout import PROMPT, Cell, family, read_card
from rationale_eval.report.marked import MARKED
from rationale_eval.report.wording import number
from rationale_eval.tables import read_table

Piece = tuple[str, bool]


@dataclass(frozen=True)
class Reading:
    """One text as one source marks it: ``fields`` maps field names to pieces of text, each marked or not.

    ``reply`` is what the model wrote when it was asked for its words, unedited; None for other sources.
    """

    source: str
    note: str
    fields: Mapping[str, Sequence[Piece]]
    reply: str | None = None


@dataclass(frozen=True)
class Example:
    """One instance with its prediction and the readings of people and of methods.

    ``probability`` is None where a label was read from an API's answer.
    """

    cell: Cell
    id: str
    gold: str
    predicted: str
    probability: str | None
    correct: bool
    readings: Sequence[Reading]


def pieces(instance: Instance, marked: Sequence[bool]) -> dict[str, list[Piece]]:
    """The fields of ``instance`` cut into pieces (text, marked); marked neighbours are one piece, with what is between.

    The pieces of a field add up to its text.
    """
    spans: list[list[list[int]]] = [[] for _ in instance.fields]
    previous = None
    for position, (word, chosen) in enumerate(zip(instance.words, marked, strict=True)):
        if not chosen:
            continue
        mine = spans[word.field]
        if mine and previous == position - 1:
            mine[-1][1] = word.end
        else:
            mine.append([word.start, word.end])
        previous = position
    found: dict[str, list[Piece]] = {}
    for (name, text), places in zip(instance.fields.items(), spans, strict=True):
        cut: list[Piece] = []
        end = 0
        for start, stop in places:
            cut += [(text[end:start], False), (text[start:stop], True)]
            end = stop
        found[name] = [piece for piece in [*cut, (text[end:], False)] if piece[0]]
    return found


def shown_methods(alignment: pd.DataFrame, budget: str) -> list[tuple[str, str]]:
    """Of each family the method with the highest F1 in this cell, references and flagged methods left out; best first.

    Each with the budget that it is shown at: ``as_given`` for sets of words, ``budget`` for what is cut.
    """
    best: dict[str, Mapping[str, Any]] = {}
    sets = set(alignment.loc[alignment["budget"] == AS_GIVEN, "method"])
    scored = [row for row in candidates(alignment, budget) if row["method"] not in sets]
    for row in [*scored, *candidates(alignment, AS_GIVEN)]:
        group = family(row["kind"])
        if not has_flag(row["flag"]) and pd.notna(row["f1"]) and (group not in best or row["f1"] > best[group]["f1"]):
            best[group] = row
    found = sorted(best.values(), key=lambda row: -row["f1"])
    return [(row["method"], row["budget"]) for row in found]


def choose(predictions: pd.DataFrame, count: int) -> list[str]:
    """``count`` ids in the order of a hash of the id, the larger half misclassified as far as there are any.

    One id alone is thus of a misclassified instance where there is one.
    """
    known = predictions[predictions["predicted"].notna()]
    ids = sorted(known["id"], key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    wrong = set(known.loc[known["predicted"] != known["gold"], "id"])
    misses, hits = [name for name in ids if name in wrong], [name for name in ids if name not in wrong]
    # Where one kind is too few, the other fills up.
    few = max(count - len(hits), min((count + 1) // 2, len(misses)))
    return [*hits[: count - few], *misses[:few]]


def chosen_words(
    cell: Cell,
    results: Path,
    method: str,
    budget: tuple[str, Mapping[str, Any]],
    instances: Mapping[str, Instance],
) -> dict[str, tuple[Mapping[str, Any], list[bool] | None]]:
    """By id the first rationale of one method, and the words that it keeps at one ``budget`` (name, entry).

    The words are None where there are none to keep.
    """
    path = rationales_path(cell, results, method)
    rows = {row["id"]: row for row in read_table(path, RATIONALES) if row["sample"] == 0}
    name, entry = budget
    matched: dict[tuple[str, str], int | None] = {}
    if entry["kind"] == MATCHED:
        matched = sizes(entry["to"], read_table(rationales_path(cell, results, entry["to"]), RATIONALES))
    found: dict[str, tuple[Mapping[str, Any], list[bool] | None]] = {}
    for key, instance in instances.items():
        ((_, _, chosen),) = selections(rows[key], gold_of(instance), {name: entry}, matched)
        found[key] = (rows[key], chosen)
    return found


def _readings(
    cell: Cell,
    results: Path,
    method: str,
    budget: tuple[str, Mapping[str, Any]],
    prompted: bool,
    instances: Mapping[str, Instance],
) -> dict[str, Reading]:
    """By id what one method says of ``instances`` at one ``budget`` (name, entry), where it says anything."""
    name, _ = budget
    replies = _replies(cell, results, method) if prompted else {}
    f1 = _first_samples(read_alignment(cell, results, [method]), method, name, "f1")
    flips = _first_samples(read_faithfulness(cell, results, [method]), method, name, "flip")
    found = {}
    for key, (row, chosen) in chosen_words(cell, results, method, budget, instances).items():
        instance, reply = instances[key], replies.get(key)
        if chosen is None and reply is None:
            continue
        notes = [_outcome(row) if reply is not None else "", _note(f1.get(key), flips.get(key))]
        marked = pieces(instance, chosen or [False] * len(instance.words))
        found[key] = Reading(method, "; ".join(filter(None, notes)), marked, reply)
    return found


def _first_samples(frame: pd.DataFrame, method: str, budget: str, measure: str) -> dict[str, float]:
    mine = frame[(frame["method"] == method) & (frame["budget"] == budget) & (frame["sample"] == 0)]
    return dict(zip(mine["id"], mine[measure], strict=True))


def _replies(cell: Cell, results: Path, method: str) -> dict[str, str]:
    """By id the first reply, unedited, where there is one."""
    frame = read_replies(cell, results, method)
    frame = frame[(frame["sample"] == 0) & frame["reply"].notna()]
    return dict(zip(frame["id"], frame["reply"], strict=True))


def _outcome(row: Mapping[str, Any]) -> str:
    """How a reply was read."""
    text = f"reply read as: {(row['outcome'] or row['status']).replace('_', ' ')}"
    missing = ", ".join(f"“{item}”" for item in row["hallucinated"] or ())
    return f"{text}; not in the text: {missing}" if missing else text


def examples(
    cell: Cell, results: Path, alignment: pd.DataFrame, budget: Mapping[str, Mapping[str, Any]], count: int
) -> list[Example]:
    """``count`` examples of one cell at the one ``budget`` {name: entry}; ``alignment`` are its rows of the report."""
    main = next(iter(budget))
    kinds = dict(zip(alignment["method"], alignment["kind"], strict=True))
    predictions = read_predictions(cell, results)
    ids = choose(predictions, count)
    corpus = read_instances(results / "corpora" / cell.corpus / "test.parquet")
    instances = {row.id: row for row in corpus if row.id in ids}
    readings = [
        _readings(cell, results, method, (at, budget.get(at, {"kind": AS_GIVEN})), kinds[method] == PROMPT, instances)
        for method, at in shown_methods(alignment, main)
    ]
    source = MARKED[read_card(results / "corpora" / cell.corpus)["marked_by"]].rationale
    found = []
    for row in predictions.set_index("id", drop=False).loc[ids].to_dict("records"):
        instance = instances[row["id"]]
        gold = gold_of(instance)
        shown = [Reading(source, "" if any(gold) else "no word is marked", pieces(instance, gold))]
        shown += [of_method[instance.id] for of_method in readings if instance.id in of_method]
        right = row["predicted"] == row["gold"]
        probability = None if row["probabilities"] is None else number(max(row["probabilities"]))
        found.append(Example(cell, instance.id, row["gold"], row["predicted"], probability, right, shown))
    return found


def _note(f1: float | None, flip: float | None) -> str:
    parts = []
    if f1 is not None and pd.notna(f1):
        parts.append(f"F1 {number(f1)}")
    if flip is not None and pd.notna(flip):
        parts.append("masking them flips the prediction" if flip else "masking them does not flip the prediction")
    return "; ".join(parts)
