"""Draw the study's figures from its tables: alignment and faithfulness by method, one panel per cell, as SVG and PNG.

Repeated runs write the same bytes.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.layout import (
    REFERENCE,
    Cell,
    cells_in,
    family,
    main_rows,
    read_card,
    read_summary,
    short_titles,
)
from rationale_eval.report.wording import level_text, number, percent, visible
from rationale_eval.tables import read_provenance

Methods = Mapping[str, Mapping[str, Any]]
Drawing = Callable[[Axes, Cell], None]

# Okabe and Ito's colours, told apart by people with any of the common colour vision deficiencies; the marker tells the
# family too.
_FAMILY_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "v"))
_REFERENCE_STYLE = ("#555555", "P")
# Reference rows that a rationale is read against: a line across the panel. By kind: colour, dashes, what it is.
_LINES = {
    "random": ("#555555", (0, (4, 2)), "random words"),
    "human": ("#E69F00", (0, (6, 1.5, 1, 1.5)), "words marked by people"),
    "all_words": ("#000000", "solid", "all words"),
}
_STYLE = {
    "svg.hashsalt": "rationale-eval",
    # Text stays text: searchable, and small in the file.
    "svg.fonttype": "none",
    # Names come from outside, and a dollar sign in one is no formula.
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
}
_WIDTH, _ROW, _AROUND = 10.0, 0.27, 1.4
_MOST_COLUMNS = 3
# About as many letters stand side by side above the panels.
_LETTERS = 96


def families(methods: Methods) -> dict[str, tuple[str, str]]:
    """For each family of ``methods`` its colour and marker, by name, references last."""
    names = sorted({family(method["kind"]) for method in methods.values()} - {REFERENCE})
    styles = {name: _FAMILY_STYLES[position % len(_FAMILY_STYLES)] for position, name in enumerate(names)}
    return styles | {REFERENCE: _REFERENCE_STYLE}


def positions(rows: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The height of each (method, budget) of ``rows`` in a panel: downwards from 0, with a gap between families."""
    found: dict[tuple[str, str], float] = {}
    height, last = 0.0, None
    for row in rows.itertuples():
        if (row.method, row.budget) in found:
            continue
        group = family(row.kind)
        height -= 0.0 if last is None else 1.0 if group == last else 1.6
        last = group
        found[row.method, row.budget] = height
    return found


def _label(method: str, budget: str) -> str:
    return str(visible(f"{method} (as given)" if budget == AS_GIVEN else method))


def _points(
    axes: Axes, rows: pd.DataFrame, value: str, heights: Mapping[tuple[str, str], float], methods: Methods
) -> None:
    styles = families(methods)
    for row in rows.to_dict("records"):
        if pd.isna(row[value]):
            continue
        color, marker = styles[family(row["kind"])]
        middle, low, high = row[value], row[f"{value}_low"], row[f"{value}_high"]
        axes.errorbar(
            middle,
            heights[row["method"], row["budget"]],
            # A skewed bootstrap can leave the mean just outside its interval, and matplotlib refuses negative lengths.
            xerr=[[max(0.0, middle - low)], [max(0.0, high - middle)]],
            color=color,
            marker=marker,
            markersize=6,
            markerfacecolor="white" if row["budget"] == AS_GIVEN else color,
            elinewidth=1.4,
            capsize=2.5,
            clip_on=False,
        )


def arranged(cells: Sequence[Cell]) -> list[Cell]:
    """The cells by model and checkpoint, then corpus, each in the order of appearance: the order of the panels."""
    rows = list(dict.fromkeys((cell.model, cell.checkpoint) for cell in cells))
    corpora = list(dict.fromkeys(cell.corpus for cell in cells))
    return sorted(cells, key=lambda cell: (rows.index((cell.model, cell.checkpoint)), corpora.index(cell.corpus)))


def _columns(cells: Sequence[Cell]) -> int:
    """Panels beside each other: one per corpus if these are few, so that a row is one checkpoint of one model."""
    corpora = len({cell.corpus for cell in cells})
    return min(len(cells), corpora if 1 < corpora <= _MOST_COLUMNS else 2)


def _inscribe(axes: Axes, columns: int, title: Sequence[str], below: str) -> None:
    """Title lines and axis label, wrapped to the width of one of ``columns`` panels."""
    width = _LETTERS // columns
    axes.set_title("\n".join(textwrap.fill(visible(line), width) for line in title), loc="left")
    axes.set_xlabel(textwrap.fill(below, width), fontsize=9)


def _panels(cells: Sequence[Cell], heights: Mapping[tuple[str, str], float], draw: Drawing) -> Figure:
    columns = _columns(cells)
    rows = -(-len(cells) // columns)
    span = 1 - min(heights.values(), default=0.0)
    figure = Figure(figsize=(_WIDTH, rows * (_ROW * span + _AROUND) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, cell in zip(grid.flat, cells, strict=False):
        axes.set_ylim(min(heights.values(), default=0.0) - 0.7, 0.7)
        axes.set_yticks(list(heights.values()), [_label(*key) for key in heights])
        axes.grid(axis="x", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        # Shared axes would leave numbers to the lowest row, which can be a screen away.
        axes.tick_params(labelbottom=True)
        draw(axes, cell)
    grid[0, 0].set_xlim(left=0)
    for axes in grid.flat[len(cells) :]:
        axes.set_visible(False)
    return figure


def _count(rows: pd.DataFrame) -> str:
    low, high = (int(rows["n"].min()), int(rows["n"].max())) if len(rows) else (0, 0)
    return f"n = {high}" if low == high else f"n = {low} to {high}"


def _legend(figure: Figure, methods: Methods, drawn: pd.DataFrame, lines: Sequence[Line2D]) -> None:
    shown = {family(kind) for kind in drawn["kind"]}
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", label=str(visible(name.replace("_", " "))))
        for name, (color, marker) in families(methods).items()
        if name in shown
    ]
    if (drawn["budget"] == AS_GIVEN).any():
        handles.append(
            Line2D([], [], color="black", marker="o", linestyle="none", markerfacecolor="white", label="set as given")
        )
    figure.legend(handles=[*handles, *lines], loc="outside lower center", ncols=4, frameon=False)


def alignment_figure(
    table: pd.DataFrame, methods: Methods, main_budget: str, level: float, cards: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Mean token F1 (0 to 1) of each method with its interval, and the expected F1 of random sets of the same size.

    ``table`` is the report's alignment table; ``cards`` are the corpora's cards, for how many words people marked.
    People's own words are left out: against themselves they have an F1 of 1 by construction.
    """
    rows = main_rows(table, methods, main_budget)
    rows = rows[rows["kind"] != "human"]
    heights = positions(rows)
    cells = arranged(cells_in(table))
    titles = short_titles(cells)

    def draw(axes: Axes, cell: Cell) -> None:
        mine = cell.rows(rows)
        _points(axes, mine, "f1", heights, methods)
        places = [heights[key] for key in zip(mine["method"], mine["budget"], strict=True)]
        axes.scatter(mine["f1_chance"], places, marker="|", s=190, color="black", linewidths=1.4, zorder=1)
        card = cards[cell.corpus]
        marked = f"{number(card['marked_per_row'])} of {number(card['words_per_row'])} words marked per text"
        below = f"token F1, mean over instances with {level_text(level)} interval"
        _inscribe(axes, _columns(cells), [titles[cell], f"{_count(mine)}; {marked}"], below)

    figure = _panels(cells, heights, draw)
    chance = Line2D([], [], color="black", marker="|", markersize=10, markeredgewidth=1.6, linestyle="none")
    chance.set_label("expected F1 of a random set of this size")
    _legend(figure, methods, rows, [chance])
    return figure


def faithfulness_figure(
    table: pd.DataFrame, accuracy: pd.DataFrame, methods: Methods, main_budget: str, level: float
) -> Figure:
    """Flip rate (percent of n) of each method with its interval; lines at random, people's and all words.

    ``table`` and ``accuracy`` are the report's tables.
    """
    rows = main_rows(table, methods, main_budget)
    rows = rows.assign(**{name: 100 * rows[name] for name in ("flip_rate", "flip_rate_low", "flip_rate_high")})
    heights = positions(rows)
    cells = arranged(cells_in(table))
    titles = short_titles(cells)

    def draw(axes: Axes, cell: Cell) -> None:
        mine = cell.rows(rows)
        for row in mine[mine["kind"].isin(list(_LINES))].to_dict("records"):
            color, dashes, _ = _LINES[row["kind"]]
            axes.axvline(row["flip_rate"], color=color, linestyle=dashes, linewidth=1.3, zorder=1)
        _points(axes, mine, "flip_rate", heights, methods)
        model = cell.rows(accuracy).iloc[0]
        right = percent(model["accuracy"], model["n"])
        one_label = percent(model["majority_predicted_share"], model["n"])
        about = f"{_count(mine)}; accuracy {right}, most predicted label {one_label}"
        below = f"flipped predictions (% of n) with {level_text(level)} interval"
        _inscribe(axes, _columns(cells), [titles[cell], about], below)

    figure = _panels(cells, heights, draw)
    handles = []
    for kind, (color, dashes, text) in _LINES.items():
        if (rows["kind"] == kind).any():
            handles.append(Line2D([], [], color=color, linestyle=dashes, label=f"{text} masked"))
    _legend(figure, methods, rows, handles)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as ``path`` with the endings .svg and .png, without dates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval figures", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"methods": {name: entry}, "main_budget": name}')
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the report's tables")
    parser.add_argument(
        "--results", type=Path, required=True, help="the folder of the results, for the corpora's cards"
    )
    parser.add_argument("--output", type=Path, required=True, help="output: the folder of the figures")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    methods, budget = spec["methods"], spec["main_budget"]
    alignment = read_summary(args.tables / "alignment.parquet")
    faithfulness = read_summary(args.tables / "faithfulness.parquet")
    accuracy = read_summary(args.tables / "accuracy.parquet")
    if budget not in set(alignment["budget"]):
        found = sorted(set(alignment["budget"]))
        raise UserError(f"{args.tables / 'alignment.parquet'}: has no row of the main budget {budget!r}, only {found}")
    level = read_provenance(args.tables / "alignment.parquet")["spec"]["interval"]["level"]
    cards = {name: read_card(args.results / "corpora" / name) for name in alignment["corpus"].unique()}
    with mpl.rc_context(_STYLE):
        save(alignment_figure(alignment, methods, budget, level, cards), args.output / "alignment")
        save(faithfulness_figure(faithfulness, accuracy, methods, budget, level), args.output / "faithfulness")
    say(f"{args.output}: alignment and faithfulness, as SVG and PNG")
