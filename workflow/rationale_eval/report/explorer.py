"""Write the rationale explorer: one HTML file in which each instance can be looked at with every method's words.

It holds all texts, words, predictions and replies of the study as compact blocks, which its own script unpacks when
they are looked at. Nothing is loaded from elsewhere: its security policy allows this one script and no request.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rationale_eval.corpora.instances import read_instances
from rationale_eval.errors import UserError
from rationale_eval.progress import Progress, say
from rationale_eval.report.explorer_cell import ABSENT, CellReader
from rationale_eval.report.explorer_corpus import BLOCK, corpus_values
from rationale_eval.report.explorer_pack import pack
from rationale_eval.report.explorer_words import CellWords
from rationale_eval.report.layout import Cell, family, of_cell, ordered, prompted, read_card
from rationale_eval.report.marked import MARKED
from rationale_eval.report.wording import HIDDEN, operator_text, settings, terms, visible
from rationale_eval.tables import whole_file

HERE = Path(__file__).parent
# In the order in which they stand in the page.
SCRIPTS = ("data", "state", "filters", "text", "cards", "instance", "list", "main")
# Why something is not there, in words, by the status that tables give.
STATUSES = {
    "ok": "",
    "no_gold": "no word of this text is marked",
    "cut_off": "the model’s reply ended at its limit of tokens before an answer",
    "too_long": "the text is too long for the model",
    "chat_markup": "the text holds one of the model’s special tokens",
    "text_altered": "the model’s chat template does not show the text as it is",
    "not_covered": "the model’s tokenizer drops a word of the text",
    "not_available": "the model cannot give what this method needs",
    "refusal": "the model refused",
    "filtered": "the API’s filter held the answer back",
    "unparsed": "the answer could not be read",
    "api_error": "the API gave an error",
    "no_reply": "there is no reply whose size could be matched",
    "no_vote": "none of the replies named a word",
    "not_given": "the file of rationales lacks this one",
    ABSENT: "the table has no row of it",
}


def blobs(spec: Mapping[str, Any], results: Path) -> Iterator[tuple[str, str]]:
    """Each block of the page with its id, one cell after another: no more than one cell is held.

    Raises ``UserError`` for missing or damaged tables.
    """
    cells = [Cell(**cell) for cell in spec["cells"]]
    methods = spec["methods"]
    evaluated = sorted(spec["evaluated"], key=lambda method: ordered(methods).index(method["name"]))
    yield "study", pack(study_values(cells, spec, results))
    progress = Progress("explorer", len(cells), "cells")
    for order, corpus in enumerate(dict.fromkeys(cell.corpus for cell in cells)):
        instances = read_instances(results / "corpora" / corpus / "test.parquet")
        yield f"corpus-{order}", pack(corpus_values(instances))
        for number, cell in enumerate(cells):
            if cell.corpus != corpus:
                continue
            reader = CellReader(cell, results, instances, evaluated)
            # The arrays have a place for each method of the study; those that are not run here stay empty.
            mine = of_cell(spec, cell)
            words = CellWords(cell, results, reader, mine["evaluated"], prompted(mine["methods"]))
            yield f"cell-{number}", pack({**reader.values(), **words.outcomes()})
            for block, values in enumerate(words.blocks()):
                yield f"cell-{number}-block-{block}", pack(values)
            progress.advance(1)


def study_values(cells: Sequence[Cell], spec: Mapping[str, Any], results: Path) -> dict[str, Any]:
    """What the explorer needs of the study as a whole, for ``pack``."""
    methods = spec["methods"]
    cards = {name: read_card(results / "corpora" / name) for name in dict.fromkeys(cell.corpus for cell in cells)}
    return {
        "cells": [vars(cell) for cell in cells],
        "corpora": {
            name: {"terms": terms(card), "marked": vars(MARKED[card["marked_by"]])}
            | {part: card.get(part) for part in ("annotation", "caveats")}
            for name, card in cards.items()
        },
        "methods": [
            {"name": name, "family": family(methods[name]["kind"]), "settings": settings(methods[name])}
            for name in ordered(methods)
        ],
        "human": next((name for name in methods if methods[name]["kind"] == "human"), None),
        "budgets": list(spec["budgets"]),
        "main_budget": spec["main_budget"],
        "masked": operator_text(spec["perturbation"]),
        "block": BLOCK,
        "statuses": STATUSES,
    }


def script() -> str:
    """The page's script: its parts in one function, so that they see each other and nothing else does."""
    parts = [(HERE / f"explorer_{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    hidden = f'const HIDDEN = new RegExp({json.dumps(HIDDEN)}, "gu");\n'
    return '(() => {\n"use strict";\n' + hidden + "\n".join(parts) + "})();\n"


def allowed(text: str) -> str:
    """The source by which a Content-Security-Policy allows an inline script or style of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def rendered(title: str, blocks: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The page in pieces, each made when it is asked for."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, code = (HERE / "explorer.css").read_text(encoding="utf-8"), script()
    policy = f"default-src 'none'; script-src {allowed(code)}; style-src {allowed(style)}; base-uri 'none'"
    policy += "; form-action 'none'"
    values = {
        "title": title,
        "policy": policy,
        "style": Markup(style),
        "script": Markup(code),
        "blocks": ((name, Markup(block)) for name, block in blocks),  # base64 has nothing to be escaped
    }
    return environment.get_template("explorer.html.j2").generate(values)


def write_pieces(path: Path, pieces: Iterable[str]) -> int:
    """Write ``pieces`` one after another under a temporary name, then rename it; the number of bytes."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.writelines(pieces)
        stream.flush()
        os.fsync(stream.fileno())
    return path.stat().st_size


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval explorer", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON: {"title", "cells": [{"corpus", "model", "checkpoint"}], "methods": {name: entry}, '
        '"evaluated": [{"name", "budgets": {name: entry}}], "budgets": {name: entry}, "main_budget": name, '
        '"perturbation": {"operator", "mask", "announce"}}',
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder of the results")
    parser.add_argument("--output", type=Path, required=True, help="output: the explorer (HTML)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    if not spec["cells"]:
        raise UserError("--spec: the study has no cell to be explored")
    size = write_pieces(args.output, rendered(spec["title"], blobs(spec, args.results)))
    say(f"{args.output}: {len(spec['cells'])} cells, {len(spec['methods'])} methods, {size / 1e6:.1f} MB")
