# What a paper takes over: the report's tables and some examples as LaTeX. The figures as PDF come with the others.
LATEX_TABLES = {
    "accuracy": "accuracy and collapse",
    "labels": "predicted labels",
    "alignment": "alignment",
    "faithfulness": "faithfulness to the model",
    "splits": "by outcome",
    "prompting": "replies and how they were read",
    "agreement": "agreement of ways of asking",
    "completeness": "completeness of integrated gradients",
    "positions": "positions of chosen words",
    "trajectory": "checkpoints",
    "faithfulness_curves": "faithfulness of orders of words",
    "faithfulness_normalised": "faithfulness against random words",
    "claims": "claims of the paper",
    "cost": "time and memory",
}
if plan.study.operators:
    LATEX_TABLES["sensitivity"] = "sensitivity to the operator"
if plan.planted_cells:
    LATEX_TABLES |= {
        "calibration": "calibration on known truth",
        "calibration_ranks": "calibration of faithfulness measures",
    }


rule report_latex:
    input:
        tables=expand(f"{REPORT}/tables/{{table}}.parquet", table=LATEX_TABLES),
        claims=rules.claims.output.claims,
    output:
        [
            report(
                f"{REPORT}/tables/{table}.tex",
                caption="../report/latex_tables.rst",
                category="For the paper",
                labels={"what": title, "kind": "table (LaTeX)"},
            )
            for table, title in LATEX_TABLES.items()
        ],
    log:
        f"{RESULTS}/logs/report/latex.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/latex.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.latex(list(LATEX_TABLES))),
        code=stage_code("latex"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval latex --spec {params.spec:q} --tables {params.results:q}/report/tables"
        " --claims {input.claims:q} --output {params.results:q}/report/tables > {log:q} 2>&1"


rule report_examples:
    input:
        alignment_table=f"{REPORT}/tables/alignment.parquet",
        predictions=cells("predictions.parquet"),
        rationales=rules.report_tables.input.rationales,
        tests=expand(f"{RESULTS}/corpora/{{corpus}}/test.parquet", corpus=plan.study.corpora),
        corpus_cards=CORPUS_CARDS,
    output:
        examples=report(
            f"{REPORT}/examples.tex",
            caption="../report/latex_examples.rst",
            category="For the paper",
            labels={"what": "coloured example sentences", "kind": "examples (LaTeX)"},
        ),
    log:
        f"{RESULTS}/logs/report/examples.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/examples.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.latex_examples()),
        code=stage_code("latex_examples"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval latex_examples --spec {params.spec:q} --results {params.results:q}"
        " --tables {params.results:q}/report/tables --output {output.examples:q} > {log:q} 2>&1"
