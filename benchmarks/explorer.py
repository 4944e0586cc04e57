"""The rationale explorer of a large study: time and memory to build it, its size, and how soon a browser shows it.

    python benchmarks/explorer.py                                  3,000 instances of 20 methods, 30 words each
    python benchmarks/explorer.py --instances 500 --words 300

One cell of random texts, scores, replies and measures; besides what methods chose, its table of perturbations has a
hundred rows per instance of random words, as studies have. The stage runs in a process of its own, whose highest
resident set is `memory`. `paint` is the first contentful paint and `shown` when the first instance with all its methods
stands there, both from the start of loading the file in chromium by playwright; without these they are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "workflow"))

from rationale_eval.alignment import ALIGNMENT, row_of  # noqa: E402
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances  # noqa: E402
from rationale_eval.evidence.reply_schema import REPLIES  # noqa: E402
from rationale_eval.evidence.schema import PREDICTIONS  # noqa: E402
from rationale_eval.faithfulness.schema import FAITHFULNESS, KEEP, MASK, NORMALISED, PERTURBATIONS, RANDOM, numbered  # noqa: E402
from rationale_eval.rationales.choices import Choice, choices  # noqa: E402
from rationale_eval.rationales.schema import RATIONALES, rationale_row  # noqa: E402
from rationale_eval.tables import write_json, write_table  # noqa: E402

CELL = ("made_up", "none", "base")
LABELS = ["negative", "positive"]
PROMPTED = [f"prompt_{number}" for number in range(4)]
SCORED = [f"gradients_{number}" for number in range(15)]
BUDGETS: dict[str, Any] = {"top_var": {"kind": "top_var"}, "top_ratio": {"kind": "top_ratio", "ratio": 0.2}}
AS_GIVEN: dict[str, Any] = {"as_given": {"kind": "as_given"}}
DRAWS = 100
MADE: dict[str, Any] = {"stage": "made up", "spec": {}, "inputs": {}, "versions": {}, "verbaliser_tokens": {}}
# The stage, and then the most memory that its process held.
STAGE = """import sys
from attribution import resident
from rationale_eval.report import explorer
explorer.main(sys.argv[1:])
print(resident("VmHWM"))"""


def spec() -> dict[str, Any]:
    """The slice of the stage: 15 scored methods, 4 prompted ones and the human rationale."""
    methods: dict[str, Any] = {name: {"kind": "gradients", "statistic": "grad_l2"} for name in SCORED}
    methods |= {name: {"kind": "prompt", "strategy": "guided"} for name in PROMPTED} | {"human": {"kind": "human"}}
    budgets = {name: BUDGETS if name in SCORED else AS_GIVEN for name in methods}
    return {
        "title": "A made-up study",
        "cells": [dict(zip(("corpus", "model", "checkpoint"), CELL, strict=True))],
        "methods": methods,
        "evaluated": [{"name": name, "budgets": budgets[name]} for name in methods],
        "budgets": BUDGETS,
        "main_budget": "top_var",
        "perturbation": {"operator": "replace", "mask": "___", "announce": False},
    }


def write_study(results: Path, count: int, words: int) -> None:
    """The tables of the study, all of random values."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(5000)]
    texts = [" ".join(draw.choices(vocabulary, k=words)) for _ in range(count)]
    instances = []
    for number, text in enumerate(texts):
        found = whitespace_words([text])
        marked = tuple(draw.random() < 0.1 for _ in found)
        instances.append(Instance(str(number), draw.choice(LABELS), {"text": text}, found, marked))
    write_instances(results / "corpora" / CELL[0] / "test.parquet", instances, MADE)
    about = {"licence": "none", "caveats": [], "annotation": "random", "marked_by": "construction"}
    write_json(results / "corpora" / CELL[0] / "card.json", about)
    folder = results.joinpath(*CELL)
    write_table(folder / "predictions.parquet", (_prediction(one, draw) for one in instances), PREDICTIONS, MADE)
    for name in (*SCORED, *PROMPTED, "human"):
        rows = [_rationale(name, one, draw) for one in instances]
        write_table(folder / "rationales" / f"{name}.parquet", rows, RATIONALES, MADE)
        if name in PROMPTED:
            write_table(folder / "evidence/readings" / f"{name}.parquet", rows, RATIONALES, MADE)
            replies = (_reply(one, row) for one, row in zip(instances, rows, strict=True))
            write_table(folder / "evidence/replies" / f"{name}.parquet", replies, REPLIES, MADE)
    evaluated = spec()["evaluated"]
    paths = [folder / "rationales" / f"{method['name']}.parquet" for method in evaluated]
    chosen = list(choices(evaluated, paths, {one.id: one for one in instances}))
    write_table(folder / "alignment.parquet", map(row_of, chosen), ALIGNMENT, MADE)
    write_table(folder / "faithfulness.parquet", (_faithful(choice, draw) for choice in chosen), FAITHFULNESS, MADE)
    write_table(folder / "perturbations.parquet", _perturbations(instances, chosen, draw), PERTURBATIONS, MADE)


def _prediction(one: Instance, draw: random.Random) -> dict[str, Any]:
    share = draw.random()
    shares = {"scores": [share - 5, -4.5 - share], "probabilities": [share, 1 - share]}
    answer = {"gold": one.label, "predicted": LABELS[share < 0.5], "labels": LABELS}
    return {"id": one.id, "status": "ok", **answer, **shares, "tokens": 9}


def _rationale(method: str, one: Instance, draw: random.Random) -> dict[str, Any]:
    if method in SCORED:
        return rationale_row(one.id, scores=[draw.gauss(0, 1) for _ in one.words])
    if method == "human":
        return rationale_row(one.id, selected=list(one.rationale or ()))
    order = draw.sample(range(len(one.words)), k=min(5, len(one.words)))
    selected = [word in order for word in range(len(one.words))]
    read = {"outcome": "partly_matched", "listed": 6, "hallucinated": ["elsewhere"], "copied": False}
    return rationale_row(one.id, selected=selected, order=order, named=len(order), **read)


def _reply(one: Instance, row: dict[str, Any]) -> dict[str, Any]:
    text = "\n".join(f"- {one.text(one.words[word])}" for word in row["order"]) + "\n- elsewhere"
    known = {"id": one.id, "sample": 0, "status": "ok", "label": LABELS[0], "request": "[]", "reply": text}
    return dict.fromkeys(REPLIES.columns.names) | known | {"finish": "stop", "asked": 5}


def _faithful(choice: Choice, draw: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(FAITHFULNESS.columns.names) | choice.key
    row |= {f"{name}_normalised_status": "no_random" for name in NORMALISED}
    for name in ("comprehensiveness", "sufficiency", "flip_random", "comprehensiveness_random"):
        row[name] = draw.random()
    return row | {"flip": draw.random() < 0.2, "flip_when_kept": draw.random() < 0.5}


def _perturbations(instances: list[Instance], chosen: list[Choice], draw: random.Random) -> Iterator[dict[str, Any]]:
    for choice in chosen:
        for operation in (MASK, KEEP):
            answer = {"predicted": draw.choice(LABELS), "scores": [draw.random() - 5, -4.5]}
            yield choice.key | {"operation": operation} | answer
    for one in instances:
        for number in range(DRAWS):
            key = {"id": one.id, "method": RANDOM, "sample": number % 5, "budget": numbered(number // 5 + 1)}
            counted = {"status": "ok", "words": len(one.words), "selected": number // 5 + 1, "operation": MASK}
            yield key | counted | {"predicted": draw.choice(LABELS), "scores": [draw.random() - 5, -4.5]}


def build(results: Path, page: Path) -> tuple[float, float]:
    """Seconds and megabytes that the stage takes."""
    arguments = ["--spec", json.dumps(spec()), "--results", str(results), "--output", str(page)]
    start = time.monotonic()
    command = [sys.executable, "-c", STAGE, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=HERE)
    return time.monotonic() - start, float(done.stdout)


def shown(page: Path) -> tuple[float, float] | None:
    """Seconds to the first contentful paint, and until the first instance is there; None without a browser."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--disable-quic"])
        tab = browser.new_page()
        start = time.monotonic()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_selector("#instance[aria-busy=false]")
        whole = time.monotonic() - start
        while not tab.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
            tab.wait_for_timeout(20)
        paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
        browser.close()
    return paint, whole


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=3000)
    parser.add_argument("--words", type=int, default=30, help="words of each text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results, page = Path(folder, "results"), Path(folder, "explorer.html")
        write_study(results, args.instances, args.words)
        seconds, memory = build(results, page)
        methods = len(spec()["methods"])
        print(f"{args.instances} instances of {args.words} words, {methods} methods")
        print(f"built in {seconds:.1f} s, memory {memory:.0f} MB, file {page.stat().st_size / 1e6:.1f} MB")
        times = shown(page)
        print("paint: no browser here" if times is None else f"paint {times[0]:.2f} s, shown {times[1]:.2f} s")


if __name__ == "__main__":
    main()
