"""How many perturbed inputs an instance has."""

from __future__ import annotations

import json

from rationale_eval.config_methods import RandomMethod
from rationale_eval.faithfulness.curves import curve_counts
from rationale_eval.study import StudyPlan


def masks_of(plan: StudyPlan, corpus: str, model: str, words: int) -> int:
    """The inputs that are asked about for an instance of ``words`` words, by all of the study's operators.

    Of what ``faithfulness.inputs`` asks for equal ones are counted for each; only equally many random words are taken
    to be shared by the draws of one method.
    """
    total = 0
    for operator in (None, *plan.study.operators):
        spec = json.loads(plan.perturbation(corpus, model, operator))
        points = 2 * len(curve_counts(words, spec["curves"]["ratios"]))
        for method in spec["methods"]:
            if not plan.available(method["name"], model):
                continue
            entry = plan.config.methods[method["name"]]
            draws = len(entry.seeds) if isinstance(entry, RandomMethod) else 1
            choices = sum(1 + (budget in spec["keep_only_budgets"]) for budget in method["budgets"])
            total += draws * choices + len(spec["random_seeds"]) * choices
            total += draws * points if method["name"] in spec["curves"]["methods"] else 0
        total += 1 + spec["announce"] + (words if spec["leave_one_out"] else 0)
    return total
