"""Legends of the report's figures lie within them, however long their entries and however few the panels."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rationale_eval.report.drawing import STYLE, WIDTH, crosses, legend, save
from rationale_eval.report.flags import INCOMPLETE, UNUSABLE

METHODS = {
    "attention": {"kind": "attention"},
    "saliency": {"kind": "gradients"},
    "asked": {"kind": "prompt"},
    "random": {"kind": "random"},
}


def drawn(lines, tmp_path):
    """A small figure with a legend of all families and ``lines``, laid out as it is saved."""
    rows = pd.DataFrame({"kind": [entry["kind"] for entry in METHODS.values()], "budget": "as_given"})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        legend(figure, METHODS, rows, lines)
        save(figure, tmp_path / "figure")
    return figure, axes


def inside(figure):
    """Whether the legend, as drawn, lies within the figure (both in pixels)."""
    box, page = figure.legends[0].get_window_extent(), figure.bbox
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.width and box.y1 <= page.height


@pytest.mark.parametrize("flags", [[], [UNUSABLE], [UNUSABLE, INCOMPLETE]])
def test_a_legend_with_flagged_methods_lies_within_the_figure(flags, tmp_path):
    lines = [Line2D([], [], label="masking the words of a proxy for people"), *crosses(pd.DataFrame({"flag": flags}))]
    figure, axes = drawn(lines, tmp_path)
    assert inside(figure)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 5 + len(lines)
    # The panel keeps the height that it has without flags: the figure grows by the legend.
    assert axes.get_window_extent().height > 1.5 * figure.dpi


def test_an_entry_wider_than_the_figure_is_wrapped(tmp_path):
    figure, _ = drawn([Line2D([], [], label="WORDS " * 40)], tmp_path)
    assert inside(figure)
    assert max(text.get_text().count("\n") for text in figure.legends[0].get_texts()) > 2


def test_short_entries_stand_in_four_columns(tmp_path):
    figure, _ = drawn([], tmp_path)
    lefts = {round(text.get_window_extent().x0) for text in figure.legends[0].get_texts()}
    assert len(lefts) == 4
