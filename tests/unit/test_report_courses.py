"""From checkpoint to checkpoint in the report: hand-worked rows, sentences on accuracy, figures, tables by epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.markers import MarkerStyle
from rationale_eval.errors import UserError
from rationale_eval.report.comparisons import accuracy_change, by_course
from rationale_eval.report.course_figures import collapse_figure, trajectory_figure
from rationale_eval.report.drawing import FLAGGED
from rationale_eval.report.flags import INCOMPLETE, UNUSABLE
from rationale_eval.report.html_tables import trajectory_table
from rationale_eval.report.latex_grids import course_grids
from rationale_eval.report.layout import Cell, epoch_and_seed
from rationale_eval.report.marked import MARKED
from rationale_eval.report.measured import Measured
from rationale_eval.report.trajectory import trajectory_rows
from report_trees import INTERVAL, estimate

SCORED = {"grad": {"kind": "gradients"}, "att": {"kind": "attention"}, "said": {"kind": "prompt"}}
# A second method of the family of gradients.
WITH_INTEGRATED = SCORED | {"ig": {"kind": "integrated_gradients"}}


def measured(values, correct):
    """``values``: {(method, budget): [(F1 above chance, flip) per instance]}; random words flip a quarter."""
    frames = {"f1": {}, "f1_corrected": {}, "flip": {}, "flip_beyond_random": {}}
    for (method, budget), found in values.items():
        for name, (f1, flip) in enumerate(found):
            key = method, budget, str(name)
            frames["f1"][key], frames["f1_corrected"][key], frames["flip"][key] = f1, f1, flip
            frames["flip_beyond_random"][key] = flip - 0.25
    names = ["method", "budget", "id"]
    series = {name: pd.Series(found, dtype=float).rename_axis(names) for name, found in frames.items() if found}
    return Measured(pd.Series(correct, index=[str(name) for name in range(len(correct))], dtype=float), series, 0.5)


def test_checkpoint_names_are_read():
    assert epoch_and_seed("base") == (0, None)
    assert epoch_and_seed("epoch-10-seed-3") == (10, 3)
    with pytest.raises(UserError, match="neither 'base' nor of the form"):
        epoch_and_seed("epoch-10")


def rows_of(checkpoint, accuracy, f1, flip):
    names = {"corpus": "c", "model": "m", "checkpoint": checkpoint}
    spread = {
        "accuracy": accuracy,
        "macro_f1": 0.5,
        "majority_predicted_share": 0.6,
        "predicted_entropy": 0.9,
        "n": 4,
        "collapsed": False,
    }
    method = names | {"method": "grad", "kind": "gradients", "budget": "top_var", "n": 3}
    scored = {"f1": f1, "f1_corrected": f1 - 0.1}
    return {
        "accuracy": [names | spread],
        "alignment": [method | scored | {"flag": None}],
        "faithfulness": [
            method | {"flip_rate": flip, "comprehensiveness": 0.2, "n_random": 2, "flip_beyond_random": flip - 0.1}
        ],
    }


def test_trajectory_rows_by_hand():
    parts = [rows_of("base", 0.5, 0.2, 0.5), rows_of("epoch-01-seed-0", 0.7, 0.3, 0.4)]
    parts.append(rows_of("epoch-01-seed-1", 0.8, 0.5, 0.2))
    tables = {name: [row for part in parts for row in part[name]] for name in parts[0]}
    key = ("grad", "top_var")
    cells = {
        Cell("c", "m", "base"): measured({key: [(0.1, 1.0), (0.3, 0.0), (0.2, 1.0)]}, [1, 1, 0]),
        Cell("c", "m", "epoch-01-seed-0"): measured({key: [(0.5, 0.0), (0.1, 0.0), (0.3, 1.0)]}, [1, 0, 1]),
        Cell("c", "m", "epoch-01-seed-1"): measured({key: [(0.7, 1.0), (0.5, 0.0), (0.3, 0.0)]}, [1, 1, 0]),
    }
    base, trained = trajectory_rows(tables, cells)
    assert (base["epoch"], base["seeds"], trained["epoch"], trained["seeds"]) == (0, 1, 1, 2)
    assert (base["family"], base["f1"], base["f1_min"], base["f1_max"]) == ("gradients", 0.2, 0.2, 0.2)
    assert (trained["accuracy"], trained["accuracy_min"], trained["accuracy_max"]) == (pytest.approx(0.75), 0.7, 0.8)
    assert (trained["f1"], trained["f1_corrected"], trained["flip_rate"]) == pytest.approx((0.4, 0.3, 0.3))
    # The runs flip 0.4 and 0.2, random words 0.1.
    beyond = [trained[f"flip_beyond_random{end}"] for end in ("", "_min", "_max")]
    assert beyond == pytest.approx([0.2, 0.1, 0.3])
    assert trained["n_flip_beyond_random"] == 2
    assert (trained["n_accuracy"], trained["n_f1"]) == (4, 3)
    # The base is right on 0 and 1. Seed 0 shares instance 0 with it: 0.5 and no flip; seed 1 both: 0.6 and a half.
    assert (base["f1_both"], base["n_f1_both"]) == (pytest.approx(0.2), 2)
    assert (trained["f1_both"], trained["f1_both_min"], trained["f1_both_max"]) == pytest.approx((0.55, 0.5, 0.6))
    # No flip, and a half, less a quarter by random words.
    assert (trained["flip_beyond_random_both"], trained["n_flip_beyond_random_both"]) == (pytest.approx(0.0), 1)
    # The base on these: 0.1, and 0.2.
    assert (trained["f1_both_base_min"], trained["f1_both_base_max"]) == pytest.approx((0.1, 0.2))


def test_without_the_base_there_is_nothing_that_both_classify():
    tables = rows_of("epoch-01-seed-0", 0.7, 0.3, 0.4)
    cells = {Cell("c", "m", "epoch-01-seed-0"): measured({("grad", "top_var"): [(0.1, 1.0)]}, [1])}
    (row,) = trajectory_rows(tables, cells)
    assert (row["f1"], row["f1_both"], row["n_f1_both"]) == (0.3, None, 0)
    assert by_course({cell: values.correct for cell, values in cells.items()}) == {}


def test_a_flag_of_any_run_is_that_of_the_epoch():
    parts = [rows_of(checkpoint, 0.5, 0.2, 0.5) for checkpoint in ("base", "epoch-01-seed-0", "epoch-01-seed-1")]
    parts[-1]["alignment"][0]["flag"] = UNUSABLE
    tables = {name: [row for part in parts for row in part[name]] for name in parts[0]}
    assert [(row["epoch"], row["flag"]) for row in trajectory_rows(tables, {})] == [(0, None), (1, UNUSABLE)]


def right(correct):
    """Of each text whether it is classified correctly."""
    return measured({}, correct).correct


def course(seeds):
    """Base and two epochs of a model whose accuracy rises from half to 0.9 (seed 0) or 1 (seed 1)."""
    found = {Cell("c", "m", "base"): right([i % 2 for i in range(40)])}
    found |= {Cell("c", "m", f"epoch-01-seed-{seed}"): right([0] * 40) for seed in range(seeds)}
    later = [[max(i % 2, i % 5 > 0) for i in range(40)], [1] * 40]
    return found | {Cell("c", "m", f"epoch-02-seed-{seed}"): right(later[seed]) for seed in range(seeds)}


def test_accuracy_is_compared_with_the_base_text_by_text():
    ((title, cells),) = by_course(course(1)).items()
    assert title == "c, m"
    (accuracy,) = accuracy_change(cells, INTERVAL)
    assert accuracy.startswith("Accuracy after 2 epochs of fine-tuning, with one seed: 90")
    assert "+40\N{NO-BREAK SPACE}points [" in accuracy
    assert accuracy.endswith("One seed cannot tell what another run would do.")
    assert "a rise" not in accuracy


def test_seeds_are_averaged_and_said():
    ((_, cells),) = by_course(course(2)).items()
    (accuracy,) = accuracy_change(cells, INTERVAL)
    assert "mean of 2 seeds: 95\N{NO-BREAK SPACE}% instead of 50\N{NO-BREAK SPACE}%" in accuracy
    assert accuracy.endswith(": a rise with each seed.")


def test_a_rise_of_the_mean_alone_is_none_of_the_seeds():
    cells = course(1) | {Cell("c", "m", "epoch-02-seed-1"): right([i % 2 * (i % 5 > 0) for i in range(40)])}
    (accuracy,) = accuracy_change(cells, INTERVAL)
    # 90 and 40 % after 50 %: the mean is 65 %, and rises text by text; one seed falls.
    assert "65\N{NO-BREAK SPACE}% instead of 50\N{NO-BREAK SPACE}%" in accuracy
    assert accuracy.endswith(": not in the same direction with each seed.")


def table_by_epoch(epochs, seeds):
    rows = []
    for epoch in epochs:
        for method, kind, budget in (("grad", "gradients", "top_var"), ("said", "prompt", "as_given")):
            row = {"corpus": "c", "model": "m", "epoch": epoch, "method": method, "kind": kind, "budget": budget}
            for value in ("accuracy", "majority_predicted_share", "f1_corrected", "flip_rate"):
                row |= {value: 0.3, f"{value}_min": 0.2, f"{value}_max": 0.4}
            row |= {"flip_beyond_random": -0.1, "flip_beyond_random_min": -0.2, "flip_beyond_random_max": 0.1}
            rows.append(row | {"seeds": seeds if epoch else 1, "collapsed": False, "flag": None})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("seeds", "bands", "said"), [(1, 0, "one seed"), (3, 2, "3 seeds")])
def test_the_trajectory_has_a_band_only_over_several_seeds(seeds, bands, said):
    figure = trajectory_figure(table_by_epoch([0, 1, 3], seeds), SCORED, "top_var", MARKED["people"])
    answers, alignment, _ = figure.axes
    assert len(alignment.collections) == len(answers.collections) == bands
    assert alignment.get_title(loc="left").startswith(said)
    assert [tick.get_text() for tick in answers.get_xticklabels()] == ["base", "1", "3"]


def test_the_trajectory_draws_flips_beyond_those_of_random_words():
    """Replies get shorter over fine-tuning: fewer flips, but no fewer beyond as many random words."""
    figure = trajectory_figure(table_by_epoch([0, 1], 1), SCORED, "top_var", MARKED["people"])
    axes = figure.axes[2]
    drawn = {round(float(value), 6) for line in axes.lines for value in line.get_ydata()}
    assert drawn == {-10.0, 0.0}  # the values, and the line of random words
    assert "beyond random" in axes.get_title(loc="left")
    table = table_by_epoch([0], 1).assign(n_flip_rate=9, n_f1=9, n_f1_both=9, family="f")
    both = ("f1_both", "f1_both_base", "flip_beyond_random_both", "flip_beyond_random_both_base")
    means = {f"{name}{end}": 0.2 for name in ("f1", "comprehensiveness", *both) for end in ("", "_min", "_max")}
    counts = {"n_flip_beyond_random": 8, "n_flip_beyond_random_both": 7}
    shown = trajectory_table(table.assign(**means, **counts), "t").replace("\N{NO-BREAK SPACE}", " ")
    assert "\N{MINUS SIGN}10 points (n = 8)" in shown
    assert "+20 points (n = 7)" in shown


def test_the_trajectory_of_the_base_alone_is_words():
    figure = trajectory_figure(table_by_epoch([0], 1), SCORED, "top_var", MARKED["people"])
    assert "no checkpoint but the base model" in figure.texts[0].get_text()


# Flagged methods


def legend_of(figure):
    """The texts of a figure's legend."""
    return "; ".join(text.get_text() for text in figure.legends[0].get_texts())


def flagged_by_epoch():
    """Two methods that read gradients, of which the flagged one has the higher values, and replies."""
    table = table_by_epoch([0, 1], 1)
    ig = {"method": "ig", "kind": "integrated_gradients", "f1_corrected": 0.5, "flag": INCOMPLETE}
    return pd.concat([table, table[table["method"] == "grad"].assign(**ig)])


def test_a_flagged_method_is_in_no_mean_of_its_family_and_is_crossed_out():
    figure = trajectory_figure(flagged_by_epoch(), WITH_INTEGRATED, "top_var", MARKED["people"])
    drawn = [(line, [float(value) for value in line.get_ydata()]) for line in figure.axes[1].lines]
    means = [values for line, values in drawn if line.get_linewidth() == 2.2 and values]
    assert means == [[0.3, 0.3]] * 2  # of gradients and of prompting
    assert [values for line, values in drawn if line.get_marker() == FLAGGED and values] == [[0.5, 0.5]]
    assert "too far from adding up" in legend_of(figure)


def test_the_figure_of_collapse_crosses_out_a_flagged_method():
    rows = [estimate("grad", 0.3, 0.2, 0.4), estimate("ig", 0.5, 0.4, 0.6) | {"flag": INCOMPLETE}]
    cell = {"corpus": "c", "model": "m", "checkpoint": "base", "accuracy": 0.6, "majority_predicted_share": 0.7}
    figure = collapse_figure(pd.DataFrame([cell | row for row in rows]), WITH_INTEGRATED, "top_var")
    cross = MarkerStyle(FLAGGED)
    path = cross.get_path().transformed(cross.get_transform()).vertices
    crossed = [
        found.get_offsets().tolist()
        for axes in figure.axes
        for found in axes.collections
        if len(found.get_offsets()) and np.array_equal(found.get_paths()[0].vertices, path)
    ]
    assert crossed == [[[60.0, 50.0]], [[70.0, 50.0]]]  # against accuracy, and against the most predicted label
    assert "too far from adding up" in legend_of(figure)


def test_a_flag_stands_by_the_value_of_each_epoch_in_latex():
    spec = {"methods": WITH_INTEGRATED, "main_budget": "top_var", "level": 0.95, "marked_by": {"c": "people"}}
    f1 = {f"f1{end}": 0.3 for end in ("", "_min", "_max")}
    table = flagged_by_epoch().assign(**f1, n_f1=9, n_flip_beyond_random=8)
    for tex, value in zip(course_grids(table, spec), ("0.30", r"$-$10"), strict=True):
        rows = dict(line.split(" & ", 1) for line in tex.splitlines() if line.startswith(r"\quad"))
        assert rows[r"\quad ig"] == f"{value}~\N{SECTION SIGN} & {value}~\N{SECTION SIGN} \\\\"
        assert rows[r"\quad grad"] == rf"{value} & {value} \\"
