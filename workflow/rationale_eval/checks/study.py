"""What of a study can be looked at before it is run; needs the packages that the study does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rationale_eval.checks import environment
from rationale_eval.checks.cluster import cluster
from rationale_eval.checks.finding import Finding
from rationale_eval.checks.rows import rows
from rationale_eval.checks.sources import external_files, sources
from rationale_eval.checks.verbalisers import verbalisers
from rationale_eval.study import StudyPlan

PROFILE = Path("slurm/config.yaml")


def findings(plan: StudyPlan) -> Iterator[Finding]:
    """All lines for a study, in the order in which they are shown."""
    opened = [plan.opened[name] for name in plan.study.models if name in plan.opened]
    if opened:
        yield from environment.torch(max(model.gpus for model in opened))
        yield environment.memory(plan.config)
    yield from environment.snakemake_cache()
    yield from environment.disk(plan.config)
    yield from sources(plan)
    yield from rows(plan)
    yield from verbalisers(plan)
    yield from external_files(plan)
    yield from cluster(PROFILE)
