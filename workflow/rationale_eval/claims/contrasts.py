"""From a claim and the tables of a study to one contrast per instance, for each corpus and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from rationale_eval.claims.registry import ALIGNMENT, BASE, MATCHED, POOR_ACCURACY, PROMPTING, TUNED, Claim, Term
from rationale_eval.rationales.budgets import AS_GIVEN
from rationale_eval.rationales.budgets import MATCHED as BUDGET
from rationale_eval.report.aggregate import of_method
from rationale_eval.report.flags import too_few_usable
from rationale_eval.report.layout import PROMPT, Cell, epoch_and_seed
from rationale_eval.report.measured import CHANCE, Measured
from rationale_eval.report.validity import collapse_text, is_collapsed
from rationale_eval.report.wording import percent
from rationale_eval.statistics.intervals import proportion_interval

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
    """A claim's contrast in one corpus with one model; ``checkpoint`` says of which, for example ``epoch 3``.

    ``values``: one row per instance, a column for each seed of the fine-tuning (one where there is none). ``first`` and
    ``second``: what the positive and the negative terms come to by instance, seeds averaged; None unless there are two
    terms. ``left_out``: instances that lack a value of some term. ``excluded``: why there is no verdict, or empty.
    ``informative``: by instance whether some of the words compared could have been others (see ``can_differ``).
    ``usable``: by instance whether all replies compared name a word of the text; None where no reply is compared.
    ``collapsed``: whether a model of the contrast has collapsed and the claim is not about that. ``chance``: of a
    contrast of F1 above chance what it comes to by instance for the expectations that were subtracted, seeds averaged;
    ``second_chance``: the same of ``second``.
    """

    corpus: str
    model: str
    values: pd.DataFrame
    first: pd.Series | None
    second: pd.Series | None
    left_out: int
    excluded: str = ""
    informative: pd.Series | None = None
    usable: pd.Series | None = None
    collapsed: bool = False
    chance: pd.Series | None = None
    second_chance: pd.Series | None = None
    checkpoint: str = BASE
    by_instance: pd.Series = field(init=False)

    def __post_init__(self) -> None:
        self.by_instance = self.values.mean(axis=1)
        if self.informative is None:
            self.informative = pd.Series(True, index=self.values.index)

    def among_usable(self) -> Contrast | None:
        """The contrast over the instances all of whose replies are usable; None where no reply is compared."""
        if self.usable is None:
            return None
        chosen = self.usable.index[self.usable]
        left = len(self.values) - len(chosen)
        chance = None if self.chance is None else self.chance.loc[chosen]
        return Contrast(
            self.corpus, self.model, self.values.loc[chosen], None, None, self.left_out + left, chance=chance
        )


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


Run = Mapping[str, Measured]  # a base model or a checkpoint of one run of the fine-tuning, by BASE and TUNED


def _sides(terms: Sequence[Weighted], measure: str, runs_here: Sequence[Run]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sums of the positive and of the negative terms, by instance, a column for each run.

    Each is over the instances that have a value of all its terms; 0 where there is no negative term.
    """
    sides = []
    for sign in (1, -1):
        mine = [term for term in terms if term.weight * sign > 0]
        columns = []
        for here in runs_here if mine else ():
            values = [of_method(here[term.checkpoint].values[measure], term.method, term.budget) for term in mine]
            parts = [abs(term.weight) * one for term, one in zip(mine, values, strict=True)]
            columns.append(pd.concat(parts, axis=1, join="inner").sum(axis=1))
        sides.append(
            pd.concat(columns, axis=1, join="inner").set_axis(range(len(columns)), axis=1) if columns else None
        )
    first, second = sides
    assert first is not None, "every claim has a positive term"
    return first, 0.0 * first if second is None else second


def some_can_differ(terms: Sequence[Weighted], measure: str, runs_here: Sequence[Run], ids: pd.Index) -> pd.Series:
    """By id whether the words of some term could have been others in some run."""
    found = pd.Series(False, index=ids)
    for here in runs_here:
        for term in terms:
            known = here[term.checkpoint].informative.get(measure)
            if known is None:
                return pd.Series(True, index=ids)
            found |= of_method(known, term.method, term.budget).reindex(ids, fill_value=False).astype(bool)
    return found


def _usable(terms: Sequence[Weighted], runs_here: Sequence[Run], ids: pd.Index) -> pd.Series | None:
    """By id whether the replies of all prompted methods are usable in all runs; None where no term is prompted."""
    found = None
    for here in runs_here:
        for term in terms:
            replies = here[term.checkpoint].usable.get(term.method)
            if replies is not None:
                mine = replies.reindex(ids, fill_value=False).astype(bool)
                found = mine if found is None else found & mine
    return found


def _runs_of(claim: Claim, terms: Sequence[Weighted], by_checkpoint: Mapping[str, list[Cell]]) -> list[dict[str, Cell]]:
    """For each run that the terms compare its cells; none where a checkpoint is missing."""
    needed = {term.checkpoint for term in terms}
    if not all(by_checkpoint[checkpoint] for checkpoint in needed):
        return []
    base = {BASE: by_checkpoint[BASE][0]} if BASE in needed else {}
    return [base | {TUNED: run} for run in by_checkpoint[TUNED]] if TUNED in needed else [base]


def contrasts(
    claim: Claim, terms: Sequence[Weighted], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]
) -> list[Contrast]:
    """The claim's contrast for each corpus and model that has its checkpoints.

    Raises ``NotTestedError`` where none has, and where no cell is as the claim says.
    """
    found, seen = [], 0
    for (corpus, model), by_checkpoint in runs(cells).items():
        used = _runs_of(claim, terms, by_checkpoint)
        if not used:
            continue
        seen += 1
        if claim.where == POOR_ACCURACY and not all(
            poor_accuracy(cells[cell], spec["interval"]["level"]) for run in used for cell in run.values()
        ):
            continue
        found.append(_contrast(claim, terms, (corpus, model), used, cells, spec))
    if not seen:
        needed = {term.checkpoint for term in terms}
        lacks = "fine-tuned checkpoint" if TUNED in needed else "base model"
        both = " beside the base" if needed == {BASE, TUNED} else ""
        raise NotTestedError(f"the study has no {lacks}{both}")
    if not found:
        raise NotTestedError(f"no base model of the study has {claim.where}")
    return found


def _contrast(
    claim: Claim,
    terms: Sequence[Weighted],
    names: tuple[str, str],
    used: Sequence[Mapping[str, Cell]],
    cells: Mapping[Cell, Measured],
    spec: Mapping[str, Any],
) -> Contrast:
    """The contrast of one corpus and model (``names``) from the cells ``used``, one mapping for each run."""
    here = [{checkpoint: cells[cell] for checkpoint, cell in run.items()} for run in used]
    firsts, seconds = _sides(terms, claim.measure, here)
    ids = firsts.index.intersection(seconds.index)
    chance = second_chance = None
    if claim.measure == ALIGNMENT and all(CHANCE in one.values for run in here for one in run.values()):
        expected = _sides(terms, CHANCE, here)
        chance = (expected[0].loc[ids] - expected[1].loc[ids]).mean(axis=1)
        second_chance = expected[1].loc[ids].mean(axis=1)
    first, second = (
        side.loc[ids].mean(axis=1) if len(ids) and len(claim.terms) == 2 else None for side in (firsts, seconds)
    )
    mine = list(dict.fromkeys(cell for run in used for cell in run.values()))
    known = max(len(cells[cell].correct) + cells[cell].unpredicted for cell in mine)
    informative = some_can_differ(terms, claim.measure, here, ids)
    found = Contrast(
        *names,
        firsts.loc[ids] - seconds.loc[ids],
        first,
        second,
        known - len(ids),
        informative=informative,
        usable=_usable(terms, here, ids),
        collapsed=claim.where is None and bool(collapse(mine, cells, spec)),
        chance=chance,
        second_chance=second_chance,
        checkpoint=_label([cell.checkpoint for cell in mine]),
    )
    found.excluded = (
        (collapse(mine, cells, spec) if claim.where is None else "")
        or unusable(terms, used, cells, spec)
        or too_few(len(ids), int(informative.sum()), spec)
    )
    return found


def scope(cells: Iterable[Cell]) -> dict[str, int | None]:
    """How many ``corpora`` and ``models`` the cells are of, and the ``seeds`` of the fine-tuning that has most runs.

    ``seeds`` is None where no cell is of a fine-tuned checkpoint.
    """
    known = list(cells)
    epochs = [(one.corpus, one.model, epoch_and_seed(one.checkpoint)[0]) for one in known]
    tuned = Counter(epoch for epoch in epochs if epoch[2])
    counts = {"corpora": len({one.corpus for one in known}), "models": len({one.model for one in known})}
    return {**counts, "seeds": max(tuned.values(), default=None)}


def _label(checkpoints: Sequence[str]) -> str:
    """The last of these checkpoints in words: ``base``, or ``epoch 3``."""
    last = max(epoch_and_seed(name)[0] for name in checkpoints)
    return f"epoch {last}" if last else BASE


def poor_accuracy(here: Measured, level: float) -> bool:
    """Whether a cell's accuracy is shown to be nearer to the share of its most frequent gold label than to 1.

    Its Wilson interval lies wholly on that side. A cell without a prediction is not of poor accuracy but of none.
    """
    _, high = proportion_interval(int(here.correct.sum()), len(here.correct), level)
    return high is not None and here.gold_share is not None and high < (here.gold_share + 1) / 2


def collapse(used: Sequence[Cell], cells: Mapping[Cell, Measured], spec: Mapping[str, Any]) -> str:
    """Which of the cells ``used`` have collapsed, in words; empty if none has."""
    shares = {cell.checkpoint: cells[cell].majority_share for cell in used}
    found = [f"{name} {collapse_text(one)}" for name, one in shares.items() if is_collapsed(one, spec["validity"])]
    return f"collapsed: {', '.join(found)}" if found else ""


def unusable(
    terms: Sequence[Weighted],
    used: Sequence[Mapping[str, Cell]],
    cells: Mapping[Cell, Measured],
    spec: Mapping[str, Any],
) -> str:
    """Which prompted methods have too few usable replies in the cells ``used``, in words; empty if none has."""
    found = []
    for run in used:
        for term in terms:
            cell = run[term.checkpoint]
            replies = cells[cell].usable.get(term.method)
            if replies is not None and too_few_usable(replies, spec["validity"]):
                found.append(f"{int(replies.sum())} of {len(replies)} of {term.method} at {cell.checkpoint}")
    least = percent(spec["validity"]["min_usable_replies"], 0)
    texts = ", ".join(dict.fromkeys(found))
    return f"too few replies name a word of the text ({texts}; at least {least} are needed)" if found else ""


def too_few(n: int, n_informative: int, spec: Mapping[str, Any]) -> str:
    """Why so many instances can have no verdict; empty if they can."""
    if not n:
        return "no instance has a value of every method"
    least = spec["claims"]["min_instances"]
    if n_informative >= least:
        return ""
    among = "" if n == n_informative else f" (of {n}: in the others the words could not differ)"
    return f"too few instances: {n_informative} of at least {least}{among}"
