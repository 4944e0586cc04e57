"""One cell as the explorer holds it: predictions, measures and what was masked, by instance, method and budget.

Of repeated draws (``sample``) the first is shown; of replies all are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.alignment import ALIGNMENT
from rationale_eval.corpora.instances import Instance
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import ALL, FAITHFULNESS, KEEP, MASK, OK, PERTURBATIONS, WHOLE, is_choice
from rationale_eval.report.cells import faithfulness_path
from rationale_eval.report.explorer_pack import MISSING, fixed
from rationale_eval.report.layout import Cell
from rationale_eval.tables import TableSchema, iter_table

ALIGNED = ("f1", "f1_chance", "precision", "recall", "iou")
CHANGED = ("comprehensiveness", "sufficiency", "flip_random", "comprehensiveness_random")
# The status of what a table has no row of.
ABSENT = "absent"
# No words, no label, not known.
NO_COUNT, NO_LABEL, UNKNOWN = -1, -1, -1


class Codes:
    """Texts that repeat, each by its number in the order in which it first came."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers = {text: number for number, text in enumerate(texts)}

    def of(self, text: str) -> int:
        """The number of ``text``."""
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def texts(self) -> list[str]:
        """The texts by their numbers."""
        return list(self._numbers)


class CellReader:
    """Reads the tables of one cell, a part of a file at a time, into one array a column.

    ``evaluated`` lists ``{"name", "budgets": {name: entry}}``: which budgets apply to which method. Raises
    ``UserError`` for missing or damaged tables and for rows of instances that the corpus does not have.
    """

    def __init__(
        self, cell: Cell, results: Path, instances: Sequence[Instance], evaluated: Sequence[Mapping[str, Any]]
    ) -> None:
        self.folder, self.instances = cell.folder(results), instances
        self.faithfulness = faithfulness_path(cell, results)
        self.places = {one.id: place for place, one in enumerate(instances)}
        self.methods = [method["name"] for method in evaluated]
        self.views = [(method["name"], budget) for method in evaluated for budget in method["budgets"]]
        self.rank = {view: number for number, view in enumerate(self.views)}
        self.statuses, self.labels = Codes((ABSENT, OK)), Codes()

    def rows(self, path: Path, schema: TableSchema) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of a table, the first draw of repeated ones, each with the place of its instance."""
        for row in iter_table(path, schema):
            if row.get("sample", 0) == 0:
                yield self.place(path, row["id"]), row

    def place(self, path: Path, identifier: str) -> int:
        """Where an instance stands in the corpus. Raises ``UserError`` where it does not."""
        if identifier not in self.places:
            raise UserError(f"{path}: row {identifier!r} is not among the instances")
        return self.places[identifier]

    def values(self) -> dict[str, Any]:
        """What the explorer needs of the cell for its lists, filters and notes, for ``pack``."""
        found = {**self._predictions(), **self._alignment(), **self._faithfulness(), **self._perturbations()}
        return found | {"views": self.views, "statuses": self.statuses.texts, "labels": self.labels.texts}

    def _by_view(self, fill: int, kind: type) -> np.ndarray:
        return np.full((len(self.views), len(self.instances)), fill, dtype=kind)

    def _predictions(self) -> dict[str, Any]:
        count = len(self.instances)
        status, predicted = np.zeros(count, dtype=np.uint8), np.full(count, NO_LABEL, dtype=np.int32)
        scored: list[tuple[int, dict[str, Any]]] = []
        for place, row in self.rows(self.folder / "predictions.parquet", PREDICTIONS):
            status[place] = self.statuses.of(row["status"])
            if row["predicted"] is not None:
                predicted[place] = self.labels.of(row["predicted"])
            for label in row["labels"]:
                self.labels.of(label)
            if row["scores"] is not None:
                scored.append((place, row))
        scores = np.full((count, len(self.labels.texts)), np.nan, dtype=np.float32)
        probabilities = scores.copy()
        for place, row in scored:
            where = [self.labels.of(label) for label in row["labels"]]
            scores[place, where], probabilities[place, where] = row["scores"], row["probabilities"]
        return {"predicted": predicted, "status": status, "scores": scores, "probabilities": probabilities}

    def _alignment(self) -> dict[str, Any]:
        status, selected = self._by_view(0, np.uint8), self._by_view(NO_COUNT, np.int32)
        short = self._by_view(0, np.uint8)
        measures = {name: self._by_view(MISSING, np.int16) for name in ALIGNED}
        of_method = (len(self.methods), len(self.instances))
        curve = {name: np.full(of_method, MISSING, dtype=np.int16) for name in ("auprc", "auprc_chance")}
        rank = {name: number for number, name in enumerate(self.methods)}
        for place, row in self.rows(self.folder / "alignment.parquet", ALIGNMENT):
            view = self.rank.get((row["method"], row["budget"]))
            if view is None:
                continue
            status[view, place] = self.statuses.of(row["status"])
            short[view, place] = bool(row["short"])
            if row["selected"] is not None:
                selected[view, place] = row["selected"]
            for name, column in measures.items():
                column[view, place] = fixed(row[name])
            for name, column in curve.items():
                column[rank[row["method"]], place] = fixed(row[name])
        return {"alignment_status": status, "selected": selected, "short": short, **curve, **measures}

    def _faithfulness(self) -> dict[str, Any]:
        status, flip = self._by_view(0, np.uint8), self._by_view(UNKNOWN, np.int8)
        kept = self._by_view(UNKNOWN, np.int8)
        measures = {name: self._by_view(MISSING, np.int16) for name in CHANGED}
        for place, row in self.rows(self.faithfulness, FAITHFULNESS):
            view = self.rank.get((row["method"], row["budget"]))
            if view is None:
                continue
            status[view, place] = self.statuses.of(row["status"])
            for column, name in ((flip, "flip"), (kept, "flip_when_kept")):
                if row[name] is not None:
                    column[view, place] = row[name]
            for name, column in measures.items():
                column[view, place] = fixed(row[name])
        return {"faithfulness_status": status, "flip": flip, "flip_when_kept": kept, **measures}

    def _perturbations(self) -> dict[str, Any]:
        """The labels of the masked and kept texts; of the whole one where it was scored again, as announced masks are.

        ``…_whole`` and ``…_all`` are the text as it is, and with all its words masked.
        """
        masked, kept = self._by_view(NO_LABEL, np.int32), self._by_view(NO_LABEL, np.int32)
        apart = {name: np.full(len(self.instances), NO_LABEL, dtype=np.int32) for name in (WHOLE, ALL)}
        scored: dict[int, dict[str, Any]] = {}
        for place, row in self.rows(self.folder / "perturbations.parquet", PERTURBATIONS):
            if row["predicted"] is None:
                continue
            label = self.labels.of(row["predicted"])
            if row["method"] in apart:
                apart[row["method"]][place] = label
                if row["method"] == WHOLE and row["scores"] is not None:
                    scored[place] = row
            elif is_choice(row["method"], row["budget"]):
                column = {MASK: masked, KEEP: kept}[row["operation"]]
                if (view := self.rank.get((row["method"], row["budget"]))) is not None:
                    column[view, place] = label
        whole = np.full(len(self.instances), MISSING, dtype=np.int16)
        for place, row in scored.items():
            probabilities = np.exp(np.array(row["scores"]) - np.logaddexp.reduce(row["scores"]))
            whole[place] = fixed(float(probabilities.max()))
        return {
            "label_masked": masked,
            "label_kept": kept,
            "label_whole": apart[WHOLE],
            "probability_whole": whole,
            "label_all": apart[ALL],
        }
