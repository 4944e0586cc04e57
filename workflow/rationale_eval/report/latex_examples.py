"""Write example sentences as LaTeX for a paper: words coloured by score, framed if selected, underlined by people.

Of the first cell of each corpus one instance that the model got right and one that it got wrong, as far as there are,
chosen by a hash of their id; of each family of methods the best aligned one that is not flagged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.progress import say
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.rationales.choices import gold_of
from rationale_eval.report.cells import read_predictions
from rationale_eval.report.examples import choose, chosen_words, shown_methods
from rationale_eval.report.latex import escape, figure, head, write_floats
from rationale_eval.report.layout import Cell, read_card, read_summary
from rationale_eval.report.marked import MARKED
from rationale_eval.report.wording import budget_text, number, percent, terms

EACH = 2
# A figure holds about as many characters of one text, and a line as many of one word.
MOST_CHARACTERS, MOST_LETTERS = 900, 60
# The fill of the word with the highest score, in percent: black text on it keeps its contrast.
STRONGEST = 70

# Orange and sky blue of Okabe and Ito's colours, told apart with any of the common colour vision deficiencies.
MACROS = r"""\providecolor{rationalefor}{HTML}{E69F00}
\providecolor{rationaleagainst}{HTML}{56B4E9}
\providecommand{\rationalescore}[2]{{\setlength{\fboxsep}{1pt}\colorbox{#1}{\strut #2}}}
\providecommand{\rationaleselected}[2]{{\setlength{\fboxsep}{1pt}\fcolorbox{black}{#1}{\strut #2}}}
\providecommand{\rationalehuman}[1]{\underline{\strut #1}}
"""


def fill(score: float | None, largest: float) -> str:
    """The colour of a word by its score, as xcolor mixes it: orange for positive, blue for negative, white for none."""
    share = 0 if score is None or not largest else round(STRONGEST * abs(score) / largest)
    if not share or score is None:
        return "white"
    return f"{'rationalefor' if score > 0 else 'rationaleagainst'}!{share}"


def word(text: str, colour: str, selected: bool, human: bool) -> str:
    """One word, cut at ``MOST_LETTERS``."""
    shown = escape(text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…")
    if human:
        shown = f"\\rationalehuman{{{shown}}}"
    if selected:
        return f"\\rationaleselected{{{colour}}}{{{shown}}}"
    return shown if colour == "white" else f"\\rationalescore{{{colour}}}{{{shown}}}"


def sentence(instance: Instance, scores: Sequence[float] | None, selected: Sequence[bool] | None) -> str:
    """The fields of ``instance`` with its words marked by one method and by people; the rest of a long text is counted.

    ``scores`` and ``selected`` have one entry for each word.
    """
    people = gold_of(instance)
    largest = max(map(abs, scores), default=0.0) if scores is not None else 0.0
    parts: list[str] = []
    room = MOST_CHARACTERS
    for field, (name, text) in enumerate(instance.fields.items()):
        if len(instance.fields) > 1:
            parts.append(f"{' ' if parts else ''}\\emph{{{escape(name)}:}} ")
        end, left_out = 0, 0
        for position, place in enumerate(instance.words):
            if place.field != field:
                continue
            if room <= 0:
                left_out += 1
                continue
            colour = fill(scores[position] if scores is not None else None, largest)
            chosen = bool(selected[position]) if selected is not None else False
            parts.append(_between(text[end : place.start]))
            parts.append(word(instance.text(place), colour, chosen, people[position]))
            room -= min(place.end - end, MOST_LETTERS)
            end = place.end
        parts.append(escape(f" [… {left_out} more words]") if left_out else _between(text[end:]))
    return "".join(parts).strip()


def _between(text: str) -> str:
    """What stands between two words, or a field that has none, cut at ``MOST_CHARACTERS``."""
    return escape(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…")


def _answer(row: Mapping[str, Any]) -> str:
    """The label that people and the model give."""
    sure = "" if row["probabilities"] is None else f" ({percent(max(row['probabilities']), 0)})"
    return f"Gold label: {row['gold']}; predicted: {row['predicted']}{sure}."


def figures(cell: Cell, results: Path, alignment: Any, spec: Mapping[str, Any]) -> list[str]:
    """The floats of one cell; ``alignment`` are its rows of the report's table."""
    main = spec["main_budget"]
    predictions = read_predictions(cell, results)
    ids = choose(predictions, EACH)
    corpus = read_instances(results / "corpora" / cell.corpus / "test.parquet")
    instances = {row.id: row for row in corpus if row.id in ids}
    marked = {
        (method, at): chosen_words(cell, results, method, (at, spec["budgets"].get(at, {"kind": AS_GIVEN})), instances)
        for method, at in shown_methods(alignment, main)
    }
    f1 = alignment.set_index(["method", "budget"])["f1"]
    card = read_card(results / "corpora" / cell.corpus)
    source, marked_by = f"Text: {cell.corpus}, {terms(card)}.", MARKED[card["marked_by"]].by
    found = []
    for row in predictions.set_index("id", drop=False).loc[ids].to_dict("records"):
        lines = []
        for (method, at), by_id in marked.items():
            rationale, selected = by_id[row["id"]]
            name = f"{method} ({'as given' if at == AS_GIVEN else at}; mean F1 {number(f1[method, at])})"
            text = sentence(instances[row["id"]], rationale["scores"], selected)
            lines.append(f"\\textbf{{{escape(name)}}}\\\\\n{text}\\par\\smallskip\n")
        inside = f"{{\\raggedright\n{''.join(lines)}}}"
        caption = (
            f"Instance {row['id']} of {cell.title}. {_answer(row)} Colour: the score of a word by the method, relative "
            f"to the largest in the text (orange, or blue where it is negative); frame: selected, at the budget {main} "
            f"({budget_text(spec['budgets'][main])}) or as the reply gives them; underlined: {marked_by}. {source}"
        )
        found.append(figure(f"fig:example:{cell.title}:{row['id']}", escape(caption), inside))
    return found


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval latex_examples", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"cells": [{"corpus", "model", "checkpoint"}], "main_budget": name, '
        '"budgets": {name: entry} with that one}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--tables", type=Path, required=True, help="the folder of the report's tables")
    parser.add_argument("--output", type=Path, required=True, help="output: the examples (LaTeX)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    alignment = read_summary(args.tables / "alignment.parquet")
    cells = [Cell(**cell) for cell in spec["cells"]]
    first = {cell.corpus: cell for cell in reversed(cells)}
    chosen = [cell for cell in cells if first[cell.corpus] == cell]
    notes = []
    for cell in chosen:
        card = read_card(args.results / "corpora" / cell.corpus)
        notes.append(f"{cell.corpus}: {terms(card)}")
        notes += [f"{cell.corpus}: please cite: {card['citation']}"] * bool(card["citation"])
    drawn = [text for cell in chosen for text in figures(cell, args.results, cell.rows(alignment), spec)]
    write_floats(args.output, head(args.output.name, notes, ["xcolor"], MACROS), drawn)
    say(f"{args.output}: {len(drawn)} examples")
