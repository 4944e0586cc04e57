# What the jobs took. Snakemake's records of them are no outputs that rules could ask for, so the tables of all cells are
# the inputs: once they are there, so are the records.
rule cost:
    input:
        predictions=cells("predictions.parquet"),
        rationales=[
            table for cell in plan.cells for table in tables_of(cell, "rationales", plan.study.methods_on(cell.corpus))
        ],
        alignment=cells("alignment.parquet"),
        faithfulness=cells("faithfulness.parquet"),
        curves=cells("curves.parquet"),
        otherwise=by_operators("faithfulness"),
    output:
        parquet=f"{RESULTS}/report/tables/cost.parquet",
        table=report(
            f"{RESULTS}/report/tables/cost.csv",
            caption="../report/cost_table.rst",
            category="Tables",
            labels={"table": "time and memory"},
        ),
    log:
        f"{RESULTS}/logs/report/cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/cost.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.cost()),
        code=stage_code("cost"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval cost --spec {params.spec:q} --results {params.results:q}"
        " --output {params.results:q}/report/tables > {log:q} 2>&1"
