"""Digests of the code behind each stage, so that an edit re-runs the stages that use it and no others.

Snakemake does not see the modules that a job imports. Each rule therefore has a param ``code``: a digest of the syntax
trees (comments and docstrings left out) of the modules that its stage uses. The lists below are explicit, and a test
compares them with what a job has really imported at its end.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent

# These say how a job starts, speaks and fails, and what it records; no number in a table depends on them.
# Nor on where files of the hub lie: their checksums are in a card, which is an input; nor on how rows are shared out.
UNTRACKED = frozenset(
    {"__init__", "__main__", "errors", "progress", "provenance", "code_digest", "sources/card", "sources/hub"}
    | {"shards", "merge", "models/memory"}
)

_INSTANCES = ("corpora/instances", "tables")
_ASKING = (
    *("models/asking", "models/chat", "models/completion", "models/encoding", "models/loading"),
    *("models/placement", "models/task"),
)
_SCORING = ("models/batching", "models/scoring", *_ASKING)
_VARIANTS = ("memo", "models/variants", *_SCORING)
_SHOTS = ("models/shots", "models/task_input")
_INPUT = ("models/stage_input", *_SHOTS)
_APIS = (
    *("apis/asking", "apis/classification", "apis/client", "apis/labels", "apis/ledger", "apis/request"),
    *("memo", "models/shots", "models/task"),
)
_SELECTING = ("rationales/budgets", "rationales/choices", "rationales/schema")
_REQUESTS = (
    "faithfulness/announcement",
    "faithfulness/curves",
    "faithfulness/inputs",
    "faithfulness/schema",
    "rationales/reference",
)
_ANSWERS = (
    "evidence/schema",
    "faithfulness/answers",
    "faithfulness/schema",
    "rationales/budgets",
    "rationales/schema",
    "tables",
)
_CELLS = (
    *("alignment", "plugins", "evidence/attribution_schema", "evidence/reply_schema", "evidence/schema"),
    *("faithfulness/schema", "report/cells", "report/layout", *_SELECTING, *_INSTANCES),
)

_FLAGS = ("report/cell_flags", "report/completeness", "report/flags", "report/usability")
_INTERVALS = ("statistics/intervals", "statistics/rare", "statistics/resampling")

STAGES: dict[str, tuple[str, ...]] = {
    "fetch": ("fetch",),
    "fetch_url": ("sources/url",),
    "fetch_hub": (),
    "corpus": ("corpora/stage", *_INSTANCES),  # and what the format needs: READERS
    "corpus_card": ("corpora/aggregate", "corpora/agreement", "corpora/card", *_INSTANCES),
    "model": ("models/prepare", "tables"),
    "finetune": (
        "finetuning/adapters",
        "finetuning/course",
        "finetuning/data",
        "finetuning/settings",
        "finetuning/stage",
        "finetuning/state",
        "finetuning/training",
        "finetuning/whole_folder",
        "models/scoring",
        *_ASKING,
        *_SHOTS,
        *_INSTANCES,
    ),
    "evidence": (
        "evidence/attention",
        "evidence/measure",
        "evidence/questions",
        "evidence/schema",
        "evidence/stage",
        "evidence/targets",
        "memo",
        *_INPUT,
        *_INSTANCES,
        *_SCORING,
    ),
    "attributions": (
        "evidence/attention",
        "evidence/attribution_schema",
        "evidence/attributions",
        "evidence/gradient_x_attention",
        "evidence/integrated",
        "evidence/measure",
        "evidence/questions",
        "evidence/schema",
        "evidence/targets",
        "faithfulness/masking",
        *_INPUT,
        *_INSTANCES,
        *_VARIANTS,
    ),
    "replies": (
        "evidence/answers",
        "evidence/asked",
        "evidence/conversations",
        "evidence/list_end",
        "evidence/replies",
        "evidence/reply_schema",
        "evidence/schema",
        "evidence/solved",
        "memo",
        "models/generation",
        "models/slots",
        "models/sampling",
        *_INPUT,
        *_INSTANCES,
        *_SCORING,
    ),
    "prompted": (
        "evidence/reply_schema",
        "rationales/echoes",
        "rationales/prompted",
        "rationales/matching",
        "rationales/replies",
        "rationales/reply_syntax",
        "rationales/schema",
        "rationales/scored_replies",
        "rationales/voting",
        *_INSTANCES,
    ),
    "rationale": (
        "evidence/schema",
        "corpora/rows",
        "evidence/attribution_schema",
        "plugins",
        "rationales/aggregation",
        "rationales/external",
        "rationales/reference",
        "rationales/schema",
        "rationales/stage",
        *_INSTANCES,
    ),
    "alignment": ("alignment", "plugins", *_SELECTING, *_INSTANCES),
    "perturb": (
        "faithfulness/masking",
        "faithfulness/perturb",
        *_REQUESTS,
        *_INPUT,
        *_SELECTING,
        *_INSTANCES,
        *_VARIANTS,
    ),
    "model_api": ("apis/card", "tables"),
    "predictions_api": (
        "apis/answer_schema",
        "apis/predictions",
        "evidence/schema",
        "models/task_input",
        *_APIS,
        *_INSTANCES,
    ),
    "replies_api": (
        "apis/replies",
        "evidence/asked",
        "evidence/conversations",
        "evidence/reply_schema",
        "evidence/schema",
        "evidence/solved",
        "models/task_input",
        *_APIS,
        *_INSTANCES,
    ),
    "perturb_api": (
        "apis/perturb",
        "evidence/schema",
        "faithfulness/masking",
        "models/task_input",
        *_REQUESTS,
        *_APIS,
        *_SELECTING,
        *_INSTANCES,
    ),
    "faithfulness": ("faithfulness/measures", *_ANSWERS),
    "curves": ("faithfulness/curve_stage", "faithfulness/curves", *_ANSWERS),
    "tables": (
        "report/aggregate",
        "report/label_spread",
        "report/measured",
        "report/positions",
        "report/prompting",
        "report/table_files",
        "report/tables",
        "report/trajectory",
        "report/usability",
        "report/validity",
        "report/word_agreement",
        "statistics/comparison",
        *_FLAGS,
        "statistics/labels",
        *_INTERVALS,
        *_CELLS,
    ),
    "claims": (
        "claims/association",
        "claims/contrasts",
        "claims/estimates",
        "claims/ranking",
        "claims/registry",
        "claims/stage",
        "claims/verdicts",
        "report/aggregate",
        "report/measured",
        "report/table_files",
        "report/validity",
        "report/wording",
        "statistics/comparison",
        "statistics/correlation",
        *_FLAGS,
        "statistics/labels",
        *_INTERVALS,
        *_CELLS,
    ),
    "measure_tables": (
        "report/aggregate",
        "report/measure_tables",
        "report/table_files",
        "report/validity",
        "statistics/comparison",
        *_FLAGS,
        "statistics/labels",
        *_INTERVALS,
        *_CELLS,
    ),
    "sensitivity": (
        "report/aggregate",
        "report/conclusions",
        "report/sensitivity",
        "report/table_files",
        "report/validity",
        "statistics/comparison",
        *_FLAGS,
        "statistics/labels",
        *_INTERVALS,
        *_CELLS,
    ),
    "calibration": (
        "report/aggregate",
        "report/calibration",
        "report/table_files",
        "report/validity",
        "statistics/comparison",
        *_FLAGS,
        "statistics/labels",
        *_INTERVALS,
        *_CELLS,
    ),
    "cost": (
        "evidence/schema",
        "rationales/budgets",
        "rationales/schema",
        "report/aggregate",
        "report/cost",
        "report/layout",
        "report/table_files",
        "tables",
        *_INTERVALS,
    ),
    "figures": (
        "report/course_figures",
        "report/drawing",
        "report/figures",
        "report/flags",
        "report/layout",
        "report/marked",
        "report/method_figures",
        "report/wording",
        "rationales/budgets",
        "rationales/schema",
        "tables",
    ),
    "latex": (
        "rationales/budgets",
        "rationales/schema",
        "report/bold",
        "report/conclusions",
        "report/findings",
        "report/flags",
        "report/latex",
        "report/latex_grids",
        "report/latex_short",
        "report/latex_tables",
        "report/layout",
        "report/marked",
        "report/wording",
        "tables",
    ),
    "latex_examples": (
        "report/examples",
        "report/findings",
        "report/flags",
        "report/latex",
        "report/latex_examples",
        "report/marked",
        "report/wording",
        *_CELLS,
    ),
    # The pages' templates, styles and scripts are inputs of their rules.
    "explorer": (
        "report/explorer",
        "report/explorer_cell",
        "report/explorer_corpus",
        "report/explorer_pack",
        "report/explorer_words",
        "report/marked",
        "report/wording",
        *_CELLS,
    ),
    "page": (
        "claims/registry",
        "claims/verdicts",
        "models/task",
        "report/aggregate",
        "report/asking_tables",
        "report/bold",
        "report/calibration_html",
        "report/cards",
        "report/comparisons",
        "report/conclusions",
        "report/cost_html",
        "report/examples",
        "report/findings",
        "report/html_tables",
        "report/marked",
        "report/measured",
        "report/measure_html",
        "report/page",
        "report/positions_html",
        "report/prompting",
        "report/record",
        "report/validity",
        "report/wording",
        "statistics/comparison",
        "statistics/labels",
        *_FLAGS,
        *_INTERVALS,
        *_CELLS,
    ),
}

_FILES = ("corpora/aggregate", "corpora/archive", "corpora/containers", "corpora/rows")
# What the stage ``corpus`` uses besides, by the format of the corpus.
READERS: dict[str, tuple[str, ...]] = {
    "rated_snippets": ("corpora/archive", "corpora/containers", "corpora/rated_snippets"),
    "planted": ("corpora/planted",),
    "esnli": ("corpora/esnli", *_FILES),
    "eraser": ("corpora/archive", "corpora/containers", "corpora/eraser", "corpora/rows", "corpora/treebank"),
    "medical_bios": ("corpora/archive", "corpora/containers", "corpora/medical_bios", "corpora/rows"),
    "table": ("corpora/marks", "corpora/table", *_FILES),
}

_MEASURING = ("evidence/attention", "evidence/measure", "evidence/targets")
# What a stored result depends on. Less than the stage: how words are chosen or masked shows in the input itself, which
# is the other part of the memo's key.
MEMO = {
    "evidence": (*_MEASURING, *_SCORING),
    "replies": ("evidence/list_end", "models/generation", "models/slots", "models/sampling", *_SCORING),
    "attributions": ("evidence/gradient_x_attention", "evidence/integrated", *_MEASURING, *_SCORING),
    "perturb": ("models/variants", *_SCORING),
}


class _WithoutDocstrings(ast.NodeTransformer):
    def _strip(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = node.body  # type: ignore[attr-defined]
        first = body[0].value if body and isinstance(body[0], ast.Expr) else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            node.body = body[1:]  # type: ignore[attr-defined]
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _strip  # noqa: N815


@cache
def _module(name: str) -> str:
    source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
    return ast.dump(_WithoutDocstrings().visit(ast.parse(source)))


def _digest(modules: tuple[str, ...]) -> str:
    text = "\n".join(f"{name} {_module(name)}" for name in sorted(set(modules)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stage_code(stage: str, reader: str | None = None) -> str:
    """The digest of the code that ``stage`` uses; changes with the code, not with comments or docstrings.

    ``reader`` is the format of the corpus that the stage ``corpus`` reads; None if a plugin reads it.
    """
    needs = ("plugins",) if reader is None else READERS[reader]
    return _digest(STAGES[stage] + (needs if stage == "corpus" else ()))


def memo_code(stage: str) -> str:
    """The digest of the code that computes what ``stage`` stores in the memo."""
    return _digest(MEMO[stage])
