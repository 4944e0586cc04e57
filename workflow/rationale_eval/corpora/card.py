"""The card of a corpus: what it is, who marked its rationales and how far they agree, and its sizes.

Sizes and labels are those of both sides; words, marks and annotators are those of the test rows, which are measured.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rationale_eval.corpora.agreement import f1_with_rationale, krippendorff_alpha, leave_one_out_f1, pairwise_f1
from rationale_eval.corpora.instances import Instance, iter_instances
from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.tables import read_provenance, write_json


def labels(counted: Counter[str]) -> dict[str, int]:
    """The rows of each label, by label."""
    return dict(sorted(counted.items()))


def of_train(rows: Iterable[Instance]) -> dict[str, Any]:
    """Number of rows, of those that have a rationale, and by label of all and of those in which a word is marked.

    ``rows`` may be too many to hold.
    """
    counted, marked = Counter[str](), Counter[str]()
    annotated = 0
    for row in rows:
        counted[row.label] += 1
        marked[row.label] += any(row.rationale or ())
        annotated += row.rationale is not None
    return {
        "train_rows": counted.total(),
        "train_annotated": annotated,
        "train_labels": labels(counted),
        "train_marked": labels(marked),
    }


def of_test(rows: Sequence[Instance]) -> dict[str, Any]:
    """Number of rows and of those of each label, words, marks and annotators. There must be a row."""
    words = [len(row.words) for row in rows]
    marked = [sum(row.rationale or ()) for row in rows]
    return {
        "test_rows": len(rows),
        "test_labels": labels(Counter(row.label for row in rows)),
        "words_per_row": sum(words) / len(rows),
        "words_median": median(words),
        "words_most": max(words),
        "marked_per_row": sum(marked) / len(rows),
        "share_marked": sum(marked) / sum(words),
        "no_gold": marked.count(0),
        "annotators": annotators(rows),
    }


def of_groups(train: Collection[str | None], test: Iterable[Instance]) -> dict[str, Any]:
    """How many test rows are from a group that a train row is from too; ``train`` holds the groups of the train rows.

    ``test_rows_grouped`` counts the test rows whose group is known, ``test_rows_sharing`` those of them that share it;
    None where no train row or no test row has a group, so that it is not known.
    """
    grouped = [row.group for row in test if row.group is not None]
    known = bool(grouped) and any(group is not None for group in train)
    sharing = sum(group in train for group in grouped) if known else None
    return {"test_rows_grouped": len(grouped), "test_rows_sharing": sharing}


def _noting(rows: Iterable[Instance], groups: set[str | None]) -> Iterator[Instance]:
    """``rows`` as they are; their groups are added to ``groups``."""
    for row in rows:
        groups.add(row.group)
        yield row


def annotators(rows: Iterable[Instance]) -> dict[str, Any] | None:
    """How many marked a row and how far they agree; None where the source has only the aggregate.

    ``rows`` counts those with masks of annotators, ``fewest`` and ``most`` are per such row, ``…_rows`` the rows behind
    a mean. The measures are those of the module ``agreement``.
    """
    known = [(row.annotators, row.rationale or ()) for row in rows if row.annotators]
    if not known:
        return None
    masks = [of_row for of_row, _ in known]
    each = [len(of_row) for of_row in masks]
    found: dict[str, Any] = {"rows": len(known), "fewest": min(each), "most": max(each)}
    found["alpha"] = krippendorff_alpha(masks)
    measures = {
        "pairwise_f1": pairwise_f1(masks),
        "leave_one_out_f1": leave_one_out_f1(masks),
        "f1_with_rationale": f1_with_rationale(known),
    }
    for name, (mean, count) in measures.items():
        found |= {name: mean, f"{name}_rows": count}
    return found


def sources(tables: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The files that tables of these provenances were read from, each once: ``path`` and ``sha256``."""
    inputs = [dict(entry) for table in tables for entry in table["inputs"].values()]
    return [entry for place, entry in enumerate(inputs) if entry not in inputs[:place]]


def left_out(made: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """By side the rows that were left out, by reason; under ``before_split`` those of files that a hash parts later.

    ``made`` holds the provenance of the table of each side.
    """
    found = {side: dict(record.get("left_out", {})) for side, record in made.items()}
    # Both sides were read from the same files.
    before = made["test"].get("left_out_before_split")
    return found if before is None else {"before_split": dict(before), **found}


def main(argv: list[str]) -> None:
    """Command line of the stage. Raises ``UserError`` for tables that are damaged, or a test table without rows."""
    parser = argparse.ArgumentParser(prog="rationale_eval corpus_card", description=__doc__)
    parser.add_argument(
        "--spec",
        required=True,
        help="JSON: name, format, description, annotation, marked_by, licence, privacy, caveats (a list) and citation",
    )
    parser.add_argument("--train", type=Path, required=True, help="the train instances (Parquet)")
    parser.add_argument("--test", type=Path, required=True, help="the test instances (Parquet)")
    parser.add_argument("--card", type=Path, required=True, help="output: the card (JSON)")
    args = parser.parse_args(argv)
    test = list(iter_instances(args.test))
    if not test:
        raise UserError(f"{args.test}: has no rows; a corpus needs test rows to be described")
    made = {"train": read_provenance(args.train), "test": read_provenance(args.test)}
    groups: set[str | None] = set()
    card = {
        **json.loads(args.spec),
        **of_train(_noting(iter_instances(args.train), groups)),
        **of_test(test),
        **of_groups(groups, test),
        "sources": sources(made.values()),
        "left_out": left_out(made),
        "notes": {side: record.get("notes", {}) for side, record in made.items()},
    }
    write_json(args.card, card)
    say(f"{args.card}: {card['train_rows']} train and {card['test_rows']} test rows")
