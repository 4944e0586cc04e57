# Predictions and evidence: the model's one pass over the instances of a corpus.


rule evidence:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
    output:
        predictions=f"{CELL}/predictions.parquet",
        gradients=f"{CELL}/evidence/gradients.parquet",
        attention=f"{CELL}/evidence/attention.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/evidence.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/evidence.tsv"
    wildcard_constraints:
        model=one_of(plan.opened),
    conda:
        "../../envs/gpu.yaml"
    threads: MODEL_THREADS
    resources:
        stage=in_shards("evidence"),
        gpu=lambda wildcards: plan.opened[wildcards.model].gpus,
        mem_mb=lambda wildcards, attempt: COMPUTE.mem_mb * attempt,
        runtime=lambda wildcards, attempt: COMPUTE.runtime * attempt,
        # As resources, since an edit of a resource re-runs nothing.
        memo=MEMO,
        batch_tokens=COMPUTE.batch_tokens,
        batch_rows=COMPUTE.batch_rows,
    params:
        spec=lambda wildcards: plan.evidence(wildcards.corpus, wildcards.model),
        code=stage_code("evidence"),
    shell:
        "python -m rationale_eval {resources.stage} --spec {params.spec:q}"
        " --test {input.test:q} --shots {input.shots:q} --model {input.model:q} --checkpoint {input.checkpoint:q}"
        " --gpus {resources.gpu} --memo {resources.memo:q} --batch-tokens {resources.batch_tokens} --batch-rows {resources.batch_rows}"
        " --predictions {output.predictions:q} --gradients {output.gradients:q} --attention {output.attention:q}"
        " > {log:q} 2>&1"


rule attributions:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=shots_table,
    output:
        attributions=f"{CELL}/evidence/attributions/{{table}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/attributions/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/attributions/{{table}}.tsv"
    wildcard_constraints:
        model=one_of(plan.opened),
        table=one_of(plan.attributed),
    conda:
        "../../envs/gpu.yaml"
    threads: MODEL_THREADS
    resources:
        stage=in_shards("attributions"),
        gpu=lambda wildcards: plan.opened[wildcards.model].gpus,
        mem_mb=lambda wildcards, attempt: COMPUTE.mem_mb * attempt,
        runtime=lambda wildcards, attempt: COMPUTE.runtime * attempt,
        memo=MEMO,
        batch_tokens=COMPUTE.batch_tokens,
        batch_rows=COMPUTE.batch_rows,
    params:
        spec=lambda wildcards: plan.attributions(wildcards.corpus, wildcards.model, wildcards.table),
        code=stage_code("attributions"),
    shell:
        "python -m rationale_eval {resources.stage} --spec {params.spec:q}"
        " --test {input.test:q} --shots {input.shots:q}"
        " --model {input.model:q} --checkpoint {input.checkpoint:q}"
        " --gpus {resources.gpu} --memo {resources.memo:q} --batch-tokens {resources.batch_tokens} --batch-rows {resources.batch_rows}"
        " --output {output.attributions:q} > {log:q} 2>&1"


rule replies:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        predictions=f"{CELL}/predictions.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        checkpoint=checkpoint_card,
        shots=explained_table,
    output:
        replies=f"{CELL}/evidence/replies/{{method}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/replies/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/replies/{{method}}.tsv"
    wildcard_constraints:
        model=one_of(plan.opened),
        method=one_of(plan.prompted),
    conda:
        "../../envs/gpu.yaml"
    threads: MODEL_THREADS
    resources:
        stage=in_shards("replies"),
        gpu=lambda wildcards: plan.opened[wildcards.model].gpus,
        mem_mb=lambda wildcards, attempt: COMPUTE.mem_mb * attempt,
        runtime=lambda wildcards, attempt: COMPUTE.runtime * attempt,
        memo=MEMO,
        batch_tokens=COMPUTE.batch_tokens,
        batch_rows=COMPUTE.batch_rows,
    params:
        spec=lambda wildcards: plan.replies(wildcards.corpus, wildcards.model, wildcards.method),
        code=stage_code("replies"),
    shell:
        "python -m rationale_eval {resources.stage} --spec {params.spec:q}"
        " --test {input.test:q} --predictions {input.predictions:q} --shots {input.shots:q}"
        " --model {input.model:q} --checkpoint {input.checkpoint:q}"
        " --gpus {resources.gpu} --memo {resources.memo:q} --batch-tokens {resources.batch_tokens} --batch-rows {resources.batch_rows}"
        " --output {output.replies:q} > {log:q} 2>&1"
