"""Tables of the labels that a model gives, and of how far ways of asking agree, as HTML."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from rationale_eval.report.flags import signed
from rationale_eval.report.html_tables import cell_name, render
from rationale_eval.report.wording import number, percent


def labels_table(table: pd.DataFrame, name: str) -> Markup:
    """How often each label is predicted and right, one row per cell and label."""
    rows = [
        {
            "cell": cell_name(row),
            "label": row["label"],
            "n": str(row["n"]),
            "gold": f"{row['n_gold']} ({percent(row['share_gold'], row['n'])})",
            "predicted": f"{row['n_predicted']} ({percent(row['share_predicted'], row['n'])})",
            "mean probability": number(row["probability"]),
        }
        for row in table.to_dict("records")
    ]
    return render(rows, name, "label", "cell")


def agreement_table(table: pd.DataFrame, name: str, samples: bool) -> Markup | None:
    """Agreement of prompted methods with one another, or of the ``samples`` of a method; None where there is none."""
    chosen = table[(table["method"] == table["other"]) == samples]
    if chosen.empty:
        return None
    rows = [
        {
            "cell": cell_name(row),
            "method": signed(row["method"] if samples else f"{row['method']} and {row['other']}", row["flag"]),
            "texts": str(row["instances"]),
            "n": str(row["n"]),
            "F1": number(row["f1"]),
            "F1 of random sets": number(row["f1_chance"]),
            "IoU": number(row["iou"]),
        }
        for row in chosen.to_dict("records")
    ]
    return render(rows, name, "method", "cell")
