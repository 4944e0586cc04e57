"""How many perturbed inputs an instance has."""

from __future__ import annotations

from rationale_eval.config import RandomMethod
from rationale_eval.study import AS_GIVEN, StudyPlan


def masks_of(plan: StudyPlan, model: str) -> int:
    """The inputs that the methods and budgets of the study ask for in each instance, equal ones counted for each."""
    kept = {plan.study.main_budget, *AS_GIVEN}
    total = 0
    for method in plan.study.methods:
        if not plan.available(method, model):
            continue
        entry = plan.config.methods[method]
        draws = len(entry.seeds) if isinstance(entry, RandomMethod) else 1
        total += draws * sum(1 + (budget in kept) for budget in plan.budgets_of(method))
    return total
