"""Only what an edit changes runs again: on the smoke study, with Snakemake itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rationale_eval.tables import read_provenance

from .conftest import CELL, Workspace

pytestmark = pytest.mark.xdist_group("finished")

# The smoke study: two checkpoints (base, epoch 1); three attribution methods, two prompted ones, three reference rows.
PAPER = {"report_latex": 1, "report_examples": 1}
COMPARED = {"report_tables": 1, "claims": 1, "report_figures": 1, "report_page": 1, **PAPER}
REPORT = {"cost": 1, "report_explorer": 1, **COMPARED}
MASKED = {"perturb": 1, "faithfulness": 1, "curves": 1, "measure_tables": 1}  # of one checkpoint
MASKING = {"perturb": 2, "faithfulness": 2, "curves": 2, "measure_tables": 1, **REPORT}
JUDGING = {"alignment": 2, **MASKING}
ASKED = {"replies": 4, "prompted_rationale": 4}
ASKING = {"evidence": 2, "rationale": 6, **ASKED, **JUDGING}
TESTING = {"corpus": 1, "corpus_card": 1, "evidence": 2, "rationale": 12, **ASKED, **JUDGING}
TRAINED = {"finetune": 1, **ASKING}
READ = {"corpus": 2, "corpus_card": 1, **TRAINED, "rationale": 12}
CARDS = {"report_figures": 1, "report_explorer": 1, "report_examples": 1, "report_page": 1}


def test_nothing_is_due_when_nothing_changed(finished: Workspace) -> None:
    assert finished.due() == {}


def test_nothing_is_due_after_touching_every_source(study: Workspace) -> None:
    for part in ("Snakefile", "config.yaml", "configs", "workflow", "smoke"):
        path = study.folder / part
        for file in [path] if path.is_file() else path.rglob("*"):
            os.utime(file)
    assert study.due() == {}


def test_nothing_is_due_in_a_fresh_clone_with_carried_results(
    fresh: Workspace, finished: Workspace, tmp_path: Path
) -> None:
    clone = fresh.copy(tmp_path / "clone")
    for file in clone.folder.rglob("*"):
        if not file.is_symlink():
            os.utime(file)  # a clone has the time of cloning on every file
    for part in ("results-smoke", ".snakemake"):
        Workspace(finished.folder / part).copy(clone.folder / part)
    assert clone.due() == {}


# (file, old, new, what runs again); the first edits must run nothing
EDITS = {
    "comment in code": ("workflow/rationale_eval/rationales/budgets.py", "import math", "import math  # a comment", {}),
    "docstring": ("workflow/rationale_eval/models/scoring.py", '"""Label scores:', '"""Scores of labels:', {}),
    "comment in config": ("config.yaml", "operator: replace # or: delete", "operator: replace # said again", {}),
    "batch size": ("config.yaml", "batch_rows: 16", "batch_rows: 4", {}),
    "shards": ("config.yaml", "shards: 1", "shards: 7", {}),
    "saving within an epoch": ("config.yaml", "save_steps: null", "save_steps: 5", {}),
    "memory of a job": ("config.yaml", "mem_mb: 6000", "mem_mb: 9000", {}),
    "memo folder": ("config.yaml", "memo_dir: memo", "memo_dir: elsewhere", {}),
    "a corpus that is not in the study": ("config.yaml", "test_rows: 48", "test_rows: 49", {}),
    "word aggregation": (
        "config.yaml",
        "saliency_l2: { kind: gradients, statistic: grad_l2, aggregation: max }",
        "saliency_l2: { kind: gradients, statistic: grad_l2, aggregation: mean }",
        {"rationale": 2, **JUDGING},
    ),
    "budget": ("config.yaml", "ratio: 0.2", "ratio: 0.5", JUDGING),
    "mask": ("config.yaml", "\n  mask: ___", '\n  mask: "[MASK]"', MASKING),
    "interval": ("config.yaml", "resamples: 2000", "resamples: 1000", {"measure_tables": 1, **COMPARED}),
    "thresholds of the AOPC": ("config.yaml", "0.2, 0.5] #", "0.2] #", MASKING),
    "a way to mask that the study does not use": ("config.yaml", 'mask: "[MASK]" }', 'mask: "<gone>" }', {}),
    "title": ("configs/smoke.yaml", "title: Smoke study", "title: Smoke", {"report_explorer": 1, "report_page": 1}),
    "method over existing evidence": (
        "configs/smoke.yaml",
        "random, human",
        "random, attention_last, human",
        {"rationale": 2, **JUDGING},
    ),
    "method taken out": ("configs/smoke.yaml", "random, human", "human", JUDGING),
    "system prompt": (
        "configs/smoke.yaml",
        "dtype: float32",
        "dtype: float32\n    system_prompt: Be brief.",
        TRAINED,
    ),
    "test rows": ("configs/smoke.yaml", "test_rows: 12", "test_rows: 16", TESTING),
    "train rows": (
        "configs/smoke.yaml",
        "train_rows: 8",
        "train_rows: 10",
        {"corpus": 1, "corpus_card": 1, "finetune": 1, "evidence": 1, "rationale": 3, "replies": 2}
        | {"prompted_rationale": 2, "alignment": 1, **MASKED, **REPORT},
    ),
    "test rows taken out": ("configs/smoke.yaml", "test_rows: 12", "test_rows: 9", TESTING),
    "checkpoint taken out": (
        "configs/smoke.yaml",
        "checkpoints: [base, 1]",
        "checkpoints: [base]",
        {"measure_tables": 1, **REPORT},
    ),
    "another revision of a model": (
        "configs/smoke.yaml",
        "source: { path: smoke/model }",
        'source: { hub: some/model, revision: "0123456789abcdef0123456789abcdef01234567" }',
        {"fetch_hub": 1, "model": 1, **TRAINED, "report_page": 1},
    ),
    "a plugin that nothing uses": ("config.yaml", "plugins: []", "plugins: [own.py]", {}),
    "what a model is": (
        "configs/smoke.yaml",
        "dtype: float32",
        "dtype: float32\n    licence: none\n    citation: nobody",
        {"report_page": 1},
    ),
    "what a corpus is": ("configs/smoke.yaml", "Made-up sentences.", "Sentences.", {"corpus_card": 1, **CARDS}),
    "learning rate": (
        "configs/smoke.yaml",
        "  validation_rows: 2",
        "  validation_rows: 2\n  learning_rate: 1.0e-3",
        {"finetune": 1, "evidence": 1, "rationale": 3, "replies": 2, "prompted_rationale": 2}
        | {"alignment": 1, **MASKED, **REPORT},
    ),
    # what other=8, rank=16 would also be as a set of values
    "rank and batch swapped": (
        "configs/smoke.yaml",
        "  batch_rows: 4",
        "  batch_rows: 8\n  rank: 4",
        {"finetune": 1, "evidence": 1, "rationale": 3, "replies": 2, "prompted_rationale": 2}
        | {"alignment": 1, **MASKED, **REPORT},
    ),
    "another epoch": (
        "configs/smoke.yaml",
        "checkpoints: [base, 1]",
        "checkpoints: [base, 1, 3]",
        {"finetune": 2, "evidence": 1, "rationale": 6, "replies": 2, "prompted_rationale": 2}
        | {"alignment": 1, **MASKED, **REPORT},
    ),
    "explanation prompt": (
        "workflow/prompts/sentiment.yaml",
        "exactly {k} in all",
        "exactly {k} words",
        {"replies": 2, "prompted_rationale": 2, **JUDGING},
    ),
    "solved examples": (
        "config.yaml",
        "shots: 0",
        "shots: 2",
        {"finetune": 1, "evidence": 2, "rationale": 6, **ASKED, **JUDGING},
    ),
    "solved examples of another task": ("config.yaml", "prompts/nli.yaml", "prompts/nli.yaml\n    shots: 2", {}),
    "code of another format's reader": (
        "workflow/rationale_eval/corpora/esnli.py",
        "from __future__ import annotations",
        "from __future__ import annotations\n\nUNUSED = 1",
        {},
    ),
    "code of this format's reader": (
        "workflow/rationale_eval/corpora/rated_snippets.py",
        "from __future__ import annotations",
        "from __future__ import annotations\n\nUNUSED = 1",
        READ,
    ),
    "code of the downloads": (
        "workflow/rationale_eval/sources/url.py",
        "from __future__ import annotations",
        "from __future__ import annotations\n\nUNUSED = 1",
        {},
    ),
    "length of replies": ("config.yaml", "max_new_tokens: 64", "max_new_tokens: 32", {**ASKED, **JUDGING}),
    "code of the reply parser": (
        "workflow/rationale_eval/rationales/replies.py",
        "from __future__ import annotations",
        "from __future__ import annotations\n\nUNUSED = 1",
        {"prompted_rationale": 4, **JUDGING},
    ),
    # 1.0 and 0.75 change places: as a set, the values are the same
    "two numbers swapped": (
        "configs/smoke.yaml",
        "task: sentiment",
        "task: sentiment\n    min_rating: 1.0\n    min_word_rating: 0.75",
        READ,
    ),
    "prompt": (
        "workflow/prompts/sentiment.yaml",
        "Classify the sentiment",
        "Judge the sentiment",
        TRAINED,
    ),
    "code of the masking": (
        "workflow/rationale_eval/faithfulness/masking.py",
        'OPERATORS = ("replace", "delete")',
        'OPERATORS = ("delete", "replace")',
        MASKING,
    ),
    "code of the alignment": (
        "workflow/rationale_eval/alignment.py",
        "chosen, marked = sum(selected), sum(gold)",
        "marked, chosen = sum(gold), sum(selected)",
        {"alignment": 2, "measure_tables": 1, **REPORT},
    ),
    "code of the reference rows": (
        "workflow/rationale_eval/rationales/reference.py",
        "-float(position)",
        "-2.0 * float(position)",
        {"rationale": 12, **JUDGING},
    ),
    "code of the figures": (
        "workflow/rationale_eval/report/figures.py",
        "from __future__ import annotations",
        "from __future__ import annotations\n\nUNUSED = 1",
        {"report_figures": 1, "report_page": 1},
    ),
}


PLUGIN = """from rationale_eval.plugins import metric


@metric("kept")
def kept(selected, gold):
    return float(sum(selected))
"""


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_exactly_what_reads_it(edit: str, study: Workspace) -> None:
    path, old, new, expected = EDITS[edit]
    (study.folder / "own.py").write_text(PLUGIN, encoding="utf-8")
    study.edit(path, old, new)
    assert study.due() == expected


# Budgets and rows, whose edits cost model time, are executed below.
@pytest.mark.parametrize("edit", ["interval", "code of the figures"])
def test_an_executed_edit_runs_what_was_announced_and_then_nothing(edit: str, study: Workspace) -> None:
    path, old, new, expected = EDITS[edit]
    study.edit(path, old, new)
    output = study.snakemake()
    assert Counter(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE)) - Counter(["all"]) == expected
    assert study.due() == {}


def test_a_corpus_in_another_place_is_read_again_however_old_its_files_are(study: Workspace) -> None:
    """Only the param tells: the trigger of Snakemake on other inputs is off."""
    shutil.copytree(study.folder / "smoke/corpus", study.folder / "elsewhere")
    for file in [study.folder / "elsewhere", *(study.folder / "elsewhere").iterdir()]:
        os.utime(file, (0, 0))
    study.edit("configs/smoke.yaml", "source: { path: smoke/corpus }", "source: { path: elsewhere }")
    assert study.due() == READ


def test_a_changed_corpus_file_is_read_again(study: Workspace) -> None:
    with (study.folder / "smoke/corpus/lexicon.tsv").open("a", encoding="utf-8") as stream:
        stream.write("unheard-of\t2.0\t0.5\t[2]\n")
    assert study.due() == READ


OWN = """corpora:
  own:
    format: table
    source: { path: own }
    train: [train.csv]
    test: [test.csv]
    fields: { text: text }
    label: label
    rationale: { kind: word_indices, column: marked }
    task: sentiment
    train_rows: null
    test_rows: null
"""


def test_rows_added_to_a_train_file_are_nothing_to_the_test_rows(fresh: Workspace, tmp_path: Path) -> None:
    study = fresh.copy(tmp_path / "project")
    study.config += ("own.yaml",)
    (study.folder / "own.yaml").write_text(OWN, encoding="utf-8")
    (study.folder / "own").mkdir()
    for side in ("train", "test"):
        (study.folder / f"own/{side}.csv").write_text(f"text,label,marked\na good {side},positive,[1]\n", "utf-8")
    tables = [f"results-smoke/corpora/own/{side}.parquet" for side in ("train", "test")]
    study.snakemake("--", *tables)
    for side, due in (("train", 1), ("test", 2)):
        with (study.folder / f"own/{side}.csv").open("a", encoding="utf-8") as stream:
            stream.write("a bad one,negative,[1]\n")
        assert study.due("--", *tables) == {"corpus": due}


def test_a_budget_costs_only_new_perturbed_inputs(study: Workspace) -> None:
    before, _ = study.computed("perturb")
    study.edit("config.yaml", "top_ratio_20: { kind: top_ratio, ratio: 0.2 }", "top_ratio_20: { kind: top_k, k: 3 }")
    study.snakemake("--", f"{CELL}/perturbations.parquet")
    asked, computed = study.computed("perturb")
    assert 0 < computed < min(asked, before)


def test_rows_cost_only_themselves(study: Workspace) -> None:
    scores = {row["id"]: row["scores"] for row in _predictions(study)}
    study.edit("configs/smoke.yaml", "test_rows: 12", "test_rows: 16")
    study.snakemake("--", f"{CELL}/predictions.parquet")
    assert study.computed("evidence") == (16, 4)
    after = {row["id"]: row["scores"] for row in _predictions(study)}
    assert len(after) == 16
    assert {name: after[name] for name in scores} == scores


def test_solved_examples_stand_before_each_classification(study: Workspace) -> None:
    predictions = study.folder / f"{CELL}/predictions.parquet"
    assert "shots" in read_provenance(predictions)["spec"]
    plain = read_provenance(predictions)["example_prompt"]
    study.edit("config.yaml", "shots: 0", "shots: 2")
    study.snakemake("--", f"{CELL}/predictions.parquet")
    train = pq.ParquetFile(study.folder / "results-smoke/corpora/smoke_sentences/train.parquet").read().to_pylist()
    prompt = read_provenance(predictions)["example_prompt"]
    places = {prompt.find(row["field_texts"][0]): row["label"] for row in train if row["field_texts"][0] in prompt}
    assert sorted(places.values()) == ["negative", "positive"]
    first, second = sorted(places)
    for start, end in ((first, second), (second, len(prompt))):
        answer = prompt[start:end].split("<|im_start|>assistant\n")[1]
        assert answer.startswith(f"{places[start]}<|im_end|>")
    # the instance itself is asked last, in the words of the plain prompt
    text = plain.split("Text: ")[1]
    assert prompt.endswith(text)
    assert prompt.count("Text: ") == 3
    assert {row["status"] for row in _predictions(study)} == {"ok"}


def test_results_come_back_from_the_memo_alone(study: Workspace) -> None:
    perturbations = _rows(study, "perturbations")
    study.snakemake("--delete-all-output")
    assert not (study.folder / f"{CELL}/perturbations.parquet").exists()
    study.snakemake("--cores", "2", "--", f"{CELL}/perturbations.parquet")
    assert study.computed("evidence")[1] == 0
    assert study.computed("perturb")[1] == 0
    assert _rows(study, "perturbations") == perturbations


def _rows(study: Workspace, table: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.ParquetFile(study.folder / f"{CELL}/{table}.parquet").read().to_pylist()
    return rows


def _predictions(study: Workspace) -> list[dict[str, object]]:
    return _rows(study, "predictions")


def test_results_without_snakemakes_records_are_not_mixed_with_new_ones(study: Workspace) -> None:
    """The records go with .snakemake, and by the text of a path: what tables say of themselves stays."""
    study.edit("config.yaml", "\n  mask: ___", '\n  mask: "[MASK]"')
    for spelling in ("results-smoke/", f"{study.folder}/results-smoke"):
        (study.folder / "spelt.yaml").write_text(f"results_dir: {spelling}\n", encoding="utf-8")
        spelt = Workspace(study.folder, (*study.config, "spelt.yaml"))
        assert spelt.due() == MASKING
    shutil.rmtree(study.folder / ".snakemake")
    stopped = study.try_snakemake("-n")
    assert stopped.returncode != 0
    assert "such as results-smoke/smoke_sentences/tiny-llama/base/perturbations.parquet" in stopped.stdout
    found = re.search(r"--forcerun ([\w ]+)\.", stopped.stdout)
    assert found
    assert "perturb" in found[1].split()
    due = study.due("--forcerun", *found[1].split())
    assert {rule: due.get(rule) for rule in MASKED} == {rule: MASKING[rule] for rule in MASKED}
    checked = subprocess.run(
        [sys.executable, "-m", "rationale_eval", "check", "--results", "--configfile", "configs/smoke.yaml"],
        cwd=study.folder,
        env={**os.environ, "PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1
    assert "problem   rule perturb" in checked.stdout
    assert "--forcerun" in checked.stdout


def test_other_content_under_an_older_time_is_noticed(study: Workspace) -> None:
    corpus, weights = study.folder / "smoke/corpus/snippets.tsv", study.folder / "smoke/model/model.safetensors"
    before = {path: (path.read_bytes(), path.stat()) for path in (corpus, weights)}
    texts = before[corpus][0].replace(b"delightful", b"dreadful")
    for path, content in ((corpus, texts), (weights, before[weights][0][:-4] + b"\0\0\0\1")):
        path.write_bytes(content)
        old = before[path][1].st_mtime - 1e6
        os.utime(path, (old, old))
        due = study.due()
        assert due[{corpus: "corpus", weights: "model"}[path]] >= 1
        path.write_bytes(before[path][0])
    assert study.due() == {}
