"""The paper's claims as LaTeX: what each verdict rests on, and why it is what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationale_eval.report.bold import Measure
from rationale_eval.report.comparisons import across_text, of_one_seed, scope_notes
from rationale_eval.report.latex import escape, floating, tabular
from rationale_eval.report.latex_grids import NUMBER, POINTS, shown
from rationale_eval.report.wording import MISSING, count_text, level_text, p_text, row_title

# As many reasons, of some lines each, fit a page.
MOST_REASONS = 5


def claims(found: Mapping[str, Any]) -> list[str]:
    """The claims in words with the numbers that each verdict rests on, then the reasons for the verdicts.

    ``found`` is what the stage ``claims`` wrote.
    """
    rows, reasons = [], []
    for claim in found["claims"]:
        row = claim["decisive"] or {}
        texts = dict.fromkeys(("estimate", "p", "n"), escape(MISSING))
        across = across_text(claim, row) if row.get("estimate") is not None else ""
        if row.get("estimate") is not None:
            form = POINTS if claim["measure"].startswith("flip") and claim["unit"] != "Kendall's tau-b" else NUMBER
            values = {"x": row["estimate"], "x_low": row["low"], "x_high": row["high"], "n": row["n"]}
            texts = {
                "estimate": shown(values, Measure("x", "", form, "n")),
                "p": escape(p_text(row["p_corrected"])),
                "n": escape(count_text(row)),
            }
        where = f" (in {row_title(row)})" if "corpus" in row else ""
        named, verdict = f"\\raggedright {escape(claim['text'] + where)}", escape(claim["verdict"])
        rows.append({"claim": named, **texts, "verdict": verdict, "drawn anew": escape(across or MISSING)})
        why = "; ".join([claim["reason"], *(scope_notes(claim, row) if row else [])])
        # In a group of its own: in the last column it would change what ends the row.
        reasons.append({"claim": named, "verdict": verdict, "why": f"{{\\raggedright {escape(why)}\\par}}"})
    if not rows:
        return []
    level, alpha = level_text(found["settings"]["level"]), found["settings"]["alpha"]
    one_seed = any(of_one_seed(claim, claim["decisive"]) for claim in found["claims"] if claim["decisive"])
    caption = (
        f"Claims of Fayyaz et al. (2024) on this study, pooled over corpora and models unless a cell is named: "
        f"estimate with {level} interval (F1 above chance, points of flips, or Kendall's tau-b), p after Holm's "
        f"correction over all claims (level {alpha:g}), n and how many of these texts are informative, the interval "
        f"with corpora, models and seeds drawn anew too (too short where these are few), verdict in this study."
        f"{' One seed of the fine-tuning.' if one_seed else ''}"
    )
    inside = tabular([(key,) for key in rows[0]], [list(row.values()) for row in rows], "p{0.3\\linewidth}rrrlr")
    floats = [floating("tab:claims", escape(caption), inside)]
    for start in range(0, len(reasons), MOST_REASONS):
        part = reasons[start : start + MOST_REASONS]
        columns = [(key,) for key in part[0]]
        inside = tabular(columns, [list(row.values()) for row in part], "p{0.32\\linewidth}lp{0.46\\linewidth}")
        caption = "Why the claims of Fayyaz et al. (2024) have their verdicts in this study, and what limits these."
        floats.append(floating(f"tab:claims:why:{start // MOST_REASONS + 1}", escape(caption), inside))
    return floats
