"""A few instances with the words that people and methods point at, chosen by a rule and not by how well they look."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.rationales.budgets import AS_GIVEN, selections
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report.cells import read_alignment, read_faithfulness, read_predictions
from rationale_eval.report.findings import candidates
from rationale_eval.report.layout import Cell, family
from rationale_eval.report.wording import number
from rationale_eval.tables import read_table

Piece = tuple[str, bool]
PEOPLE = "human rationale"


@dataclass(frozen=True)
class Reading:
    """One text as one source marks it: ``fields`` maps field names to pieces of text, each marked or not."""

    source: str
    note: str
    fields: Mapping[str, Sequence[Piece]]


@dataclass(frozen=True)
class Example:
    """One instance with its prediction and the readings of people and of methods."""

    corpus: str
    id: str
    gold: str
    predicted: str
    probability: str
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


def shown_methods(alignment: pd.DataFrame, budget: str, most: int = 3) -> list[str]:
    """Of each family the method with the highest F1 in this cell, references left out; the best ``most`` of these."""
    best: dict[str, Mapping[str, Any]] = {}
    for row in [*candidates(alignment, budget), *candidates(alignment, AS_GIVEN)]:
        group = family(row["kind"])
        if pd.notna(row["f1"]) and (group not in best or row["f1"] > best[group]["f1"]):
            best[group] = row
    return [row["method"] for row in sorted(best.values(), key=lambda row: -row["f1"])[:most]]


def choose(predictions: pd.DataFrame, count: int) -> list[str]:
    """``count`` ids in the order of a hash of the id, the larger half misclassified as far as there are any."""
    known = predictions[predictions["predicted"].notna()]
    ids = sorted(known["id"], key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    wrong = set(known.loc[known["predicted"] != known["gold"], "id"])
    misses, hits = [name for name in ids if name in wrong], [name for name in ids if name not in wrong]
    # Where one kind is too few, the other fills up.
    few = max(count - len(hits), min((count + 1) // 2, len(misses)))
    return [*hits[: count - few], *misses[:few]]


def _sets(
    path: Path, instances: Mapping[str, Instance], budgets: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, list[bool]]]:
    """By id the budget and the words of the first sample of one method, as far as it has any."""
    found = {}
    for row in read_table(path, RATIONALES):
        if row["sample"] == 0 and row["id"] in instances:
            instance = instances[row["id"]]
            for budget, _, chosen in selections(row, _people(instance), budgets):
                if chosen is not None:
                    found[instance.id] = budget, chosen
    return found


def _people(instance: Instance) -> Sequence[bool]:
    return instance.rationale or (False,) * len(instance.words)


def examples(
    cell: Cell, results: Path, alignment: pd.DataFrame, budget: Mapping[str, Mapping[str, Any]], count: int
) -> list[Example]:
    """``count`` examples of one cell at the one ``budget`` {name: entry}; ``alignment`` are its rows of the report."""
    methods = shown_methods(alignment, next(iter(budget)))
    predictions = read_predictions(cell, results)
    ids = choose(predictions, count)
    corpus = read_instances(results / "corpora" / cell.corpus / "test.parquet")
    instances = {row.id: row for row in corpus if row.id in ids}
    folder = cell.folder(results) / "rationales"
    sets = {method: _sets(folder / f"{method}.parquet", instances, budget) for method in methods}
    keys = ["id", "method", "budget"]
    agreement = read_alignment(cell, results, methods).query("sample == 0").set_index(keys)["f1"]
    flips = read_faithfulness(cell, results, methods).query("sample == 0").set_index(keys)["flip"]
    found = []
    for row in predictions.set_index("id", drop=False).loc[ids].to_dict("records"):
        instance = instances[row["id"]]
        people = _people(instance)
        readings = [Reading(PEOPLE, "" if any(people) else "marked nothing", pieces(instance, people))]
        for method in methods:
            if row["id"] in sets[method]:
                name, chosen = sets[method][row["id"]]
                key = (row["id"], method, name)
                readings.append(Reading(method, _note(agreement.get(key), flips.get(key)), pieces(instance, chosen)))
        right = row["predicted"] == row["gold"]
        probability = number(max(row["probabilities"]))
        found.append(Example(cell.corpus, row["id"], row["gold"], row["predicted"], probability, right, readings))
    return found


def _note(f1: float | None, flip: float | None) -> str:
    parts = []
    if f1 is not None and pd.notna(f1):
        parts.append(f"F1 {number(f1)}")
    if flip is not None and pd.notna(flip):
        parts.append("masking them flips the prediction" if flip else "masking them does not flip the prediction")
    return "; ".join(parts)
