"""Where chosen words stand, as the page shows it."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from rationale_eval.report.html_tables import method_name, render
from rationale_eval.report.layout import by_definition, family
from rationale_eval.report.wording import number, percent, percent_with_interval


def positions_table(table: pd.DataFrame, name: str) -> Markup:
    """How often each method (one row each of ``table``) chooses the first and the last word."""
    rows = []
    for row in table.to_dict("records"):
        first, last = (
            percent_with_interval(row[place], row[f"{place}_low"], row[f"{place}_high"], row["n"])
            + (" (by definition)" if row["n"] and by_definition(row["kind"], place) else "")
            for place in ("first", "last")
        )
        rows.append(
            {
                "family": family(row["kind"]).replace("_", " "),
                "method": method_name(row),
                "n": str(row["n"]),
                "words": number(row["selected"]),
                "first word": first,
                "last word": last,
                "of either by equally many random words": percent(row["random"], row["n"]),
            }
        )
    return render(rows, name, "method", "family")
