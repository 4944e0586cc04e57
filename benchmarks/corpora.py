"""Time and peak memory of reading a full-size corpus: a made-up e-SNLI of 549,367 train rows.

    python benchmarks/corpora.py            all rows: the publisher's train set has as many
    python benchmarks/corpora.py --rows N

The stage runs in a process of its own, once for all train rows and once for 5,000 of them; the card, which reads all of
them again, follows. Peak memory is the highest resident set of that process.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parent.parent / "workflow"
WORDS = (
    "a",
    "man",
    "woman",
    "dog",
    "child",
    "in",
    "the",
    "red",
    "street",
    "plays",
    "runs",
    "eats",
    "near",
    "two",
    "ball",
)
LABELS = ("entailment", "neutral", "contradiction")
TEST_ROWS = 1000


def sentence(random_words: random.Random, marked: bool) -> tuple[str, str]:
    """A made-up sentence, and the same with some words between asterisks."""
    words = [random_words.choice(WORDS) for _ in range(random_words.randint(6, 20))]
    shown = [f"*{word}*" if marked and random_words.random() < 0.2 else word for word in words]
    return " ".join(words), " ".join(shown)


def write_rows(path: Path, rows: int, seed: int) -> None:
    """A CSV file in the layout of e-SNLI with one annotator."""
    numbers = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as stream:
        columns = ["pairID", "gold_label", "Sentence1", "Sentence2", "Sentence1_marked_1", "Sentence2_marked_1"]
        writer = csv.writer(stream)
        writer.writerow(columns)
        for row in range(rows):
            label = numbers.choice(LABELS)
            premise, premise_marked = sentence(numbers, label != "neutral")
            hypothesis, hypothesis_marked = sentence(numbers, True)
            writer.writerow([f"{seed}-{row}", label, premise, hypothesis, premise_marked, hypothesis_marked])


def run(*arguments: str) -> tuple[float, float]:
    """Seconds and peak GB of a stage."""
    before = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "rationale_eval", *arguments], env={**os.environ, "PYTHONPATH": str(WORKFLOW)}
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"the stage {arguments[0]} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - before, used.ru_maxrss * unit / 1e9


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=549_367, help="train rows")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "esnli_train.csv", args.rows, 1)
        write_rows(folder / "esnli_test.csv", TEST_ROWS, 2)
        megabytes = (folder / "esnli_train.csv").stat().st_size / 1e6
        print(f"{args.rows} train rows, {megabytes:.0f} MB")
        common = {"name": "made_up", "format": "esnli", "archive": [], "bad_rows": "error", "seed": 13}
        common |= {"train": ["esnli_train*.csv"], "test": ["esnli_test.csv"], "aggregation": "majority"}
        for side, rows in (("train", None), ("train", min(5000, args.rows)), ("test", None)):
            output = folder / f"{side}-{rows or 'all'}.parquet"
            spec = json.dumps(common | {"rows": rows})
            seconds, peak = run("corpus", "--spec", spec, "--source", name, "--side", side, "--output", str(output))
            print(f"{side}, {rows or 'all'} rows: {seconds:.0f} s, {peak:.2f} GB at most")
        tables = ["--train", str(folder / "train-all.parquet"), "--test", str(folder / "test-all.parquet")]
        seconds, peak = run(
            "corpus_card", "--spec", json.dumps({"name": "made_up"}), *tables, "--card", str(folder / "card.json")
        )
        print(f"card: {seconds:.0f} s, {peak:.2f} GB at most")
        print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
