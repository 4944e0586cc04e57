# From evidence to words, and how far they agree with people's.


rule prompted_rationale:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        replies=f"{CELL}/evidence/replies/{{method}}.parquet",
    output:
        rationales=f"{CELL}/rationales/{{method}}.parquet",
        readings=f"{CELL}/evidence/readings/{{method}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/rationales/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/rationales/{{method}}.tsv"
    wildcard_constraints:
        method=one_of(plan.prompted),
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: plan.reading(wildcards.corpus, wildcards.method),
        code=stage_code("prompted"),
    shell:
        "python -m rationale_eval prompted --spec {params.spec:q}"
        " --test {input.test:q} --replies {input.replies:q}"
        " --readings {output.readings:q} --output {output.rationales:q} > {log:q} 2>&1"


rule rationale:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        evidence=evidence_table,
        external=external_file,
    output:
        rationales=f"{CELL}/rationales/{{method}}.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/rationales/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/rationales/{{method}}.tsv"
    wildcard_constraints:
        method=one_of(set(plan.config.methods) - set(plan.prompted)),
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: plan.method(wildcards.method, wildcards.model),
        plugins=lambda wildcards: files_of(plan.method_plugins(wildcards.method)),
        code=lambda wildcards: code("rationale", plan.method_plugins(wildcards.method)),
    shell:
        "python -m rationale_eval rationale --spec {params.spec:q}"
        " --test {input.test:q} --evidence {input.evidence:q} --external {input.external:q}"
        " --plugins {params.plugins:q} --output {output.rationales:q} > {log:q} 2>&1"


rule alignment:
    input:
        test=f"{RESULTS}/corpora/{{corpus}}/test.parquet",
        rationales=rationale_tables,
    output:
        alignment=f"{CELL}/alignment.parquet",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/{{checkpoint}}/alignment.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/{{checkpoint}}/alignment.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: plan.alignment(wildcards.corpus),
        plugins=files_of(plan.metric_plugins),
        code=code("alignment", plan.metric_plugins),
    shell:
        "python -m rationale_eval alignment --spec {params.spec:q}"
        " --test {input.test:q} --rationales {input.rationales:q}"
        " --plugins {params.plugins:q} --output {output.alignment:q} > {log:q} 2>&1"
