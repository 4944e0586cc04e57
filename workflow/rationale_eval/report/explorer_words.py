"""The words of one cell as the explorer holds them: each method's scores and selected words, and the raw replies.

They are unpacked ``BLOCK`` instances at a time, so that a page opens at once however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.rationales.budgets import MATCHED, Sizes, selections, sizes
from rationale_eval.rationales.choices import gold_of
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report.cells import rationales_path, readings_path, replies_path
from rationale_eval.report.explorer_cell import CellReader
from rationale_eval.report.explorer_corpus import BLOCK, first_words
from rationale_eval.report.explorer_pack import levels
from rationale_eval.report.layout import Cell
from rationale_eval.tables import iter_table

# What the explorer shows of a reply, and of how it was read.
OF_REPLY = ("status", "label", "asked", "capped", "reply", "finish", "answer")
OF_READING = ("outcome", "listed", "hallucinated", "copied", "order")


class CellWords:
    """Scores, selected words and replies of a cell, all its instances at once; ``blocks`` cuts them.

    ``reader`` and ``evaluated`` are as in ``CellReader``; ``prompted`` names the methods with replies. A score takes a
    byte, a selected word of a method at one budget too.
    """

    def __init__(
        self,
        cell: Cell,
        results: Path,
        reader: CellReader,
        evaluated: Sequence[Mapping[str, Any]],
        prompted: Sequence[str],
    ) -> None:
        self.reader, self.instances = reader, reader.instances
        self.first = first_words(self.instances)
        words, count = int(self.first[-1]), len(self.instances)
        self.scores: dict[str, np.ndarray] = {}
        self.largest: dict[str, np.ndarray] = {}
        self.masks = {view: np.zeros(words, dtype=bool) for view in reader.views}
        self.replies: dict[str, list[list[dict[str, Any]]]] = {}
        paths = {name: rationales_path(cell, results, name) for name in reader.methods}
        matched = self._matched(evaluated, paths)
        for method in evaluated:
            name = method["name"]
            for place, row in reader.rows(paths[name], RATIONALES):
                self._take(name, place, row, method["budgets"], matched)
        for name in prompted:
            self.replies[name] = [[] for _ in range(count)]
            readings = {
                (row["id"], row["sample"]): {key: row[key] for key in OF_READING} | {"read": row["status"]}
                for row in iter_table(readings_path(cell, results, name), RATIONALES)
            }
            for row in iter_table(path := replies_path(cell, results, name), REPLIES):
                reply = {key: row[key] for key in OF_REPLY} | readings.get((row["id"], row["sample"]), {})
                known = {key: value for key, value in reply.items() if value is not None}
                self.replies[name][reader.place(path, row["id"])].append(known)

    def _matched(self, evaluated: Sequence[Mapping[str, Any]], paths: Mapping[str, Path]) -> Sizes:
        targets = {
            budget["to"] for method in evaluated for budget in method["budgets"].values() if budget["kind"] == MATCHED
        }
        found: dict[tuple[str, str], int | None] = {}
        for target in sorted(targets):
            found |= sizes(target, iter_table(paths[target], RATIONALES))
        return found

    def _take(
        self, method: str, place: int, row: Mapping[str, Any], budgets: Mapping[str, Mapping[str, Any]], matched: Sizes
    ) -> None:
        words = slice(self.first[place], self.first[place + 1])
        if row["scores"] is not None:
            if method not in self.scores:
                self.scores[method] = np.zeros(int(self.first[-1]), dtype=np.int8)
                self.largest[method] = np.full(len(self.instances), np.nan, dtype=np.float32)
            self.scores[method][words], self.largest[method][place] = levels(np.array(row["scores"], dtype=float))
        for budget, _, mask in selections(row, gold_of(self.instances[place]), budgets, matched):
            if mask is not None:
                self.masks[method, budget][words] = mask

    def outcomes(self) -> dict[str, Any]:
        """For each prompted method and instance the ways in which its replies were read, as bits; and their names."""
        names: list[str] = []
        bits = np.zeros((len(self.replies), len(self.instances)), dtype=np.uint32)
        for number, of_method in enumerate(self.replies.values()):
            for place, replies in enumerate(of_method):
                for reply in replies:
                    outcome = reply.get("outcome") or reply["status"]
                    if outcome not in names:
                        names.append(outcome)
                    bits[number, place] |= 1 << names.index(outcome)
        return {"prompted": list(self.replies), "outcomes": names, "read_as": bits}

    def blocks(self) -> Iterator[dict[str, Any]]:
        """The words of ``BLOCK`` instances after another, for ``pack``.

        ``scores`` has the words of all scored methods one after another, ``largest`` what 127 stands for; ``masks`` the
        bits of all views, each beginning with a byte of its own.
        """
        scored = list(self.scores)
        for begin in range(0, len(self.instances), BLOCK):
            end = min(begin + BLOCK, len(self.instances))
            words = slice(self.first[begin], self.first[end])
            masks = [np.packbits(self.masks[view][words], bitorder="little") for view in self.reader.views]
            yield {
                "scored": scored,
                "scores": _joined([self.scores[name][words] for name in scored], np.int8),
                "largest": _joined([self.largest[name][begin:end] for name in scored], np.float32),
                "masks": _joined(masks, np.uint8),
                "replies": {name: replies[begin:end] for name, replies in self.replies.items()},
            }


def _joined(parts: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
