"""From a claim and the tables of a study to one contrast per instance, for each corpus and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from rationale_eval.claims.registry import BASE, MATCHED, PROMPTING, TUNED, Claim, Term
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.rationales.budgets import MATCHED as BUDGET
from rationale_eval.report.aggregate import Measured
from rationale_eval.report.layout import PROMPT, Cell, epoch_and_seed
from rationale_eval.report.validity import collapse_text, is_collapsed

Entries = Mapping[str, Mapping[str, Any]]


class NotTestedError(Exception):
    """The study lacks what a claim needs; the message says what."""


@dataclass(frozen=True)
class Weighted:
    """One method at one budget and checkpoint in a contrast, times ``weight``."""

    weight: float
    method: str
    budget: str
    checkpoint: str


@dataclass
class Contrast:
    """A claim's contrast in one corpus with one model.

    ``values``: one row per instance, a column for each seed of the fine-tuning (one where there is none). ``first`` and
    ``second``: what the positive and the negative terms come to by instance, seeds averaged; None if there are more
    than two terms. ``left_out``: instances that lack a value
    of some term. ``excluded``: why there is no verdict, or empty.
    """

    corpus: str
    model: str
    values: pd.DataFrame
    first: pd.Series | None
    second: pd.Series | None
    left_out: int
    excluded: str = ""
    by_instance: pd.Series = field(init=False)

    def __post_init__(self) -> None:
        self.by_instance = self.values.mean(axis=1)


def _members(term: Term, methods: Entries) -> list[str]:
    found = term.family.members(methods)
    if not found:
        raise NotTestedError(f"the study has no method of the family {term.family.name}")
    return found


def _own_budget(entry: Mapping[str, Any], main_budget: str) -> str:
    """Replies that name a set of words are taken as given; votes, rankings and scores are cut as any order is."""
    is_set = entry["kind"] == PROMPT and entry.get("samples", 1) == 1 and entry.get("gives") in (None, "words")
    return AS_GIVEN if is_set else main_budget


def resolve(claim: Claim, methods: Entries, budgets: Entries, main_budget: str) -> list[Weighted]:
    """The claim's terms as methods of the study.

    Raises ``NotTestedError`` where the study lacks a family or a budget.
    """
    found = []
    if claim.sizes != MATCHED:
        for term in claim.terms:
            members = _members(term, methods)
            found += [
                Weighted(term.weight / len(members), name, _own_budget(methods[name], main_budget), term.checkpoint)
                for name in members
            ]
        return found
    asked, scored = sorted(claim.terms, key=lambda term: term.family is not PROMPTING)
    prompted, others = _members(asked, methods), _members(scored, methods)
    cuts = {entry["to"]: name for name, entry in budgets.items() if entry["kind"] == BUDGET}
    known = {name: cuts[name] for name in prompted if name in cuts}
    if not known:
        raise NotTestedError(f"the study has no budget matched to {' or '.join(prompted)}")
    for name, cut in known.items():
        found.append(Weighted(asked.weight / len(known), name, AS_GIVEN, asked.checkpoint))
        share = scored.weight / (len(known) * len(others))
        found += [Weighted(share, other, cut, scored.checkpoint) for other in others]
    return found


def runs(cells: Mapping[Cell, Measured]) -> dict[tuple[str, str], dict[str, list[Cell]]]:
    """By corpus and model the cells of the base and of the last epoch, the latter one per seed."""
    found: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        found.setdefault((cell.corpus, cell.model), {}).setdefault(cell.checkpoint, []).append(cell)
    result = {}
    for key, by_checkpoint in found.items():
        last = max(epoch_and_seed(name)[0] for name in by_checkpoint)
        tuned = [one for name, some in by_checkpoint.items() for one in some if epoch_and_seed(name)[0] == last > 0]
        result[key] = {BASE: by_checkpoint.get(BASE, []), TUNED: tuned}
    return result


def of_method(values: pd.Series, method: str, budget: str) -> pd.Series:
    """The values of one method at one budget by id; none if it has none."""
    chosen = (values.index.get_level_values("method") == method) & (values.index.get_level_values("budget") == budget)
    return values[chosen].droplevel(["method", "budget"])


def _side(terms: Sequence[Weighted], measure: str, here: Mapping[str, Measured], sign: int) -> pd.Series:
    """The sum of the terms with this sign over the instances that have a value of each, for one run."""
    parts = [
        abs(term.weight) * of_method(here[term.checkpoint].values[measure], term.method, term.budget)
        for term in terms
        if term.weight * sign > 0
    ]
    return pd.concat(parts, axis=1, join="inner").sum(axis=1) if parts else pd.Series(dtype=float)


def contrasts(
    claim: Claim, terms: Sequence[Weighted], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]
) -> list[Contrast]:
    """The claim's contrast for each corpus and model that has its checkpoints.

    Raises ``NotTestedError`` where none has.
    """
    needed = {term.checkpoint for term in terms}
    found = []
    for (corpus, model), by_checkpoint in runs(cells).items():
        if not all(by_checkpoint[checkpoint] for checkpoint in needed):
            continue
        tuned = by_checkpoint[TUNED] if TUNED in needed else [None]
        sides: list[tuple[pd.Series, pd.Series]] = []
        used: list[Cell] = list(by_checkpoint[BASE]) if BASE in needed else []
        for run in tuned:
            here = {BASE: cells[by_checkpoint[BASE][0]]} if BASE in needed else {}
            if run is not None:
                here[TUNED] = cells[run]
                used.append(run)
            sides.append((_side(terms, claim.measure, here, 1), _side(terms, claim.measure, here, -1)))
        firsts = pd.concat([first for first, _ in sides], axis=1, join="inner")
        seconds = pd.concat([second for _, second in sides], axis=1, join="inner")
        ids = firsts.index.intersection(seconds.index)
        values = firsts.loc[ids].set_axis(range(len(sides)), axis=1) - seconds.loc[ids].set_axis(
            range(len(sides)), axis=1
        )
        known = max(len(cells[cell].correct) + cells[cell].unpredicted for cell in used)
        first, second = (
            side.loc[ids].mean(axis=1) if len(ids) and len(claim.terms) == 2 else None for side in (firsts, seconds)
        )
        one = Contrast(corpus, model, values, first, second, known - len(ids))
        one.excluded = exclusion(used, cells, len(ids), spec)
        found.append(one)
    if not found:
        lacks = "fine-tuned checkpoint" if TUNED in needed else "base model"
        both = " beside the base" if needed == {BASE, TUNED} else ""
        raise NotTestedError(f"the study has no {lacks}{both}")
    return found


def exclusion(used: Sequence[Cell], cells: Mapping[Cell, Measured], n: int, spec: Mapping[str, Any]) -> str:
    """Why ``n`` instances of these cells can have no verdict; empty if they can."""
    shares = {cell.checkpoint: cells[cell].majority_share for cell in used}
    collapsed = [f"{name} {collapse_text(one)}" for name, one in shares.items() if is_collapsed(one, spec["validity"])]
    if collapsed:
        return f"collapsed: {', '.join(collapsed)}"
    if not n:
        return "no instance has a value of every method"
    least = spec["claims"]["min_instances"]
    return f"too few instances: {n} of at least {least}" if n < least else ""
