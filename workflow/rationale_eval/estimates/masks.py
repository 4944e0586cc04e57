"""How many perturbed inputs an instance has."""

from __future__ import annotations

from rationale_eval.config import FixedMethod, RandomMethod
from rationale_eval.study import AS_GIVEN, StudyPlan


def masks_of(plan: StudyPlan, model: str, words: float) -> int:
    """The inputs that a study asks for in an instance of ``words`` words, at most: equal ones are counted for each.

    Under each operator the choices of words and all words; under the main one also random words, as many as each budget
    or set has, the points of curves, and each word by itself.
    """
    kept = {plan.study.main_budget, *AS_GIVEN}
    choices, points = 0, 0
    sizes: dict[str, int] = {}
    for method in plan.study.methods:
        if not plan.available(method, model):
            continue
        entry = plan.config.methods[method]
        draws = len(entry.seeds) if isinstance(entry, RandomMethod) else 1
        inputs = {budget: 1 + (budget in kept) for budget in plan.budgets_of(method)}
        choices += draws * sum(inputs.values())
        if not (isinstance(entry, FixedMethod) and entry.kind == "all_words"):
            sizes |= {method if budget in AS_GIVEN else budget: count for budget, count in inputs.items()}
        if method in plan.masking.curved(model):
            points += 2 * draws * len(plan.masking.ratios)
    operators = [plan.config.perturbation, *(plan.config.operators[name] for name in plan.study.operators)]
    total = sum(choices + 1 + operator.announce for operator in operators)
    total += len(plan.masking.random_seeds(model)) * sum(sizes.values()) + points
    return round(total + (words if plan.masking.leaves_one_out(model) else 0))
