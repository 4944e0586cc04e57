"""The smoke study from nothing to its report, and what its jobs load."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rationale_eval.code_digest import UNTRACKED
from rationale_eval.code_digest import modules_of as tracked_of
from rationale_eval.stages import STAGES

from .conftest import CELL, ROOT, Workspace

pytestmark = pytest.mark.xdist_group("finished")

WITH_MODEL = {"finetune", "evidence", "attributions", "replies", "perturb"}
DOWNLOADS = {"fetch", "fetch_url", "fetch_hub"}  # nothing of the smoke study comes from elsewhere
APIS = {"model_api", "predictions_api", "replies_api", "perturb_api"}  # test_apis.py runs these
PLANTED = {"calibration"}  # test_planted.py runs it
OTHERS = {"merge", "estimate", "check", "schema"}  # of shards, and for people
RUN_BY_SMOKE = set(STAGES) - DOWNLOADS - APIS - PLANTED - OTHERS


def test_the_run_ends_in_a_report_with_every_part(finished: Workspace) -> None:
    results = finished.folder / "results-smoke"
    for name in ("index.html", "tables/alignment.csv", "tables/faithfulness.parquet", "figures/alignment.svg"):
        assert (results / "report" / name).stat().st_size > 0
    page = (results / "report/index.html").read_text(encoding="utf-8")
    for expected in ("smoke_sentences", "tiny-llama", "saliency_l2", "Words of a made-up lexicon."):
        assert expected in page


def test_logs_and_benchmarks_mirror_the_results(finished: Workspace) -> None:
    results = finished.folder / "results-smoke"
    cell = CELL.removeprefix("results-smoke/")
    for step in ("evidence", "perturb", "alignment", "faithfulness", "rationales/saliency_l2"):
        assert (results / "logs" / cell / f"{step}.log").exists()
        assert (results / "benchmarks" / cell / f"{step}.tsv").exists()
    log = (results / "logs" / cell / "perturb.log").read_text()
    assert re.search(r"perturb: \d+/\d+ inputs, [\d.]+ inputs/s, .* elapsed, .* left", log)


@pytest.mark.parametrize("stage", sorted(RUN_BY_SMOKE))
def test_the_digest_covers_what_the_stage_imports(
    stage: str, finished: Workspace, modules_of: Callable[[str], set[str]]
) -> None:
    """A module that the digest leaves out would leave stale results; one too many would re-run what need not."""
    prefix = "rationale_eval."
    imported = {name.removeprefix(prefix).replace(".", "/") for name in modules_of(stage) if name.startswith(prefix)}
    packages = {name for name in imported if (ROOT / "workflow/rationale_eval" / name / "__init__.py").exists()}
    reader = "rated_snippets" if stage == "corpus" else None
    assert imported - packages - UNTRACKED == tracked_of(stage, reader)


@pytest.mark.parametrize("stage", sorted(RUN_BY_SMOKE - WITH_MODEL))
def test_stages_on_the_cpu_do_not_load_torch(
    stage: str, finished: Workspace, modules_of: Callable[[str], set[str]]
) -> None:
    heavy = {"torch", "transformers"}
    if stage in ("rationale", "prompted", "alignment", "faithfulness"):
        heavy |= {"scipy", "matplotlib"}  # pandas comes with pyarrow, where it is installed
    assert not heavy & modules_of(stage)


@pytest.mark.parametrize("stage", sorted(RUN_BY_SMOKE))
def test_no_stage_loads_the_configuration(
    stage: str, finished: Workspace, modules_of: Callable[[str], set[str]]
) -> None:
    """It would make every report option part of every model job's code."""
    assert not {"rationale_eval.config", "rationale_eval.study", "pydantic"} & modules_of(stage)


@pytest.mark.parametrize("rule", ["rationale", "alignment"])
def test_light_jobs_start_fast(rule: str, study: Workspace) -> None:
    target = {"rationale": f"{CELL}/rationales/saliency_l2.parquet", "alignment": f"{CELL}/alignment.parquet"}[rule]
    printed = study.snakemake("-n", "-p", "--forcerun", rule, "--allowed-rules", rule, "--", target)
    command = re.search(r"Shell command: (python -m rationale_eval .*)", printed)
    assert command
    seconds = []
    for _ in range(3):  # the machine may be busy with other tests: the best of three is what the job needs
        start = time.monotonic()
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": "workflow"}
        subprocess.run(["bash", "-c", command[1]], cwd=study.folder, env=environment, check=True)
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 1.5


def test_snakemakes_own_report_holds_tables_and_figures(study: Workspace) -> None:
    study.snakemake("--report", "report.zip")
    with zipfile.ZipFile(study.folder / "report.zip") as archive:
        names = archive.namelist()
    for expected in ("alignment.png", "faithfulness.pdf", "accuracy.csv", "claims.tex", "examples.tex"):
        assert any(name.endswith(expected) for name in names), names


def test_a_run_leaves_no_temporary_file(finished: Workspace) -> None:
    assert not list((finished.folder / "results-smoke").rglob("*.partial"))
