# Further tables of the report: orders of words and normalised measures, and the sensitivity to the operator.
MEASURE_TABLES = ["faithfulness_curves", "faithfulness_normalised"]


rule measure_tables:
    input:
        predictions=cells("predictions.parquet"),
        flags=flag_tables(),
        faithfulness=cells("faithfulness.parquet"),
        curves=cells("curves.parquet"),
    output:
        parquet=expand(f"{RESULTS}/report/tables/{{table}}.parquet", table=MEASURE_TABLES),
        curves=report(
            f"{RESULTS}/report/tables/faithfulness_curves.csv",
            caption="../report/faithfulness_curves_table.rst",
            category="Tables",
            labels={"table": "faithfulness of orders of words"},
        ),
        normalised=report(
            f"{RESULTS}/report/tables/faithfulness_normalised.csv",
            caption="../report/faithfulness_normalised_table.rst",
            category="Tables",
            labels={"table": "faithfulness against random words"},
        ),
    log:
        f"{RESULTS}/logs/report/measure_tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/measure_tables.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.measure_tables()),
        code=stage_code("measure_tables"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval measure_tables --spec {params.spec:q} --results {params.results:q}"
        " --output {params.results:q}/report/tables > {log:q} 2>&1"


rule sensitivity:
    input:
        predictions=cells("predictions.parquet"),
        flags=flag_tables(),
        faithfulness=cells("faithfulness.parquet"),
        otherwise=by_operators("faithfulness"),
    output:
        parquet=f"{RESULTS}/report/tables/sensitivity.parquet",
        table=report(
            f"{RESULTS}/report/tables/sensitivity.csv",
            caption="../report/sensitivity_table.rst",
            category="Tables",
            labels={"table": "sensitivity to the operator"},
        ),
    log:
        f"{RESULTS}/logs/report/sensitivity.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/sensitivity.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.sensitivity()),
        code=stage_code("sensitivity"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval sensitivity --spec {params.spec:q} --results {params.results:q}"
        " --output {params.results:q}/report/tables > {log:q} 2>&1"
