# Rationales of language models: human alignment and faithfulness. `snakemake --cores all` runs the study of config.yaml
# to {results_dir}/report/index.html. The logic is in workflow/rationale_eval, the rules in workflow/rules.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpora.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/finetuning.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/apis.smk"
include: "workflow/rules/rationales.smk"
include: "workflow/rules/faithfulness.smk"
include: "workflow/rules/measures.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/explorer.smk"


if COMPUTE.shards > 1:

    include: "workflow/rules/shards.smk"


rule all:
    default_target: True
    input:
        rules.report_page.output.page,
        rules.report_latex.output,
        rules.report_examples.output,
        rules.report_explorer.output.page,


onerror:
    for message in full_disks([RESULTS, MEMO, plan.config.cache_dir]):
        print(message, file=sys.stderr)
