# One epoch in, one epoch out: each epoch is a job and a checkpoint, and goes on from the one before. The card, which is
# written last and holds the checksum of the weights, stands for the whole folder: Snakemake knows a file by its content,
# but a folder by its time alone, which a copy of the project changes.


rule finetune:
    input:
        train=f"{RESULTS}/corpora/{{corpus}}/train.parquet",
        model=f"{RESULTS}/models/{{model}}/card.json",
        previous=previous_checkpoint,
    output:
        card=f"{RESULTS}/{{corpus}}/{{model}}/checkpoints/epoch-{{epoch}}-seed-{{seed}}/card.json",
    log:
        f"{RESULTS}/logs/{{corpus}}/{{model}}/checkpoints/epoch-{{epoch}}-seed-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{corpus}}/{{model}}/checkpoints/epoch-{{epoch}}-seed-{{seed}}.tsv"
    wildcard_constraints:
        model=one_of(plan.opened),
        epoch=r"\d\d+",
        seed=r"\d+",
    conda:
        "../../envs/gpu.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=lambda wildcards: plan.opened[wildcards.model].gpus,
        mem_mb=lambda wildcards, attempt: COMPUTE.mem_mb * attempt,
        runtime=lambda wildcards, attempt: COMPUTE.runtime * attempt,
        # As a resource, since an edit of a resource re-runs nothing.
        save_steps=plan.config.finetuning.save_steps or 0,
    params:
        spec=lambda wildcards: plan.finetuning(wildcards.corpus, wildcards.model),
        code=stage_code("finetune"),
    shell:
        "python -m rationale_eval finetune --spec {params.spec:q}"
        " --train {input.train:q} --model {input.model:q} --gpus {resources.gpu}"
        " --seed {wildcards.seed} --epoch {wildcards.epoch} --previous {input.previous:q}"
        " --save-steps {resources.save_steps}"
        " --output {output.card:q} > {log:q} 2>&1"
