"""Which perturbed inputs a study asks for: of every choice of words, and what its measures compare them with.

For each choice its words are masked, and at some budgets all others (the words alone are kept). Beside them stand for
each instance: all words masked; random words, as many as each choice has (one random order for each seed, of which
larger numbers take more, so that choices of one size share them); and, as the study says, the first words of a method's
order at the points of its curves, and each word left out alone. Nothing here asks a model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.corpora.instances import Instance
from rationale_eval.faithfulness.curves import curve_counts
from rationale_eval.faithfulness.schema import ALL, KEEP, LEFT_OUT, MASK, OK, RANDOM, WHOLE, numbered
from rationale_eval.progress import say
from rationale_eval.rationales.budgets import AS_GIVEN, top
from rationale_eval.rationales.choices import Choice, choices
from rationale_eval.rationales.reference import random_scores

# A row of the table without what the model says, and which words its input masks; None where it has no input.
Wanted = tuple[dict[str, Any], tuple[bool, ...] | None]
# What the model will say.
_ANSWER = dict.fromkeys(("predicted", "scores"))


def requests(choice: Choice, keep_only: Collection[str]) -> Iterator[Wanted]:
    """What one choice asks for: its words masked, and for the budgets ``keep_only`` all others masked."""
    for operation in (MASK, KEEP) if choice.budget in keep_only else (MASK,):
        row = {**choice.key, "operation": operation, **_ANSWER}
        if choice.selected is None:
            yield row, None
        else:
            yield row, tuple(chosen == (operation == MASK) for chosen in choice.selected)


def _request(
    instance: Instance, method: str, budget: str, chosen: Sequence[bool], operation: str = MASK, sample: int = 0
) -> Wanted:
    row = {"id": instance.id, "method": method, "sample": sample, "budget": budget, "status": OK}
    row |= {"words": len(chosen), "selected": sum(chosen), "operation": operation, **_ANSWER}
    return row, tuple(word == (operation == MASK) for word in chosen)


def _curve(choice: Choice, ratios: Sequence[float]) -> Iterator[Wanted]:
    """The points of the curves of a method that scores words; 0 and all words are asked for by others."""
    scores, sample = choice.rationale["scores"], choice.rationale["sample"]
    for count in curve_counts(len(scores), ratios):
        for operation in (MASK, KEEP) if count < len(scores) else ():
            yield _request(choice.instance, choice.method, numbered(count), top(scores, count), operation, sample)


def _comparisons(
    instance: Instance, sizes: Mapping[int, set[str]], seeds: Sequence[int], leave_one_out: bool, whole: bool
) -> Iterator[Wanted]:
    """What the choices of an instance are compared with; ``sizes`` holds the operations by number of chosen words."""
    words = len(instance.words)
    if whole:
        yield _request(instance, WHOLE, AS_GIVEN, [False] * words)
    yield _request(instance, ALL, AS_GIVEN, [True] * words)
    for sample, seed in enumerate(seeds):
        order = random_scores(instance, seed)
        for count, operations in sorted(sizes.items()):
            # No words and all words are no draw.
            for operation in sorted(operations) if 0 < count < words else ():
                yield _request(instance, RANDOM, numbered(count), top(order, count), operation, sample)
    if leave_one_out:
        for word in range(words):
            yield _request(instance, LEFT_OUT, numbered(word), [other == word for other in range(words)])


def perturbed_inputs(
    spec: Mapping[str, Any], rationales: Sequence[Path], instances: Mapping[str, Instance]
) -> list[Wanted]:
    """All that a study asks for. Raises ``UserError`` as ``choices`` does.

    Of ``spec`` it reads ``methods``, ``keep_only_budgets``, ``announce`` (the whole text is then asked about again,
    under the announcement), ``curves`` (``methods`` and ``ratios``), ``random_seeds`` and ``leave_one_out``.
    """
    wanted: list[Wanted] = []
    points: list[Wanted] = []
    sizes: dict[str, dict[int, set[str]]] = {name: {} for name in instances}
    drawn: set[tuple[str, int, str]] = set()
    for choice in choices(spec["methods"], rationales, instances):
        asked = list(requests(choice, spec["keep_only_budgets"]))
        wanted += asked
        if choice.selected is not None:
            mine = sizes[choice.instance.id].setdefault(sum(choice.selected), set())
            mine |= {row["operation"] for row, _ in asked}
        key = (choice.method, choice.rationale["sample"], choice.instance.id)
        if choice.method in spec["curves"]["methods"] and choice.rationale["scores"] is not None and key not in drawn:
            drawn.add(key)
            points += _curve(choice, spec["curves"]["ratios"])
    wanted += points
    for name, instance in instances.items():
        wanted += _comparisons(instance, sizes[name], spec["random_seeds"], spec["leave_one_out"], spec["announce"])
    different = len({(row["id"], masked) for row, masked in wanted if masked is not None})
    say(f"{len(wanted)} perturbations ask for {different} different inputs, {len(wanted) / max(1, different):.1f} each")
    return wanted
