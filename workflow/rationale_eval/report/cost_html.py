"""What the study took, as the page shows it: by stage, and by method and other parts of a stage."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from rationale_eval.report.html_tables import render
from rationale_eval.report.wording import MISSING

STAGES = {
    "corpus": "read the corpus",
    "model": "prepare the model",
    "finetune": "fine-tune, by epoch",
    "evidence": "predictions, gradients and attention",
    "predictions": "predictions of a model behind an API",
    "attributions": "attributions with passes of their own",
    "replies": "ask for words",
    "rationales": "from evidence to words",
    "alignment": "compare with the marked words",
    "perturb": "classify masked texts",
    "perturbations": "classify texts masked otherwise",
    "faithfulness": "flips and drops",
    "curves": "measures of orders",
}
# Of these there is a job for each method or operator.
BY_PART = ("attributions", "replies", "rationales", "perturbations")


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _shown(rows: pd.DataFrame) -> dict[str, str]:
    """Of several jobs their number, times and highest memory."""
    measured = rows["seconds"].dropna()
    peak = rows["peak_mb"].max()
    return {
        "jobs": str(len(rows)),
        "time in all": duration(measured.sum()),
        "longest job": duration(measured.max()) if len(measured) else MISSING,
        "processor time": duration(rows["cpu_seconds"].sum()),
        "peak memory": MISSING if pd.isna(peak) else f"{peak:,.0f} MB",
    }


def cost_tables(table: pd.DataFrame) -> dict[str, Any] | None:
    """The tables by stage and by part, and the time in all; None if there is no record of any job."""
    if table.empty:
        return None
    stages = [stage for stage in STAGES if stage in set(table["stage"])]
    stages += sorted(set(table["stage"]) - set(stages))
    by_stage = [
        {"stage": f"{stage}: {STAGES[stage]}" if stage in STAGES else stage, **_shown(table[table["stage"] == stage])}
        for stage in stages
    ]
    parts = [
        {"of": stage, "method or operator": str(part), **_shown(rows)}
        for stage in stages
        if stage in BY_PART
        for part, rows in table[table["stage"] == stage].groupby("part", sort=False)
    ]
    tables: dict[str, Markup | None] = {
        "stages": render(by_stage, "cost-stages", "stage"),
        "parts": render(parts, "cost-parts", "method or operator", "of") if parts else None,
    }
    return tables | {"total": duration(table["seconds"].sum()), "jobs": len(table)}
