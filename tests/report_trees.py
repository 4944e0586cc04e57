"""Small trees of results for the report's tests: texts that try to inject markup, prompted methods, checkpoints."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from rationale_eval.alignment import ALIGNMENT, MEASURES
from rationale_eval.claims import stage as claims
from rationale_eval.corpora import card
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import PREDICTIONS
from rationale_eval.faithfulness.schema import CURVES, FAITHFULNESS, NORMALISED, PERTURBATIONS
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.report import (
    cost,
    explorer,
    figures,
    latex_examples,
    latex_tables,
    measure_tables,
    page,
    sensitivity,
    tables,
)
from rationale_eval.tables import write_json, write_table

INTERVAL = {"resamples": 2000, "seed": 0, "level": 0.95}
VALIDITY = {
    "max_majority_share": 0.95,
    "min_usable_replies": 0.5,
    "min_label_mass": 0.1,
    "max_completeness_error": 0.1,
}
CLAIMS = {"alpha": 0.05, "margins": {"f1_corrected": 0.02}, "min_instances": 2, "same_ranking": 0.8}
SCRIPT, IMAGE, BIDI = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202egnol\u2066"
HOSTILE = f"{SCRIPT} {IMAGE} {BIDI} $x_ & {{{{ 7 * 7 }}}}"
ATTENTION, ASKED = f"m {IMAGE} $_$", "asked"
METHODS = {
    "grad": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max"},
    ATTENTION: {"kind": "attention", "statistic": "last", "aggregation": "max"},
    ASKED: {"kind": "prompt", "strategy": "guided", "max_words": 20},
    "random": {"kind": "random", "seeds": [0, 1], "budgets": ["top_var"]},
    "human": {"kind": "human"},
}
OTHER = "redacted"
OPERATORS = {OTHER: {"operator": "replace", "mask": IMAGE, "announce": True}}
BUDGETS = {
    "top_var": {"kind": "top_var"},
    "half": {"kind": "top_ratio", "ratio": 0.5},
    "matched_asked": {"kind": "matched", "to": ASKED},
}
APPLY = {"random": ["top_var"], "human": ["as_given"], ASKED: ["top_var", "as_given"]}
# As `task_slice` cuts a prompt file.
PROMPT = {
    "version": 1,
    "fields": ["text"],
    "classify": f"{SCRIPT} {{text}}",
    "verbalisers": [["no", "no"], [HOSTILE, IMAGE]],
}
# By instance what the model replied and how it was read; instance 3 was not asked.
REPLIED = {
    "0": {"outcome": "partly_matched", "listed": 3, "hallucinated": [HOSTILE], "copied": False},
    "1": {"outcome": "ok", "listed": 2, "hallucinated": [], "copied": False},
    "2": {"outcome": "refusal", "listed": 0, "hallucinated": [], "copied": False},
}
NO_PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def estimate(method, f1, low, high, kind="gradients", budget="top_var"):
    """A row of a report table with the same estimate for F1 and flip rate; its counts differ, and its values of p."""
    row = {
        "method": method,
        "kind": kind,
        "budget": budget,
        "n": 60,
        "n_short": 0,
        "f1": f1,
        "f1_low": low,
        "f1_high": high,
    }
    row |= {f"f1_corrected{end}": value - 0.1 for end, value in (("", f1), ("_low", low), ("_high", high))}
    row |= {f"auprc{end}": value for end, value in (("", f1), ("_low", low), ("_high", high), ("_chance", 0.3))}
    row |= {
        "collapsed": False,
        "flag": None,
        "n_informative": 53,
        "n_random": 47,
        "flip_random": 0.2,
        "beyond_random_p": 0.01,
        "beyond_random_p_corrected": 0.04,
    }
    row |= {f"flip_beyond_random{end}": value - 0.2 for end, value in (("", f1), ("_low", low), ("_high", high))}
    return row | {f"flip_rate{end}": row[f"f1{end}"] for end in ("", "_low", "_high")}


def write_corpus(results, corpus, label, text, marked_by="people"):
    """Four instances with two marked words each, the card of their corpus and that of the model."""
    instances = []
    for i in range(4):
        words = whitespace_words([f"{text} {i}"])
        marked = tuple(j < 2 for j in range(len(words)))
        annotators = (marked, tuple(j < 1 for j in range(len(words))))
        instances.append(Instance(f"{i}", label if i % 2 else "no", {"text": f"{text} {i}"}, words, marked, annotators))
    made = {"inputs": {"source": {"path": f"/somewhere/{HOSTILE}", "sha256": HOSTILE}}, "left_out": {HOSTILE: 3}}
    folder = results / "corpora" / corpus
    for side in ("train", "test"):
        write_instances(folder / f"{side}.parquet", instances, made)
    about = dict.fromkeys(("description", "annotation", "licence", "privacy", "citation"), HOSTILE)
    spec = json.dumps(about | {"name": corpus, "caveats": [HOSTILE], "marked_by": marked_by})
    tables_of_both = ["--train", str(folder / "train.parquet"), "--test", str(folder / "test.parquet")]
    card.main(["--spec", spec, *tables_of_both, "--card", str(folder / "card.json")])
    model = {"source": {"path": HOSTILE}, "architecture": "A", "layers": 1, "hidden_size": 2}
    write_json(results / "models" / "m" / "card.json", model)
    return instances


def rationales_of(method, instances, named=True):
    """The rationales of one method, as its kind has them; unless ``named`` no reply names a word."""
    rows = []
    for one in instances:
        if method == "human":
            rows.append(rationale_row(one.id, selected=list(one.rationale)))
        elif method == ASKED and one.id not in REPLIED:
            rows.append(rationale_row(one.id, status="too_long"))
        elif method == ASKED:
            refused = REPLIED[one.id]["outcome"] == "refusal"
            marked = [named and j < 2 for j in range(len(one.words))]
            words = {"order": [1, 0] if named else [], "selected": marked, "named": 2 * named}
            given = {} if refused else words
            rows.append(rationale_row(one.id, status="refusal" if refused else "ok", **given, **REPLIED[one.id]))
        else:
            for sample in range(2 if method == "random" else 1):
                scores = [float((j + sample) % 3) for j in range(len(one.words))]
                rows.append(rationale_row(one.id, sample, scores=scores))
    return rows


def write_replies(path, instances, made):
    """Replies with hostile text, to all but the last instance."""
    rows = []
    for one in instances:
        row = dict.fromkeys(REPLIES.columns.names) | {"id": one.id, "sample": 0, "status": "too_long"}
        if one.id in REPLIED:
            row |= {"status": "ok", "label": "no", "asked": 2 + int(one.id == "0"), "capped": one.id == "1"}
            row |= {"request": "[]", "reply": f"- {HOSTILE} {one.id}\n- {IMAGE}", "prompt_tokens": 9, "reply_tokens": 8}
            row["finish"] = "list_end" if one.id == "0" else "stop"
        rows.append(row)
    write_table(path, rows, REPLIES, made)


def order_measures(rationale, number):
    """The measures of an order of words, where the rationale is one and the instance has a prediction."""
    if rationale["status"] != "ok" or number == 3:
        return {"status": rationale["status"] if rationale["status"] != "ok" else "too_long"}
    if rationale["scores"] is None:
        return {"status": "no_order"}
    found = {"points": 5, "aopc_thresholds": 3, "aopc_comprehensiveness": 0.1 * number, "aopc_sufficiency": -0.1}
    found |= {"deletion_auc": 0.4 + 0.1 * number, "insertion_auc": 0.5, "leave_one_out_tau": None}
    return found | {"flips": number == 1, "words_to_flip": 0.25 if number == 1 else None}


def write_cell(results, corpus, label, text, versions, checkpoint="base", marked_by="people", named=True):
    """A cell of four instances, the last one without a prediction.

    Each has an F1 of 0.5 and a tenth of its id more; masking flips instance 1 alone. A fine-tuned checkpoint has 0.1
    more, and predicts "no" for instance 1 too. Unless ``named`` no reply names a word.
    """
    instances = write_corpus(results, corpus, label, text, marked_by)
    trained = checkpoint != "base"
    made = {"stage": "test", "spec": {"note": HOSTILE}, "versions": versions, "example_prompt": HOSTILE, "inputs": {}}
    made["verbaliser_tokens"] = {"no": {"text": "no", "tokens": 1}, HOSTILE: {"text": IMAGE, "tokens": 7}}
    folder = results / corpus / "m" / checkpoint
    predictions, alignment, faithfulness, perturbations, curves = [], [], [], [], []
    for one in instances:
        known = one.id != "3"
        row = {"id": one.id, "status": "ok" if known else "too_long", "gold": one.label, "labels": ["no", label]}
        predicted = "no" if trained and one.id == "0" else label
        row |= {"predicted": predicted if known else None, "tokens": 9}
        row |= {"scores": [-2.0, -1.0] if known else None, "probabilities": [0.25, 0.75] if known else None}
        predictions.append(row)
    for method in METHODS:
        rationales = rationales_of(method, instances, named)
        write_table(folder / "rationales" / f"{method}.parquet", rationales, RATIONALES, made)
        if METHODS[method]["kind"] == "prompt":
            write_table(folder / "evidence" / "readings" / f"{method}.parquet", rationales, RATIONALES, made)
        for row in rationales:
            number = int(row["id"])
            order = dict.fromkeys(CURVES.columns.names) | {name: row[name] for name in ("id", "sample", "status")}
            curves.append(order | {"method": method, "words": 9} | order_measures(row, number))
            for budget in APPLY.get(method, BUDGETS):
                missing = row["status"] != "ok"
                status = row["status"]
                if budget == "matched_asked" and row["id"] not in ("0", "1"):
                    missing, status = True, "no_reply"
                shared = {"id": row["id"], "method": method, "sample": row["sample"], "budget": budget, "words": 9}
                shared["selected"] = None if missing else 2
                values = dict.fromkeys(MEASURES, None if missing else 0.5 + 0.1 * number + 0.1 * trained)
                alignment.append(shared | {"status": status, "gold": 2, "short": False, "metrics": {}} | values)
                if not missing and number == 3:
                    missing, status = True, "too_long"
                flip, drop = (None, None) if missing else (number == 1, 0.1)
                measured = dict.fromkeys(FAITHFULNESS.columns.names[7:])
                measured |= {f"{name}_normalised_status": "no_random" for name in NORMALISED}
                measured |= {"flip": flip, "comprehensiveness": drop, "sufficiency": drop, "flip_when_kept": flip}
                faithfulness.append(shared | {"status": status} | measured)
                perturbations.append(
                    shared | {"status": status, "operation": "mask", "predicted": None, "scores": None}
                )
    write_replies(folder / "evidence" / "replies" / f"{ASKED}.parquet", instances, made)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS, made)
    write_table(folder / "alignment.parquet", alignment, ALIGNMENT, made)
    write_table(folder / "faithfulness.parquet", faithfulness, FAITHFULNESS, made)
    write_table(folder / "perturbations.parquet", perturbations, PERTURBATIONS, made)
    write_table(folder / "curves.parquet", curves, CURVES, made)
    # Under the other operator the prompted method flips everything.
    write_table(folder / "perturbations" / f"{OTHER}.parquet", perturbations, PERTURBATIONS, made)
    for row in faithfulness:
        row["flip"] = row["flip"] if row["method"] != ASKED or row["flip"] is None else True
    write_table(folder / "faithfulness" / f"{OTHER}.parquet", faithfulness, FAITHFULNESS, made)


def budgets_of(method, budgets=BUDGETS):
    """The entries of the budgets that apply to a method."""
    known = budgets | {"as_given": {"kind": "as_given"}}
    return {name: known[name] for name in APPLY.get(method, budgets)}


def run_tables(results, cells, methods=METHODS, budgets=BUDGETS, operators=OPERATORS):
    """The tables of ``cells`` (corpus, checkpoint), the claims, and both as LaTeX, in ``results/report``."""
    report = results / "report"
    reads = ["--results", str(results)]
    reads_tables = [*reads, "--tables", str(report / "tables")]
    named = [{"corpus": corpus, "model": "m", "checkpoint": checkpoint} for corpus, checkpoint in cells]
    compared = {
        "cells": named,
        "methods": methods,
        "budgets": budgets,
        "main_budget": "top_var",
        "interval": INTERVAL | {"resamples": 50},
        "validity": VALIDITY,
        "unavailable": {"m": []},
        "evaluated": [{"name": name, "budgets": budgets_of(name, budgets)} for name in methods],
    }
    for stage in (tables, measure_tables):
        stage.main(["--spec", json.dumps(compared), *reads, "--output", str(report / "tables")])
    if operators:
        spoken = json.dumps(compared | {"operators": operators, "min_instances": CLAIMS["min_instances"]})
        sensitivity.main(["--spec", spoken, *reads, "--output", str(report / "tables")])
    costly = {"cells": named, "methods": list(methods), "attributions": [], "operators": list(operators or ())}
    cost.main(["--spec", json.dumps(costly), *reads, "--output", str(report / "tables")])
    judged = json.dumps(compared | {"claims": CLAIMS})
    claims.main(["--spec", judged, *reads_tables, "--output", str(report / "claims.json")])
    names = [path.stem for path in sorted((report / "tables").glob("*.parquet"))]
    cards = {corpus: json.loads((results / "corpora" / corpus / "card.json").read_text()) for corpus, _ in cells}
    marked_by = {corpus: found["marked_by"] for corpus, found in cards.items()}
    typeset = json.dumps(compared | {"tables": names, "level": 0.95, "marked_by": marked_by})
    judging = ["--tables", str(report / "tables"), "--claims", str(report / "claims.json")]
    latex_tables.main(["--spec", typeset, *judging, "--output", str(report / "tables")])
    latex_examples.main(["--spec", typeset, *reads_tables, "--output", str(report / "examples.tex")])
    return report


def run(results, cells, methods=METHODS, budgets=BUDGETS, operators=OPERATORS, drawn=True):
    """The report's stages on ``cells`` (corpus, checkpoint); their output lies in ``results/report``.

    Drawing takes half of the time: without ``drawn`` empty pictures stand for the figures.
    """
    report = run_tables(results, cells, methods, budgets, operators)
    reads_tables = ["--results", str(results), "--tables", str(report / "tables")]
    if drawn:
        figured = json.dumps({"methods": methods, "main_budget": "top_var"})
        figures.main(["--spec", figured, *reads_tables, "--output", str(report / "figures")])
    else:
        (report / "figures").mkdir()
        for name in page.FIGURES:
            (report / "figures" / f"{name}.svg").write_text(NO_PICTURE, encoding="utf-8")
    spec = {
        "cells": [{"corpus": corpus, "model": "m", "checkpoint": checkpoint} for corpus, checkpoint in cells],
        "methods": methods,
        "budgets": budgets,
        "title": f"A study {SCRIPT}",
        "main_budget": "top_var",
        "perturbation": {"operator": "replace", "mask": SCRIPT, "announce": False},
        "operators": operators,
        "planted": False,
        "tasks": {corpus: PROMPT for corpus, _ in cells},
        "models": {"m": {"licence": HOSTILE, "citation": ""}},
    }
    evaluated = [{"name": name, "budgets": budgets_of(name, budgets)} for name in methods]
    explored = json.dumps(spec | {"evaluated": evaluated})
    explorer.main(["--spec", explored, "--results", str(results), "--output", str(report / "explorer.html")])
    reads_all = [*reads_tables, "--figures", str(report / "figures"), "--claims", str(report / "claims.json")]
    page.main(["--spec", json.dumps(spec), *reads_all, "--output", str(report / "index.html")])
    return report


class Elements(HTMLParser):
    """Collects start tags with their attributes, the open elements at each end, and all text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self):
        super().__init__()
        self.started, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.started.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
