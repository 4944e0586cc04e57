"""Turn evidence into one method's rationales: a light job without torch, so that choices here are cheap to change."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance, read_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.attribution_schema import ABLATION, SCHEMAS
from rationale_eval.evidence.schema import EVIDENCE
from rationale_eval.plugins import METHOD, Plugin, load, run_method
from rationale_eval.progress import say
from rationale_eval.provenance import provenance
from rationale_eval.rationales.aggregation import NotCoveredError, words_from_tokens
from rationale_eval.rationales.external import read_external
from rationale_eval.rationales.reference import first_words_scores, last_words_scores, random_scores
from rationale_eval.rationales.schema import NO_GOLD, NOT_AVAILABLE, NOT_COVERED, OK, RATIONALES, rationale_row
from rationale_eval.tables import read_table, write_table

REFERENCES = ("random", "first_words", "last_words", "all_words", "human")


def from_evidence(
    instances: list[Instance], evidence: list[dict[str, Any]], method: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Rows of a method that reads one statistic of the evidence, token by token, into scores of words.

    Raises ``UserError`` when the evidence is not of these instances.
    """
    by_id = {row["id"]: row for row in evidence}
    for instance in instances:
        if instance.id not in by_id:
            raise UserError(f"the evidence has no row for instance {instance.id!r}")
        row = by_id[instance.id]
        if row["status"] != OK:
            yield rationale_row(instance.id, status=row["status"])
            continue
        places = list(zip(row["token_field"], row["token_start"], row["token_end"], strict=True))
        texts = list(instance.fields.values()) if method.get("punctuation") == "drop" else None
        statistic = row[method["statistic"]]
        try:
            scores = words_from_tokens(instance.words, places, statistic, method["aggregation"], instance.id, texts)
        except NotCoveredError as error:
            say(str(error))
            yield rationale_row(instance.id, status=NOT_COVERED)
            continue
        yield rationale_row(instance.id, scores=scores)


def from_words(instances: list[Instance], evidence: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of a method whose evidence is by word already. Raises ``UserError`` if it is not of these instances."""
    by_id = {row["id"]: row for row in evidence}
    for instance in instances:
        if instance.id not in by_id:
            raise UserError(f"the evidence has no row for instance {instance.id!r}")
        row = by_id[instance.id]
        yield rationale_row(instance.id, status=row["status"], scores=row["words"])


def from_plugin(
    instances: list[Instance], evidence: list[dict[str, Any]] | None, method: Mapping[str, Any], plugin: Plugin
) -> Iterator[dict[str, Any]]:
    """Rows of a plugin's method, which may read evidence. Raises ``UserError`` as ``run_method`` does."""
    by_id = {row["id"]: row for row in evidence or ()}
    for instance in instances:
        row = None if evidence is None else by_id.get(instance.id)
        if evidence is not None and row is None:
            raise UserError(f"the evidence has no row for instance {instance.id!r}")
        if row is not None and row["status"] != OK:
            yield rationale_row(instance.id, status=row["status"])
        else:
            yield rationale_row(instance.id, scores=run_method(plugin, instance, row, method["options"]))


def reference(instances: list[Instance], method: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a reference method, which needs no evidence."""
    for instance in instances:
        if method["kind"] == "random":
            for sample, seed in enumerate(method["seeds"]):
                yield rationale_row(instance.id, sample, scores=random_scores(instance, seed))
        elif method["kind"] == "first_words":
            yield rationale_row(instance.id, scores=first_words_scores(instance))
        elif method["kind"] == "last_words":
            yield rationale_row(instance.id, scores=last_words_scores(instance))
        elif method["kind"] == "all_words":
            yield rationale_row(instance.id, selected=[True] * len(instance.words))
        elif not any(instance.rationale or ()):
            yield rationale_row(instance.id, status=NO_GOLD)
        else:
            yield rationale_row(instance.id, selected=list(instance.rationale or ()))


def _evidence(paths: Sequence[Path], kind: str) -> list[dict[str, Any]]:
    if len(paths) != 1:
        raise UserError(f"--evidence: this method needs one table, of {kind}")
    return read_table(paths[0], (EVIDENCE | SCHEMAS)[kind])


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval rationale", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: the method's entry, or its kind not_available")
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument(
        "--evidence", type=Path, nargs="*", default=[], help="the evidence table, if the method reads one"
    )
    parser.add_argument("--external", type=Path, nargs="*", default=[], help="rationales made elsewhere, if it is they")
    parser.add_argument("--plugins", type=Path, nargs="*", default=[], help="Python files that register methods")
    parser.add_argument("--output", type=Path, required=True, help="output: the rationales (Parquet)")
    args = parser.parse_args(argv)
    method = json.loads(args.spec)
    instances = read_instances(args.test)
    inputs = {"test": args.test, **({"evidence": args.evidence[0]} if args.evidence else {})}
    kind = method["kind"]
    if kind == ABLATION:
        rows = list(from_words(instances, _evidence(args.evidence, kind)))
    elif kind in EVIDENCE | SCHEMAS:
        rows = list(from_evidence(instances, _evidence(args.evidence, kind), method))
    elif kind == "external":
        if len(args.external) != 1:
            raise UserError("--external: a method of kind 'external' needs one file")
        (inputs["external"],) = args.external
        rows = list(read_external(inputs["external"], instances, method["gives"]))
    elif kind == NOT_AVAILABLE:
        rows = [rationale_row(instance.id, status=NOT_AVAILABLE) for instance in instances]
    elif kind in REFERENCES:
        rows = list(reference(instances, method))
    else:
        plugin = load(args.plugins).get(METHOD, kind)
        found = None if plugin.evidence is None else _evidence(args.evidence, plugin.evidence)
        rows = list(from_plugin(instances, found, method, plugin))
    write_table(args.output, rows, RATIONALES, provenance("rationale", method, inputs, ("numpy",)))
    say(f"{args.output}: {len(rows)} rationales, {dict(Counter(row['status'] for row in rows))}")
