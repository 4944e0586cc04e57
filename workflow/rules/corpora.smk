# Downloads and corpora.


rule fetch_package:
    output:
        f"{plan.config.cache_dir}/packages/{{artifact}}",
    log:
        f"{plan.config.cache_dir}/logs/{{artifact}}.log",
    benchmark:
        f"{plan.config.cache_dir}/benchmarks/{{artifact}}.tsv"
    wildcard_constraints:
        artifact=one_of(plan.sources.packages),
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


rule fetch_url:
    output:
        f"{plan.config.cache_dir}/urls/{{file}}",
    log:
        f"{plan.config.cache_dir}/logs/urls/{{file}}.log",
    benchmark:
        f"{plan.config.cache_dir}/benchmarks/urls/{{file}}.tsv"
    wildcard_constraints:
        file=one_of(plan.sources.urls),
    retries: 2
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=500,
        runtime=240,
    params:
        spec=lambda wildcards: canonical(plan.sources.urls[wildcards.file]),
        code=stage_code("fetch_url"),
    shell:
        "python -m rationale_eval fetch_url --spec {params.spec:q} --output {output:q} > {log:q} 2>&1"


rule fetch_hub:
    output:
        f"{plan.config.cache_dir}/hub/{{card}}{HUB_CARD}",
    log:
        f"{plan.config.cache_dir}/logs/hub/{{card}}.log",
    benchmark:
        f"{plan.config.cache_dir}/benchmarks/hub/{{card}}.tsv"
    wildcard_constraints:
        card=one_of(plan.sources.hub),
    retries: 2
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=600,
    params:
        spec=lambda wildcards: canonical(plan.sources.hub[wildcards.card]),
        code=stage_code("fetch_hub"),
    shell:
        "python -m rationale_eval fetch_hub --spec {params.spec:q} --output {output:q} > {log:q} 2>&1"


# Everything that the study needs from elsewhere, for clusters whose compute nodes are offline: run it where there is a
# network first.
rule fetch:
    input:
        plan.sources.fetched(plan.entries),
    localrule: True


rule corpus:
    input:
        source=lambda wildcards: plan.sources.inputs(plan.config.corpora[wildcards.corpus], wildcards.side),
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
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        spec=lambda wildcards: plan.corpus(wildcards.corpus, wildcards.side),
        source=lambda wildcards: plan.sources.path(plan.config.corpora[wildcards.corpus]),
        content=lambda wildcards: plan.sources.content(plan.config.corpora[wildcards.corpus], wildcards.side),
        plugins=lambda wildcards: files_of(plan.corpus_plugins(wildcards.corpus)),
        code=lambda wildcards: code("corpus", plan.corpus_plugins(wildcards.corpus), plan.reader(wildcards.corpus)),
    shell:
        "python -m rationale_eval corpus --spec {params.spec:q} --source {params.source:q}"
        " --files {input.source:q} --side {wildcards.side} --plugins {params.plugins:q} --output {output.instances:q} > {log:q} 2>&1"


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
