# The configuration, checked, and what the rules share: paths and threads.
import json
import os
import re
import sys
from pathlib import Path

WORKFLOW = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))
# Its `parse` would hide a name of Snakemake's own if it were imported bare.
from rationale_eval import config_checks, study_unfinished
from rationale_eval.code_digest import stage_code
from rationale_eval.yaml_keys import check_keys
from rationale_eval.errors import UserError
from rationale_eval.job_environment import full_disks, prepare
from rationale_eval.long_arguments import as_argument
from rationale_eval.plugins import digest as plugin_digest
from rationale_eval.sources.card import HUB_CARD
from rationale_eval.study import StudyPlan
from rationale_eval.study_before import narrowed
from rationale_eval.study_records import FORCING, message, stale_unrecorded
from rationale_eval.study_cells import canonical, epoch_name

prepare(WORKFLOW)
ELSEWHERE = Path.cwd() != WORKFLOW.parent.resolve()
try:
    if ELSEWHERE and not Path("config.yaml").is_file():
        raise UserError(
            "there is no config.yaml; run Snakemake in the folder of the project, or link its files into this one"
        )
    for path in workflow.configfiles:
        check_keys(Path(path))
    plan = StudyPlan(config_checks.parse(config))
    plan.check()
except UserError as error:
    sys.exit(
        f"error: {error}" + (f" (all paths are relative to {Path.cwd()}, not to the Snakefile)" if ELSEWHERE else "")
    )

RESULTS = plan.config.results_dir
if workflow.is_main_process:  # said once, not by each of its jobs
    if not FORCING & set(sys.argv):
        if stale := stale_unrecorded(plan):
            sys.exit(f"error: {message(stale, plan.config.compute.shards)}")
        if behind := study_unfinished.mark_unfinished(RESULTS):
            print(f"note: {study_unfinished.note(behind)}", file=sys.stderr)
    if note := narrowed(Path(RESULTS, "report/claims.json"), json.loads(plan.report.claims())):
        print(f"note: {note}", file=sys.stderr)
CELL = f"{RESULTS}/{{corpus}}/{{model}}/{{checkpoint}}"
MEMO = plan.config.memo_dir
COMPUTE = plan.config.compute
# Without a cap, `--cores 8` would start all model jobs at once and each would take all cores: one at a time is faster,
# or as many as there are shards, which are there to run beside each other. On a cluster there is no such number; its
# profile sets the threads.
MODEL_THREADS = max(1, (workflow.resource_settings.cores or 8) // COMPUTE.shards)


wildcard_constraints:
    corpus=r"[A-Za-z0-9][\w.-]*",
    model=r"[A-Za-z0-9][\w.-]*",
    checkpoint=r"base|epoch-\d\d+-seed-\d+",
    method=r"[A-Za-z0-9][\w.-]*",
    operator=r"[A-Za-z0-9][\w.-]*",
    shard=r"\d+-of-\d+",


def one_of(names):
    """A wildcard constraint that takes exactly ``names``."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


def slice_of_report(text):
    """A slice with all cells of the study, as the argument of a command; a large one is in a file."""
    return as_argument(text, Path(RESULTS, "report/.slices"))


def cells(path):
    """``path`` below the folder of every cell of the study."""
    return [f"{RESULTS}/{cell.path}/{path}" for cell in plan.cells]


def by_operators(table):
    """``table`` of every cell by each of the study's other operators."""
    return [path for operator in plan.study.operators for path in cells(f"{table}/{operator}.parquet")]


def tables_of(cell, folder, methods):
    """One table for each of ``methods`` in a folder of a cell."""
    return [f"{RESULTS}/{cell.path}/{folder}/{method}.parquet" for method in methods]


def flag_tables(of=plan.cells):
    """What says which methods of these cells are flagged: rationales that were asked for, integrated gradients."""
    return [
        table
        for cell in of
        for table in (
            *tables_of(cell, "rationales", asked_on(cell)),
            *tables_of(
                cell,
                "evidence/attributions",
                [
                    method
                    for method in plan.study.methods_on(cell.corpus)
                    if method in plan.integrated and plan.available(method, cell.model)
                ],
            ),
        )
    ]


def asked_on(cell):
    """The prompted methods that are run on the corpus of a cell."""
    return [method for method in plan.study.methods_on(cell.corpus) if method in plan.prompted]


def rationale_tables(wildcards):
    """The rationales of every method that is run on a cell, in the study's order."""
    return [
        f"{CELL}/rationales/{method}.parquet".format(**wildcards) for method in plan.study.methods_on(wildcards.corpus)
    ]


def code(stage, plugins=(), reader=None):
    """The param `code` of a stage: a digest of its modules and of the plugins that serve it."""
    return " ".join([stage_code(stage, reader), *(plugin_digest(plugin.path) for plugin in plugins)])


def files_of(plugins):
    """The files of plugins, each once."""
    return sorted({str(plugin.path) for plugin in plugins})


def in_shards(stage):
    """The start of the command of a stage that asks a model about all instances, or about a shard of them.

    A resource: which shard it is re-runs nothing.
    """
    return lambda wildcards: f"{stage} --shard {wildcards.shard}" if "shard" in wildcards.keys() else stage


def shots_table(wildcards):
    """The train rows, where a classification shows solved examples from them; else nothing."""
    return [f"{RESULTS}/corpora/{wildcards.corpus}/train.parquet"] if plan.shots(wildcards.corpus) else []


def explained_table(wildcards):
    """The train rows, where a question for words shows solved examples from them; else nothing."""
    return [f"{RESULTS}/corpora/{wildcards.corpus}/train.parquet"] if plan.explained_shots(wildcards.method) else []


def external_file(wildcards):
    """The file of rationales made elsewhere, if the method is that; else nothing."""
    return plan.external(wildcards.method, wildcards.corpus, wildcards.model, wildcards.checkpoint)


def evidence_table(wildcards):
    """The evidence that a method reads, or nothing (a prompted method's replies have a rule of their own)."""
    if not plan.available(wildcards.method, wildcards.model):
        return []
    if table := plan.attribution_table(wildcards.method):
        return [f"{CELL}/evidence/attributions/{table}.parquet".format(**wildcards)]
    kind = plan.evidence_of(wildcards.method)
    return [f"{CELL}/evidence/{kind}.parquet".format(**wildcards)] if kind else []


def checkpoint_card(wildcards):
    """The card of a fine-tuned checkpoint, which lies in its folder; nothing for the base model."""
    if wildcards.checkpoint == "base":
        return []
    return [f"{RESULTS}/{{corpus}}/{{model}}/checkpoints/{{checkpoint}}/card.json".format(**wildcards)]


def previous_checkpoint(wildcards):
    """The card of the checkpoint that an epoch goes on from; nothing for the first."""
    epoch = int(wildcards.epoch)
    if epoch == 1:
        return []
    name = epoch_name(epoch - 1, int(wildcards.seed))
    return [f"{RESULTS}/{wildcards.corpus}/{wildcards.model}/checkpoints/{name}/card.json"]
