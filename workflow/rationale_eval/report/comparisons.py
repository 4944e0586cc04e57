"""Sentences that compare instance by instance: prompting with attribution at equal sizes, a checkpoint with the base.

Differences are paired: both values of the same instance, and a bootstrap interval over instances of their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rationale_eval.rationales.budgets import AS_GIVEN, MATCHED
from rationale_eval.report.aggregate import Measured
from rationale_eval.report.layout import BASE, PROMPT, PROMPTING, REFERENCE, Cell, epoch_and_seed, family
from rationale_eval.report.statistics import mean_interval
from rationale_eval.report.wording import n_text, number, number_with_interval, percent, points_with_interval

Methods = Mapping[str, Mapping[str, Any]]
# What is compared, by the name of the value: in words, and whether it is a share.
_MEASURES = {"f1_corrected": ("F1 above chance", False), "flip": ("flip rate", True)}


@dataclass(frozen=True)
class Difference:
    """The mean over ``n`` instances of second minus first value, its interval, and both means."""

    n: int
    first: float
    second: float
    value: float
    low: float
    high: float

    def text(self, share: bool) -> str:
        """The difference with its interval: as a number, or for shares in percentage points."""
        values = self.value, self.low, self.high
        return points_with_interval(*values, self.n) if share else number_with_interval(*values)

    def verdict(self, higher: str, lower: str, same: str) -> str:
        """One of three texts: whether the interval is above 0, below it, or neither; one without width is neither."""
        if self.low == self.high:
            return same
        return higher if self.low > 0 else lower if self.high < 0 else same


def difference(pairs: pd.DataFrame, interval: Mapping[str, Any]) -> Difference | None:
    """The difference of two columns, one row per instance; None without rows. ``interval`` as for ``mean_interval``."""
    if pairs.empty:
        return None
    first, second = pairs.iloc[:, 0], pairs.iloc[:, 1]
    low, high = mean_interval((second - first).to_list(), interval)
    assert low is not None
    assert high is not None
    return Difference(len(pairs), float(first.mean()), float(second.mean()), float((second - first).mean()), low, high)


def _value(value: float, n: int, share: bool) -> str:
    return percent(value, n) if share else number(value)


def _of(values: pd.Series, method: str, budget: str) -> pd.Series:
    """The values of one method at one budget by id; none if it has none."""
    chosen = (values.index.get_level_values("method") == method) & (values.index.get_level_values("budget") == budget)
    return values[chosen].droplevel(["method", "budget"])


@dataclass(frozen=True)
class Matched:
    """A prompted method (second in the difference) against the best attribution method at its sizes, in one measure."""

    prompted: str
    best: str
    measure: str
    difference: Difference

    @property
    def verdict(self) -> str:
        """Whether the prompted method is higher or lower, as far as the interval tells."""
        return self.difference.verdict("higher", "lower", "not told apart")

    def text(self) -> str:
        """The comparison in words, without the name of the prompted method."""
        name, share = _MEASURES[self.measure]
        found = self.difference
        asked_for, scored = (_value(value, found.n, share) for value in (found.second, found.first))
        return (
            f"{name} {asked_for} against {scored} of {self.best} (difference {found.text(share)}, "
            f"{n_text(found.n)}: {self.verdict})"
        )


def matched_comparisons(
    cell: Measured, methods: Methods, budgets: Mapping[str, Mapping[str, Any]], interval: Mapping[str, Any]
) -> list[Matched]:
    """For each matched budget and measure the prompted method against the attribution method with the highest mean.

    Over the instances that both have; none where there is none.
    """
    scored = [name for name, entry in methods.items() if family(entry["kind"]) not in (REFERENCE, PROMPTING)]
    found = []
    for budget, entry in budgets.items():
        for measure in _MEASURES if entry["kind"] == MATCHED else ():
            asked = _of(cell.values[measure], entry["to"], AS_GIVEN)
            best: tuple[str, pd.DataFrame] | None = None
            for method in scored:
                pairs = pd.concat([_of(cell.values[measure], method, budget), asked], axis=1, join="inner")
                if len(pairs) and (best is None or pairs.iloc[:, 0].mean() > best[1].iloc[:, 0].mean()):
                    best = method, pairs
            result = None if best is None else difference(best[1], interval)
            if best is not None and result is not None:
                found.append(Matched(entry["to"], best[0], measure, result))
    return found


def matched_findings(comparisons: Sequence[Matched]) -> list[str]:
    """A sentence for each prompted method of one cell."""
    names = dict.fromkeys(one.prompted for one in comparisons)
    return [f"{name}: {'; '.join(one.text() for one in comparisons if one.prompted == name)}." for name in names]


def matched_summary(comparisons: Sequence[Matched]) -> list[str]:
    """For each measure a sentence that counts the comparisons of all cells by their verdict."""
    found = []
    for measure, (name, _) in _MEASURES.items():
        verdicts = [one.verdict for one in comparisons if one.measure == measure]
        if verdicts:
            higher, lower, open_ = (verdicts.count(verdict) for verdict in ("higher", "lower", "not told apart"))
            found.append(
                f"At equal sizes the {name} of prompting, against that of the best attribution method, is higher in "
                f"{higher}, lower in {lower} and not told apart in {open_} of {len(verdicts)} comparisons (each of one "
                "corpus, model, checkpoint and prompt)."
            )
    return found


def _over_seeds(values: Sequence[pd.Series]) -> pd.Series:
    """The mean over runs of what is indexed alike."""
    return pd.concat(values, axis=1).mean(axis=1)


def _families(
    base: pd.Series, later: pd.Series, methods: Methods, budget: str, interval: Mapping[str, Any]
) -> dict[str, Difference]:
    """By family the difference of later minus base, over methods and then over instances that both have."""
    pairs = pd.concat([base, later], axis=1, join="inner").dropna()
    groups: dict[str, list[str]] = {}
    for method, entry in methods.items():
        groups.setdefault(family(entry["kind"]), []).append(method)
    found = {}
    for group, names in sorted(groups.items()):
        if group == REFERENCE:
            continue
        prompts = methods[names[0]]["kind"] == PROMPT
        index = pairs.index
        chosen = index.get_level_values("method").isin(names)
        chosen &= index.get_level_values("budget") == (AS_GIVEN if prompts else budget)
        result = difference(pairs[chosen].groupby(level="id").mean(), interval)
        if result is not None:
            found[group] = result
    return found


def finetuning_findings(
    cells: Mapping[Cell, Measured], methods: Methods, budget: str, interval: Mapping[str, Any]
) -> list[str]:
    """What the last epoch changed against the base, for ``cells`` of one corpus and model: accuracy, alignment, flips.

    Values are averaged over seeds within an instance; the intervals cover the choice of instances, not of seeds.
    """
    by_epoch: dict[int, list[Measured]] = {}
    for cell, values in cells.items():
        by_epoch.setdefault(epoch_and_seed(cell.checkpoint)[0], []).append(values)
    last = max(by_epoch, default=0)
    if not last or 0 not in by_epoch:
        return []
    base, runs = by_epoch[0][0], by_epoch[last]
    seeds = "one seed, so no trend is claimed" if len(runs) == 1 else f"mean of {len(runs)} seeds"
    after = f"after {last} {'epoch' if last == 1 else 'epochs'} of fine-tuning ({seeds})"
    sentences = []
    correct = pd.concat([base.correct, _over_seeds([run.correct for run in runs])], axis=1, join="inner").dropna()
    change = difference(correct, interval)
    if change is not None:
        verdict = change.verdict("a rise", "a fall", "no change that the interval tells from none")
        before, now = percent(change.first, change.n), percent(change.second, change.n)
        sentences.append(
            f"Accuracy {after}: {now} instead of {before} ({change.text(share=True)}, {n_text(change.n)}): {verdict}."
        )
    for measure, (name, share) in _MEASURES.items():
        later = _over_seeds([run.values[measure] for run in runs])
        parts = [
            f"{group} {_value(found.first, found.n, share)} \N{RIGHTWARDS ARROW} "
            f"{_value(found.second, found.n, share)} "
            f"({found.text(share)}, {n_text(found.n)}: {found.verdict('up', 'down', 'not told from no change')})"
            for group, found in _families(base.values[measure], later, methods, budget, interval).items()
        ]
        if parts:
            start = f"{name[0].upper()}{name[1:]} {after}, mean over the methods of a family"
            sentences.append(f"{start}: {'; '.join(parts)}.")
    return sentences


def by_course(cells: Mapping[Cell, Measured]) -> dict[str, dict[Cell, Measured]]:
    """The cells that differ in their checkpoint alone, by their title, where the base and an epoch are among them."""
    found: dict[str, dict[Cell, Measured]] = {}
    for cell, values in cells.items():
        found.setdefault(f"{cell.corpus}, {cell.model}", {})[cell] = values
    return {title: part for title, part in found.items() if len(part) > 1 and any(c.checkpoint == BASE for c in part)}
