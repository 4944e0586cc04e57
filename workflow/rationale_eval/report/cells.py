"""Read the tables of a cell into pandas frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from rationale_eval.alignment import ALIGNMENT
from rationale_eval.errors import UserError
from rationale_eval.evidence.attribution_schema import INTEGRATED
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import CURVES, FAITHFULNESS
from rationale_eval.rationales.schema import RATIONALES
from rationale_eval.report.layout import Cell
from rationale_eval.tables import TableSchema, read_table

METRIC_PREFIX = "metric_"


def _read(path: Path, schema: TableSchema) -> pd.DataFrame:
    return pd.DataFrame(read_table(path, schema), columns=schema.columns.names)


def _of_methods(path: Path, schema: TableSchema, methods: Iterable[str]) -> pd.DataFrame:
    frame = _read(path, schema)
    missing = sorted(set(methods) - set(frame["method"]))
    if missing:
        raise UserError(f"{path}: has no row of method {missing[0]!r}; make this table again with the study's methods")
    return frame


def read_predictions(cell: Cell, results: Path) -> pd.DataFrame:
    """One row per instance, with the columns of ``PREDICTIONS``."""
    return _read(cell.folder(results) / "predictions.parquet", PREDICTIONS)


def rationales_path(cell: Cell, results: Path, method: str) -> Path:
    """Where the rationales of a method lie."""
    return cell.folder(results) / "rationales" / f"{method}.parquet"


def replies_path(cell: Cell, results: Path, method: str) -> Path:
    """Where the replies of a prompted method lie."""
    return cell.folder(results) / "evidence" / "replies" / f"{method}.parquet"


def readings_path(cell: Cell, results: Path, method: str) -> Path:
    """Where it lies how each reply to a prompted method was read."""
    return cell.folder(results) / "evidence" / "readings" / f"{method}.parquet"


def read_readings(cell: Cell, results: Path, method: str) -> pd.DataFrame:
    """One row per reply to one prompted method, with the columns of ``RATIONALES``."""
    return _read(readings_path(cell, results, method), RATIONALES)


def attributions_path(cell: Cell, results: Path, method: str) -> Path:
    """Where the attributions of a method lie that has a table of its own."""
    return cell.folder(results) / "evidence" / "attributions" / f"{method}.parquet"


def read_integrated(cell: Cell, results: Path, method: str) -> pd.DataFrame:
    """One row per instance of a method that is integrated gradients, with the columns of ``INTEGRATED``."""
    return _read(attributions_path(cell, results, method), INTEGRATED)


def read_rationales(cell: Cell, results: Path, method: str) -> pd.DataFrame:
    """One row per instance and sample of one method, with the columns of ``RATIONALES``."""
    return _read(rationales_path(cell, results, method), RATIONALES)


def read_replies(cell: Cell, results: Path, method: str) -> pd.DataFrame:
    """One row per instance and sample of one prompted method, with the columns of ``REPLIES``."""
    return _read(replies_path(cell, results, method), REPLIES)


def read_alignment(cell: Cell, results: Path, methods: Iterable[str]) -> pd.DataFrame:
    """One row per instance, method, sample and budget (``ALIGNMENT``). Raises ``UserError`` if a method is missing.

    The metrics of plugins come as columns of their own, ``metric_…``.
    """
    frame = _of_methods(cell.folder(results) / "alignment.parquet", ALIGNMENT, methods)
    metrics = pd.DataFrame([dict(row) for row in frame.pop("metrics")], index=frame.index)
    return frame.join(metrics.add_prefix(METRIC_PREFIX))


def faithfulness_path(cell: Cell, results: Path, operator: str | None = None) -> Path:
    """Where the faithfulness by the main operator lies, or by one of the study's others."""
    return cell.folder(results) / ("faithfulness.parquet" if operator is None else f"faithfulness/{operator}.parquet")


def read_faithfulness(cell: Cell, results: Path, methods: Iterable[str], operator: str | None = None) -> pd.DataFrame:
    """One row per instance, method, sample and budget (``FAITHFULNESS``). Raises ``UserError`` if a method is missing.

    Flips come as 0.0 and 1.0, so that they can be averaged; not computed is NaN.
    """
    frame = _of_methods(faithfulness_path(cell, results, operator), FAITHFULNESS, methods)
    return frame.astype(dict.fromkeys(("flip", "flip_when_kept", "flip_all"), float))


def read_curves(cell: Cell, results: Path, methods: Iterable[str]) -> pd.DataFrame:
    """One row per instance, method and sample (``CURVES``), flips as numbers. Raises ``UserError`` as above."""
    return _of_methods(cell.folder(results) / "curves.parquet", CURVES, methods).astype({"flips": float})
