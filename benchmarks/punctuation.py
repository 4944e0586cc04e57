"""What becomes of rationales when tokens that are punctuation alone do not count for their word.

    python benchmarks/punctuation.py results            of every cell and method that goes from tokens to words

For ``punctuation: keep`` and ``drop``, at as many words as people marked: the mean F1 above chance, the average
precision, and the share of texts in which the last word is chosen, beside what random words give. The difference of the
F1 is paired by text, with a 95 % interval. All comes from evidence that is there, so no model runs; whether the words
that a choice names are more faithful is not measured, which would take the model to mask them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow"))

INTERVAL = {"resamples": 2000, "level": 0.95, "seed": 0}


def methods(results: Path) -> Iterator[tuple[str, Path, Path, dict[str, Any]]]:
    """For each cell and method: the cell's name, its instances, the evidence, and the method's entry."""
    from rationale_eval.tables import read_provenance

    for path in sorted(results.glob("*/*/*/rationales/*.parquet")):
        made, cell = read_provenance(path), path.parent.parent
        if "aggregation" in made["spec"]:
            parts = Path(made["inputs"]["evidence"]["path"]).parts
            evidence = cell.joinpath(*parts[parts.index("evidence", len(parts) - 3) :])
            test = results / "corpora" / cell.parts[-3] / "test.parquet"
            entry = made["spec"] | {"method": path.stem}
            yield f"{cell.parts[-3]}, {cell.name}", test, evidence, entry


def measured(instances: Any, evidence: Any, entry: Mapping[str, Any]) -> np.ndarray:
    """One row for each instance with marked words and a rationale.

    F1 above chance, average precision, whether the last word is chosen, and how often it would be by chance.
    """
    from rationale_eval.alignment import agreement, average_precision
    from rationale_eval.rationales.budgets import top
    from rationale_eval.rationales.stage import from_evidence

    found = []
    for instance, row in zip(instances, from_evidence(instances, evidence, entry), strict=True):
        gold = instance.rationale or ()
        if any(gold) and row["scores"] is not None:
            chosen = top(row["scores"], sum(gold))
            precision = average_precision(row["scores"], gold)
            found.append((agreement(chosen, gold)["f1_corrected"], precision, chosen[-1], sum(gold) / len(gold)))
    return np.array(found, dtype=float).reshape(-1, 4)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the folder of the results of a study")
    results = parser.parse_args().results

    from rationale_eval.corpora.instances import read_instances
    from rationale_eval.evidence.attribution_schema import SCHEMAS
    from rationale_eval.evidence.schema import EVIDENCE
    from rationale_eval.statistics.intervals import DIFFERENCE, mean_interval
    from rationale_eval.tables import read_table

    said = ""
    for cell, test, evidence, entry in methods(results):
        if cell != said:
            print(
                f"{cell}\n  {'':<22}{'n':>4}{'F1 - chance':>17}{'difference':>26}{'AUPRC':>17}{'last word':>17}  random"
            )
        said, instances = cell, read_instances(test)
        table = read_table(evidence, (EVIDENCE | SCHEMAS)[entry["kind"]])
        keep, drop = (measured(instances, table, entry | {"punctuation": how}) for how in ("keep", "drop"))
        f1, precision, last, _ = (
            f"{one:.3f} -> {two:.3f}" for one, two in zip(keep.mean(0), drop.mean(0), strict=True)
        )
        change = drop[:, 0] - keep[:, 0]
        low, high = mean_interval(change.tolist(), INTERVAL, DIFFERENCE)
        apart = f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        chance = keep[:, 3].mean()
        print(f"  {entry['method']:<22}{len(keep):>4}{f1:>17}{apart:>26}{precision:>17}{last:>17}{chance:>8.3f}")


if __name__ == "__main__":
    main()
