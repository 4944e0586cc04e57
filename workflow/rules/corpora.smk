# Package files and corpora.


rule fetch_package:
    output:
        f"{plan.config.cache_dir}/packages/{{artifact}}",
    log:
        f"{plan.config.cache_dir}/logs/{{artifact}}.log",
    benchmark:
        f"{plan.config.cache_dir}/benchmarks/{{artifact}}.tsv"
    wildcard_constraints:
        artifact=one_of(plan.packages),
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
        instances=f"{RESULTS}/corpora/{{corpus}}/{{side}}.parquet",
    log:
        f"{RESULTS}/logs/corpora/{{corpus}}/{{side}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpora/{{corpus}}/{{side}}.tsv"
    wildcard_constraints:
        side="train|test",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=lambda wildcards: plan.corpus(wildcards.corpus, wildcards.side),
        source=lambda wildcards: plan.source(plan.config.corpora[wildcards.corpus]),
        code=stage_code("corpus"),
    shell:
        "python -m rationale_eval corpus --spec {params.spec:q} --source {params.source:q}"
        " --side {wildcards.side} --output {output.instances:q} > {log:q} 2>&1"


rule corpus_card:
    input:
        train=f"{RESULTS}/corpora/{{corpus}}/train.parquet",
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
    output:
        card=f"{RESULTS}/corpora/{{corpus}}/card.json",
    log:
        f"{RESULTS}/logs/corpora/{{corpus}}/card.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpora/{{corpus}}/card.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: plan.corpus_card(wildcards.corpus),
        code=stage_code("corpus_card"),
    shell:
        "python -m rationale_eval corpus_card --spec {params.spec:q}"
        " --train {input.train:q} --test {input.test:q} --card {output.card:q} > {log:q} 2>&1"
