"""What a person sees who makes a mistake: one message that says where, and nothing started or half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import CELL, Workspace

CONFIG_FAULTS = {
    "misspelt key": (
        "config.yaml",
        "operator: replace # or",
        "opertor: replace # or",
        "perturbation.opertor: unknown key; did you mean",
    ),
    "corpus that is not there": (
        "configs/smoke.yaml",
        "corpora: [smoke_sentences]",
        "corpora: [smoke_sentence]",
        "study.corpora[0]: 'smoke_sentence' is not in `corpora`; did you mean 'smoke_sentences'?",
    ),
    "negative threshold": (
        "config.yaml",
        "min_word_rating: 1.0",
        "min_word_rating: -1.0",
        "corpora.movie_reviews.min_word_rating: input should be greater than 0 (it is -1.0)",
    ),
    "method without its evidence": (
        "configs/smoke.yaml",
        "dtype: float32",
        "dtype: float32\n    evidence: [gradients]",
        "study.methods[2]: 'attention_rollout' needs attention, which model 'tiny-llama' cannot give",
    ),
    "main budget that is not run": (
        "config.yaml",
        "main_budget: top_var",
        "main_budget: top",
        "study.main_budget: 'top'",
    ),
    "prompt file that is not there": (
        "config.yaml",
        "prompts: workflow/prompts/sentiment.yaml",
        "prompts: workflow/prompts/sentimant.yaml",
        "workflow/prompts/sentimant.yaml: there is no such prompt file",
    ),
    "prompt without its field": (
        "workflow/prompts/sentiment.yaml",
        "Text: {text}",
        "Text: {txt}",
        "workflow/prompts/sentiment.yaml: classify must use each of ['text'] once as {name}, and may use "
        "{labels}; it uses ['txt']",
    ),
}


@pytest.mark.parametrize("fault", CONFIG_FAULTS)
def test_a_fault_in_the_configuration_stops_before_any_job(fault: str, fresh: Workspace, tmp_path: Path) -> None:
    path, old, new, message = CONFIG_FAULTS[fault]
    workspace = fresh.copy(tmp_path / "project")
    workspace.edit(path, old, new)
    done = workspace.try_snakemake()
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.strip().splitlines()) <= 7  # four corpora share one anchor
    assert not (workspace.folder / "results-smoke").exists()


def test_another_working_folder_than_the_projects_is_told(fresh: Workspace, tmp_path: Path) -> None:
    done = fresh.try_snakemake("-n", "-d", str(tmp_path))
    assert done.returncode != 0
    place = f"(all paths are relative to {tmp_path}, not to the Snakefile)"
    assert (
        "error: there is no config.yaml; run Snakemake in the folder of the project, or link its files" in done.stdout
    )
    assert place in done.stdout
    (tmp_path / "config.yaml").write_text((fresh.folder / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    done = fresh.try_snakemake("-n", "-d", str(tmp_path))
    assert f"error: workflow/prompts/sentiment.yaml: there is no such prompt file {place}" in done.stdout
    assert "Traceback" not in done.stdout


DATA_FAULTS = {
    "rating that is no number": ("smoke/corpus/snippets.tsv", "1\t", "1\tx", "snippets.tsv: line 1: the rating 'x"),
    "too few rows": (
        "configs/smoke.yaml",
        "test_rows: 12",
        "test_rows: 1200",
        "corpora.smoke_sentences.test_rows: 1200 rows were asked for",
    ),
    "label without verbaliser": (
        "workflow/prompts/sentiment.yaml",
        "  negative: negative",
        "  bad: negative",
        "has the label 'negative', which the prompt file does not verbalise",
    ),
}


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_a_fault_in_the_data_is_shown_from_the_failed_job(fault: str, fresh: Workspace, tmp_path: Path) -> None:
    path, old, new, message = DATA_FAULTS[fault]
    workspace = fresh.copy(tmp_path / "project")
    text = (workspace.folder / path).read_text(encoding="utf-8")
    (workspace.folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")
    done = workspace.try_snakemake("--", f"{CELL}/predictions.parquet")
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not (workspace.folder / f"{CELL}/predictions.parquet").exists()


def test_weights_other_than_safetensors_are_refused(fresh: Workspace, tmp_path: Path) -> None:
    workspace = fresh.copy(tmp_path / "project")
    weights = workspace.folder / "smoke/model/model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    done = workspace.try_snakemake("--", "results-smoke/models/tiny-llama/card.json")
    assert done.returncode != 0
    assert "the weights are pickles (pytorch_model.bin), which can run code and are not loaded" in done.stdout
    assert "Traceback" not in done.stdout
