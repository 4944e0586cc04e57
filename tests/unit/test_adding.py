"""docs/adding.md: its examples are read from the page itself and must do what it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import reduce
from pathlib import Path

import pytest
import yaml
from rationale_eval.__main__ import main
from rationale_eval.config import Config
from rationale_eval.config_checks import parse
from rationale_eval.corpora import table
from rationale_eval.corpora.instances import check
from rationale_eval.models.task import load_task
from rationale_eval.plugins import load, run_method, run_metric
from rationale_eval.rationales.external import read_external
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.study import StudyPlan
from rationale_eval.tables import write_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding.md"
RUNNING = ROOT / "docs" / "running.md"


def examples() -> dict[str, str]:
    """The page's code blocks whose first line names a file, by that name."""
    blocks = re.findall(r"^```\w+ (my/\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return dict(blocks)


def merged(first, second):
    """What Snakemake makes of two configuration files: dictionaries add up, the rest is replaced."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    return first | {key: merged(first[key], value) if key in first else value for key, value in second.items()}


@pytest.fixture
def mine(project):
    """``project`` with the page's files in it."""
    for name, text in examples().items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    return project


@pytest.fixture
def config(mine):
    """The project's configuration with those of the page's command on top."""
    command = re.search(r"^snakemake .*--configfile (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    files = [ROOT / "config.yaml", *command[1].split()]
    return Config.model_validate(reduce(merged, (yaml.safe_load(Path(file).read_text()) for file in files)))


def reviews(config, side):
    """The page's corpus, read as the stage reads it."""
    entry = config.corpora["my_reviews"]
    found = list(table.read(Path(entry.source.path), entry.model_dump(), side, Counter()))
    for instance in found:
        check(instance, side)
    return found


def test_the_command_names_every_configuration_file_of_the_page(config):
    text = PAGE.read_text(encoding="utf-8")
    command = re.search(r"--configfile (.*)$", text, re.MULTILINE)[1].split()
    prompts = {"my/prompts.yaml"}
    assert set(command) == {name for name in examples() if name.endswith(".yaml")} - prompts


def test_the_estimate_before_spending_is_of_that_study(config, capsys):
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    (command,) = re.findall(r"^PYTHONPATH=workflow python -m rationale_eval (estimate .*)$", text, re.MULTILINE)
    assert main(command.split()) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{config.study.title}\n")
    assert all(f"\n{model}: " in shown for model in config.study.models)


def test_every_name_of_the_study_is_in_its_registry(config):
    study = config.study
    assert set(study.corpora) | {"my_lines"} <= set(config.corpora)
    assert set(study.models) <= set(config.models)
    assert set(study.methods) <= set(config.methods)
    registered = load([Path(path) for path in config.plugins])
    assert set(study.metrics) <= set(registered.metrics)
    assert config.corpora["my_lines"].format in registered.corpus_formats
    for name in ("my_lengths", "my_gradients"):
        assert config.methods[name].kind in registered.methods


def test_the_corpus_is_read_and_its_labels_are_those_of_the_task(config):
    test, train = reviews(config, "test"), reviews(config, "train")
    assert [instance.id for instance in [*test, *train]] == ["r1", "r2", "r3", "t1", "t2"]
    assert [
        [instance.text(word) for word, mark in zip(instance.words, instance.rationale, strict=True) if mark]
        for instance in test
    ] == [["great", "acting."], ["never", "get", "back."], ["the", "plot", "is", "not."]]
    assert {instance.rationale for instance in train} == {None}
    entry = config.tasks["my_task"]
    task = load_task(Path(entry.prompts), entry.verbalisers)
    assert set(task.labels) == {instance.label for instance in [*test, *train]}
    assert set(task.fields) == set(test[0].fields)


def test_the_four_kinds_of_the_page_say_the_same(config):
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    kinds = {kind: value for kind, value in rows if kind in table.KINDS}
    assert set(kinds) == set(table.KINDS)
    spec = config.corpora["my_reviews"].model_dump() | {"test": ["kind.jsonl"]}
    for kind, value in kinds.items():
        row = {"key": "k", "review": "A film with great acting.", "verdict": 1, "marked": value}
        Path("my/reviews/kind.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        spec["rationale"]["kind"] = kind
        (found,) = table.read(Path("my/reviews"), spec, "test", Counter())
        assert found.rationale == (False, False, False, True, True), kind


def test_the_scores_fit_the_corpus(config):
    found = list(
        read_external(
            Path(config.methods["my_scores"].path.format(corpus="my_reviews")), reviews(config, "test"), "scores"
        )
    )
    assert [(row["id"], row["status"]) for row in found] == [("r1", "ok"), ("r2", "ok"), ("r3", "not_given")]


def test_the_plugins_do_what_the_page_says(config):
    registered = load([Path(path) for path in config.plugins])
    entry = config.corpora["my_lines"]
    left_out = Counter()
    rows = list(registered.reader(entry.format)(Path(entry.source.path), entry.model_dump(), "test", left_out))
    assert [instance.rationale for instance in rows] == [(False, False, True), (False, False, False, True)]
    assert left_out == {"too_short": 1}
    first = rows[0]
    lengths = config.methods["my_lengths"]
    assert run_method(registered.get("method", lengths.kind), first, None, lengths.options) == [16.0, 4.0, 16.0]
    evidence = {
        "token_field": [0, 0, 0],
        "token_start": [0, 5, 8],
        "token_end": [4, 7, 12],
        "grad_l1": [3.0, 2.0, 1.0],
        "grad_l2": [1.0, 1.5, 1.0],
    }
    gradients = registered.get("method", config.methods["my_gradients"].kind)
    assert gradients.evidence == "gradients"
    assert run_method(gradients, first, evidence, {}) == [2.0, 0.5, 0.0]
    hit = registered.get("metric", "hit")
    masks = [(True, False, False), (False, True, True)]
    assert [run_metric(hit, mask, first.rationale, first.id) for mask in masks] == [0.0, 1.0]


def test_the_prompt_file_is_whole_and_the_strategy_of_its_own_can_be_asked_by(config):
    plan = StudyPlan(parse(config.model_dump(exclude_unset=True)))
    task = plan.task("my_reviews")
    assert task.cue == "Verdict:"
    assert set(task.explain) == {"unbound", "guided", "doubtful"}
    asked, _ = task.message({"text": "A film."})
    assert asked == "Is this review bad or good?\n\nReview: A film."
    assert "called this review good." in task.explanation("doubtful", {"text": "A film."}, "good")
    assert plan.config.methods["my_doubtful"].reads == "words"


def test_the_record_of_a_table_is_read_as_the_page_says(tmp_path, capsys):
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", RUNNING.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    path = tmp_path / "alignment.parquet"
    table_file = re.search(r'file = "(.*)"', snippet)[1]
    made = {"stage": "rationale", "spec": {}, "inputs": {}, "versions": {}, "created": "today"}
    write_table(path, [rationale_row("a", scores=[1.0])], RATIONALES, made)
    exec(snippet.replace(table_file, str(path)), {})
    assert json.loads(capsys.readouterr().out) == made
