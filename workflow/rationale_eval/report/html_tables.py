"""The report's tables as HTML. great_tables makes the markup and escapes it; the page styles it, for light and dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from great_tables import GT, loc, style
from markupsafe import Markup

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.rationales.schema import OK
from rationale_eval.report.bold import Measure, best, competing
from rationale_eval.report.flags import INCOMPLETE, signed
from rationale_eval.report.layout import BEYOND, by_definition, family, flagged
from rationale_eval.report.prompting import OUTCOMES
from rationale_eval.report.wording import (
    MISSING,
    count_text,
    n_text,
    number,
    number_with_interval,
    percent,
    percent_with_interval,
    points_text,
    points_with_interval,
    share_of,
    two_digits,
    visible,
)

Row = dict[str, Any]


def render(
    rows: Sequence[Mapping[str, str]],
    name: str,
    stub: str,
    group: str | None = None,
    bold: Sequence[tuple[int, str]] = (),
) -> Markup:
    """One HTML table of texts; column names are the keys of ``rows``.

    ``name`` is its id in the page, ``stub`` the column that names the rows, ``group`` one by whose values they are
    grouped, ``bold`` the cells (row, column) to stress.
    """
    frame = pd.DataFrame([{visible(key): visible(value) for key, value in row.items()} for row in rows])
    table = GT(frame, id=name, rowname_col=stub, groupname_col=group).cols_align("right").tab_stubhead(stub)
    for row, column in bold:
        table = table.tab_style(style.text(weight="bold"), loc.body(columns=column, rows=[row]))
    html = table.as_raw_html()
    # The table alone: the style sheet that comes along has fixed light colours.
    return Markup(html[html.index("<table") : html.rindex("</table>") + len("</table>")])


def _left_out(records: Sequence[Row]) -> list[Row]:
    """For each row a column with the instances that are not in the means, by reason; none if nothing was left out."""
    found = []
    for row in records:
        reasons = {
            key.removeprefix("status_").replace("_", " "): int(count)
            for key, count in row.items()
            if key.startswith("status_") and key != f"status_{OK}" and count
        }
        found.append(", ".join(f"{count} {reason}" for reason, count in reasons.items()))
    return [{"left out": text or "none"} if any(found) else {} for text in found]


def cell_name(row: Mapping[str, Any]) -> str:
    """How a row of a table names its cell: with a dagger if that has collapsed."""
    return flagged(f"{row['corpus']}, {row['model']}, {row['checkpoint']}", row["collapsed"])


def accuracy_table(table: pd.DataFrame, name: str) -> Markup:
    """Accuracy and spread of the predicted labels, one row per cell."""
    rows = []
    records = table.to_dict("records")
    for row, left_out in zip(records, _left_out(records), strict=True):
        n = row["n"]
        rows.append(
            {
                "cell": cell_name(row),
                "n": str(n),
                **left_out,
                "accuracy": percent_with_interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"], n),
                "macro-F1": number_with_interval(row["macro_f1"], row["macro_f1_low"], row["macro_f1_high"]),
                "most predicted label": share_of(row["majority_predicted"], row["majority_predicted_share"], n),
                "most frequent gold label": share_of(row["majority_gold"], row["majority_gold_share"], n),
                "entropy of predictions (bits)": number(row["predicted_entropy"]),
                "margin, median (10 % and 90 % quantile)": (
                    f"{number(row['margin_q50'])} ({number(row['margin_q10'])} and {number(row['margin_q90'])})"
                ),
                "label mass, median (10 % and 90 % quantile)": (
                    MISSING
                    if pd.isna(row["label_mass_q50"])
                    else f"{two_digits(row['label_mass_q50'])} ({two_digits(row['label_mass_q10'])} to "
                    f"{two_digits(row['label_mass_q90'])})"
                ),
            }
        )
    return render(rows, name, "cell")


def method_name(row: Mapping[str, Any]) -> str:
    """How a row of a table names its method: with the sign of its flag, and whether its set is taken as given."""
    return signed(f"{row['method']} (as given)" if row["budget"] == AS_GIVEN else str(row["method"]), row["flag"])


def _methods(records: Sequence[Row]) -> list[Row]:
    """The first columns of each row: which method, how many instances, how many words."""
    # One budget, and sets as given, need no column of their own.
    several = len({row["budget"] for row in records} - {AS_GIVEN}) > 1
    return [
        {
            "family": family(row["kind"]).replace("_", " "),
            "method": method_name(row),
            **({"budget": row["budget"]} if several else {}),
            "n": count_text(row),
            **left_out,
            "words": number(row["selected"]),
        }
        for row, left_out in zip(records, _left_out(records), strict=True)
    ]


def _estimate(row: Row, value: str) -> str:
    """A number with its interval, or that it is what it is by definition."""
    text = number_with_interval(row[value], row[f"{value}_low"], row[f"{value}_high"])
    return f"{text} (by definition)" if by_definition(row["kind"], value) and text != MISSING else text


def _outcomes(name: str, records: Sequence[Row], values: Sequence[tuple[str, str]]) -> list[Row]:
    """The last columns of each row: ``values`` where the model is right and wrong, with n in the head if it is one."""
    found: list[Row] = [{} for _ in records]
    for place, outcome in enumerate(("right", "wrong")):
        counts = [row["n_correct" if outcome == "right" else "n_wrong"] for row in records]
        same = len(set(counts)) == 1
        head = f"{name}, model {outcome}" + (f" ({n_text(counts[0])})" if same else "")
        for row, value, count in zip(found, values, counts, strict=True):
            row[head] = value[place] if same or not count else f"{value[place]} ({n_text(count)})"
    return found


def _best(table: pd.DataFrame, value: str, column: str) -> list[tuple[int, str]]:
    """The cells of ``column`` that are bold by the rule of ``bold``, budget by budget."""
    found = []
    records = table.reset_index(drop=True)
    measure = Measure(value, column, "", "n")
    for budget in set(records["budget"]) - {AS_GIVEN}:
        rows = records[records["budget"].isin([budget, AS_GIVEN])]
        found += [(int(rows.index[place]), column) for place in sorted(best(competing(rows, measure), measure))]
    return found


def alignment_table(table: pd.DataFrame, name: str, equal_sizes: bool) -> Markup:
    """Alignment of each method (one row each of ``table``).

    Under ``equal_sizes`` a rationale has as many words as people marked, so that precision and recall are the F1 and
    are not repeated. Replies that name fewer words than the budget asks for have a column where there are any.
    """
    records = table.to_dict("records")
    outcomes = _outcomes("F1", records, [(_estimate(row, "f1_correct"), _estimate(row, "f1_wrong")) for row in records])
    short = any(row["n_short"] for row in records)
    rows = []
    for row, first, last in zip(records, _methods(records), outcomes, strict=True):
        shown = first | ({"replies with fewer": str(row["n_short"])} if short else {})
        shown |= {"F1": _estimate(row, "f1")}
        if not equal_sizes:
            shown |= {"precision": _estimate(row, "precision"), "recall": _estimate(row, "recall")}
        shown |= {"F1 \N{MINUS SIGN} chance": _estimate(row, "f1_corrected"), "IoU": _estimate(row, "iou")}
        metrics = [key for key in row if key.startswith("metric_") and not key.endswith(("_low", "_high"))]
        more = {
            key.removeprefix("metric_"): number_with_interval(row[key], row[f"{key}_low"], row[f"{key}_high"])
            for key in metrics
        }
        curve = {
            "AUPRC": number_with_interval(row["auprc"], row["auprc_low"], row["auprc_high"]),
            "AUPRC by chance": number(row["auprc_chance"]),
        }
        rows.append(shown | curve | more | last)
    return render(rows, name, "method", "family", _best(table, "f1", "F1"))


def _percent(row: Row, value: str, n: int) -> str:
    return percent_with_interval(row[value], row[f"{value}_low"], row[f"{value}_high"], n)


def _random(row: Row) -> str:
    """How often equally many random words flip, with n where these are fewer instances."""
    text = _percent(row, "flip_random", row["n_random"])
    return text if row["n_random"] in (0, row["n"]) else f"{text} ({n_text(row['n_random'])})"


def splits_table(table: pd.DataFrame, name: str) -> Markup:
    """Alignment and flip rate of each method by groups of instances: outcome, gold label, length."""
    rows = []
    for row in table.to_dict("records"):
        rate = _percent(row, "flip_rate", row["n_flip_rate"])
        rows.append(
            {
                "split": f"{row['split']}: {row['group']}",
                "method": method_name(row),
                "F1 \N{MINUS SIGN} chance": f"{_estimate(row, 'f1_corrected')} ({n_text(row['n_f1'])})",
                flagged("flip rate", row["collapsed"]): f"{rate} ({n_text(row['n_flip_rate'])})",
            }
        )
    return render(rows, name, "method", "split")


def faithfulness_table(table: pd.DataFrame, name: str) -> Markup:
    """Faithfulness of each method (one row each of ``table``)."""
    records = table.to_dict("records")
    rows = []
    flip = flagged("flip rate", bool(table["collapsed"].any()))
    for row, first in zip(records, _methods(records), strict=True):
        rate = _percent(row, "flip_rate", row["n"])
        beyond, low, high = (row[f"flip_beyond_random{end}"] for end in ("", "_low", "_high"))
        shown = {
            flip: rate,
            "equally many random words": _random(row),
            "flips beyond random": points_with_interval(beyond, low, high, row["n_random"]),
            "comprehensiveness": _estimate(row, "comprehensiveness"),
            "sufficiency": _estimate(row, "sufficiency"),
            "flips if kept alone": _percent(row, "flip_when_kept", row["n_kept"]),
        }
        if by_definition(row["kind"], "flip_when_kept") and row["n_kept"]:
            shown["flips if kept alone"] += " (by definition)"
        if row["n_kept"] not in (0, row["n"]):
            shown["flips if kept alone"] += f" ({n_text(row['n_kept'])})"
        rows.append(first | shown)
    return render(rows, name, "method", "family", _best(table, "flip_rate", flip))


def prompting_table(table: pd.DataFrame, name: str) -> Markup:
    """How the replies were read, one row per cell and prompted method; shares are of the n replies."""
    # A refusal is a reply, and has a column of its own.
    records = table.drop(columns="status_refusal", errors="ignore").to_dict("records")
    sampled, answered = table["votes"].notna().any(), table["n_answers"].any()
    rows = []
    for row, left_out in zip(records, _left_out(records), strict=True):
        n = row["n"]
        rows.append(
            {
                "cell": cell_name(row),
                "method": signed(row["method"], row["flag"]),
                "replies": str(n),
                **left_out,
                "name a word": percent(row["usable"], n),
                **{outcome.replace("_", " "): percent(row[f"share_{outcome}"], n) for outcome in OUTCOMES},
                "things listed": number(row["listed"]),
                "of these not in the text": number(row["hallucinated"]),
                "replies with any of these": percent(row["any_hallucinated"], n),
                "copies the text": percent(row["copied"], n),
                "words named": number(row["selected"]),
                "words asked for": number(row["asked"]),
                "exactly so many": percent(row["exact"], row["n_asked"]),
                "asked for fewer than are marked": str(row["capped"]) if row["n_asked"] else MISSING,
                "tokens": number(row["reply_tokens"]),
                **({"votes per text": number(row["votes"])} if sampled else {}),
                **({"label then as predicted": percent(row["answers_agree"], row["n_answers"])} if answered else {}),
            }
        )
    return render(rows, name, "method", "cell")


def completeness_table(table: pd.DataFrame, name: str) -> Markup:
    """How complete integrated gradients are, one row per cell and method."""
    rows = []
    records = table.to_dict("records")
    for row, left_out in zip(records, _left_out(records), strict=True):
        rows.append(
            {
                "cell": cell_name(row),
                "method": signed(row["method"], INCOMPLETE if row["incomplete"] else None),
                "baseline": row["baseline"],
                "n": str(row["n"]),
                **left_out,
                "steps, mean": number(row["steps_mean"]),
                "most": MISSING if pd.isna(row["steps_max"]) else str(int(row["steps_max"])),
                "tolerance": percent(row["tolerance"], row["n"]),
                "texts within it": percent(row["share_within"], row["n"]),
                "change of the target": two_digits(row["change"]),
                "error, mean": two_digits(row["error_mean"]),
                "error, largest": two_digits(row["error_max"]),
                "mean error in percent of the change": percent(row["error_share"], row["n"]),
            }
        )
    return render(rows, name, "method", "cell")


def _over_runs(row: Row, value: str, shown: Callable[[float], str] = number) -> str:
    """The mean over runs, with the lowest and the highest if there are several, each as ``shown``."""
    texts = [shown(row[f"{value}{end}"]) for end in ("", "_min", "_max")]
    return f"{texts[0]} ({texts[1]} to {texts[2]})" if row["seeds"] > 1 and texts[0] != MISSING else texts[0]


def _epoch(row: Row) -> str:
    return flagged("base" if row["epoch"] == 0 else str(row["epoch"]), row["collapsed"])


def course_table(table: pd.DataFrame, name: str) -> Markup:
    """What each model answers at each epoch."""
    rows = []
    for row in table.drop_duplicates(["corpus", "model", "epoch"]).to_dict("records"):
        n = row["n_accuracy"]
        share = partial(percent, n=n)
        rows.append(
            {
                "course": f"{row['corpus']}, {row['model']}",
                "epoch": _epoch(row),
                "seeds": str(row["seeds"]) if row["epoch"] else MISSING,
                "n": str(n),
                "accuracy": _over_runs(row, "accuracy", share),
                "macro-F1": _over_runs(row, "macro_f1"),
                "most predicted label": _over_runs(row, "majority_predicted_share", share),
                "entropy of predictions (bits)": _over_runs(row, "predicted_entropy"),
            }
        )
    return render(rows, name, "epoch", "course")


def trajectory_table(table: pd.DataFrame, name: str) -> Markup:
    """Alignment and flip rate of each method at each epoch of one corpus and model, in the order of ``table``."""
    order = {method: position for position, method in enumerate(table["method"].unique())}
    rows = []
    for row in sorted(table.to_dict("records"), key=lambda row: (order[row["method"]], row["epoch"])):
        n, drawn, both = (row[f"n_{name}"] for name in ("flip_rate", BEYOND, f"{BEYOND}_both"))
        share, points, points_both = partial(percent, n=n), partial(points_text, n=drawn), partial(points_text, n=both)
        rows.append(
            {
                "family": row["family"],
                "method": method_name(row),
                "epoch": _epoch(row),
                "F1": f"{_over_runs(row, 'f1')} ({n_text(row['n_f1'])})",
                "F1 \N{MINUS SIGN} chance": _over_runs(row, "f1_corrected"),
                "flip rate": f"{_over_runs(row, 'flip_rate', share)} ({n_text(n)})",
                "flips beyond random": f"{_over_runs(row, BEYOND, points)} ({n_text(drawn)})",
                "comprehensiveness": _over_runs(row, "comprehensiveness"),
                "F1, both right": f"{_over_runs(row, 'f1_both')} ({n_text(row['n_f1_both'])})",
                "F1 of the base there": _over_runs(row, "f1_both_base"),
                "beyond random, both right": f"{_over_runs(row, f'{BEYOND}_both', points_both)} ({n_text(both)})",
                "beyond random of the base there": _over_runs(row, f"{BEYOND}_both_base", points_both),
            }
        )
    return render(rows, name, "method", "family")
