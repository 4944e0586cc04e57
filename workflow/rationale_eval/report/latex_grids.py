"""Tables for a paper with a row for each method and a column for each cell: one measure each, the best in bold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.bold import Measure, best, competing
from rationale_eval.report.flags import flag_notes, signed
from rationale_eval.report.latex import escape, estimate, floating, tabular
from rationale_eval.report.layout import (
    BASE,
    REFERENCE,
    by_definition,
    cells_in,
    epoch_and_seed,
    family,
    flagged,
    main_rows,
)
from rationale_eval.report.marked import MARKED, said_of, who_marked, with_notes
from rationale_eval.report.wording import (
    MISSING,
    budget_text,
    level_text,
    n_text,
    number,
    number_with_interval,
    percent_with_interval,
    points_text,
    points_with_interval,
)

# As many estimates with intervals stand beside each other on a page.
MOST_COLUMNS = 4
SHARE, POINTS, NUMBER = "share", "points", "number"
MARKERS = "[those who marked words]"  # in a measure's words: whoever did in the corpora of a table

GRIDS: dict[str, tuple[Measure, ...]] = {
    "alignment": (
        Measure("f1", f"Alignment with {MARKERS}: token F1 (0 to 1)", NUMBER, "n"),
        Measure(
            "f1_corrected",
            f"Alignment with {MARKERS}, above chance: token F1 minus that expected of random sets of the same size",
            NUMBER,
            "n",
        ),
    ),
    "faithfulness": (
        Measure("flip_rate", "Faithfulness: predictions that flip when the rationale is masked", SHARE, "n"),
        Measure(
            "flip_beyond_random",
            "Faithfulness: flips by masking the rationale beyond those by equally many random words (% points)",
            POINTS,
            "n_random",
        ),
        Measure(
            "comprehensiveness",
            "Comprehensiveness: what masking the rationale takes from the probability of the predicted label",
            NUMBER,
            "n",
        ),
        Measure(
            "sufficiency",
            "Sufficiency: what keeping the rationale alone takes from the probability of the predicted label (lower is "
            "better)",
            NUMBER,
            "n_kept",
            -1,
        ),
    ),
    "positions": (
        Measure("first", "Texts in which the first word is in the rationale", SHARE, "n", 0),
        Measure("last", "Texts in which the last word is in the rationale", SHARE, "n", 0),
    ),
    "faithfulness_curves": (
        Measure(
            "aopc_comprehensiveness",
            "Comprehensiveness of each method's order of words, averaged over fractions of the words (AOPC)",
            NUMBER,
            "n_aopc_comprehensiveness",
        ),
        Measure(
            "aopc_sufficiency",
            "Sufficiency of each method's order of words, averaged over fractions of the words (AOPC; lower is better)",
            NUMBER,
            "n_aopc_sufficiency",
            -1,
        ),
        Measure("deletion_auc", "Area under the deletion curve (lower is better)", NUMBER, "n_deletion_auc", -1),
    ),
    "faithfulness_normalised": (
        Measure("flip_normalised", "Flip rate between that of random words (0) and of all words (1)", NUMBER, "n_flip"),
        Measure(
            "comprehensiveness_normalised",
            "Comprehensiveness between that of random words (0) and of all words (1)",
            NUMBER,
            "n_comprehensiveness",
        ),
    ),
}


@dataclass(frozen=True)
class Column:
    """A column of estimates under a head of two levels; ``rows`` are those of its cell, each a row of the table."""

    head: tuple[str, str]
    rows: pd.DataFrame


def shown(row: Mapping[str, Any], measure: Measure) -> str:
    """One estimate with its interval, for LaTeX."""
    value, low, high = (row[f"{measure.column}{end}"] for end in ("", "_low", "_high"))
    n = row[measure.count]
    if measure.form == NUMBER:
        text = number_with_interval(value, low, high)
    else:
        text = (percent_with_interval if measure.form == SHARE else points_with_interval)(value, low, high, n)
        text = text.replace("\N{NO-BREAK SPACE}points", "")  # the caption says so
    if by_definition(row.get("kind", ""), measure.column) and pd.notna(value):
        text += " [by definition]"
    if pd.notna(value):
        first, *interval = text.split(" [", 1)
        text = " [".join([signed(first, row.get("flag")), *interval])
    if pd.notna(value) and text.endswith("]"):
        told = informative(row, measure)
        more = [n_text(n)] if n < row.get("most", n) else []
        more += [] if told is None or told >= n else [f"{told} inf."]
        text = "; ".join([text[:-1], *more]) + "]"
    return estimate(text)


def informative(row: Mapping[str, Any], measure: Measure) -> int | None:
    """How many of the instances behind an estimate are informative; None where the table does not say."""
    of_all = row[measure.count] == row.get("n")
    found = row.get("n_informative" if of_all else f"{measure.count}_informative")
    return None if found is None or pd.isna(found) else int(found)


def informative_note(columns: Sequence[Column], measure: Measure) -> str:
    """What "inf." means, for a caption; empty where all instances are informative."""
    rows = [row for column in columns for row in column.rows.to_dict("records")]
    told = [(informative(row, measure), row[measure.count]) for row in rows]
    if not any(found is not None and found < n for found, n in told):
        return ""
    return " inf.: of these texts those that are informative, in which a method chooses some words but not all."


def method_rows(keys: Sequence[tuple[str, str | None, str]], width: int) -> tuple[list[list[str]], dict[int, int]]:
    """The first column of a table with a row for each of ``keys`` (method, budget, kind), under a line per family.

    ``width`` is the number of columns. Returns the rows with empty cells, and for each key the position of its row.
    """
    rows: list[list[str]] = []
    places: dict[int, int] = {}
    last = None
    for position, (method, budget, kind) in enumerate(keys):
        group = family(kind)
        if group != last:
            space = "" if last is None else "\\addlinespace "
            rows.append([f"{space}\\textit{{{escape(group.replace('_', ' '))}}}", *[""] * (width - 1)])
            last = group
        places[position] = len(rows)
        name = f"{method} (as given)" if budget == AS_GIVEN and group != REFERENCE else method
        rows.append([f"\\quad {escape(name)}", *[MISSING] * (width - 1)])
    return rows, places


def _keys(frame: pd.DataFrame) -> list[tuple[str, str | None, str]]:
    budgets = frame["budget"] if "budget" in frame else [None] * len(frame)
    return list(zip(frame["method"], budgets, frame["kind"], strict=True))


def grid(columns: Sequence[Column], measure: Measure, fill: Callable[[Mapping[str, Any], Measure], str] = shown) -> str:
    """The tabular of one measure: methods by columns; ``fill`` says an estimate."""
    keys = list(dict.fromkeys(key for column in columns for key in _keys(column.rows)))
    rows, places = method_rows(keys, 1 + len(columns))
    bold = set()
    for place, column in enumerate(columns, start=1):
        records = competing(column.rows, measure)
        at = [places[keys.index(key)] for key in _keys(column.rows)]
        for row, line in zip(records, at, strict=True):
            rows[line][place] = fill(row, measure)
        if f"{measure.column}_low" in column.rows:
            bold |= {(at[position], place) for position in best(records, measure)}
    heads = [("", ""), *((escape(column.head[0]), escape(column.head[1])) for column in columns)]
    return tabular(heads, rows, "l" + "c" * len(columns), bold)


def counts(columns: Sequence[Column], name: str) -> str:
    """The numbers of instances behind estimates, for example ``n = 40 to 48``."""
    found = pd.concat([column.rows[name] for column in columns])
    found = found[found > 0]
    low, high = (int(found.min()), int(found.max())) if len(found) else (0, 0)
    return f"n = {high}" if low == high else f"n = {low} to {high}"


def chunks(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    """At most ``MOST_COLUMNS`` columns at a time."""
    for start in range(0, len(columns), MOST_COLUMNS):
        yield columns[start : start + MOST_COLUMNS]


def checkpoint_names(checkpoints: Iterable[str]) -> dict[str, str]:
    """Each checkpoint as a table names it: ``base``, ``epoch 1``, and with its seed where there are several."""
    found = {name: epoch_and_seed(name) for name in checkpoints}
    several = len({seed for _, seed in found.values()} - {None}) > 1
    return {
        name: BASE if seed is None else f"epoch {epoch}{f', seed {seed}' if several else ''}"
        for name, (epoch, seed) in found.items()
    }


def cell_columns(table: pd.DataFrame, spec: Mapping[str, Any]) -> Iterator[tuple[str, list[Column]]]:
    """For each model a column for each corpus and checkpoint, with the rows at the main budget and sets as given."""
    rows = table.assign(budget=spec["main_budget"]) if "budget" not in table else table
    rows = main_rows(rows, spec["methods"], spec["main_budget"])
    cells = cells_in(table)
    names = checkpoint_names(table["checkpoint"])
    for model in dict.fromkeys(cell.model for cell in cells):
        mine = [cell for cell in cells if cell.model == model]
        columns = []
        for cell in mine:
            part = with_notes(cell.rows(rows), MARKED[spec["marked_by"][cell.corpus]])
            collapsed = bool(part["collapsed"].any())
            columns.append(Column((cell.corpus, flagged(names[cell.checkpoint], collapsed)), part))
        yield model, columns


def notes(columns: Sequence[Column]) -> str:
    """What the signs mean of cells that have collapsed and of flagged methods, where there are any."""
    collapsed = any(bool(column.rows["collapsed"].any()) for column in columns)
    found = [" \N{DAGGER}: the model has collapsed, inconclusive."] if collapsed else []
    flags = pd.concat([column.rows["flag"] for column in columns if "flag" in column.rows] or [pd.Series(dtype=str)])
    return "".join([*found, *(f" {note}." for note in flag_notes(flags))])


def named(measure: Measure, columns: Sequence[Column], spec: Mapping[str, Any]) -> tuple[str, str]:
    """The words of a measure for the corpora of ``columns`` (rows with ``corpus``), and who marked their words.

    The latter is a sentence, empty where it was people, and where the measure has nothing to do with it.
    """
    if MARKERS not in measure.words:
        return measure.words, ""
    corpora = dict.fromkeys(str(name) for column in columns for name in column.rows["corpus"])
    kinds = {name: spec["marked_by"][name] for name in corpora}
    note = who_marked(kinds)
    return measure.words.replace(MARKERS, said_of(kinds.values()).agreement), f" {note}" if note else ""


def grids(name: str, table: pd.DataFrame, spec: Mapping[str, Any]) -> list[str]:
    """The floats of one of ``GRIDS``: for each measure and model, as many as the columns need."""
    budget = ""
    if "budget" in table:
        budget = f", at the budget {spec['main_budget']} ({budget_text(spec['budgets'][spec['main_budget']])})"
    floats = []
    for measure in GRIDS[name]:
        for model, columns in cell_columns(table, spec):
            for part, chosen in enumerate(chunks(columns), start=1):
                words, note = named(measure, chosen, spec)
                bold = f" {measure.bold}." if measure.better else ""
                caption = (
                    f"{words}{budget}.{note} Model {model}; mean with {level_text(spec['level'])} interval, "
                    f"{counts(chosen, measure.count)}.{bold}{informative_note(chosen, measure)}{notes(chosen)}"
                )
                label = f"tab:{name}:{measure.column}:{model}:{part}"
                floats.append(floating(label, escape(caption), grid(chosen, measure)))
    return floats


def course_grids(table: pd.DataFrame, spec: Mapping[str, Any]) -> list[str]:
    """The floats of the trajectory: F1 and flips beyond random of each method at each epoch, with their range."""
    measures = (
        Measure("f1", f"Alignment with {MARKERS} (token F1) over fine-tuning", NUMBER, "n_f1"),
        Measure(
            "flip_beyond_random",
            "Flips beyond those by equally many random words (% points) over fine-tuning",
            POINTS,
            "n_flip_beyond_random",
        ),
    )

    def fill(row: Mapping[str, Any], measure: Measure) -> str:
        values = [row[f"{measure.column}{end}"] for end in ("", "_min", "_max")]
        n = row[measure.count]
        first, low, high = (number(value) if measure.form == NUMBER else points_text(value, n) for value in values)
        first, low, high = (text.replace("\N{NO-BREAK SPACE}points", "") for text in (first, low, high))
        first = signed(first, row["flag"]) if first != MISSING else first
        return estimate(f"{first} [{low}, {high}]" if row["seeds"] > 1 and first != MISSING else first)

    rows = main_rows(table, spec["methods"], spec["main_budget"])
    floats = []
    for measure in measures:
        for model in dict.fromkeys(table["model"]):
            mine = rows[rows["model"] == model]
            columns = [
                Column(
                    (str(corpus), flagged(f"epoch {epoch}", bool(part["collapsed"].any()))),
                    with_notes(part, MARKED[spec["marked_by"][corpus]]),
                )
                for (corpus, epoch), part in mine.groupby(["corpus", "epoch"], sort=False)
            ]
            columns.sort(key=lambda column: list(dict.fromkeys(mine["corpus"])).index(column.head[0]))
            for part, chosen in enumerate(chunks(columns), start=1):
                words, note = named(measure, chosen, spec)
                caption = (
                    f"{words}, at the budget {spec['main_budget']}.{note} Model {model}; epoch 0 is the model as it "
                    f"is; mean over seeds, in brackets the lowest and the highest where there are several, "
                    f"{counts(chosen, measure.count)}. None is in bold: intervals over instances stand in the tables "
                    f"by checkpoint.{notes(chosen)}"
                )
                label = f"tab:trajectory:{measure.column}:{model}:{part}"
                floats.append(floating(label, escape(caption), grid(chosen, measure, fill)))
    return floats
