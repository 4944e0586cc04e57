# With `compute.shards` above 1: the jobs that ask a model are split by instance, and a light job puts the shards' tables
# together. The rules that merge have command and params of those that they stand in for, so that another number of
# shards re-runs nothing that is done; the shards' tables are gone once they are merged.
import shlex

SHARDS = [f"{number}-of-{COMPUTE.shards}" for number in range(1, COMPUTE.shards + 1)]
SHARD = f"{CELL}/shards/{{shard}}"
SHARD_LOGS = f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/shards/{{shard}}"
# By stage, as report/cost.py reads them: each shard is a job of it, and the job that merges them is one more. The number
# of shards is in the names, so that records of an earlier number can be told.
SHARD_BENCHMARKS = f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}"
MERGING = {
    # The rest is not read, as no model is opened; the commands name it.
    "stage": lambda wildcards, input: f"merge --parts {shlex.join(input.parts)}",
    **{"gpu": 0, "mem_mb": 4000, "runtime": 60, "memo": MEMO, "batch_tokens": 0, "batch_rows": 0},
}


def parts(*tables):
    """The tables of all shards of a cell."""
    return [f"{CELL}/shards/{shard}/{table}" for shard in SHARDS for table in tables]


ruleorder: evidence_merge > evidence
ruleorder: attributions_merge > attributions
ruleorder: replies_merge > replies
ruleorder: perturb_merge > perturb
ruleorder: perturb_otherwise_merge > perturb_otherwise


use rule evidence as evidence_shard with:
    output:
        predictions=temp(f"{SHARD}/predictions.parquet"),
        gradients=temp(f"{SHARD}/evidence/gradients.parquet"),
        attention=temp(f"{SHARD}/evidence/attention.parquet"),
    log:
        f"{SHARD_LOGS}/evidence.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/evidence/{{shard}}.tsv"


use rule evidence as evidence_merge with:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
        parts=parts("predictions.parquet", "evidence/gradients.parquet", "evidence/attention.parquet"),
    benchmark:
        f"{SHARD_BENCHMARKS}/evidence/merge-of-{COMPUTE.shards}.tsv"
    localrule: True
    threads: 1
    resources:
        **MERGING,


use rule attributions as attributions_shard with:
    output:
        attributions=temp(f"{SHARD}/evidence/attributions/{{table}}.parquet"),
    log:
        f"{SHARD_LOGS}/attributions/{{table}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/attributions/{{table}}/{{shard}}.tsv"


use rule attributions as attributions_merge with:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
        parts=parts("evidence/attributions/{table}.parquet"),
    benchmark:
        f"{SHARD_BENCHMARKS}/attributions/{{table}}/merge-of-{COMPUTE.shards}.tsv"
    localrule: True
    threads: 1
    resources:
        **MERGING,


use rule replies as replies_shard with:
    output:
        replies=temp(f"{SHARD}/evidence/replies/{{method}}.parquet"),
    log:
        f"{SHARD_LOGS}/replies/{{method}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/replies/{{method}}/{{shard}}.tsv"


use rule replies as replies_merge with:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        predictions=f"{CELL}/predictions.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=explained_table,
        parts=parts("evidence/replies/{method}.parquet"),
    benchmark:
        f"{SHARD_BENCHMARKS}/replies/{{method}}/merge-of-{COMPUTE.shards}.tsv"
    localrule: True
    threads: 1
    resources:
        **MERGING,


use rule perturb as perturb_shard with:
    output:
        perturbations=temp(f"{SHARD}/perturbations.parquet"),
    log:
        f"{SHARD_LOGS}/perturb.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/perturb/{{shard}}.tsv"


use rule perturb as perturb_merge with:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
        rationales=rationale_tables,
        parts=parts("perturbations.parquet"),
    benchmark:
        f"{SHARD_BENCHMARKS}/perturb/merge-of-{COMPUTE.shards}.tsv"
    localrule: True
    threads: 1
    resources:
        **MERGING,


use rule perturb_otherwise as perturb_otherwise_shard with:
    output:
        perturbations=temp(f"{SHARD}/perturbations/{{operator}}.parquet"),
    log:
        f"{SHARD_LOGS}/perturbations/{{operator}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/perturbations/{{operator}}/{{shard}}.tsv"


use rule perturb_otherwise as perturb_otherwise_merge with:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
        rationales=rationale_tables,
        parts=parts("perturbations/{operator}.parquet"),
    benchmark:
        f"{SHARD_BENCHMARKS}/perturbations/{{operator}}/merge-of-{COMPUTE.shards}.tsv"
    localrule: True
    threads: 1
    resources:
        **MERGING,
