# Models in one form: safetensors, tokenizer, card.


rule model:
    input:
        source=lambda wildcards: plan.sources.inputs(plan.config.models[wildcards.model]),
    output:
        snapshot=directory(f"{RESULTS}/models/{{model}}/snapshot"),
        card=f"{RESULTS}/models/{{model}}/card.json",
    log:
        f"{RESULTS}/logs/models/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/models/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(plan.opened),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: COMPUTE.mem_mb * attempt,
        runtime=lambda wildcards, attempt: COMPUTE.runtime * attempt,
    params:
        spec=lambda wildcards: plan.model(wildcards.model),
        source=lambda wildcards: plan.sources.path(plan.config.models[wildcards.model]),
        content=lambda wildcards: plan.sources.content(plan.config.models[wildcards.model]),
        cache=lambda wildcards: f"{plan.config.cache_dir}/gguf",
        code=stage_code("model"),
    shell:
        "python -m rationale_eval model --spec {params.spec:q} --source {params.source:q}"
        " --cache {params.cache:q} --snapshot {output.snapshot:q} --card {output.card:q} > {log:q} 2>&1"
