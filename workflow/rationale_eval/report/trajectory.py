"""From checkpoint to checkpoint: the report's tables by epoch, runs with different seeds put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from rationale_eval.report.aggregate import Row
from rationale_eval.report.flags import has_flag
from rationale_eval.report.layout import BASE, BEYOND, Cell, epoch_and_seed, family
from rationale_eval.report.measured import Measured

# `flip_beyond_random`: flips minus those of equally many random words, since sets differ in size from checkpoint to
# checkpoint; null where the faithfulness table has none. `f1_both` and `flip_beyond_random_both`: over the instances
# that the base model and this checkpoint both classify correctly, `…_both_base` the base model's over the same ones.
VALUES = (
    *("accuracy", "macro_f1", "majority_predicted_share", "predicted_entropy"),
    *("f1", "f1_corrected", "flip_rate", BEYOND, "comprehensiveness"),
    *("f1_both", "f1_both_base", f"{BEYOND}_both", f"{BEYOND}_both_base"),
)
# Numbers of instances behind the values; of several seeds the smallest.
COUNTS = ("n_accuracy", "n_f1", "n_flip_rate", f"n_{BEYOND}", "n_f1_both", f"n_{BEYOND}_both")
# `epoch` 0 is the base model. A value is the mean over the `seeds` runs, `…_min` and `…_max` the lowest and the highest
# of them; the base model is one checkpoint, whatever the seeds.
# `collapsed`: whether any of the runs is; `flag`: that of any of them.
TRAJECTORY_COLUMNS = (
    *("corpus", "model", "epoch", "family", "method", "kind", "budget", "seeds", *COUNTS),
    *(f"{value}{end}" for value in VALUES for end in ("", "_min", "_max")),
    *("collapsed", "flag"),
)
_KEY = ["corpus", "model", "checkpoint", "method", "budget"]


def both_right(here: Measured, base: Measured) -> pd.DataFrame:
    """Means over the instances that two checkpoints of a model both classify correctly, by method and budget.

    A mean is over those of them for which both checkpoints have the value, ``n_…`` counts them.
    """
    known = pd.concat([here.correct, base.correct], axis=1, join="inner")
    right = known.index[(known == 1.0).all(axis=1)]
    found = []
    for name in ("f1", BEYOND):
        columns = [f"{name}_both", f"{name}_both_base"]
        pairs = pd.concat([here.values[name], base.values[name]], axis=1, join="inner", keys=columns)
        groups = pairs[pairs.index.get_level_values("id").isin(right)].groupby(level=["method", "budget"])
        found.append(groups.mean().assign(**{f"n_{name}_both": groups.size()}))
    return pd.concat(found, axis=1)


def _with_cell(cell: Cell, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index().assign(corpus=cell.corpus, model=cell.model, checkpoint=cell.checkpoint)


def _by_checkpoint(tables: Mapping[str, Sequence[Row]], cells: Mapping[Cell, Measured]) -> pd.DataFrame:
    """One row per cell, method and budget."""
    agreement = pd.DataFrame(tables["alignment"])[[*_KEY, "kind", "n", "f1", "f1_corrected", "flag"]]
    masking = pd.DataFrame(tables["faithfulness"])[[*_KEY, "n", "n_random", "flip_rate", BEYOND, "comprehensiveness"]]
    masking = masking.rename(columns={"n": "n_flip_rate", "n_random": f"n_{BEYOND}"})
    frame = agreement.rename(columns={"n": "n_f1"}).merge(masking, on=_KEY)
    names = ["corpus", "model", "checkpoint"]
    right = ["n", "accuracy", "macro_f1", "majority_predicted_share", "predicted_entropy", "collapsed"]
    accuracy = pd.DataFrame(tables["accuracy"])[[*names, *right]]
    frame = frame.merge(accuracy.rename(columns={"n": "n_accuracy"}), on=names)
    both = []
    for cell, here in cells.items():
        base = cells.get(Cell(cell.corpus, cell.model, BASE))
        if base is not None:
            both.append(_with_cell(cell, both_right(here, base)))
    if both:
        frame = frame.merge(pd.concat(both), on=_KEY, how="left")
        # Random words and all words are set against no others, on these instances as on all.
        compared = [f"{BEYOND}_both", f"{BEYOND}_both_base", f"n_{BEYOND}_both"]
        frame[compared] = frame[compared].where(frame[BEYOND].notna())
        return frame
    return frame.reindex(columns=[*frame.columns, *(name for name in (*VALUES, *COUNTS) if "_both" in name)])


def trajectory_rows(tables: Mapping[str, Sequence[Row]], cells: Mapping[Cell, Measured]) -> list[Row]:
    """One row per corpus, model, epoch, method and budget, from the rows of the other tables and the cells' values."""
    frame = _by_checkpoint(tables, cells)
    frame["epoch"] = [epoch_and_seed(name)[0] for name in frame["checkpoint"]]
    rows = []
    names = ["corpus", "model", "epoch", "method", "kind", "budget"]
    for key, runs in frame.groupby(names, sort=False):
        row: Row = dict(zip(names, key, strict=True)) | {"seeds": len(runs)}
        row |= {"family": family(row["kind"])} | {name: int(runs[name].fillna(0).min()) for name in COUNTS}
        row["collapsed"] = bool(runs["collapsed"].any())
        row["flag"] = next((flag for flag in runs["flag"] if has_flag(flag)), None)
        for name in VALUES:
            values = runs[name].astype(float)
            for end, value in (("", values.mean()), ("_min", values.min()), ("_max", values.max())):
                row[f"{name}{end}"] = float(value) if pd.notna(value) else None
        rows.append(row)
    return rows
