"""Orders of words, normalised measures and the sensitivity to the operator, as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.conclusions import CONTRAST, HIGHER, LEVEL, LOWER, MAIN, OPEN, RANKING
from rationale_eval.report.flags import signed
from rationale_eval.report.html_tables import render
from rationale_eval.report.layout import CELL, Cell, by_definition, family
from rationale_eval.report.marked import Marked, with_notes
from rationale_eval.report.wording import (
    MISSING,
    count_text,
    n_text,
    number,
    number_with_interval,
    operator_text,
    percent,
    percent_with_interval,
    points_with_interval,
)

Row = Mapping[str, Any]


def _filled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows without columns that hold nothing: what the study did not ask for."""
    empty = {name for name in rows[0] if all(row[name] == MISSING for row in rows)}
    return [{name: text for name, text in row.items() if name not in empty} for row in rows]


def _with_interval(row: Row, name: str) -> str:
    text = number_with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return f"{text} (by definition)" if by_definition(row["kind"], name) and text != MISSING else text


def curves_table(table: pd.DataFrame, name: str) -> Markup:
    """The measures of orders in one cell, one row per method."""
    rows = []
    for row in table.to_dict("records"):
        flipped = percent(row["flips"], row["n_deletion_auc"])
        rows.append(
            {
                "family": family(row["kind"]).replace("_", " "),
                "method": signed(row["method"], row["flag"]),
                "n": str(row["n_deletion_auc"] or row["n_leave_one_out_tau"]),
                "AOPC, comprehensiveness": _with_interval(row, "aopc_comprehensiveness"),
                "AOPC, sufficiency": _with_interval(row, "aopc_sufficiency"),
                "deletion AUC": _with_interval(row, "deletion_auc"),
                "insertion AUC": _with_interval(row, "insertion_auc"),
                "words to flip": _with_interval(row, "words_to_flip"),
                "flips at all": flipped,
                "tau with leave-one-out": _with_interval(row, "leave_one_out_tau"),
                "points": number(row["points"]),
            }
        )
    return render(_filled(rows), name, "method", "family")


def normalised_table(table: pd.DataFrame, name: str) -> Markup:
    """Where each method of one cell lies between random words and the best, one row per method and budget."""
    rows = []
    for row in table.to_dict("records"):
        n = row["n_flip"]
        drawn, low, high = (row[f"flip_random{end}"] for end in ("", "_low", "_high"))
        rows.append(
            {
                "family": family(row["kind"]).replace("_", " "),
                "method": signed(
                    f"{row['method']} ({'as given' if row['budget'] == AS_GIVEN else row['budget']})", row["flag"]
                ),
                "n": count_text({"n": n, "n_informative": row["n_flip_informative"]}),
                "flip rate, normalised": _with_interval(row, "flip_normalised"),
                "of random words": percent_with_interval(drawn, low, high, n),
                "comprehensiveness, normalised": _with_interval(row, "comprehensiveness_normalised"),
                "of equally many random words": _with_interval(row, "comprehensiveness_random"),
                "sufficiency, normalised": _with_interval(row, "sufficiency_normalised"),
                "of random words alone": _with_interval(row, "sufficiency_random"),
                "log-odds lost": _with_interval(row, "log_odds_drop"),
            }
        )
    return render(_filled(rows), name, "method", "family")


def _shown(row: Row | None) -> str:
    """One conclusion under one operator, in words."""
    if row is None or pd.isna(row["value"]):
        return MISSING
    values = row["value"], row["value_low"], row["value_high"]
    share = row["measure"] == "flip"
    if row["conclusion"] == RANKING:
        return f"{number(row['value'])} ({row['n']} methods)"
    if row["conclusion"] == CONTRAST:
        found = points_with_interval(*values, row["n"]) if share else number_with_interval(*values)
        return f"{row['verdict']}: {found}, {n_text(count_text(row))}"
    text = percent_with_interval(*values, row["n"]) if share else number_with_interval(*values)
    text = f"{text}, {n_text(row['n'])}"
    return text if pd.isna(row["rank"]) else f"{text}, rank {int(row['rank'])}"


_GROUPS = {
    (LEVEL, "flip"): "flip rate",
    (RANKING, "flip"): "flip rate",
    (LEVEL, "comprehensiveness"): "comprehensiveness",
    (RANKING, "comprehensiveness"): "comprehensiveness",
    (CONTRAST, "flip"): "prompting minus attribution at equal sizes",
    (CONTRAST, "comprehensiveness"): "prompting minus attribution at equal sizes",
}


def _subject(row: Row) -> str:
    if row["conclusion"] == RANKING:
        return "order of the methods: tau with the main operator"
    subject = signed(str(row["subject"]), row["flag"])
    return f"{subject}, {row['measure']}" if row["conclusion"] == CONTRAST else subject


def sensitivity_table(table: pd.DataFrame, name: str, operators: Mapping[str, str]) -> Markup:
    """All conclusions of one cell, a column for each operator (its name: how it is shown).

    A verdict that is another than under the main operator says so.
    """
    by_subject: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in table.to_dict("records"):
        key = (str(row["conclusion"]), str(row["measure"]), str(row["subject"]))
        by_subject.setdefault(key, {})[str(row["operator"])] = row
    order = list(_GROUPS)
    rows: list[dict[str, str]] = []
    for key in sorted(by_subject, key=lambda key: order.index(key[:2])):
        found = by_subject[key]
        texts = {shown: _shown(found.get(operator)) for operator, shown in operators.items()}
        for operator, shown in operators.items():
            if key[0] == CONTRAST and {operator, MAIN} <= set(found):
                texts[shown] += "" if found[operator]["verdict"] == found[MAIN]["verdict"] else " (not as main)"
        rows.append({"what": _GROUPS[key[:2]], "conclusion": _subject(next(iter(found.values()))), **texts})
    return render(rows, name, "conclusion", "what")


def sensitivity_sentence(table: pd.DataFrame) -> str:
    """How far conclusions agree over operators, all cells together that have not collapsed.

    Contrasts that are inconclusive under any operator are not counted: that they are so under all is no agreement.
    """
    parts = []
    table = table[~table["collapsed"]]
    verdicts = table[table["conclusion"] == CONTRAST]
    verdicts = verdicts.assign(told=verdicts["verdict"].isin([HIGHER, LOWER, OPEN]))
    key = [*CELL, "subject", "measure"]
    each = verdicts[verdicts.groupby(key)["told"].transform("all").astype(bool)].groupby(key)["verdict"].nunique()
    if len(each):
        same = f"{int((each == 1).sum())} of {len(each)}"
        parts.append(f"{same} contrasts of prompting with attribution have one verdict under all operators")
    taus = table[(table["conclusion"] == RANKING) & (table["operator"] != MAIN)]["value"].dropna()
    if len(taus):
        least = number(taus.min())
        parts.append(f"the order of the methods agrees with that under the main operator by tau {least} or more")
    return "; ".join(parts)


def measure_sections(
    cells: Sequence[Cell], tables: Mapping[str, pd.DataFrame], spec: Mapping[str, Any], marked: Mapping[str, Marked]
) -> dict[str, Any]:
    """What the page's part on these measures shows; nothing of sensitivity without its table.

    ``marked`` says of each corpus who marked its words.
    """
    found: dict[str, Any] = {"curves": {}, "normalised": {}, "sensitivity": {}, "agreement": ""}
    parts = {"curves": curves_table, "normalised": normalised_table}
    for position, cell in enumerate(cells):
        for name, make in parts.items():
            rows = with_notes(cell.rows(tables[f"faithfulness_{name}"]), marked[cell.corpus])
            found[name][cell] = make(rows, f"{name}-{position}") if len(rows) else None
    if "sensitivity" in tables:
        shown = {MAIN: f"main: {operator_text(spec['perturbation'])}"}
        shown |= {name: f"{name}: {operator_text(entry)}" for name, entry in spec["operators"].items()}
        kinds = {name: entry["kind"] for name, entry in spec["methods"].items()}
        for position, cell in enumerate(cells):
            rows = cell.rows(tables["sensitivity"])
            rows = with_notes(rows.assign(method=rows["subject"], kind=rows["subject"].map(kinds)), marked[cell.corpus])
            rows = rows.assign(subject=rows["method"])
            found["sensitivity"][cell] = (
                sensitivity_table(rows, f"sensitivity-{position}", shown) if len(rows) else None
            )
        found["agreement"] = sensitivity_sentence(tables["sensitivity"])
    return found
