# Every instance of the study with every method's words, in one page of its own.
EXPLORER_PARTS = sorted(
    os.path.relpath(path) for path in (WORKFLOW / "rationale_eval/report").glob("explorer*") if path.suffix != ".py"
)


rule report_explorer:
    input:
        predictions=cells("predictions.parquet"),
        alignment=cells("alignment.parquet"),
        perturbations=cells("perturbations.parquet"),
        faithfulness=cells("faithfulness.parquet"),
        rationales=rules.report_tables.input.rationales,
        replies=rules.report_tables.input.replies,
        readings=rules.report_tables.input.readings,
        tests=rules.report_page.input.tests,
        corpus_cards=CORPUS_CARDS,
        parts=EXPLORER_PARTS,
    output:
        page=report(
            f"{REPORT}/explorer.html",
            caption="../report/explorer.rst",
            category="Report",
            labels={"page": "every instance with every method's words"},
        ),
    log:
        f"{RESULTS}/logs/report/explorer.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/explorer.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.explorer()),
        code=stage_code("explorer"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval explorer --spec {params.spec:q} --results {params.results:q}"
        " --output {output.page:q} > {log:q} 2>&1"
