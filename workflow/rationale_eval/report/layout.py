"""How the report names, groups and orders the parts of a study: cells, methods and their families."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from rationale_eval.errors import UserError
from rationale_eval.home_paths import without_home
from rationale_eval.rationales.budgets import AS_GIVEN

CELL = ["corpus", "model", "checkpoint"]
REFERENCE, PROMPTING = "reference", "prompting"
REFERENCE_KINDS = frozenset({"random", "first_words", "last_words", "human", "all_words"})
PROMPT = "prompt"
# The family of kinds that are named otherwise.
EVIDENCE_OF = {"integrated_gradients": "gradients", "gradient_x_attention": "attention"}
BASE = "base"
# Flips minus those of equally many random words in the same instance, so that sets of other sizes can be compared.
BEYOND = "flip_beyond_random"
_EPOCH = re.compile(r"epoch-(\d+)-seed-(\d+)")


@dataclass(frozen=True)
class Cell:
    """One corpus with one checkpoint of one model: the unit in which everything is computed."""

    corpus: str
    model: str
    checkpoint: str

    def folder(self, results: Path) -> Path:
        """Where the tables of this cell lie."""
        return results / self.corpus / self.model / self.checkpoint

    @property
    def title(self) -> str:
        """The cell in words."""
        return f"{self.corpus}, {self.model}, {self.checkpoint}"

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a report table that belong to this cell."""
        mine = (table["corpus"] == self.corpus) & (table["model"] == self.model)
        return table[mine & (table["checkpoint"] == self.checkpoint)]


def of_cell(spec: Mapping[str, Any], cell: Cell) -> Mapping[str, Any]:
    """``spec`` with the methods, and those ``evaluated``, that are run on the corpus of ``cell``.

    ``methods_of`` says by corpus which these are, where they are not all. A budget that is matched to another method
    has no size there.
    """
    chosen = spec.get("methods_of", {}).get(cell.corpus)
    if chosen is None:
        return spec
    kept = {"methods": {name: entry for name, entry in spec["methods"].items() if name in chosen}}
    if "evaluated" not in spec:
        return {**spec, **kept}
    evaluated = [
        method | {"budgets": {name: b for name, b in method["budgets"].items() if b.get("to", chosen[0]) in chosen}}
        for method in spec["evaluated"]
        if method["name"] in chosen
    ]
    return {**spec, **kept, "evaluated": evaluated}


def cells_in(table: pd.DataFrame) -> list[Cell]:
    """The cells of a report table, in the order in which they appear."""
    return [Cell(*map(str, key)) for key in table[CELL].drop_duplicates().itertuples(index=False)]


def short_titles(cells: list[Cell]) -> dict[Cell, str]:
    """For each cell the corpus, and the model and checkpoint where the cells differ in these."""
    names = [name for name in CELL if name == "corpus" or len({getattr(cell, name) for cell in cells}) > 1]
    return {cell: ", ".join(getattr(cell, name) for name in names) for cell in cells}


def family(kind: str) -> str:
    """The family of a method: the evidence that it reads, ``prompting``, ``reference``, ``external`` or ``plugin``."""
    if kind in REFERENCE_KINDS:
        return REFERENCE
    if kind in EVIDENCE_OF:
        return EVIDENCE_OF[kind]
    own = ("gradients", "attention", "ablation", "external")
    return PROMPTING if kind == PROMPT else kind if kind in own else "plugin"


def prompted(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The methods that ask the model for its words."""
    return [name for name in ordered(methods) if methods[name]["kind"] == PROMPT]


def is_checkpoint(name: str) -> bool:
    """Whether ``name`` is one of a checkpoint, as ``epoch_and_seed`` reads it."""
    return name == BASE or _EPOCH.fullmatch(name) is not None


def epoch_and_seed(checkpoint: str) -> tuple[int, int | None]:
    """The epoch and the seed in a checkpoint's name, for example ``epoch-03-seed-1``; ``base`` is epoch 0 without one.

    Raises ``UserError`` for another name.
    """
    if checkpoint == BASE:
        return 0, None
    found = _EPOCH.fullmatch(checkpoint)
    if found is None:
        raise UserError(f"checkpoint {checkpoint!r}: neither {BASE!r} nor of the form epoch-01-seed-0")
    return int(found[1]), int(found[2])


def ordered(methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The methods by family and name, references last."""

    def key(name: str) -> tuple[bool, str, str]:
        group = family(methods[name]["kind"])
        return group == REFERENCE, group, name

    return sorted(methods, key=key)


def main_rows(table: pd.DataFrame, methods: Mapping[str, Mapping[str, Any]], main_budget: str) -> pd.DataFrame:
    """The rows at the main budget, with sets of words as they were given, by the order of ``ordered``."""
    chosen = table[table["budget"].isin([main_budget, AS_GIVEN]) & table["method"].isin(list(methods))]
    rank = {name: position for position, name in enumerate(ordered(methods))}
    return chosen.sort_values("method", key=lambda column: column.map(rank), kind="stable")


def one_row_each(rows: pd.DataFrame) -> pd.DataFrame:
    """``main_rows`` with sets of words as given only, where one can also be cut to the main budget."""
    sets = set(rows.loc[rows["budget"] == AS_GIVEN, "method"])
    return rows[~rows["method"].isin(sets) | (rows["budget"] == AS_GIVEN)]


def read_summary(path: Path) -> pd.DataFrame:
    """Read one of the report's own tables. Raises ``UserError`` for a missing or damaged one."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such table; the stage `tables` writes it") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a whole Parquet file ({error}); delete it and run again") from None


def read_claims(path: Path) -> dict[str, Any]:
    """What the stage ``claims`` wrote. Raises ``UserError`` where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; the stage `claims` writes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not whole ({error}); delete it and run again") from None
    return found


# Measures that are constants of a reference row by construction, whatever was seen: an interval would say nothing.
_BY_DEFINITION = {
    "human": {"precision", "recall", "f1", "f1_correct", "f1_wrong", "iou"},  # 1: the marked words against themselves
    # As many random words are all words too, and nothing is masked where all words are kept.
    "all_words": {"recall", "f1_corrected", "sufficiency", "flip_when_kept"},
    # 0: normalised values are counted from random words.
    "random": {"flip_normalised", "comprehensiveness_normalised", "sufficiency_normalised"},
    # Of some words of a text but not all, the first ones never have the last, nor the last ones the first.
    "first_words": {"first", "last"},
    "last_words": {"first", "last"},
}


def by_definition(kind: str, measure: str) -> bool:
    """Whether ``measure`` has the same value for every instance and model, by what a method of ``kind`` is."""
    return measure in _BY_DEFINITION.get(kind, ())


def flagged(text: str, collapsed: bool) -> str:
    """``text`` with a dagger if it names a collapsed cell, whose values are inconclusive."""
    return f"{text}\N{NO-BREAK SPACE}\N{DAGGER}" if collapsed else text


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a corpus or model, without home folders. Raises ``UserError`` where there is none."""
    path = folder / "card.json"
    try:
        card: dict[str, Any] = without_home(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such card") from None
    except ValueError as error:
        raise UserError(f"{path}: not a whole card ({error}); delete it and run again") from None
    return card
