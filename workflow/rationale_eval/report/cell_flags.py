"""Which methods of a cell are flagged, from their replies and their integrals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rationale_eval.report.aggregate import Row
from rationale_eval.report.cells import attributions_path, rationales_path, read_integrated, read_rationales
from rationale_eval.report.completeness import completeness_row, integrated
from rationale_eval.report.flags import method_flags
from rationale_eval.report.layout import Cell, of_cell, prompted
from rationale_eval.report.usability import usable_ids


def flag_inputs(cells: Iterable[Cell], results: Path, spec: Mapping[str, Any]) -> dict[str, Path]:
    """The tables that ``read_flags`` reads of ``cells``, by what they are."""
    found = {}
    for cell in cells:
        mine = of_cell(spec, cell)["methods"]
        for method in prompted(mine):
            found[f"{cell.title}: rationales of {method}"] = rationales_path(cell, results, method)
        for method in integrated(mine, spec["unavailable"][cell.model]):
            found[f"{cell.title}: attributions of {method}"] = attributions_path(cell, results, method)
    return found


def read_usable(cell: Cell, results: Path, methods: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.Series]:
    """For each prompted method of one cell which replies are usable, by id."""
    return {name: usable_ids(read_rationales(cell, results, name)) for name in prompted(methods)}


def read_completeness(cell: Cell, results: Path, spec: Mapping[str, Any]) -> dict[str, Row]:
    """For each method of one cell that is integrated gradients its row of the table of completeness."""
    return {
        name: completeness_row(read_integrated(cell, results, name), spec["methods"][name], spec["validity"])
        for name in integrated(of_cell(spec, cell)["methods"], spec["unavailable"][cell.model])
    }


def read_flags(
    cell: Cell, results: Path, spec: Mapping[str, Any], usable: Mapping[str, pd.Series] | None = None
) -> dict[str, str]:
    """The flags of the methods of one cell that have one. Raises ``UserError`` for tables that are missing.

    ``spec`` has the study's ``methods``, those ``unavailable`` by model, and ``validity``; ``usable`` is what
    ``read_usable`` gives, where it has been read.
    """
    usable = read_usable(cell, results, of_cell(spec, cell)["methods"]) if usable is None else usable
    return method_flags(usable, read_completeness(cell, results, spec), spec["validity"])
