"""How often the intervals hold the truth, and how often the claims' verdicts are right, by simulation.

    python benchmarks/coverage.py               a quarter of an hour: the tables of docs/methods.md, in Markdown
    python benchmarks/coverage.py --simulations 200

The truth is known: values are drawn from distributions like those of flips and F1 (tests/planted.py and
tests/planted_hits.py say which).
Nominal are 95 %. With 1,000 simulations a share near 95 % has a standard error of 0.7 points.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]

import planted  # noqa: E402
import planted_hits  # noqa: E402
from rationale_eval.claims.registry import CLAIMS  # noqa: E402
from rationale_eval.progress import say  # noqa: E402

SIZES = (15, 48, 100, 300)
INTERVAL = {"resamples": 1000, "seed": 0, "level": 0.95}
UNITS = ((2, 1, 1), (3, 3, 1), (3, 3, 3), (10, 5, 3))


def intervals(simulations: int) -> None:
    """Print the tables of coverage."""
    _head("what the interval is of")
    for name in planted.MEANS:
        row = [f"{100 * planted.coverage(name, n, simulations, INTERVAL):.1f} %" for n in SIZES]
        print(f"| {name} | {' | '.join(row)} |", flush=True)
    row = [f"{100 * planted.stratified_coverage(n, simulations, INTERVAL):.1f} %" for n in SIZES]
    print(f"| difference of flip rates over two corpora of n each | {' | '.join(row)} |", flush=True)
    _hits(simulations)
    print("\n| corpora, models, seeds drawn anew | n = 100 |\n|---|---|")
    for units in UNITS:
        share = planted.hierarchical_coverage(*units, 100, simulations // 4, INTERVAL | {"resamples": 400})
        print(f"| {', '.join(map(str, units))} | {100 * share:.0f} % |", flush=True)


def _head(first: str) -> None:
    print(f"| {first} | {' | '.join(f'n = {n}' for n in SIZES)} |\n|---|{'---|' * len(SIZES)}")


def _hits(simulations: int) -> None:
    """Print coverage and width of intervals of F1 above chance, and in brackets those of the bootstrap alone."""
    found = {}
    for name in planted_hits.HITS:
        for n in SIZES:
            kinds = (planted_hits.above_chance, planted_hits.bootstrap)
            found[name, n] = [planted_hits.hit_coverage(name, n, simulations, INTERVAL, kind) for kind in kinds]
    for place, (title, form) in enumerate((("F1 above chance", "{:.1%}"), ("mean width", "{:.2f}"))):
        print()
        _head(f"{title} (of the bootstrap alone)")
        for name in planted_hits.HITS:
            cells = [[form.format(one[place]).replace("%", " %") for one in found[name, n]] for n in SIZES]
            print(f"| {name} | {' | '.join(f'{ours} ({other})' for ours, other in cells)} |", flush=True)


def verdicts(simulations: int) -> None:
    """Print the table of verdicts on planted effects."""
    by_name = {claim.name: claim for claim in CLAIMS}
    print("\n| claim | planted | n | supported | contradicted | inconclusive |\n|---|---|---|---|---|---|")
    for (name, what), draw in planted.PLANTED.items():
        for n in (48, 100, 300):
            found = planted.verdicts_of(by_name[name], draw, n, simulations)
            counts = Counter(row["verdict"] for (row,) in found)
            shares = [f"{100 * counts[verdict] / simulations:.1f} %" for verdict in planted.VERDICTS]
            print(f"| {name} | {what} | {n} | {' | '.join(shares)} |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="simulations for each share")
    args = parser.parse_args()
    intervals(args.simulations)
    verdicts(args.simulations)
    say(f"{args.simulations} simulations each; numpy {np.__version__}")


if __name__ == "__main__":
    main()
