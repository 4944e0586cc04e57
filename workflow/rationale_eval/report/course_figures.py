"""Figures over checkpoints: values by epoch, and flip rates against accuracy and collapse."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.report.drawing import (
    FLAGGED,
    LINES,
    WIDTH,
    Methods,
    crosses,
    families,
    hatch,
    hatched,
    inscribe,
    legend,
    line_text,
    words,
)
from rationale_eval.report.flags import has_flag
from rationale_eval.report.layout import BEYOND, REFERENCE, family, main_rows, one_row_each
from rationale_eval.report.marked import Marked

_ROW, _AROUND = 2.7, 0.9
# In the panels of a value: the reference rows that are drawn, as lines of their own.
_REFERENCES = {"f1_corrected": ("random",), BEYOND: ("human",)}
_ANSWERS = (("accuracy", "accuracy", "solid"), ("majority_predicted_share", "most predicted label", (0, (2, 2))))


def _line(axes: Axes, rows: pd.DataFrame, value: str, scale: float, **style: Any) -> None:
    """One value by epoch, with a band from the lowest to the highest of several runs."""
    rows = rows.sort_values("epoch")
    known = rows[rows[value].notna()]
    axes.plot(known["epoch"], scale * known[value], **style)
    if (known["seeds"] > 1).any():
        low, high = scale * known[f"{value}_min"], scale * known[f"{value}_max"]
        axes.fill_between(known["epoch"], low, high, color=style["color"], alpha=0.12, linewidth=0)


def _answers(axes: Axes, rows: pd.DataFrame) -> None:
    once = rows.drop_duplicates("epoch")
    for value, _, dashes in _ANSWERS:
        _line(axes, once, value, 100.0, color="black", linestyle=dashes, marker=".", linewidth=1.6)
    axes.set_ylim(0, 103)


def _methods(axes: Axes, rows: pd.DataFrame, value: str, methods: Methods) -> None:
    """Methods as thin lines, the mean over the methods of a family as a thick one, references apart.

    Values of flagged methods are pale crosses, and are in no mean.
    """
    styles = families(methods)
    scale = 100.0 if value == BEYOND else 1.0
    groups = rows["kind"].map(family)
    for group, (color, marker) in styles.items():
        mine = rows[groups == group]
        if group == REFERENCE:
            continue
        for _, method in mine.groupby("method", sort=False):
            _line(axes, method, value, scale, color=color, linewidth=0.9, alpha=0.45, zorder=2)
        told = ~mine["flag"].map(has_flag).astype(bool)
        flagged = mine[~told]
        axes.plot(flagged["epoch"], scale * flagged[value], color=color, marker=FLAGGED, linestyle="none", alpha=0.45)
        middle = mine[told].groupby("epoch")[value].mean().dropna()
        axes.plot(middle.index, scale * middle, color=color, marker=marker, linewidth=2.2, markersize=6, zorder=3)
    for kind in _REFERENCES[value]:
        color, dashes, _ = LINES[kind]
        for _, method in rows[rows["kind"] == kind].groupby("method", sort=False):
            _line(axes, method, value, scale, color=color, linestyle=dashes, linewidth=1.2, zorder=1)
    axes.axhline(0, color="#999999", linewidth=0.7, zorder=0)


def _runs(rows: pd.DataFrame) -> str:
    trained = rows[rows["epoch"] > 0]["seeds"]
    most = int(trained.max()) if len(trained) else 0
    if not most:
        return "not fine-tuned"
    return "one seed: no trend is claimed" if most == 1 else f"{most} seeds: mean, lowest, highest"


def trajectory_figure(table: pd.DataFrame, methods: Methods, main_budget: str, marked: Marked) -> Figure:
    """Accuracy (percent), F1 above chance and flips beyond random words (points) by epoch; a row per corpus and model.

    ``table`` is the report's trajectory table, ``marked`` says who marked words in its corpora. Sets of words stand as
    given, all else at the main budget. A figure of words where there is nothing to follow: with one epoch alone, such
    as the base model's.
    """
    rows = one_row_each(main_rows(table, methods, main_budget))
    epochs = sorted(int(epoch) for epoch in rows["epoch"].unique())
    if len(epochs) < 2:
        only = "the base model" if epochs == [0] else f"epoch {epochs[0]}"
        return words(f"The study has no checkpoint but {only}, so there is no change to follow from epoch to epoch.")
    pairs = list(rows[["corpus", "model"]].drop_duplicates().itertuples(index=False, name=None))
    figure = Figure(figsize=(WIDTH, _ROW * len(pairs) + _AROUND), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(pairs), 3, sharex=True, sharey="col", squeeze=False)
    models = len({model for _, model in pairs})
    for line, (corpus, model) in zip(grid, pairs, strict=True):
        mine = rows[(rows["corpus"] == corpus) & (rows["model"] == model)]
        _answers(line[0], mine)
        _methods(line[1], mine, "f1_corrected", methods)
        _methods(line[2], mine, BEYOND, methods)
        name = corpus if models == 1 else f"{corpus}, {model}"
        inscribe(line[0], 3, [name, "answers (% of texts)"], "epoch")
        inscribe(line[1], 3, [_runs(mine), "token F1 above chance"], "epoch")
        inscribe(line[2], 3, ["", "flips beyond random (points)"], "epoch")
        fallen = mine.loc[mine["collapsed"], "epoch"].unique()
        for axes in line:
            for epoch in fallen:
                hatch(axes, epoch - 0.07 * (epochs[-1] - epochs[0]), epoch + 0.07 * (epochs[-1] - epochs[0]))
            # Two epochs make a slope chart: room at both sides keeps its ends off the frame.
            axes.set_xlim(epochs[0] - 0.15 * (epochs[-1] - epochs[0]), epochs[-1] + 0.15 * (epochs[-1] - epochs[0]))
            axes.set_xticks(epochs, ["base" if epoch == 0 else str(epoch) for epoch in epochs])
            axes.tick_params(labelbottom=True)
            axes.grid(axis="y", color="#dddddd", linewidth=0.7)
            axes.set_axisbelow(True)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color="black", linestyle=dashes, label=text) for _, text, dashes in _ANSWERS
    ]
    for kind, (color, dashes, _) in LINES.items():
        if any(kind in kinds for kinds in _REFERENCES.values()) and (rows["kind"] == kind).any():
            handles.append(Line2D([], [], color=color, linestyle=dashes, label=line_text(kind, marked)))
    scored = rows[rows["kind"].map(family) != REFERENCE]
    handles.append(Line2D([], [], color="#999999", linewidth=0.9, label="single methods (thick: mean of a family)"))
    legend(figure, methods, scored, [*handles, *hatched(rows)], sets=False)
    return figure


def collapse_figure(faithfulness: pd.DataFrame, methods: Methods, main_budget: str) -> Figure:
    """Flip rate (percent) of each method in each cell against the cell's accuracy and its most predicted label's share.

    The table is the report's. References, random words among them, have a marker of their own.
    """
    values = ["accuracy", "majority_predicted_share"]
    rows = main_rows(faithfulness, methods, main_budget)
    # Masking everything is no method, and mostly far above all that is compared here.
    rows = rows[rows["kind"] != "all_words"]
    figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, 2, sharey=True)
    below = ("accuracy (% of texts)", "share of the most predicted label (% of texts)")
    groups = rows["kind"].map(family)
    for axes, value, text in zip(grid, values, below, strict=True):
        for group, (color, marker) in families(methods).items():
            mine = rows[groups == group]
            flagged, given = mine["flag"].map(has_flag).astype(bool), mine["budget"] == AS_GIVEN
            for part, face in ((mine[~given & ~flagged], color), (mine[given & ~flagged], "white")):
                places = 100 * part[value], 100 * part["flip_rate"]
                axes.scatter(*places, facecolors=face, edgecolors=color, marker=marker, s=34, alpha=0.8, clip_on=False)
            pale = mine[flagged]
            axes.scatter(100 * pale[value], 100 * pale["flip_rate"], color=color, marker=FLAGGED, s=30, alpha=0.45)
        fallen = rows[rows["collapsed"]]
        axes.scatter(100 * fallen[value], 100 * fallen["flip_rate"], marker="x", s=60, color="black", linewidths=0.9)
        axes.set_xlabel(text)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
    grid[0].set_ylabel("flipped predictions (% of n)")
    grid[0].set_title("one point per method, corpus, model and checkpoint", loc="left")
    cross = Line2D([], [], color="black", marker="x", linestyle="none", label="\N{DAGGER} collapsed: inconclusive")
    legend(figure, methods, rows, [*([cross] if rows["collapsed"].any() else []), *crosses(rows)])
    return figure
