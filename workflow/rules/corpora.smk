# Package files and corpora.


rule fetch_package:
    output:
        f"{plan.config.cache_dir}/packages/{{artifact}}",
    log:
        f"{plan.config.cache_dir}/logs/{{artifact}}.log",
    benchmark:
        f"{plan.config.cache_dir}/benchmarks/{{artifact}}.tsv"
    wildcard_constraints:
        artifact="|".join(map(re.escape, plan.packages)) or "none",
    retries: 2
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=500,
        runtime=20,
    params:
        spec=lambda wildcards: plan.fetch(wildcards.artifact),
        code=stage_code("fetch"),
    shell:
        "python -m rationale_eval fetch --spec {params.spec:q} --output {output:q} > {log:q} 2>&1"


rule corpus:
    input:
        source=lambda wildcards: plan.corpus_inputs(wildcards.corpus),
    output:
        train=f"{RESULTS}/corpora/{{corpus}}/train.parquet",
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        card=f"{RESULTS}/corpora/{{corpus}}/card.json",
    log:
        f"{RESULTS}/logs/corpora/{{corpus}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpora/{{corpus}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=lambda wildcards: plan.corpus(wildcards.corpus),
        source=lambda wildcards: plan.source(plan.config.corpora[wildcards.corpus]),
        code=stage_code("corpus"),
    shell:
        "python -m rationale_eval corpus --spec {params.spec:q} --source {params.source:q}"
        " --train {output.train:q} --test {output.test:q} --card {output.card:q} > {log:q} 2>&1"
