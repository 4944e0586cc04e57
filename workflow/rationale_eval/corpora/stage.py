"""Read the train or the test instances of a corpus.

Rows are taken in the order of a hash of their texts: asking for more rows adds rows and moves none. Where the publisher
does not say which rows are for tests, the side of a row is another hash: of its group, such as the article that it is
from, or where none is known of its text. No text is in both train and test, and none twice on one side.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.archive import shared_members
from rationale_eval.corpora.instances import MAX_ROWS, Instance, packed, plain_texts, unpacked, write_instances
from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import provenance, sha256_file
from rationale_eval.sources.card import locate

# A reader yields the instances of one side in the order of its files, and counts the rows that it leaves out by reason.
Reader = Callable[[Path, Mapping[str, Any], str, Counter[str]], Iterator[Instance]]
# The modules of the formats, imported when they are needed: an edit of one re-reads no corpus of another.
READERS = ("rated_snippets", "planted", "esnli", "eraser", "medical_bios", "table")
REPEATED, IN_TEST, NO_RATIONALE = "repeated_text", "text_in_test", "no_rationale"

# What a corpus may hold beside its texts, so that a job stays within the memory that it asks for.
MAX_LABELS = 1000  # different ones, and characters of each
MAX_TAKEN_BYTES = 768 * 1024**2  # of the rows that are held to choose among them
ROW_BYTES = 256  # of a row's place in the order


def reader_of(name: str, plugins: Sequence[Path]) -> Reader:
    """The reader of a format: the package's own, or one that a plugin registers.

    Raises ``UserError`` if there is none.
    """
    if name in READERS:
        read: Reader = importlib.import_module(f"rationale_eval.corpora.{name}").read
        return read
    from rationale_eval.plugins import load

    return load(plugins).reader(name)


def checksum(source: Path, files: Sequence[Path]) -> dict[str, str]:
    """The record of a source: its path and SHA-256; for several files one over the path and SHA-256 of each."""
    if not files:
        files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    if len(files) == 1:
        return {"path": str(files[0]), "sha256": sha256_file(files[0])}
    lines = sorted(f"{os.path.relpath(file, source)} {sha256_file(file)}" for file in files)
    return {"path": f"{source} ({len(files)} files)", "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def text_hash(instance: Instance) -> str:
    """A hash of the texts of all fields of an instance as ``plain_texts``: equal for equal texts."""
    return hashlib.sha256("\n".join(plain_texts(instance.fields.values())).encode("utf-8", "surrogatepass")).hexdigest()


def _unit(*parts: str) -> float:
    """A number in [0, 1) that depends on ``parts`` alone."""
    value = hashlib.sha256("\0".join(parts).encode()).digest()[:8]
    return int.from_bytes(value, "big") / 2**64


def on_side(instances: Iterable[Instance], side: str, seed: int, test_share: float) -> Iterator[Instance]:
    """The instances that fall on ``side``, all of one group on the same, and without a group all of one text.

    ``test_share`` is the share of groups, or of texts, on the test side. A text may be in groups on both sides.
    """
    for instance in instances:
        of = (text_hash(instance),) if instance.group is None else ("group", instance.group)
        if (_unit("side", str(seed), *of) < test_share) == (side == "test"):
            yield instance


def annotated(instances: Iterable[Instance], left_out: Counter[str]) -> Iterator[Instance]:
    """The instances that have a rationale; the others are counted, and apart where all of a label are without."""
    kept, bare = Counter[str](), Counter[str]()
    for instance in instances:
        if instance.rationale is None:
            bare[instance.label] += 1
        else:
            kept[instance.label] += 1
            yield instance
    for label, count in bare.items():
        left_out[NO_RATIONALE if kept[label] else f"{NO_RATIONALE} (all that are labelled {label!r})"] += count


def check_apart(source: Path, spec: Mapping[str, Any]) -> None:
    """Raise ``UserError`` where a file is read for train and for test rows, and no hash parts these."""
    if not spec.get("train") or spec.get("test_share") is not None:
        return
    if shared := shared_members(source, spec["archive"], spec["train"], spec["test"]):
        raise UserError(
            f"corpora.{spec['name']}: {shared[0]!r} is matched by both `train` and `test`, so its rows would be on "
            "both sides; name other files, or the same in both with `test_share`, or `train: []` to train on none"
        )


def once(instances: Iterable[Instance], elsewhere: set[str], left_out: Counter[str]) -> Iterator[Instance]:
    """The first instance of each text, without the texts whose hash is in ``elsewhere``; the others are counted."""
    # A part of each digest is plenty to tell texts apart, and half a million of them stay small.
    seen: set[bytes] = set()
    for instance in instances:
        text = text_hash(instance)
        short = bytes.fromhex(text[:32])
        if text in elsewhere:
            left_out[IN_TEST] += 1
        elif short in seen:
            left_out[REPEATED] += 1
        else:
            seen.add(short)
            yield instance


def take(instances: Iterable[Instance], seed: int, count: int) -> list[bytes]:
    """The first ``count`` of ``instances``, packed, by a hash of their texts; fewer if there are not as many.

    No more than ``count`` are held at a time. Raises ``UserError`` where these take more than ``MAX_TAKEN_BYTES``.
    """
    kept: list[tuple[float, str, bytes]] = []
    held = 0
    for instance in instances:
        text = text_hash(instance)
        place = (_unit("order", str(seed), text), text)
        if len(kept) < count or (kept and place < kept[-1][:2]):
            row = packed(instance)
            bisect.insort(kept, (*place, row), key=lambda row: row[:2])
            held += len(row) + ROW_BYTES - sum(len(gone) + ROW_BYTES for _, _, gone in kept[count:])
            del kept[count:]
            if held > MAX_TAKEN_BYTES:
                raise UserError(
                    f"the {count} rows that were asked for take more than {MAX_TAKEN_BYTES} bytes of memory; ask for "
                    "fewer, or for all with null"
                )
    return [row for _, _, row in kept]


def bounded(instances: Iterable[Instance], source: Path) -> Iterator[Instance]:
    """``instances``; raises ``UserError`` past ``MAX_ROWS`` and where labels are none, by their number or length."""
    labels: set[str] = set()
    for number, instance in enumerate(instances, start=1):
        if number > MAX_ROWS:
            raise UserError(f"{source}: has more than {MAX_ROWS:,} rows, the limit of a corpus")
        labels.add(instance.label[: MAX_LABELS + 1])
        if len(labels) > MAX_LABELS or len(instance.label) > MAX_LABELS:
            raise UserError(
                f"{source}: row {instance.id[:200]!r}: the label {instance.label[:100]!r} is longer than "
                f"{MAX_LABELS:,} characters or the {len(labels):,}th; is the right column read as label?"
            )
        yield instance


def main(argv: list[str]) -> None:
    """Command line of the stage; raises ``UserError`` for bad data or too few rows."""
    parser = argparse.ArgumentParser(prog="rationale_eval corpus", description=__doc__)
    parser.add_argument("--spec", required=True, help="JSON: what the reader and the split take of the corpus entry")
    parser.add_argument("--source", type=Path, required=True, help="archive, folder or hub card to read")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="the files that are read, for their checksum")
    parser.add_argument("--side", choices=("train", "test"), required=True, help="which side of the split")
    parser.add_argument("--plugins", type=Path, nargs="*", default=[], help="Python files that register readers")
    parser.add_argument("--output", type=Path, required=True, help="where the instances go (Parquet)")
    args = parser.parse_args(argv)
    spec = json.loads(args.spec)
    source, read = locate(args.source), reader_of(spec["format"], args.plugins)
    left_out: Counter[str] = Counter()
    # What a reader leaves out of files that a hash parts later is of both sides.
    shared = spec.get("test_share")
    in_files: Counter[str] = left_out if shared is None else Counter()

    def rows(side: str, counts: Counter[str], reading: Counter[str]) -> Iterator[Instance]:
        found: Iterable[Instance] = bounded(read(source, spec, side, reading), source)
        found = found if shared is None else on_side(found, side, spec["seed"], shared)
        # What a plugin yields is what it means: a row without marks is one on which nobody marked a word.
        return annotated(found, counts) if side == "test" and spec["format"] in READERS else iter(found)

    if args.side == "train":
        check_apart(source, spec)
    # A publisher may have the same text on both sides, and so may documents that a hash has parted.
    tests = {text_hash(row) for row in rows("test", Counter(), Counter())} if args.side == "train" else set()
    chosen: Iterable[Instance] = once(rows(args.side, left_out, in_files), tests, left_out)
    if spec["rows"] is not None:
        taken = take(chosen, spec["seed"], spec["rows"])
        chosen = map(unpacked, taken)
        if len(taken) < spec["rows"]:
            gone = left_out if shared is None else left_out + in_files
            raise UserError(
                f"corpora.{spec['name']}.{args.side}_rows: {spec['rows']} rows were asked for, but {args.source} has "
                f"only {len(taken)} usable ones for this side (left out: {dict(gone)}); ask for fewer, or for all "
                "with null"
            )
    labels, notes = Counter[str](), Counter[str]()
    made = provenance("corpus", spec, {}, left_out=left_out, notes=notes)
    if shared is not None:
        made["left_out_before_split"] = in_files
    made["inputs"] = {"source": checksum(args.source, args.files)}
    # `train: []` says that there are none.
    counted = _counted(chosen, labels, notes, args.side, source, spec.get(args.side) != [])
    count = write_instances(args.output, counted, made)
    before = f"; before the split {dict(in_files)}" if shared is not None else ""
    noted = f"; noted {dict(notes)}" if notes else ""
    say(f"{args.side}: {count} rows; labels {dict(labels)}; left out {dict(left_out)}{before}{noted}")


def _counted(
    instances: Iterable[Instance], labels: Counter[str], notes: Counter[str], side: str, source: Path, wanted: bool
) -> Iterator[Instance]:
    """``instances``, counted; raises ``UserError`` where there is none though some are ``wanted``."""
    for instance in instances:
        labels[instance.label] += 1
        notes.update(instance.notes)
        yield instance
    if not labels and wanted:  # raised while the table is being written, so that there is none
        raise UserError(f"{source}: has no usable row for the {side} side")
