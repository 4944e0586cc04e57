"""What the report's figures share: colours, panels, points, legends, files. Repeated runs write the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.rationales.schema import NOT_AVAILABLE
from rationale_eval.report.flags import flag_notes, has_flag
from rationale_eval.report.layout import REFERENCE, Cell, family, flagged
from rationale_eval.report.marked import Marked
from rationale_eval.report.wording import visible

Methods = Mapping[str, Mapping[str, Any]]
Drawing = Callable[[Axes, Cell], None]

# Okabe and Ito's colours, told apart by people with any of the common colour vision deficiencies; the marker tells the
# family too.
_FAMILY_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "v"))
_REFERENCE_STYLE = ("#555555", "P")
# Reference rows that a rationale is read against: a line across the panel. By kind: colour, dashes, what it is.
LINES = {
    "random": ("#555555", (0, (4, 2)), "random words"),
    "human": ("#E69F00", (0, (6, 1.5, 1, 1.5)), "the marked words"),
    "all_words": ("#000000", "solid", "all words"),
}
STYLE = {
    "svg.hashsalt": "rationale-eval",
    # Text stays text: searchable, and small in the file.
    "svg.fonttype": "none",
    # TrueType, which journals ask for, and not the bitmaps of Type 3.
    "pdf.fonttype": 42,
    # Names come from outside, and a dollar sign in one is no formula.
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
}
FLAGGED = "x"  # the marker of a flagged method
WIDTH, _ROW, _AROUND = 10.0, 0.27, 1.4
_MOST_COLUMNS = 3
# About as many letters stand side by side above the panels.
LETTERS = 96
# The columns of a legend and the letters of a line in it, tried in turn: fewer columns first, then shorter lines.
_LEGEND_SHAPES = ((4, LETTERS), (3, LETTERS), (2, LETTERS), (1, LETTERS), (1, LETTERS // 2), (1, LETTERS // 4))
# What it may take of the figure's width: the SVG's text is set in a font of the reader's, which can be wider.
_LEGEND_SHARE = 0.95


def line_text(kind: str, marked: Marked) -> str:
    """What a line of ``LINES`` is, in the words for who ``marked`` the corpora."""
    return marked.words if kind == "human" else LINES[kind][2]


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


def label(method: str, budget: str) -> str:
    """How a row of a figure is named."""
    return str(visible(f"{method} (as given)" if budget == AS_GIVEN else method))


def points(axes: Axes, rows: pd.DataFrame, value: str, methods: Methods) -> None:
    """A point with its interval for each of ``rows`` with a ``value``, at its ``height``; sets as given are hollow.

    Those of flagged methods are pale crosses. Where a model cannot give what a method needs, a note stands in its
    place.
    """
    styles = families(methods)
    for row, missing in zip(rows.to_dict("records"), not_available(rows), strict=True):
        if missing:
            axes.text(
                0.02,
                row["height"],
                "not available",
                transform=axes.get_yaxis_transform(),
                va="center",
                color="0.4",
                size="small",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        if pd.isna(row[value]):
            continue
        color, marker = styles[family(row["kind"])]
        flag = has_flag(row["flag"])
        middle, low, high = row[value], row[f"{value}_low"], row[f"{value}_high"]
        axes.errorbar(
            middle,
            row["height"],
            # A skewed bootstrap can leave the mean just outside its interval, and matplotlib refuses negative lengths.
            xerr=[[max(0.0, middle - low)], [max(0.0, high - middle)]],
            color=color,
            marker=FLAGGED if flag else marker,
            markersize=6,
            markerfacecolor="white" if row["budget"] == AS_GIVEN else color,
            alpha=0.45 if flag else None,
            elinewidth=1.4,
            capsize=2.5,
            clip_on=False,
        )


def not_available(rows: pd.DataFrame) -> pd.Series:
    """Which of ``rows`` are of a method whose needs the model cannot serve, so that it has no value at all."""
    column = f"status_{NOT_AVAILABLE}"
    if column not in rows:
        return pd.Series(False, index=rows.index)
    return (rows[column] > 0) & (rows["n"] == 0)


def arranged(cells: Sequence[Cell]) -> list[Cell]:
    """The cells by model and checkpoint, then corpus, each in the order of appearance: the order of the panels."""
    rows = list(dict.fromkeys((cell.model, cell.checkpoint) for cell in cells))
    corpora = list(dict.fromkeys(cell.corpus for cell in cells))
    return sorted(cells, key=lambda cell: (rows.index((cell.model, cell.checkpoint)), corpora.index(cell.corpus)))


def columns_of(cells: Sequence[Cell]) -> int:
    """Panels beside each other: one per corpus if these are few, so that a row is one checkpoint of one model."""
    corpora = len({cell.corpus for cell in cells})
    return min(len(cells), corpora if 1 < corpora <= _MOST_COLUMNS else 2)


def inscribe(axes: Axes, columns: int, title: Sequence[str], below: str) -> None:
    """Title lines and axis label, wrapped to the width of one of ``columns`` panels."""
    width = LETTERS // columns
    axes.set_title("\n".join(textwrap.fill(visible(line), width) for line in title), loc="left")
    axes.set_xlabel(textwrap.fill(below, width), fontsize=9)


def panels(cells: Sequence[Cell], names: Mapping[float, str], draw: Drawing, from_zero: bool = False) -> Figure:
    """A panel for each of ``cells``, filled by ``draw``; ``names`` are those of the rows in it, by height.

    All have one scale; ``from_zero`` starts it there.
    """
    columns = columns_of(cells)
    rows = -(-len(cells) // columns)
    lowest = min(names, default=0.0)
    figure = Figure(figsize=(WIDTH, rows * (_ROW * (1 - lowest) + _AROUND) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, cell in zip(grid.flat, cells, strict=False):
        axes.set_ylim(lowest - 0.7, 0.7)
        axes.set_yticks(list(names), list(names.values()))
        axes.grid(axis="x", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        # Shared axes would leave numbers to the lowest row, which can be a screen away.
        axes.tick_params(labelbottom=True)
        draw(axes, cell)
    for axes in grid.flat[len(cells) :]:
        axes.set_visible(False)
    if from_zero:
        grid[0, 0].set_xlim(left=0)  # last: it ends the growing of the scale, which all panels share
    return figure


def hatch(axes: Axes, left: float | None = None, right: float | None = None) -> None:
    """Hatch the panel of a collapsed cell, or the part of it from ``left`` to ``right``: inconclusive."""
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": "#bbbbbb", "hatch": "///", "linewidth": 0.0, "zorder": 0}
    if left is None or right is None:
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **style))
    else:
        axes.axvspan(left, right, **style)


def hatched(rows: pd.DataFrame) -> list[Line2D | Patch]:
    """The legend's entries of what is inconclusive among ``rows``: collapsed cells and flagged methods."""
    text = "\N{DAGGER} collapsed: inconclusive"
    entry = Patch(facecolor="none", edgecolor="#999999", hatch="///", linewidth=0.0, label=text)
    return [*([entry] if rows["collapsed"].any() else []), *crosses(rows)]


def crosses(rows: pd.DataFrame) -> list[Line2D]:
    """The legend's entries of the pale crosses: of each flag among ``rows``."""
    style: dict[str, Any] = {"color": "black", "alpha": 0.45, "marker": FLAGGED, "linestyle": "none"}
    return [Line2D([], [], label=note, **style) for note in flag_notes(rows["flag"])]


def collapsed_panel(axes: Axes, title: str, rows: pd.DataFrame) -> str:
    """Hatch the panel of a cell whose ``rows`` say that it has collapsed; its title, then with a dagger."""
    collapsed = bool(rows["collapsed"].any())
    if collapsed:
        hatch(axes)
    return flagged(title, collapsed)


def instances_text(rows: pd.DataFrame) -> str:
    """The number of instances behind ``rows`` and of the informative ones, which a set of all words never has.

    Rows of what is not available are left aside.
    """
    rows = rows[~not_available(rows) & (rows["kind"] != "all_words")]
    texts = []
    for column in ("n", "n_informative"):
        low, high = (int(rows[column].min()), int(rows[column].max())) if len(rows) else (0, 0)
        texts.append(f"{high}" if low == high else f"{low} to {high}")
    total, informative = texts
    return f"n = {total}" + ("" if informative == total else f", {informative} informative")


def legend(
    figure: Figure, methods: Methods, drawn: pd.DataFrame, lines: Sequence[Line2D | Patch], sets: bool = True
) -> None:
    """A legend below the panels: the families among the rows ``drawn``, what is hollow (``sets``), and ``lines``.

    It has as many columns as fit beside each other in the figure's width; entries too long for it even in one are
    wrapped. The figure grows by the height of its rows.
    """
    shown = {family(kind) for kind in drawn["kind"]}
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", label=str(visible(name.replace("_", " "))))
        for name, (color, marker) in families(methods).items()
        if name in shown
    ]
    if sets and (drawn["budget"] == AS_GIVEN).any():
        handles.append(
            Line2D([], [], color="black", marker="o", linestyle="none", markerfacecolor="white", label="set as given")
        )
    entries = [*handles, *lines]
    texts = [str(entry.get_label()) for entry in entries]
    for columns, letters in _LEGEND_SHAPES:
        for entry, text in zip(entries, texts, strict=True):
            entry.set_label(textwrap.fill(text, letters))
        box = figure.legend(handles=entries, loc="outside lower center", ncols=columns, frameon=False)
        extent = box.get_window_extent()
        if extent.width <= _LEGEND_SHARE * figure.bbox.width:
            break
        box.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)


def words(text: str) -> Figure:
    """A figure that says in words why there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, textwrap.fill(text, LETTERS), ha="center", va="center", fontsize=10.5)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as ``path`` with the endings .svg, .pdf (fonts embedded) and .png, without dates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One layout for the three files: it is a third of the time of each.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None, "Creator": None, "Producer": None})
    figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
