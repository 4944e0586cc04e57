# The study's cells together: tables, figures, page.
REPORT = f"{RESULTS}/report"
REPORT_TABLES = [
    "accuracy",
    "labels",
    "alignment",
    "faithfulness",
    "splits",
    "prompting",
    "agreement",
    "completeness",
    "positions",
    "trajectory",
]
# Where the study has a planted corpus.
CALIBRATION_TABLES = ["calibration", "calibration_ranks"]
MEASURED = ["predictions", "alignment", "faithfulness"]
PARTS = ["calibration", "cards", "claims", "cost", "examples", "flow", "measures", "page", "reading", "run"]
TEMPLATES = [f"{name}.html.j2" for name in PARTS]
REPORT_FIGURES = {
    "alignment": "alignment",
    "faithfulness": "faithfulness to the model",
    "matched": "prompting and attribution at equal sizes",
    "trajectory": "checkpoints",
    "collapse": "flip rate against accuracy and collapse",
}
RATIONALES = [
    table for cell in plan.cells for table in tables_of(cell, "rationales", plan.study.methods_on(cell.corpus))
]
REPLIES = [table for cell in plan.cells for table in tables_of(cell, "evidence/replies", asked_on(cell))]
CORPUS_CARDS = expand(f"{RESULTS}/corpora/{{corpus}}/card.json", corpus=plan.study.corpora)


rule report_tables:
    input:
        predictions=cells("predictions.parquet"),
        rationales=RATIONALES,
        replies=REPLIES,
        readings=[table for cell in plan.cells for table in tables_of(cell, "evidence/readings", asked_on(cell))],
        flags=flag_tables(),
        alignment=cells("alignment.parquet"),
        faithfulness=cells("faithfulness.parquet"),
        tests=expand(f"{RESULTS}/corpora/{{corpus}}/test.parquet", corpus=plan.study.corpora),
    output:
        parquet=expand(f"{REPORT}/tables/{{table}}.parquet", table=REPORT_TABLES),
        accuracy=report(
            f"{REPORT}/tables/accuracy.csv",
            caption="../report/accuracy_table.rst",
            category="Tables",
            labels={"table": "accuracy and collapse"},
        ),
        labels=report(
            f"{REPORT}/tables/labels.csv",
            caption="../report/labels_table.rst",
            category="Tables",
            labels={"table": "predicted labels"},
        ),
        alignment=report(
            f"{REPORT}/tables/alignment.csv",
            caption="../report/alignment_table.rst",
            category="Tables",
            labels={"table": "alignment"},
        ),
        faithfulness=report(
            f"{REPORT}/tables/faithfulness.csv",
            caption="../report/faithfulness_table.rst",
            category="Tables",
            labels={"table": "faithfulness to the model"},
        ),
        splits=report(
            f"{REPORT}/tables/splits.csv",
            caption="../report/splits_table.rst",
            category="Tables",
            labels={"table": "by outcome, label and length"},
        ),
        prompting=report(
            f"{REPORT}/tables/prompting.csv",
            caption="../report/prompting_table.rst",
            category="Tables",
            labels={"table": "replies and how they were read"},
        ),
        agreement=report(
            f"{REPORT}/tables/agreement.csv",
            caption="../report/agreement_table.rst",
            category="Tables",
            labels={"table": "agreement of ways of asking"},
        ),
        completeness=report(
            f"{REPORT}/tables/completeness.csv",
            caption="../report/completeness_table.rst",
            category="Tables",
            labels={"table": "completeness of integrated gradients"},
        ),
        positions=report(
            f"{REPORT}/tables/positions.csv",
            caption="../report/positions_table.rst",
            category="Tables",
            labels={"table": "positions of chosen words"},
        ),
        trajectory=report(
            f"{REPORT}/tables/trajectory.csv",
            caption="../report/trajectory_table.rst",
            category="Tables",
            labels={"table": "checkpoints"},
        ),
    log:
        f"{RESULTS}/logs/report/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/tables.tsv"
    priority: 1  # on the longest way through the report: tables, figures, page
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.tables()),
        code=stage_code("tables"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval tables --spec {params.spec:q} --results {params.results:q}"
        " --output {params.results:q}/report/tables > {log:q} 2>&1"


rule report_calibration:
    input:
        tests=[f"{RESULTS}/corpora/{cell.corpus}/test.parquet" for cell in plan.planted_cells],
        cells=[f"{RESULTS}/{cell.path}/{table}.parquet" for cell in plan.planted_cells for table in MEASURED],
        flags=flag_tables(plan.planted_cells),
        rationales=[
            table
            for cell in plan.planted_cells
            for table in tables_of(cell, "rationales", plan.study.methods_on(cell.corpus))
        ],
    output:
        parquet=expand(f"{REPORT}/tables/{{table}}.parquet", table=CALIBRATION_TABLES),
        calibration=report(
            f"{REPORT}/tables/calibration.csv",
            caption="../report/calibration_table.rst",
            category="Tables",
            labels={"table": "calibration on known truth"},
        ),
        ranks=report(
            f"{REPORT}/tables/calibration_ranks.csv",
            caption="../report/calibration_table.rst",
            category="Tables",
            labels={"table": "calibration of faithfulness measures"},
        ),
    log:
        f"{RESULTS}/logs/report/calibration.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/calibration.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.calibration()),
        code=stage_code("calibration"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval calibration --spec {params.spec:q} --results {params.results:q}"
        " --output {params.results:q}/report/tables > {log:q} 2>&1"


rule claims:
    input:
        predictions=cells("predictions.parquet"),
        flags=flag_tables(),
        alignment=cells("alignment.parquet"),
        faithfulness=cells("faithfulness.parquet"),
    output:
        claims=f"{REPORT}/claims.json",
        parquet=f"{REPORT}/tables/claims.parquet",
        table=report(
            f"{REPORT}/tables/claims.csv",
            caption="../report/claims_table.rst",
            category="Tables",
            labels={"table": "claims of the paper"},
        ),
    log:
        f"{RESULTS}/logs/report/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/claims.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.claims()),
        code=stage_code("claims"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval claims --spec {params.spec:q} --results {params.results:q}"
        " --tables {params.results:q}/report/tables --output {output.claims:q} > {log:q} 2>&1"


rule report_figures:
    input:
        tables=rules.report_tables.output.parquet,
        corpus_cards=CORPUS_CARDS,
    output:
        svg=expand(f"{REPORT}/figures/{{figure}}.svg", figure=REPORT_FIGURES),
        pdf=[
            report(
                f"{REPORT}/figures/{figure}.pdf",
                caption=f"../report/{figure}_figure.rst",
                category="For the paper",
                labels={"what": title, "kind": "figure (PDF)"},
            )
            for figure, title in REPORT_FIGURES.items()
        ],
        alignment=report(
            f"{REPORT}/figures/alignment.png",
            caption="../report/alignment_figure.rst",
            category="Figures",
            labels={"figure": "alignment"},
        ),
        faithfulness=report(
            f"{REPORT}/figures/faithfulness.png",
            caption="../report/faithfulness_figure.rst",
            category="Figures",
            labels={"figure": "faithfulness to the model"},
        ),
        matched=report(
            f"{REPORT}/figures/matched.png",
            caption="../report/matched_figure.rst",
            category="Figures",
            labels={"figure": "prompting and attribution at equal sizes"},
        ),
        trajectory=report(
            f"{REPORT}/figures/trajectory.png",
            caption="../report/trajectory_figure.rst",
            category="Figures",
            labels={"figure": "checkpoints"},
        ),
        collapse=report(
            f"{REPORT}/figures/collapse.png",
            caption="../report/collapse_figure.rst",
            category="Figures",
            labels={"figure": "flip rate against accuracy and collapse"},
        ),
    log:
        f"{RESULTS}/logs/report/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/figures.tsv"
    priority: 1
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.figures()),
        code=stage_code("figures"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval figures --spec {params.spec:q} --results {params.results:q}"
        " --tables {params.results:q}/report/tables --output {params.results:q}/report/figures > {log:q} 2>&1"


rule report_page:
    input:
        tables=rules.report_tables.output.parquet,
        figures=rules.report_figures.output.svg,
        claims=rules.claims.output.claims,
        claims_table=[rules.claims.output.parquet, rules.claims.output.table],
        predictions=cells("predictions.parquet"),
        alignment=cells("alignment.parquet"),
        perturbations=cells("perturbations.parquet"),
        measures=rules.measure_tables.output.parquet,
        curves=cells("curves.parquet"),
        cost=rules.cost.output.parquet,
        calibration=rules.report_calibration.output.parquet if plan.planted_cells else [],
        otherwise=[rules.sensitivity.output.parquet, *by_operators("perturbations")] if plan.study.operators else [],
        faithfulness=cells("faithfulness.parquet"),
        # Functions: where a rule names others' outputs, Snakemake hashes a whole list for each of its items.
        rationales=lambda wildcards: RATIONALES,
        replies=lambda wildcards: REPLIES,
        tests=expand(f"{RESULTS}/corpora/{{corpus}}/test.parquet", corpus=plan.study.corpora),
        explorer=f"{REPORT}/explorer.html",  # the page links to it, and to the next two
        latex=lambda wildcards: [f"{REPORT}/tables/{table}.tex" for table in LATEX_TABLES],
        examples=f"{REPORT}/examples.tex",
        corpus_cards=CORPUS_CARDS,
        model_cards=expand(f"{RESULTS}/models/{{model}}/card.json", model=plan.study.models),
        template=[os.path.relpath(WORKFLOW / "rationale_eval/report" / name) for name in (*TEMPLATES, "style.css")],
    output:
        page=report(
            f"{REPORT}/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "the study on one page"},
        ),
    log:
        f"{RESULTS}/logs/report/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/page.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=lambda wildcards: slice_of_report(plan.report.page()),
        code=stage_code("page"),
        results=lambda wildcards: RESULTS,
    shell:
        "python -m rationale_eval page --spec {params.spec:q} --results {params.results:q}"
        " --tables {params.results:q}/report/tables --figures {params.results:q}/report/figures"
        " --claims {input.claims:q} --output {output.page:q} > {log:q} 2>&1"
