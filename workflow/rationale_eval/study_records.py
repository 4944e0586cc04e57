"""What each table of a study should have been made from, beside what it says itself.

Snakemake keeps its records of jobs below ``.snakemake``, by the path of each output. Where they are lost (the folder
was deleted against a stale lock, or results were carried to another machine without it) an edited configuration goes
unnoticed there. But every table holds the slice of the configuration that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan
from rationale_eval.study_cells import Cell, epoch_name
from rationale_eval.study_unfinished import METADATA, record_path
from rationale_eval.tables import read_provenance

# Options of Snakemake with which a run is about the records themselves, or makes anew what it is told to.
FORCING = {"--forcerun", "-R", "--forceall", "-F", "--force", "-f", "--touch", "-t", "--unlock", "--lint", "--list"}
FORCING |= {"--cleanup-metadata", "--cm", "--delete-all-output", "--summary", "--detailed-summary", "--archive"}
# Rules of which there is another for each shard.
SHARDED = ("evidence", "attributions", "replies", "perturb", "perturb_otherwise")


@dataclass(frozen=True)
class Made:
    """A file of results, the rule that makes it, and the JSON text of the slice that it should have been made from."""

    path: Path
    rule: str
    spec: Callable[[], str]

    def agrees(self, record: dict[str, Any] | None) -> bool:
        """Whether ``record``, of ``record_of`` this file, is of that slice; True for one that says nothing."""
        stored = spec_of(record or {})
        return stored is None or stored == json.loads(self.spec())


def record_of(path: Path) -> dict[str, Any] | None:
    """What a file of results says it was made from: its provenance, or a card itself; None if it cannot be read."""
    try:
        found = read_provenance(path) if path.suffix == ".parquet" else json.loads(path.read_text(encoding="utf-8"))
    except (UserError, OSError, ValueError):
        return None
    record = found.get("provenance", found) if isinstance(found, dict) else {}
    return record if isinstance(record, dict) else {}


def spec_of(record: dict[str, Any]) -> Any:
    """The slice of the configuration that a record names; None if it names none."""
    if "spec" not in record and {"name", "source"} <= record.keys():
        # The card of a model.
        return {"name": record["name"], "source": record["source"]}
    return record.get("spec")


def expected(plan: StudyPlan) -> Iterator[Made]:
    """The files of a study that say what they were made from, whether they are there or not."""
    results, study = Path(plan.config.results_dir), plan.study
    for corpus in study.corpora:
        for side in ("train", "test"):
            yield Made(results / f"corpora/{corpus}/{side}.parquet", "corpus", partial(plan.corpus, corpus, side))
    for model in study.models:
        rule = "model_api" if model in plan.apis else "model"
        yield Made(results / f"models/{model}/card.json", rule, partial(plan.model, model))
    for cell in plan.cells:
        yield from _of_cell(plan, cell, results / cell.path)
    for corpus, model, checkpoint in _checkpoints(plan):
        card = results / f"{corpus}/{model}/checkpoints/{checkpoint}/card.json"
        yield Made(card, "finetune", partial(plan.finetuning, corpus, model))
    yield Made(results / "report/tables/alignment.parquet", "report_tables", plan.report.tables)
    yield Made(results / "report/claims.json", "claims", plan.report.claims)


def _checkpoints(plan: StudyPlan) -> Iterator[tuple[str, str, str]]:
    """Those of the study and all that they go on from."""
    for corpus in plan.study.corpora:
        for model in plan.study.models:
            if model in plan.opened:
                for epoch in range(1, max(plan.study.epochs(corpus), default=0) + 1):
                    for seed in plan.study.seeds:
                        yield corpus, model, epoch_name(epoch, seed)


def _of_cell(plan: StudyPlan, cell: Cell, folder: Path) -> Iterator[Made]:
    corpus, model = cell.corpus, cell.model
    behind_api = model in plan.apis

    def by(rule: str) -> str:
        return f"{rule}_api" if behind_api else rule

    def table(name: str, rule: str, spec: Callable[[], str]) -> Made:
        return Made(folder / f"{name}.parquet", rule, spec)

    if behind_api:
        yield table("predictions", "predictions_api", partial(plan.predictions, corpus, model))
    else:
        for name in ("predictions", "evidence/gradients", "evidence/attention"):
            yield table(name, "evidence", partial(plan.evidence, corpus, model))
    for method in plan.study.methods_on(corpus):
        if method in plan.prompted:
            replies = partial(plan.replies, corpus, model, method)
            yield table(f"evidence/replies/{method}", by("replies"), replies)
            yield table(f"rationales/{method}", "prompted_rationale", partial(plan.reading, corpus, method))
            continue
        yield table(f"rationales/{method}", "rationale", partial(plan.method, method, model))
        if plan.available(method, model) and (read := plan.attribution_table(method)):
            spec = partial(plan.attributions, corpus, model, read)
            yield table(f"evidence/attributions/{read}", "attributions", spec)
    yield table("alignment", "alignment", partial(plan.alignment, corpus))
    yield table("perturbations", by("perturb"), partial(plan.perturbation, corpus, model))
    yield table("curves", "curves", partial(plan.curves, corpus, model))
    for operator in plan.study.operators:
        spec = partial(plan.perturbation, corpus, model, operator)
        yield table(f"perturbations/{operator}", f"{by('perturb')}_otherwise", spec)


def is_recorded(path: Path) -> bool:
    """Whether Snakemake has a record of the job that made ``path``."""
    return record_path(METADATA, path).exists()


def stale_unrecorded(plan: StudyPlan) -> list[Made]:
    """The files of a study that were made from another configuration, and of which Snakemake has no record."""
    known = METADATA.is_dir()
    there = (made for made in expected(plan) if made.path.exists())
    unknown = (made for made in there if not (known and is_recorded(made.path)))
    return [made for made in unknown if not made.agrees(record_of(made.path))]


def rules_of(found: Iterable[Made], shards: int = 1) -> str:
    """The rules that make these files, for ``--forcerun``; in ``shards`` the models' are made by other ones."""
    names = {made.rule for made in found}
    return " ".join(sorted(f"{name}_shard" if shards > 1 and name in SHARDED else name for name in names))


def message(found: list[Made], shards: int = 1) -> str:
    """What is said of files as ``stale_unrecorded`` finds them."""
    return (
        f"{len(found)} files of results were made from another configuration, such as {found[0].path}, and Snakemake "
        f"has no record of it (was .snakemake deleted, or not carried along?). To make them anew, with what memo_dir "
        f"holds, add to the command: --forcerun {rules_of(found, shards)}. To keep them, set another results_dir"
    )
