"""The study as the rules see it: what plugins add, and for each step the slice of the configuration that it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_faults import MINE, TABLE, faults_of
from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan

ROOT = Path(__file__).parents[2]

PLUGIN = """
from rationale_eval.plugins import corpus_format, method, metric


@corpus_format("mine")
def read(source, options, side, left_out):
    return iter(())


@method("of_gradients", evidence="gradients")
def of_gradients(instance, evidence, options):
    return [0.0 for _ in instance.words]


@metric("hit")
def hit(selected, gold):
    return 0.0
"""


@pytest.fixture
def plugged(raw: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The configuration with a plugin of each kind in its registries."""
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    raw["plugins"] = [str(tmp_path / "plugin.py")]
    raw["corpora"]["mine"] = MINE | {"options": {"anything": [1]}}
    raw["methods"]["own"] = {"kind": "of_gradients"}
    return raw


def test_what_a_plugin_registers_may_be_used(plugged: dict[str, Any]) -> None:
    plugged["study"] |= {"corpora": ["mine"], "methods": ["own"], "metrics": ["hit"], "budgets": ["top_var"]}
    plan = StudyPlan(parse(plugged))
    assert json.loads(plan.corpus("mine", "test"))["options"] == {"anything": [1]}
    assert plan.evidence_of("own") == "gradients"
    assert json.loads(plan.alignment("movie_reviews"))["metrics"] == ["hit"]
    assert [plugin.name for plugin in (*plan.corpus_plugins("mine"), *plan.method_plugins("own"))] == [
        "mine",
        "of_gradients",
    ]


def test_keys_that_the_configuration_orders_stay_in_its_order(plugged: dict[str, Any]) -> None:
    plugged["corpora"]["pairs"] = TABLE | {"fields": {"question": "q", "answer": "a"}}
    plugged["corpora"]["mine"]["options"] = {"fields": {"premise": "p", "hypothesis": "h"}}
    plan = StudyPlan(parse(plugged))
    assert list(json.loads(plan.corpus("pairs", "test"))["fields"].items()) == [("question", "q"), ("answer", "a")]
    assert list(json.loads(plan.corpus("mine", "test"))["options"]["fields"]) == ["premise", "hypothesis"]


EVERY_SLICE = """
import hashlib, sys, yaml
from rationale_eval.config_checks import parse
from rationale_eval.study import StudyPlan

plan = StudyPlan(parse(yaml.safe_load(sys.stdin)))
report = plan.report
found = [plan.alignment("movie_reviews"), report.measure_tables(), report.sensitivity(), report.tables()]
found += [report.claims()]
found += [report.calibration(), report.cost(), report.figures(), report.latex(["claims"]), report.latex_examples()]
found += [report.explorer(), report.page()]
for name in plan.config.corpora:
    found += [plan.corpus(name, "train"), plan.corpus(name, "test"), plan.corpus_card(name)]
for name in plan.opened:
    found += [plan.model(name), plan.curves("movie_reviews", name)]
    for corpus in plan.study.corpora:
        found += [plan.evidence(corpus, name), plan.finetuning(corpus, name), plan.perturbation(corpus, name)]
        found += [plan.attributions(corpus, name, table) for table in plan.attributed]
        found += [plan.replies(corpus, name, method) for method in plan.prompted]
        found += [plan.reading(corpus, method) for method in plan.prompted]
        found += [plan.method(method, name) for method in plan.config.methods]
print(len(found), hashlib.sha256("".join(found).encode()).hexdigest())
"""


def test_slices_are_the_same_text_in_every_process(raw: dict[str, Any]) -> None:
    # Snakemake plans in one process and runs jobs from others: the order of a set would run everything again.
    found = {
        subprocess.run(
            [sys.executable, "-c", EVERY_SLICE],
            input=yaml.safe_dump(raw, sort_keys=False),
            env={"PYTHONPATH": str(ROOT / "workflow"), "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert int(found.pop().split()[0]) > 60


def test_slices_of_the_report_name_no_home_folder(raw: dict[str, Any]) -> None:
    raw["methods"]["theirs"] = {"kind": "external", "path": "/home/somebody/{corpus}.csv"}
    raw["study"]["methods"] = [*raw["study"]["methods"], "theirs"]
    plan = StudyPlan(parse(raw))
    for made in (plan.report.page(), plan.report.explorer(), plan.report.claims(), plan.report.tables()):
        assert json.loads(made)["methods"]["theirs"]["path"] == "~/{corpus}.csv"
    assert plan.external("theirs", "movie_reviews", "smollm2-135m-instruct", "base") == [
        "/home/somebody/movie_reviews.csv"
    ]


def test_a_plugins_method_needs_its_evidence(plugged: dict[str, Any]) -> None:
    plugged["models"]["smollm2-135m-instruct"]["evidence"] = ["attention"]
    plugged["study"] |= {"methods": ["random", "own"], "budgets": ["top_var"]}
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(plugged))
    assert str(caught.value).splitlines()[1:] == [
        "  study.methods[1]: 'own' needs gradients, which model 'smollm2-135m-instruct' cannot give "
        "(models.smollm2-135m-instruct.evidence is ['attention']): leave one of them out, or set "
        "study.not_available: show"
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ["study", "metrics"],
            ["hti"],
            "study.metrics[0]: 'hti' is no metric of the package or of a plugin; did you mean 'hit'?",
        ),
        (
            ["corpora", "mine", "format"],
            "mien",
            "corpora.mine.format: 'mien' is no corpus format of the package or of a plugin; did you mean 'mine'?",
        ),
        (
            ["methods", "own", "kind"],
            "of_gradient",
            "methods.own.kind: 'of_gradient' is no method of the package or of a plugin; did you mean 'of_gradients'?",
        ),
    ],
)
def test_a_misspelt_name_of_a_plugin_is_told_with_the_right_one(
    path: list[str], value: Any, message: str, plugged: dict[str, Any]
) -> None:
    plugged["corpora"]["mine"] = dict(plugged["corpora"]["mine"])
    assert faults_of(plugged, path, value).splitlines()[1:] == [f"  {message}"]


MODEL = "smollm2-135m-instruct"


def slices(config: dict[str, Any]) -> dict[str, str]:
    """What each step reads of a configuration."""
    plan = StudyPlan(parse(config))
    return {
        "train": plan.corpus("movie_reviews", "train"),
        "test": plan.corpus("movie_reviews", "test"),
        "card": plan.corpus_card("movie_reviews"),
        "model": plan.model(MODEL),
        "finetuning": plan.finetuning("movie_reviews", MODEL),
        "evidence": plan.evidence("movie_reviews", MODEL),
        "unbound": plan.replies("movie_reviews", MODEL, "prompt_unbound"),
        "guided": plan.replies("movie_reviews", MODEL, "prompt_guided"),
        "saliency": plan.method("saliency_l2", MODEL),
        "alignment": plan.alignment("movie_reviews"),
        "perturbation": plan.perturbation("movie_reviews", MODEL),
        "curves": plan.curves("movie_reviews", MODEL),
        "deleted": plan.perturbation("movie_reviews", MODEL, "delete"),
        "measure tables": plan.report.measure_tables(),
        "sensitivity": plan.report.sensitivity(),
        "tables": plan.report.tables(),
        "claims": plan.report.claims(),
        "calibration": plan.report.calibration(),
        "figures": plan.report.figures(),
        "page": plan.report.page(),
        "explorer": plan.report.explorer(),
        "latex": plan.report.latex(["accuracy"]),
        "latex examples": plan.report.latex_examples(),
    }


MASKED = {"perturbation", "deleted"}
COMPARED = {"tables", "measure tables", "sensitivity", "claims"}
REPORTED = {"calibration", "page", "explorer", *COMPARED}
TYPESET = {"latex", "latex examples"}
ASKED = {"finetuning", "evidence", "unbound", "guided", *MASKED}


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        (["perturbation", "mask"], "[MASK]", {"perturbation", "page", "explorer"}),
        (["perturbation", "announce"], True, {"perturbation", "page", "explorer"}),
        (["operators", "delete", "announce"], True, {"deleted"}),
        (["operators", "mask_token", "mask"], "<gone>", set()),
        (["study", "operators"], ["delete"], {"sensitivity", "page"}),
        (["faithfulness", "aopc_ratios"], [0.5], {"perturbation", "curves"}),
        (["faithfulness", "random_seeds"], [7], {"perturbation"}),
        (["faithfulness", "leave_one_out"], True, {"perturbation"}),
        (["models", MODEL, "system_prompt"], "Be brief.", ASKED),
        (["models", MODEL, "prompt_style"], "completion", ASKED),
        (["models", MODEL, "template"], {"enable_thinking": False}, ASKED),
        (["models", MODEL, "licence"], "MIT", {"page"}),
        (["models", MODEL, "citation"], "Someone (2025)", {"page"}),
        # A question about words is put without solved examples.
        (["tasks", "sentiment", "shots"], 2, {"finetuning", "evidence", *MASKED}),
        (["tasks", "sentiment", "shots_seed"], 1, {"finetuning", "evidence", *MASKED}),
        (["tasks", "nli", "shots"], 2, set()),
        (["corpora", "movie_reviews", "privacy"], "None.", {"card"}),
        (["corpora", "movie_reviews", "test_rows"], 50, {"test"}),
        (["corpora", "movie_reviews", "local"], "reviews", set()),
        (["corpora", "e_snli", "aggregation"], "union", set()),
        (["methods", "prompt_guided", "max_words"], 10, {"guided", "figures", *REPORTED}),
        (["finetuning", "rank"], 4, {"finetuning"}),
        (["finetuning", "save_steps"], 5, set()),
        (["study", "title"], "Another", {"page", "explorer"}),
        (["interval", "level"], 0.9, {"calibration", "latex", *COMPARED}),
        (["validity", "max_majority_share"], 0.9, {"calibration", *COMPARED}),
        (["claims", "alpha"], 0.01, {"claims"}),
        (["claims", "min_instances"], 10, {"claims", "sensitivity"}),
        (
            ["study", "main_budget"],
            "top_ratio_20",
            {"figures", "perturbation", "deleted", *REPORTED, *TYPESET} - {"measure tables"},
        ),
        (["data_root"], "elsewhere", set()),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, list) else None,
)
def test_each_step_reads_only_its_slice(path: list[str], value: Any, changed: set[str], raw: dict[str, Any]) -> None:
    before = slices(raw)
    section = raw
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    assert {name for name, text in slices(raw).items() if text != before[name]} == changed


def test_what_a_model_cannot_give_is_read_by_what_says_which_methods_are_flagged(raw: dict[str, Any]) -> None:
    raw["study"]["not_available"] = "show"
    before = slices(raw)
    raw["models"][MODEL]["evidence"] = ["attention"]
    changed = {name for name, text in slices(raw).items() if text != before[name]}
    assert changed == {"evidence", "saliency", "calibration", *COMPARED}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("Classify the sentiment", "Judge the sentiment", ASKED | {"page"}),
        ("positive: positive", "positive: good", ASKED | {"page"}),
        ("explain.unbound", "Look again.", {"unbound"}),
        ("explain.guided", "Look again.", {"guided"}),
        ("# ", "# Note: ", set()),
    ],
)
def test_an_edit_of_a_prompt_changes_what_asks_it(
    old: str, new: str, changed: set[str], raw: dict[str, Any], tmp_path: Path
) -> None:
    text = (ROOT / "workflow/prompts/sentiment.yaml").read_text(encoding="utf-8")
    file = tmp_path / "sentiment.yaml"
    file.write_text(text, encoding="utf-8")
    raw["tasks"]["sentiment"]["prompts"] = str(file)
    before = slices(raw)
    if old.startswith("explain."):
        prompts = yaml.safe_load(text)
        strategy = old.removeprefix("explain.")
        prompts["explain"][strategy] = f"{prompts['explain'][strategy]} {new}"
        edited = yaml.safe_dump(prompts, sort_keys=False)
    else:
        assert old in text
        edited = text.replace(old, new)
    file.write_text(edited, encoding="utf-8")
    assert {name for name, text in slices(raw).items() if text != before[name]} == changed


def test_which_files_have_the_train_rows_is_nothing_to_the_test_rows(raw: dict[str, Any]) -> None:
    before = StudyPlan(parse(raw))
    raw["corpora"]["e_snli"] = raw["corpora"]["e_snli"] | {"train": ["esnli_train_1.csv"]}
    after = StudyPlan(parse(raw))
    assert after.corpus("e_snli", "train") != before.corpus("e_snli", "train")
    assert after.corpus("e_snli", "test") == before.corpus("e_snli", "test")


def test_swapping_two_numbers_changes_the_slice(raw: dict[str, Any]) -> None:
    before = StudyPlan(parse(raw)).corpus("tweets", "test")
    corpus = raw["corpora"]["tweets"] = dict(raw["corpora"]["tweets"])
    corpus["min_rating"], corpus["min_word_rating"] = corpus["min_word_rating"], corpus["min_rating"]
    after = StudyPlan(parse(raw)).corpus("tweets", "test")
    assert after != before
    assert sorted(map(str, json.loads(after).values())) == sorted(map(str, json.loads(before).values()))
