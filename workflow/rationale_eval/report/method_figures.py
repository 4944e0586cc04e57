"""Figures with a row for each method and a panel for each cell: alignment, faithfulness, and matched sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rationale_eval.rationales.budgets import AS_GIVEN, MATCHED
from rationale_eval.report.drawing import (
    LINES,
    Methods,
    arranged,
    collapsed_panel,
    columns_of,
    hatched,
    inscribe,
    instances_text,
    label,
    legend,
    line_text,
    panels,
    points,
    positions,
    words,
)
from rationale_eval.report.layout import Cell, cells_in, family, main_rows, ordered, short_titles
from rationale_eval.report.marked import MARKED, Marked, with_notes
from rationale_eval.report.wording import level_text, number, percent, visible


def _placed(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[float, str]]:
    """``rows`` with a column ``height``, and the names of these heights."""
    heights = positions(rows)
    places = [heights[key] for key in zip(rows["method"], rows["budget"], strict=True)]
    return rows.assign(height=places), {height: label(*key) for key, height in heights.items()}


def alignment_figure(
    table: pd.DataFrame, methods: Methods, main_budget: str, level: float, cards: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Mean token F1 (0 to 1) of each method with its interval, and the expected F1 of random sets of the same size.

    ``table`` is the report's alignment table; ``cards`` are the corpora's cards, for how many words are marked and by
    whom. The marked words are left out: against themselves they have an F1 of 1 by definition.
    """
    rows = main_rows(table, methods, main_budget)
    rows, names = _placed(rows[rows["kind"] != "human"])
    cells = arranged(cells_in(table))
    titles = short_titles(cells)

    def draw(axes: Axes, cell: Cell) -> None:
        mine = cell.rows(rows)
        points(axes, mine, "f1", methods)
        axes.scatter(mine["f1_chance"], mine["height"], marker="|", s=190, color="black", linewidths=1.4, zorder=1)
        card = cards[cell.corpus]
        # The panel's n can be fewer: texts without a marked word, or that a model could not take, are in no mean.
        said = MARKED[card["marked_by"]]
        marked = f"{number(card['marked_per_row'])} of {number(card['words_per_row'])} words {said.by}"
        lines = [
            collapsed_panel(axes, titles[cell], mine),
            instances_text(mine),
            f"{card['test_rows']} texts: {marked}",
        ]
        below = f"token F1 with {said.agreement}, mean over instances with {level_text(level)} interval"
        inscribe(axes, columns_of(cells), lines, below)

    figure = panels(cells, names, draw, from_zero=True)
    chance = Line2D([], [], color="black", marker="|", markersize=10, markeredgewidth=1.6, linestyle="none")
    chance.set_label("expected F1 of a random set of this size")
    legend(figure, methods, rows, [chance, *hatched(rows)])
    return figure


def faithfulness_figure(
    table: pd.DataFrame, accuracy: pd.DataFrame, methods: Methods, main_budget: str, level: float, marked: Marked
) -> Figure:
    """Flip rate (percent of n) of each method with its interval; lines at random, marked and all words.

    ``table`` and ``accuracy`` are the report's tables; ``marked`` says who marked words in its corpora.
    """
    rows = with_notes(main_rows(table, methods, main_budget), marked)
    rows = rows.assign(**{name: 100 * rows[name] for name in ("flip_rate", "flip_rate_low", "flip_rate_high")})
    rows, names = _placed(rows)
    cells = arranged(cells_in(table))
    titles = short_titles(cells)

    def draw(axes: Axes, cell: Cell) -> None:
        mine = cell.rows(rows)
        for row in mine[mine["kind"].isin(list(LINES))].to_dict("records"):
            color, dashes, _ = LINES[row["kind"]]
            axes.axvline(row["flip_rate"], color=color, linestyle=dashes, linewidth=1.3, zorder=1)
        points(axes, mine, "flip_rate", methods)
        model = cell.rows(accuracy).iloc[0]
        right = percent(model["accuracy"], model["n"])
        one_label = percent(model["majority_predicted_share"], model["n"])
        about = f"{instances_text(mine)}; accuracy {right}, most predicted label {one_label}"
        below = f"flipped predictions (% of n) with {level_text(level)} interval"
        inscribe(axes, columns_of(cells), [collapsed_panel(axes, titles[cell], mine), about], below)

    figure = panels(cells, names, draw, from_zero=True)
    handles = []
    for kind, (color, dashes, _) in LINES.items():
        if (rows["kind"] == kind).any():
            text = f"masking {line_text(kind, marked)}"
            handles.append(Line2D([], [], color=color, linestyle=dashes, label=text))
    legend(figure, methods, rows, [*handles, *hatched(rows)])
    return figure


def matched_rows(table: pd.DataFrame, methods: Methods, budget: str, to: str) -> pd.DataFrame:
    """The rows of the prompted method ``to`` as given, and of the scored methods at ``budget``, cut to its sizes."""
    asked = table[(table["method"] == to) & (table["budget"] == AS_GIVEN)]
    cut = table[(table["budget"] == budget) & table["method"].isin(list(methods))]
    rank = {name: position for position, name in enumerate(ordered(methods))}
    return pd.concat([asked, cut.sort_values("method", key=lambda column: column.map(rank), kind="stable")])


def matched_figure(
    table: pd.DataFrame, methods: Methods, budgets: Mapping[str, Mapping[str, Any]], level: float
) -> Figure:
    """Chance-corrected F1 of each prompted method and of the scored methods cut to the sizes of its replies.

    ``table`` is the report's alignment table, ``budgets`` are the study's; a figure of words where none is matched.
    """
    parts, names = [], {}
    height = 0.0
    for budget, entry in budgets.items():
        if entry["kind"] != MATCHED or budget not in set(table["budget"]):
            continue
        rows = matched_rows(table, methods, budget, entry["to"])
        names[height] = str(visible(f"{budget}:"))
        places, last = {}, family(rows["kind"].iloc[0])
        for method, kind in rows[["method", "kind"]].drop_duplicates().itertuples(index=False):
            height -= 1.0 if method == entry["to"] or family(kind) == last else 1.4
            places[method], last = height, family(kind)
            names[height] = label(method, AS_GIVEN if method == entry["to"] else budget)
        parts.append(rows.assign(height=rows["method"].map(places)))
        height -= 1.8
    if not parts:
        return words("The study has no matched budget: prompting and attribution are not compared at equal sizes.")
    drawn = pd.concat(parts)
    cells = arranged(cells_in(table))
    titles = short_titles(cells)

    def draw(axes: Axes, cell: Cell) -> None:
        mine = cell.rows(drawn)
        axes.axvline(0, color="black", linewidth=1.0, zorder=1)
        points(axes, mine, "f1_corrected", methods)
        below = f"token F1 above chance, mean over instances with {level_text(level)} interval"
        inscribe(axes, columns_of(cells), [collapsed_panel(axes, titles[cell], mine), instances_text(mine)], below)

    figure = panels(cells, names, draw)
    chance = Line2D([], [], color="black", linewidth=1.0, label="random words of equal number")
    legend(figure, methods, drawn, [chance, *hatched(drawn)])
    return figure
