# The configuration, checked, and what the rules share: paths and threads.
import os
import sys
from pathlib import Path

WORKFLOW = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))
# `rationale_eval.config` and its `parse` would hide Snakemake's own names if they were imported bare.
import rationale_eval.config as configuration
from rationale_eval.code_digest import stage_code
from rationale_eval.errors import UserError
from rationale_eval.job_environment import prepare
from rationale_eval.models.task import load_task
from rationale_eval.study import StudyPlan

prepare(WORKFLOW)
try:
    plan = StudyPlan(configuration.parse(config))
    for corpus in plan.study.corpora:
        load_task(Path(plan.prompts(corpus)))
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = plan.config.results_dir
CELL = f"{RESULTS}/{{corpus}}/{{model}}/{{checkpoint}}"
MEMO = plan.config.memo_dir
COMPUTE = plan.config.compute
# Without a cap, `--cores 8` would start all model jobs at once and each would take all cores: one at a time is faster.
MODEL_THREADS = workflow.cores or 8


wildcard_constraints:
    corpus=r"[A-Za-z0-9][\w.-]*",
    model=r"[A-Za-z0-9][\w.-]*",
    checkpoint=r"base|epoch-\d+",
    method=r"[A-Za-z0-9][\w.-]*",


def cells(path):
    """``path`` below the folder of every cell of the study."""
    return [f"{RESULTS}/{cell.path}/{path}" for cell in plan.cells]


def rationale_tables(wildcards):
    """The rationales of every method of the study, in its order, for one cell."""
    return [f"{CELL}/rationales/{method}.parquet".format(**wildcards) for method in plan.study.methods]


def evidence_table(wildcards):
    """The evidence that a method reads, or nothing."""
    kind = plan.evidence_of(wildcards.method)
    return [f"{CELL}/evidence/{kind}.parquet".format(**wildcards)] if kind else []
