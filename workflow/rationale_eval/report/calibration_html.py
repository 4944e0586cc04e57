"""The calibration on planted corpora, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from rationale_eval.report.flags import signed
from rationale_eval.report.html_tables import render
from rationale_eval.report.layout import Cell, family, flagged
from rationale_eval.report.marked import CONSTRUCTION, MARKED, with_notes
from rationale_eval.report.wording import number, number_with_interval, percent, percent_with_interval

TABLES = ("calibration", "calibration_ranks")
# Below this share of right predictions it is not said that the model goes by the cue.
NEARLY_ALWAYS = 0.95
_NAMES = {"flip_rate": "flip rate", "comprehensiveness": "comprehensiveness", "sufficiency": "sufficiency"}


def calibration_table(table: pd.DataFrame, name: str) -> Markup:
    """One row for each method of one cell."""
    rows = []
    for row in table.to_dict("records"):
        first = percent_with_interval(row["first_word"], row["first_word_low"], row["first_word_high"], row["n"])
        rows.append(
            {
                "family": family(row["kind"]).replace("_", " "),
                "method": signed(row["method"], row["flag"]),
                "n": str(row["n"]),
                "first word is a cue": first,
                "F1 with the cue": number_with_interval(*(row[f"cue_words{end}"] for end in ("", "_low", "_high"))),
                "F1 by chance": number(row["cue_words_chance"]),
                "AUPRC": number_with_interval(row["auprc"], row["auprc_low"], row["auprc_high"]),
                "AUPRC by chance": number(row["auprc_chance"]),
                flagged("flip rate", row["collapsed"]): percent(row["flip_rate"], row["n"]),
                "comprehensiveness": number(row["comprehensiveness"]),
                "sufficiency": number(row["sufficiency"]),
            }
        )
    return render(rows, name, "method", "family")


def ranks_sentence(row: Mapping[str, Any], accuracy: float | None) -> str:
    """Whether the faithfulness measures order the methods of one cell as the truth does."""
    known = [f"{_NAMES[name]} {number(row[f'tau_{name}'])}" for name in _NAMES if pd.notna(row[f"tau_{name}"])]
    taus = f"Kendall\N{RIGHT SINGLE QUOTATION MARK}s tau over {row['n_methods']} methods of F1 with the cue and "
    text = f"{taus}{', '.join(known)}." if known else "Too few methods differ for a rank correlation."
    if row["collapsed"]:
        text += " \N{DAGGER}: the model has collapsed, so this is inconclusive."
    if accuracy is None or accuracy < NEARLY_ALWAYS:
        text += " The model is not right nearly always, so it need not go by the cue: nothing follows for its methods."
    return text


def calibration_sections(cells: Sequence[Cell], tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """For each cell of a planted corpus its title, table and sentence; nothing where there is none."""
    found = []
    for position, cell in enumerate(cells):
        rows = cell.rows(tables["calibration"]) if tables else pd.DataFrame()
        if len(rows):
            rows = with_notes(rows, MARKED[CONSTRUCTION])
            ranks = cell.rows(tables["calibration_ranks"]).to_dict("records")[0]
            accuracy = rows["accuracy"].iloc[0]
            found.append(
                {
                    "cell": cell,
                    "table": calibration_table(rows, f"calibration-{position}"),
                    "sentence": ranks_sentence(ranks, None if pd.isna(accuracy) else float(accuracy)),
                }
            )
    return found
