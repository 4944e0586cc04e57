# What the model does when the words are masked, or alone are kept.


rule perturb:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
        rationales=rationale_tables,
    output:
        perturbations=f"{CELL}/perturbations.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/perturb.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/perturb.tsv"
    wildcard_constraints:
        model=one_of(plan.opened),
    conda:
        "../../envs/gpu.yaml"
    threads: MODEL_THREADS
    resources:
        stage=in_shards("perturb"),
        gpu=lambda wildcards: plan.opened[wildcards.model].gpus,
        mem_mb=lambda wildcards, attempt: COMPUTE.mem_mb * attempt,
        runtime=lambda wildcards, attempt: COMPUTE.runtime * attempt,
        memo=MEMO,
        batch_tokens=COMPUTE.batch_tokens,
        batch_rows=COMPUTE.batch_rows,
    params:
        spec=lambda wildcards: plan.perturbation(wildcards.corpus, wildcards.model),
        code=stage_code("perturb"),
    shell:
        "python -m rationale_eval {resources.stage} --spec {params.spec:q}"
        " --test {input.test:q} --shots {input.shots:q} --model {input.model:q} --checkpoint {input.checkpoint:q} --rationales {input.rationales:q}"
        " --gpus {resources.gpu} --memo {resources.memo:q} --batch-tokens {resources.batch_tokens} --batch-rows {resources.batch_rows}"
        " --output {output.perturbations:q} > {log:q} 2>&1"


# The same by another operator, for the check of the conclusions' sensitivity to it.
use rule perturb as perturb_otherwise with:
    output:
        perturbations=f"{CELL}/perturbations/{{operator}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/perturbations/{{operator}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/perturbations/{{operator}}.tsv"
    params:
        spec=lambda wildcards: plan.perturbation(wildcards.corpus, wildcards.model, wildcards.operator),
        code=stage_code("perturb"),


rule faithfulness:
    input:
        predictions=f"{CELL}/predictions.parquet",
        perturbations=f"{CELL}/perturbations.parquet",
    output:
        faithfulness=f"{CELL}/faithfulness.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/faithfulness.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/faithfulness.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec="{}",
        code=stage_code("faithfulness"),
    shell:
        "python -m rationale_eval faithfulness --spec {params.spec:q} --predictions {input.predictions:q}"
        " --perturbations {input.perturbations:q} --output {output.faithfulness:q} > {log:q} 2>&1"


use rule faithfulness as faithfulness_otherwise with:
    input:
        predictions=f"{CELL}/predictions.parquet",
        perturbations=f"{CELL}/perturbations/{{operator}}.parquet",
    output:
        faithfulness=f"{CELL}/faithfulness/{{operator}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/faithfulness/{{operator}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/faithfulness/{{operator}}.tsv"


rule curves:
    input:
        predictions=f"{CELL}/predictions.parquet",
        perturbations=f"{CELL}/perturbations.parquet",
        rationales=rationale_tables,
    output:
        curves=f"{CELL}/curves.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/curves.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/curves.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: plan.curves(wildcards.corpus, wildcards.model),
        code=stage_code("curves"),
    shell:
        "python -m rationale_eval curves --spec {params.spec:q} --predictions {input.predictions:q}"
        " --perturbations {input.perturbations:q} --rationales {input.rationales:q}"
        " --output {output.curves:q} > {log:q} 2>&1"
