"""Tables for a paper that are no grid of methods by cells: of cells, labels, replies, splits, calibration, cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from rationale_eval.report.bold import BOLD, Measure, best, competing
from rationale_eval.report.conclusions import CONTRAST, LEVEL, MAIN
from rationale_eval.report.flags import INCOMPLETE, signed
from rationale_eval.report.latex import escape, floating, tabular
from rationale_eval.report.latex_grids import (
    NUMBER,
    SHARE,
    Column,
    checkpoint_names,
    chunks,
    counts,
    grid,
    method_rows,
    notes,
    shown,
)
from rationale_eval.report.layout import CELL, Cell, cells_in, flagged
from rationale_eval.report.marked import CONSTRUCTION, MARKED, with_notes
from rationale_eval.report.wording import (
    count_text,
    level_text,
    n_text,
    number,
    percent,
    share_of,
    two_digits,
)

Row = dict[str, Any]
Spec = Mapping[str, Any]

ACCURACY = Measure("accuracy", "accuracy", SHARE, "n")
MACRO_F1 = Measure("macro_f1", "macro-F1", NUMBER, "n")
TIES = "Bold: the best, and all whose interval overlaps with its"


def _plain(
    name: str,
    rows: Sequence[Mapping[str, str]],
    caption: str,
    bold: Sequence[tuple[int, str]] = (),
    texts: Collection[str] = (),
) -> list[str]:
    """One float of ``rows`` of LaTeX under their keys; none without rows.

    ``texts`` are the columns besides the cell that are no numbers, ``bold`` cells (row, column).
    """
    if not rows:
        return []
    columns = list(rows[0])
    heads = [(escape(key),) for key in columns]
    formats = "".join("l" if key in (*CELL, *texts) else "r" for key in columns)
    inside = tabular(
        heads, [list(row.values()) for row in rows], formats, {(row, columns.index(key)) for row, key in bold}
    )
    return [floating(f"tab:{name}", escape(caption), inside)]


def _cells(table: pd.DataFrame) -> list[tuple[Row, dict[str, str]]]:
    """Each row with the first columns of its table: which cell, without a model that is the same in all of them."""
    names = checkpoint_names(table["checkpoint"])
    found = []
    for row in table.to_dict("records"):
        shown_as = row | {"checkpoint": flagged(names[row["checkpoint"]], bool(row.get("collapsed", False)))}
        kept = [name for name in CELL if name != "model" or table["model"].nunique() > 1]
        found.append((row, {name: escape(shown_as[name]) for name in kept}))
    return found


def _signs(table: pd.DataFrame) -> str:
    """What the signs in ``table`` mean, for a caption."""
    return notes([Column(("", ""), table)])


def _one_model(table: pd.DataFrame) -> str:
    """The model where it is the same in all rows, for a caption."""
    models = list(dict.fromkeys(table["model"]))
    return f" Model {models[0]}." if len(models) == 1 else ""


def accuracy(table: pd.DataFrame, spec: Spec) -> list[str]:
    """Accuracy and spread of the predicted labels, the best of each corpus in bold."""
    rows: list[dict[str, str]] = []
    bold: list[tuple[int, str]] = []
    for corpus in dict.fromkeys(table["corpus"]):
        mine = [(row, names) for row, names in _cells(table) if row["corpus"] == corpus]
        bold += [(len(rows) + position, "accuracy") for position in best([row for row, _ in mine], ACCURACY)]
        for row, names in mine:
            majority = share_of(row["majority_predicted"], row["majority_predicted_share"], row["n"])
            rows.append(
                {
                    **names,
                    "n": str(row["n"]),
                    "accuracy": shown(row, ACCURACY),
                    "macro-F1": shown(row, MACRO_F1),
                    "most predicted label": escape(majority),
                    "entropy": escape(number(row["predicted_entropy"])),
                    "label mass": escape(two_digits(row["label_mass_q50"])),
                }
            )
    caption = (
        f"Accuracy and macro-F1 with {level_text(spec['level'])} intervals, the spread of predicted labels (entropy in "
        f"bits), and the probability that the answer begins with any label (label mass, median over texts). {TIES}, "
        f"for each corpus.{_signs(table)}"
    )
    return _plain("accuracy", rows, caption + _one_model(table), bold)


def labels(table: pd.DataFrame, spec: Spec) -> list[str]:
    """How often each label is given by people and by the model."""
    rows = [
        {
            **names,
            "label": escape(row["label"]),
            "gold": escape(percent(row["share_gold"], row["n"])),
            "predicted": escape(percent(row["share_predicted"], row["n"])),
            "probability": escape(number(row["probability"])),
        }
        for row, names in _cells(table)
    ]
    caption = "Labels: how often each is right and predicted, and its mean probability."
    return _plain("labels", rows, f"{caption}{_signs(table)}{_one_model(table)}", texts=["label"])


def splits(table: pd.DataFrame, spec: Spec) -> list[str]:
    """F1 above chance and flip rate of each method where the model is right and where it is wrong, a float per cell."""
    measures = (
        Measure("f1_corrected", "F1 above chance", NUMBER, "n_f1"),
        Measure("flip_rate", "flip rate", SHARE, "n_flip_rate", 0),
    )
    rows = table[table["split"] == "outcome"]
    floats = []
    for cell in cells_in(rows):
        mine = with_notes(cell.rows(rows), MARKED[spec["marked_by"][cell.corpus]])
        keys = list(dict.fromkeys(zip(mine["method"], mine["budget"], mine["kind"], strict=True)))
        groups = list(dict.fromkeys(mine["group"]))
        body, places = method_rows(keys, 1 + len(measures) * len(groups))
        heads, bold = [("", "")], set()
        for measure in measures:
            for group in groups:
                part = mine[mine["group"] == group]
                at = [places[keys.index(key)] for key in zip(part["method"], part["budget"], part["kind"], strict=True)]
                records = competing(part, measure)
                bold |= {(at[position], len(heads)) for position in best(records, measure)}
                for row, line in zip(records, at, strict=True):
                    body[line][len(heads)] = shown(row, measure)
                high = int(part[measure.count].max())
                heads.append((escape(measure.words), escape(f"model {group} ({n_text(high)})")))
        caption = (
            f"Alignment above chance and flip rate by whether the model is right, {cell.title}, at the budget "
            f"{spec['main_budget']}; mean with {level_text(spec['level'])} interval. {BOLD}. No flip "
            f"rate is in bold, since sets can differ in size.{_signs(mine)}"
        )
        inside = tabular(heads, body, "l" + "c" * (len(heads) - 1), bold)
        floats.append(floating(f"tab:splits:{cell.title}", escape(caption), inside))
    return floats


def prompting(table: pd.DataFrame, spec: Spec) -> list[str]:
    """How the replies were read."""
    rows = [
        {
            **names,
            "method": escape(signed(row["method"], row["flag"])),
            "replies": str(row["n"]),
            **{
                words: escape(percent(row[column], row["n"]))
                for words, column in {
                    "usable": "usable",
                    "read": "share_ok",
                    "in part": "share_partly_matched",
                    "nothing": "share_nothing_matched",
                    "label": "share_label_only",
                    "form": "share_form_only",
                    "refusal": "share_refusal",
                    "empty": "share_empty",
                    "cut off": "share_truncated",
                    "copy": "copied",
                }.items()
            },
            "words": escape(number(row["selected"])),
        }
        for row, names in _cells(table)
    ]
    caption = (
        "Replies to prompts for a rationale: how many name a word of the text (usable); how they were read (all that "
        "is listed is in the text, a part, nothing; the label or the form of the question alone; refusals; empty and "
        "truncated replies); how many copy the text, and the mean number of words named in it."
    )
    return _plain("prompting", rows, caption + _signs(table) + _one_model(table), texts=["method"])


def agreement(table: pd.DataFrame, spec: Spec) -> list[str]:
    """Agreement of ways of asking with one another, or of the samples of one."""
    rows = [
        {
            **names,
            "prompts": escape(
                signed(f"{row['method']}, {'samples' if row['method'] == row['other'] else row['other']}", row["flag"])
            ),
            "n": str(row["n"]),
            "F1": escape(number(row["f1"])),
            "by chance": escape(number(row["f1_chance"])),
            "IoU": escape(number(row["iou"])),
        }
        for row, names in _cells(table)
    ]
    caption = "Agreement of the words named in answer to two prompts, or to the samples of one, beside random sets."
    return _plain("agreement", rows, caption + _signs(table) + _one_model(table), texts=["prompts"])


def completeness(table: pd.DataFrame, spec: Spec) -> list[str]:
    """How complete integrated gradients are."""
    rows = [
        {
            **names,
            "method": escape(signed(row["method"], INCOMPLETE if row["incomplete"] else None)),
            "baseline": escape(row["baseline"]),
            "n": str(row["n"]),
            "steps, mean": escape(number(row["steps_mean"])),
            "within tolerance": escape(percent(row["share_within"], row["n"])),
            "change": escape(two_digits(row["change"])),
            "mean error": escape(two_digits(row["error_mean"])),
            "largest": escape(two_digits(row["error_max"])),
            "share of change": escape(percent(row["error_share"], row["n"])),
        }
        for row, names in _cells(table)
    ]
    caption = "Completeness of integrated gradients: how far attributions are from adding up to the target's change."
    signs = _signs(table.assign(flag=table["incomplete"].map({True: INCOMPLETE})))
    return _plain("completeness", rows, caption + signs + _one_model(table), texts=["method", "baseline"])


def calibration(table: pd.DataFrame, spec: Spec) -> list[str]:
    """On planted corpora how often each method names the words that decide, a float per cell."""
    columns = {
        "first word is a cue": Measure("first_word", "", SHARE, "n"),
        "F1 with the cue": Measure("cue_words", "", NUMBER, "n"),
        "AUPRC": Measure("auprc", "", NUMBER, "n"),
    }
    others: dict[str, Callable[[Row], str]] = {
        "F1 by chance": lambda row: number(row["cue_words_chance"]),
        "AUPRC by chance": lambda row: number(row["auprc_chance"]),
        "flip rate": lambda row: percent(row["flip_rate"], row["n"]),
    }
    floats = []
    for cell in cells_in(table):
        mine = with_notes(cell.rows(table), MARKED[CONSTRUCTION])
        records = competing(mine, columns["first word is a cue"])
        keys = [(row["method"], row["budget"], row["kind"]) for row in records]
        body, places = method_rows(keys, 1 + len(columns) + len(others))
        bold = {
            (places[position], place)
            for place, measure in enumerate(columns.values(), start=1)
            for position in best(records, measure)
        }
        for position, row in enumerate(records):
            texts = [shown(row, measure) for measure in columns.values()]
            body[places[position]][1:] = texts + [escape(text(row)) for text in others.values()]
        title = flagged(cell.title, bool(mine["collapsed"].any()))
        caption = (
            f"Calibration on known truth, {title}: how often each method names the words that decide by "
            f"construction; mean with {level_text(spec['level'])} interval, n = {mine['n'].max()}, accuracy "
            f"{percent(mine['accuracy'].iloc[0], int(mine['n'].max()))}. {BOLD}.{_signs(mine)}"
        )
        inside = tabular([(head,) for head in ("", *columns, *others)], body, "lcccrrr", bold)
        floats.append(floating(f"tab:calibration:{cell.title}", escape(caption), inside))
    return floats


def calibration_ranks(table: pd.DataFrame, spec: Spec) -> list[str]:
    """Whether faithfulness measures order methods as the truth does."""
    rows = [
        {
            **names,
            "methods": str(row["n_methods"]),
            "flip rate": escape(number(row["tau_flip_rate"])),
            "comprehensiveness": escape(number(row["tau_comprehensiveness"])),
            "sufficiency": escape(number(row["tau_sufficiency"])),
        }
        for row, names in _cells(table)
    ]
    caption = "Kendall's tau over methods of the F1 with the words that decide and each measure of faithfulness."
    return _plain("calibration_ranks", rows, caption + _signs(table) + _one_model(table))


def _operators(table: pd.DataFrame, cell: Cell, spec: Spec) -> Iterator[Column]:
    """The flip rates of one cell as a column for each operator."""
    rows = cell.rows(table)
    rows = rows[(rows["conclusion"] == LEVEL) & (rows["measure"] == "flip")].rename(columns={"subject": "method"})
    kinds = {name: entry["kind"] for name, entry in spec["methods"].items()}
    for operator in dict.fromkeys(rows["operator"]):
        mine = rows[rows["operator"] == operator]
        mine = with_notes(mine.assign(kind=mine["method"].map(kinds)), MARKED[spec["marked_by"][cell.corpus]])
        yield Column(("flip rate", str(operator)), mine)


def sensitivity(table: pd.DataFrame, spec: Spec) -> list[str]:
    """Flip rates under each operator, a float per cell; then the verdicts on prompting against attribution."""
    measure = Measure("value", "", SHARE, "n", 0)
    floats = []
    for cell in cells_in(table):
        for part, chosen in enumerate(chunks(list(_operators(table, cell, spec))), start=1):
            caption = (
                f"Flip rates under several ways to mask words, {cell.title}; mean with {level_text(spec['level'])} "
                f"interval, {counts(chosen, 'n')}; {MAIN} is the operator of all other tables. None is in "
                f"bold, since sets can differ in size.{notes(chosen)}"
            )
            label = f"tab:sensitivity:{cell.title}:{part}"
            floats.append(floating(label, escape(caption), grid(chosen, measure)))
    contrasts = table[(table["conclusion"] == CONTRAST) & (table["measure"] == "flip")]
    if len(contrasts):
        texts = [f"{row['verdict']}, {n_text(count_text(row))}" for row in contrasts.to_dict("records")]
        index = [*CELL, "subject", "collapsed"]
        wide = contrasts.assign(text=texts).pivot(index=index, columns="operator", values="text")
        wide = wide[list(dict.fromkeys(contrasts["operator"]))]
        rows = [
            {**names, "prompt": escape(row["subject"]), **{str(key): escape(row[key]) for key in wide.columns}}
            for row, names in _cells(wide.reset_index())
        ]
        caption = (
            "Whether masking prompted words or as many of attribution flips more, under each operator, on n texts."
        )
        caption += _signs(contrasts.drop(columns="flag"))
        floats += _plain("sensitivity:verdicts", rows, caption + _one_model(table), texts=["prompt", *wide.columns])
    return floats


def cost(table: pd.DataFrame, spec: Spec) -> list[str]:
    """Time and memory of the jobs of each stage."""
    rows = []
    for stage, mine in table.groupby("stage", sort=False):
        peak = mine["peak_mb"].max()
        rows.append(
            {
                "stage": escape(str(stage)),
                "jobs": str(len(mine)),
                "time (min)": f"{mine['seconds'].sum() / 60:.1f}",
                "processor time (min)": f"{mine['cpu_seconds'].sum() / 60:.1f}",
                "peak memory (GB)": escape(number(peak / 1000)),
            }
        )
    caption = "Cost by stage: the last run of each job; what it found computed before is not counted."
    return _plain("cost", rows, caption, texts=["stage"])


SHORT: dict[str, Callable[[pd.DataFrame, Spec], list[str]]] = {
    "accuracy": accuracy,
    "labels": labels,
    "splits": splits,
    "prompting": prompting,
    "agreement": agreement,
    "completeness": completeness,
    "calibration": calibration,
    "calibration_ranks": calibration_ranks,
    "sensitivity": sensitivity,
    "cost": cost,
}
