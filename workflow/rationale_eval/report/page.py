"""Write the report page: one HTML file without scripts that says what was asked, what was run and what came out.

Texts, labels and names come from corpora, models and configuration: the template escapes all of them.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rationale_eval.errors import UserError
from rationale_eval.models.task import task_from_slice
from rationale_eval.progress import say
from rationale_eval.rationales.budgets import AS_GIVEN, MATCHED
from rationale_eval.report.aggregate import correctness
from rationale_eval.report.asking_tables import agreement_table, labels_table
from rationale_eval.report.bold import BOLD, OF_FLIPS
from rationale_eval.report.calibration_html import TABLES as CALIBRATION_TABLES
from rationale_eval.report.calibration_html import calibration_sections
from rationale_eval.report.cards import corpus_card
from rationale_eval.report.cells import read_predictions
from rationale_eval.report.comparisons import (
    accuracy_change,
    by_course,
    claim_sentences,
    shown_claim,
)
from rationale_eval.report.cost_html import cost_tables
from rationale_eval.report.examples import Example, examples
from rationale_eval.report.findings import collapse_note, findings, flag_sentences
from rationale_eval.report.html_tables import (
    accuracy_table,
    alignment_table,
    completeness_table,
    course_table,
    faithfulness_table,
    prompting_table,
    splits_table,
    trajectory_table,
)
from rationale_eval.report.layout import (
    Cell,
    epoch_and_seed,
    family,
    flagged,
    main_rows,
    of_cell,
    one_row_each,
    ordered,
    prompted,
    read_card,
    read_claims,
    read_summary,
)
from rationale_eval.report.marked import MARKED, Marked, said_of, who_marked, with_notes
from rationale_eval.report.measure_html import measure_sections
from rationale_eval.report.positions_html import positions_table
from rationale_eval.report.record import Record, differences, records
from rationale_eval.report.validity import has_low_mass
from rationale_eval.report.wording import (
    budget_text,
    level_text,
    number,
    percent,
    percent_with_interval,
    settings,
    visible,
)
from rationale_eval.tables import read_provenance, write_text

TABLES = (
    *("accuracy", "labels", "alignment", "faithfulness", "splits", "prompting", "agreement", "completeness"),
    *("positions", "trajectory", "cost"),
)
# The last only where the study has other operators than the main one.
MEASURE_TABLES = ("faithfulness_curves", "faithfulness_normalised", "sensitivity")
FIGURES = ("alignment", "faithfulness", "matched", "trajectory", "collapse")
FIGURE_FILES = ("svg", "pdf", "png")
BY_METHOD = ("alignment", "faithfulness")
EXAMPLES = 6


def link(path: Path, page: Path) -> str:
    """The address of ``path`` relative to the page."""
    return quote(os.path.relpath(path, page.parent).replace(os.sep, "/"))


def picture(path: Path) -> str:
    """An SVG file as a data address, for an ``img`` element, in which nothing can be run or loaded."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such figure; the stage `figures` draws it") from None
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii")


def models(about: Mapping[str, Mapping[str, str]], results: Path) -> list[dict[str, Any]]:
    """For each model its card, and what the configuration says ``about`` it: licence and citation."""
    return [{"name": name, "card": read_card(results / "models" / name), **said} for name, said in about.items()]


def some_examples(
    cells: Sequence[Cell], results: Path, alignment: pd.DataFrame, spec: Mapping[str, Any]
) -> list[Example]:
    """About ``EXAMPLES`` examples in all, equally many (one at least) from the first cell of each corpus."""
    first = {cell.corpus: cell for cell in reversed(cells)}
    chosen = [cell for cell in cells if first[cell.corpus] == cell]
    each = max(1, EXAMPLES // len(chosen))
    main_budget = {spec["main_budget"]: spec["budgets"][spec["main_budget"]]}
    return [example for cell in chosen for example in examples(cell, results, cell.rows(alignment), main_budget, each)]


def tables_of(
    position: int, cell: Cell, tables: Mapping[str, pd.DataFrame], spec: Mapping[str, Any], marked: Marked
) -> dict[str, Markup | None]:
    """The tables of one cell: at the main budget (and sets as given), and at the other budgets if there are any."""
    budget = spec["main_budget"]
    found: dict[str, Markup | None] = {}
    for name in BY_METHOD:
        mine = cell.rows(tables[name])
        main = main_rows(mine, spec["methods"], budget)
        others = mine[~mine["budget"].isin([budget, AS_GIVEN])]
        for part, rows in (("main", main), ("others", others)):
            key = f"{name}_{part}"
            if rows.empty:
                found[key] = None
            elif name == "alignment":
                sets = rows[(rows["budget"] == AS_GIVEN) & (rows["kind"] != "human")]
                as_marked = part == "main" and spec["budgets"][budget]["kind"] == "top_var"
                equal = as_marked and sets.empty and not rows["n_short"].any()
                found[key] = alignment_table(with_notes(rows, marked), f"{key}-{position}", equal)
            else:
                found[key] = faithfulness_table(with_notes(rows, marked), f"{key}-{position}")
    splits = with_notes(cell.rows(tables["splits"]), marked)
    found["splits"] = splits_table(splits, f"splits-{position}") if len(splits) else None
    positions = with_notes(main_rows(cell.rows(tables["positions"]), spec["methods"], budget), marked)
    found["positions"] = positions_table(positions, f"positions-{position}") if len(positions) else None
    return found


def prompts(found: Sequence[Record]) -> dict[Cell, str]:
    """For each cell the first prompt as the model read it, template included; of cells with the same one the first."""
    by_cell = {record.cell: record.made.get("example_prompt", "") for record in found if record.name == "predictions"}
    first = {(cell.corpus, prompt): cell for cell, prompt in reversed(by_cell.items())}
    return {cell: prompt for cell, prompt in by_cell.items() if first[cell.corpus, prompt] == cell}


def courses(
    correct: Mapping[Cell, pd.Series],
    trajectory: pd.DataFrame,
    spec: Mapping[str, Any],
    interval: Mapping[str, Any],
    marked: Mapping[str, Marked],
) -> list[dict[str, Any]]:
    """For each corpus and model with a base and an epoch: what changed, and its table.

    ``correct`` is as in ``correctness``, ``marked`` by corpus.
    """
    found = []
    rows = one_row_each(main_rows(trajectory, spec["methods"], spec["main_budget"]))
    for position, (title, part) in enumerate(by_course(correct).items()):
        first = next(iter(part))
        mine = rows[(rows["corpus"] == first.corpus) & (rows["model"] == first.model)]
        sentences = accuracy_change(part, interval)
        table = trajectory_table(with_notes(mine, marked[first.corpus]), f"trajectory-{position}")
        found.append({"title": title, "findings": sentences, "table": table})
    return found


def beside(row: Mapping[str, Any], marked: Marked) -> str:
    """What the flip rates of a cell are to be read beside, in a sentence; ``row`` is any of its faithfulness rows."""
    n = row["n"]
    references = {"all_words": "masking all words", "human": f"masking {marked.words}"}
    flips = []
    for kind, name in references.items():
        rate, low, high = (row[f"flip_{kind}{end}"] for end in ("", "_low", "_high"))
        if pd.notna(rate):
            flips.append(f"{name} flips {percent_with_interval(rate, low, high, n)}")
    parts = [
        f"accuracy {percent(row['accuracy'], n)}",
        f"most predicted label {percent(row['majority_predicted_share'], n)} of texts",
        f"entropy of predictions {number(row['predicted_entropy'])} bits",
        f"margin of the predicted label {number(row['margin_q50'])} in the median, {number(row['margin_q10'])} and "
        f"{number(row['margin_q90'])} at the 10 % and 90 % quantiles",
        *flips,
    ]
    return f"To be read beside: {'; '.join(parts)}."


def _grouped(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The names of the methods by their family."""
    found: dict[str, list[str]] = {}
    for name in ordered(methods):
        found.setdefault(family(methods[name]["kind"]), []).append(name)
    return found


def context(
    spec: Mapping[str, Any], results: Path, table_folder: Path, figures: Path, claims_file: Path, page: Path
) -> dict[str, Any]:
    """All that the template shows. Raises ``UserError`` for files that are missing."""
    cells = [Cell(**cell) for cell in spec["cells"]]
    tables = {name: read_summary(table_folder / f"{name}.parquet") for name in TABLES}
    for cell in cells:
        if cell.rows(tables["accuracy"]).empty:
            raise UserError(f"{table_folder / 'accuracy.parquet'}: has no row of {cell.title}; make the tables again")
    made = read_provenance(table_folder / "alignment.parquet")["spec"]
    interval, validity = made["interval"], made["validity"]
    methods = spec["methods"]
    correct = {cell: correctness(read_predictions(cell, results)) for cell in cells}
    tested = read_claims(claims_file)
    budget = spec["main_budget"]
    collapsed = {
        cell: collapse_note(cell.rows(tables["accuracy"]).iloc[0], cell.rows(tables["faithfulness"]), budget)
        for cell in cells
    }
    flips = {cell: cell.rows(tables["faithfulness"]).to_dict("records") for cell in cells}
    made_from = [
        record
        for cell in cells
        for mine in [of_cell(spec, cell)["methods"]]
        for record in records([cell], results, ordered(mine), prompted(mine), spec["operators"])
    ]
    names = MEASURE_TABLES if spec["operators"] else MEASURE_TABLES[:-1]
    measures = {name: read_summary(table_folder / f"{name}.parquet") for name in names}
    known = CALIBRATION_TABLES if spec["planted"] else ()
    calibration = {name: read_summary(table_folder / f"{name}.parquet") for name in known}
    cards = [
        corpus_card(name, results, task_from_slice(spec["tasks"][name]), made_from)
        for name in dict.fromkeys(cell.corpus for cell in cells)
    ]
    kinds = {card.name: card.marked_by for card in cards}
    marked = {name: MARKED[kind] for name, kind in kinds.items()}
    return {
        "title": spec["title"],
        "study": {
            "cells": cells,
            "corpora": cards,
            "marked": said_of(kinds.values()),
            "who_marked": who_marked(kinds),
            "models": models(spec["models"], results),
            "checkpoints": list(dict.fromkeys(cell.checkpoint for cell in cells)),
            "prompts": prompts(made_from),
            "methods": [
                {"name": name, "family": family(methods[name]["kind"]), "settings": settings(methods[name])}
                for name in ordered(methods)
            ],
            "budgets": {name: budget_text(budget) for name, budget in spec["budgets"].items()},
            "main_budget": spec["main_budget"],
            "equal_sizes": spec["budgets"][spec["main_budget"]]["kind"] == "top_var",
            "perturbation": spec["perturbation"],
            "prompted": prompted(methods),
            "matched": [name for name, budget in spec["budgets"].items() if budget["kind"] == MATCHED],
            "seeds": len({epoch_and_seed(cell.checkpoint)[1] for cell in cells} - {None}),
            "families": _grouped(methods),
            "texts": tables["accuracy"].groupby("corpus")["instances"].max().to_dict(),
            "draws": max((len(method.get("seeds", ())) for method in methods.values()), default=0),
        },
        "bold": f"{BOLD}; {OF_FLIPS}",
        "level": level_text(interval["level"]),
        "resamples": interval["resamples"],
        "smallest": int(tables["accuracy"]["n"].min()),
        "ceilings": {card.name: card.ceiling for card in cards},
        "findings": {
            cell: findings(cell, tables, budget, tested["settings"]["alpha"], marked[cell.corpus]) for cell in cells
        },
        "measures": measure_sections(cells, measures, spec, marked),
        "calibration": calibration_sections(cells, calibration),
        "claims": [shown_claim(claim) for claim in tested["claims"]],
        "claim_sentences": claim_sentences(tested["claims"]),
        "judged": tested["settings"],
        "claims_file": link(claims_file, page),
        "marked": marked,
        "collapsed": collapsed,
        "flags": {cell: flag_sentences(cell, tables) for cell in cells},
        "heads": {cell: flagged(cell.title, bool(collapsed[cell])) for cell in cells},
        "beside": {cell: beside(rows[0], marked[cell.corpus]) if rows else "" for cell, rows in flips.items()},
        "accuracy": accuracy_table(tables["accuracy"], "accuracy"),
        "low_mass": [cell.title for cell in cells if has_low_mass(cell.rows(tables["accuracy"]).iloc[0], validity)],
        "min_label_mass": validity["min_label_mass"],
        "max_completeness_error": validity["max_completeness_error"],
        "labels": labels_table(tables["labels"], "labels"),
        "word_agreement": agreement_table(tables["agreement"], "word-agreement", samples=False),
        "sample_agreement": agreement_table(tables["agreement"], "sample-agreement", samples=True),
        "prompting": prompting_table(tables["prompting"], "prompting") if len(tables["prompting"]) else None,
        "completeness": completeness_table(tables["completeness"], "completeness")
        if len(tables["completeness"])
        else None,
        "courses": courses(correct, tables["trajectory"], spec, interval, marked),
        "course": course_table(tables["trajectory"], "course"),
        "tables": {
            cell: tables_of(position, cell, tables, spec, marked[cell.corpus]) for position, cell in enumerate(cells)
        },
        "pictures": {name: picture(figures / f"{name}.svg") for name in FIGURES},
        "drawn": {
            name: {end.upper(): link(figures / f"{name}.{end}", page) for end in FIGURE_FILES} for name in FIGURES
        },
        "data": {name: link(table_folder / f"{name}.csv", page) for name in TABLES},
        "cost": cost_tables(tables["cost"]),
        "examples": some_examples(cells, results, tables["alignment"], spec),
        "records": made_from,
        "differences": differences(made_from),
        "links": {record.path: link(record.path, page) for record in made_from},
        "table_files": [
            link(table_folder / f"{name}.{end}", page)
            for name in (*TABLES, *names, *known, "claims")
            for end in ("csv", "parquet", "tex")
        ],
        "figure_files": [
            *(link(figures / f"{name}.{end}", page) for name in FIGURES for end in FIGURE_FILES),
            link(page.parent / "examples.tex", page),
        ],
    }


def render(values: Mapping[str, Any]) -> str:
    """The page from the values of ``context``."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(values)


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval page", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"title", "cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, '
        '"budgets": {name: entry}, "main_budget": name, "perturbation": {"operator", "mask", "announce"}, '
        '"operators": {name: the same}, "planted": whether there is a calibration, "tasks": {corpus: task}, '
        '"models": {name: {"licence", "citation"}}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the report's tables")
    parser.add_argument("--figures", type=Path, required=True, help="the folder of the report's figures")
    parser.add_argument("--claims", type=Path, required=True, help="what came of the claims (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="output: the page (HTML)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    values = context(spec, args.results, args.tables, args.figures, args.claims, args.output)
    write_text(args.output, render(values))
    say(f"{args.output}: {len(spec['cells'])} cells, {len(spec['methods'])} methods")
