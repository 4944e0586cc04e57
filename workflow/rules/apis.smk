# Models behind an API: the same outputs as those of models that are opened, from requests. Jobs that ask one model wait
# for each other (apis/asking.py), so that its limits and budget hold.

# Minutes of a job that asks an API: rates and pauses decide, not the machine.
API_RUNTIME = 24 * 60


rule model_api:
    output:
        card=f"{RESULTS}/models/{{model}}/card.json",
    log:
        f"{RESULTS}/logs/models/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/models/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(plan.apis),
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: plan.model(wildcards.model),
        code=stage_code("model_api"),
    shell:
        "python -m rationale_eval model_api --spec {params.spec:q} --card {output.card:q} > {log:q} 2>&1"


rule predictions_api:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        shots=shots_table,
    output:
        predictions=f"{CELL}/predictions.parquet",
        answers=f"{CELL}/evidence/answers.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/predictions.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/predictions.tsv"
    wildcard_constraints:
        model=one_of(plan.apis),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=API_RUNTIME,
        # As resources, since an edit of a resource re-runs nothing.
        memo=MEMO,
        limits=lambda wildcards: plan.limits(wildcards.model),
    params:
        spec=lambda wildcards: plan.predictions(wildcards.corpus, wildcards.model),
        code=stage_code("predictions_api"),
    shell:
        "python -m rationale_eval predictions_api --spec {params.spec:q}"
        " --test {input.test:q} --shots {input.shots:q}"
        " --memo {resources.memo:q} --limits {resources.limits:q}"
        " --predictions {output.predictions:q} --answers {output.answers:q} > {log:q} 2>&1"


rule replies_api:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        predictions=f"{CELL}/predictions.parquet",
        shots=explained_table,
    output:
        replies=f"{CELL}/evidence/replies/{{method}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/replies/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/replies/{{method}}.tsv"
    wildcard_constraints:
        model=one_of(plan.apis),
        method=one_of(plan.prompted),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=API_RUNTIME,
        memo=MEMO,
        limits=lambda wildcards: plan.limits(wildcards.model),
    params:
        spec=lambda wildcards: plan.replies(wildcards.corpus, wildcards.model, wildcards.method),
        code=stage_code("replies_api"),
    shell:
        "python -m rationale_eval replies_api --spec {params.spec:q}"
        " --test {input.test:q} --predictions {input.predictions:q} --shots {input.shots:q}"
        " --memo {resources.memo:q} --limits {resources.limits:q} --output {output.replies:q} > {log:q} 2>&1"


rule perturb_api:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        predictions=f"{CELL}/predictions.parquet",
        shots=shots_table,
        rationales=rationale_tables,
    output:
        perturbations=f"{CELL}/perturbations.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/perturb.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/perturb.tsv"
    wildcard_constraints:
        model=one_of(plan.apis),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=API_RUNTIME,
        memo=MEMO,
        limits=lambda wildcards: plan.limits(wildcards.model),
    params:
        spec=lambda wildcards: plan.perturbation(wildcards.corpus, wildcards.model),
        code=stage_code("perturb_api"),
    shell:
        "python -m rationale_eval perturb_api --spec {params.spec:q}"
        " --test {input.test:q} --predictions {input.predictions:q} --shots {input.shots:q}"
        " --rationales {input.rationales:q}"
        " --memo {resources.memo:q} --limits {resources.limits:q} --output {output.perturbations:q} > {log:q} 2>&1"


use rule perturb_api as perturb_api_otherwise with:
    output:
        perturbations=f"{CELL}/perturbations/{{operator}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/perturbations/{{operator}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/perturbations/{{operator}}.tsv"
    params:
        spec=lambda wildcards: plan.perturbation(wildcards.corpus, wildcards.model, wildcards.operator),
        code=stage_code("perturb_api"),
