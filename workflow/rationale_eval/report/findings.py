"""The sentences at the head of the report, each computed from the tables and hedged by its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.flags import FLAGS, INCOMPLETE, has_flag, signed
from rationale_eval.report.layout import BEYOND, REFERENCE_KINDS, Cell
from rationale_eval.report.marked import Marked
from rationale_eval.report.wording import (
    count_text,
    n_text,
    number_with_interval,
    p_text,
    percent,
    percent_with_interval,
    points_with_interval,
)

Row = Mapping[str, Any]


def clear_of(row: Row, other: Row, value: str) -> bool | None:
    """Whether the intervals of ``value`` do not overlap; None where one is missing."""
    low, high = row[f"{value}_low"], row[f"{value}_high"]
    other_low, other_high = other[f"{value}_low"], other[f"{value}_high"]
    if any(map(pd.isna, (low, high, other_low, other_high))):
        return None
    return bool(low > other_high or high < other_low)


def leader(rows: Sequence[Row], value: str) -> tuple[Row | None, list[Row]]:
    """The row with the highest ``value``, and the others whose interval is not clear of its own."""
    known = [row for row in rows if pd.notna(row[value])]
    if not known:
        return None, []
    best = max(known, key=lambda row: row[value])
    return best, [row for row in known if row is not best and not clear_of(best, row, value)]


def candidates(rows: pd.DataFrame, budget: str) -> list[Row]:
    """The rows of the methods under comparison, references left out, at one budget."""
    chosen = rows[(rows["budget"] == budget) & ~rows["kind"].isin(list(REFERENCE_KINDS))]
    found: list[Row] = chosen.to_dict("records")
    return found


def _reference(rows: pd.DataFrame, kind: str, budget: str) -> Row | None:
    found: list[Row] = rows[(rows["kind"] == kind) & (rows["budget"] == budget)].to_dict("records")
    return found[0] if found else None


def _inconclusive(row: Row) -> str:
    """The warning at the head of what is said of a collapsed cell; empty for others."""
    return "Inconclusive, since the model has collapsed (see its accuracy). " if row["collapsed"] else ""


def collapse_note(accuracy: Row, rows: pd.DataFrame, budget: str) -> str:
    """What was measured in a collapsed cell, and why it is inconclusive all the same; empty for other cells.

    ``accuracy`` is the cell's row of the accuracy table, ``rows`` are those of the faithfulness table.
    """
    if not accuracy["collapsed"]:
        return ""
    if pd.isna(accuracy["majority_predicted_share"]):
        return "The model predicts nothing."
    n = accuracy["n"]
    parts = [
        f"The model answers “{accuracy['majority_predicted']}” on "
        f"{percent(accuracy['majority_predicted_share'], n)} of {n} texts."
    ]
    tried = candidates(rows, budget)
    drawn = _has_random(tried)
    best, names, _ = _contest(tried, BEYOND if drawn else "flip_rate")
    if best is not None:
        measured = f"masking the words of {names} flips {_rate(best)} ({n_text(best['n'])})"
        if best["n_random"]:
            random = percent(best["flip_random"], best["n_random"])
            measured += f", masking as many random words {random} ({n_text(best['n_random'])})"
        most = "The most flips beyond random words" if drawn else "The highest flip rate"
        parts.append(f"{most} at the budget {budget}: {measured}.")
    parts.append(
        "A model that gives nearly every text one label decides little by the text: what flips it, or does not, shows "
        "how it takes masked text, not which words decided."
    )
    return " ".join(parts)


def _contest(tried: Sequence[Row], value: str) -> tuple[Row | None, str, str]:
    """The row with the highest ``value``, the names of the methods that reach it, and a sentence on the others.

    A method that has no value, as the model cannot serve it, is none of the others. Flagged ones are left out and
    named.
    """
    known = [row for row in tried if pd.notna(row[value])]
    tried = [row for row in known if not has_flag(row["flag"])]
    flagged = [f"{row['method']} ({FLAGS[row['flag']][1]})" for row in known if has_flag(row["flag"])]
    left_out = f" Left out: {'; '.join(flagged)}." if flagged else ""
    best, rivals = leader(tried, value)
    if best is None:
        return None, "", left_out
    winners = [str(row["method"]) for row in tried if row[value] == best[value]]
    names = winners[0] if len(winners) == 1 else f"{', '.join(winners[:-1])} and {winners[-1]} (equal)"
    close = [str(row["method"]) for row in rivals if row[value] != best[value]]
    others = len(tried) - len(winners)
    if not others:
        told = "No other method was run at this budget." if not flagged else ""
    elif not close:
        told = "The intervals set it apart from every other method."
    elif len(close) == others:
        told = f"The intervals set it apart from no other method ({', '.join(close)})."
    else:
        told = f"The intervals do not set it apart from {len(close)} of {others} others: {', '.join(close)}."
    return best, names, f"{told}{left_out}".strip()


def _has_random(tried: Sequence[Row]) -> bool:
    """Whether flips beyond random words are known, and so compared: replies can be smaller than the budget."""
    return any(pd.notna(row[BEYOND]) for row in tried)


def accuracy_finding(row: Row) -> str:
    """How often the model is right, and how one-sided its predictions are."""
    n = row["n"]
    if not n:
        return "No prediction could be computed."
    right = percent_with_interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"], n)
    always = row["majority_gold_share"]
    verdict = "does not include" if always < row["accuracy_low"] or always > row["accuracy_high"] else "includes"
    return (
        f"The model is right on {right} of {n} texts; it answers “{row['majority_predicted']}” on "
        f"{percent(row['majority_predicted_share'], n)}. Always answering “{row['majority_gold']}” would be right on "
        f"{percent(always, n)}, which the interval {verdict}."
    )


def alignment_finding(rows: pd.DataFrame, budget: str, marked: Marked) -> str:
    """Which method agrees best with those who ``marked`` words at ``budget``, and whether better than random words."""
    best, names, others = _contest(candidates(rows, budget), "f1")
    if best is None:
        return f"No method has an F1 at the budget {budget} that can be told.{others}"
    low, high = best["f1_corrected_low"], best["f1_corrected_high"]
    beyond = number_with_interval(best["f1_corrected"], low, high)
    if low > 0:
        verdict = f"That is above random sets of the same size by {beyond}."
    elif high < 0:
        verdict = f"That is below random sets of the same size: by {beyond}."
    else:
        verdict = f"That cannot be told from random sets of the same size: the difference is {beyond}."
    value = number_with_interval(best["f1"], best["f1_low"], best["f1_high"])
    return (
        f"{_inconclusive(best)}The highest agreement with {marked.agreement} at the budget {budget} is that of "
        f"{names}: F1 {value}, {n_text(count_text(best))}. {verdict} {others}"
    )


def faithfulness_finding(rows: pd.DataFrame, budget: str, alpha: float, marked: Marked) -> str:
    """Which method's words flip most predictions at ``budget``, beside the reference rows."""
    tried = candidates(rows, budget)
    drawn = _has_random(tried)
    best, names, others = _contest(tried, BEYOND if drawn else "flip_rate")
    if best is None:
        return f"No method has a flip rate at the budget {budget} that can be told.{others}"
    rate = f"{_rate(best)}, {n_text(count_text(best))}"
    if not drawn:
        most = f"masking the words of {names} flips most predictions: {rate}."
    elif best[BEYOND] > 0:
        most = f"masking the words of {names} flips most predictions beyond those that random words flip: {rate}."
    else:
        most = (
            f"no method's words flip more predictions than as many random words do; nearest to them comes {names}, "
            f"which flips {rate}."
        )
    parts = [f"{_inconclusive(best)}At the budget {budget}, {most}"]
    # Methods that are equal in the mean differ in their intervals: each has its own.
    equal = [row for row in tried if drawn and row[BEYOND] == best[BEYOND]]
    parts += [_beside_random(row, alpha, named=len(equal) > 1) for row in equal if not has_flag(row["flag"])]
    for kind, text in (("human", f"Masking {marked.words} flips"), ("all_words", "Masking every word flips")):
        reference = _reference(rows, kind, AS_GIVEN)
        if reference is not None:
            parts.append(f"{text} {_rate(reference)}.")
    return " ".join([*parts, others])


def _beside_random(row: Row, alpha: float, named: bool) -> str:
    """What as many random words flip of the texts of a method, and whether the two are told apart at ``alpha``.

    The p value is corrected over the rows of the cell's table of faithfulness.
    """
    low, high = row["flip_beyond_random_low"], row["flip_beyond_random_high"]
    told = row["beyond_random_p_corrected"] < alpha
    verdict = "more" if told and low > 0 else "fewer" if told and high < 0 else "not told apart"
    random = percent(row["flip_random"], row["n_random"])
    beyond = points_with_interval(row[BEYOND], low, high, row["n_random"])
    whose = f" as {row['method']} chooses" if named else ""
    return (
        f"As many random words{whose} flip {random} of the same texts (difference {beyond}, {n_text(row['n_random'])}, "
        f"p {p_text(row['beyond_random_p_corrected'])}, corrected over all methods and budgets of the cell: {verdict})."
    )


def _rate(row: Row) -> str:
    return percent_with_interval(row["flip_rate"], row["flip_rate_low"], row["flip_rate_high"], row["n"])


def findings(cell: Cell, tables: Mapping[str, pd.DataFrame], budget: str, alpha: float, marked: Marked) -> list[str]:
    """The sentences of one cell: accuracy, alignment, faithfulness."""
    return [
        accuracy_finding(cell.rows(tables["accuracy"]).to_dict("records")[0]),
        alignment_finding(cell.rows(tables["alignment"]), budget, marked),
        faithfulness_finding(cell.rows(tables["faithfulness"]), budget, alpha, marked),
    ]


def flag_sentences(cell: Cell, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """A sentence for each flagged method of a cell, with the numbers behind its flag."""
    found = []
    for row in cell.rows(tables["prompting"]).to_dict("records"):
        if has_flag(row["flag"]):
            named = f"{row['n_usable']} of {row['n']} replies name a word of the text"
            found.append(f"{signed(row['method'], row['flag'])}: {named} ({percent(row['usable'], row['n'])}).")
    for row in cell.rows(tables["completeness"]).to_dict("records"):
        if row["incomplete"]:
            share = percent(row["error_share"], row["n"])
            found.append(
                f"{signed(row['method'], INCOMPLETE)}: the attributions miss {share} of the change to explain."
            )
    return found
