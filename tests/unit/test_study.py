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
from rationale_eval.report.layout import Cell, of_cell
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


def test_cells_are_the_grid_in_the_order_of_the_configuration(raw: dict[str, Any]) -> None:
    raw["study"] |= {"corpora": ["tweets"], "checkpoints": ["base", 3], "seeds": [7, 8]}
    assert [cell.path for cell in StudyPlan(parse(raw)).cells] == [
        "tweets/smollm2-135m-instruct/base",
        "tweets/smollm2-135m-instruct/epoch-03-seed-7",
        "tweets/smollm2-135m-instruct/epoch-03-seed-8",
    ]


def test_a_corpus_may_have_checkpoints_of_its_own(raw: dict[str, Any]) -> None:
    raw["study"] |= {"corpora": ["tweets", "movie_reviews"], "checkpoints": ["base"]}
    raw["study"] |= {"checkpoints_of": {"movie_reviews": ["base", 2]}}
    assert [cell.path for cell in StudyPlan(parse(raw)).cells] == [
        "tweets/smollm2-135m-instruct/base",
        "movie_reviews/smollm2-135m-instruct/base",
        "movie_reviews/smollm2-135m-instruct/epoch-02-seed-0",
    ]


def test_a_corpus_may_have_methods_of_its_own(raw: dict[str, Any]) -> None:
    raw["study"] |= {"methods_of": {"editorials": ["random", "saliency_l2"]}}
    plan = StudyPlan(parse(raw))
    spec = json.loads(plan.alignment("editorials"))
    # In the study's order, and without budgets that are matched to what is not run there.
    assert [method["name"] for method in spec["methods"]] == ["saliency_l2", "random"]
    assert set(spec["methods"][0]["budgets"]) == {"top_var", "top_ratio_20"}
    everywhere = json.loads(plan.alignment("movie_reviews"))
    assert everywhere["methods"] == plan.evaluated()
    assert json.loads(plan.perturbation("editorials", MODEL))["methods"] == spec["methods"]
    assert [method["name"] for method in json.loads(plan.curves("editorials", MODEL))["methods"]] == [
        "saliency_l2",
        "random",
    ]
    tables = json.loads(plan.report.tables())
    mine = of_cell(tables, Cell("editorials", MODEL, "base"))
    assert set(mine["methods"]) == {"random", "saliency_l2"}
    assert mine["evaluated"] == spec["methods"]
    assert of_cell(tables, Cell("movie_reviews", MODEL, "base")) == tables
    assert "methods_of" not in json.loads(StudyPlan(parse(raw | {"study": without(raw["study"])})).report.tables())


def without(study: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in study.items() if key != "methods_of"}


def test_budgets_apply_by_what_a_method_gives(raw: dict[str, Any]) -> None:
    spec = json.loads(StudyPlan(parse(raw)).alignment("movie_reviews"))
    budgets = {method["name"]: set(method["budgets"]) for method in spec["methods"]}
    assert budgets["saliency_l2"] == {"top_var", "top_ratio_20", "matched_unbound", "matched_guided"}
    assert budgets["first_words"] == budgets["last_words"] == budgets["saliency_l2"]
    assert budgets["random"] == {"top_var"}
    assert budgets["human"] == budgets["all_words"] == budgets["prompt_unbound"] == {"as_given"}
    # it is asked for as many words as people marked, and names them in an order
    assert budgets["prompt_guided"] == {"as_given", "top_var"}


TARGETED = {
    "of_peers": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max", "of": "log_probability"},
    "gold_l2": {"kind": "gradients", "statistic": "grad_l2", "aggregation": "max", "target": "gold"},
    "gold_dot": {"kind": "gradients", "statistic": "gxi_dot", "aggregation": "sum", "target": "gold"},
    "gold_p": {
        "kind": "gradients",
        "statistic": "gxi_dot",
        "aggregation": "sum",
        "target": "gold",
        "of": "probability",
    },
    "gxa": {"kind": "gradient_x_attention", "aggregation": "max"},
    "gxa_last": {"kind": "gradient_x_attention", "statistic": "last", "aggregation": "max"},
    "ig": {"kind": "integrated_gradients", "aggregation": "sum", "target": "runner_up"},
}


def test_methods_that_differ_in_the_reduction_alone_share_a_table(raw: dict[str, Any]) -> None:
    raw["methods"] |= TARGETED
    plan = StudyPlan(parse(raw))
    tables = {name: plan.attribution_table(name) for name in ("saliency_l2", "attention_last", "human", *TARGETED)}
    assert tables == {
        "saliency_l2": None,  # comes with the predictions
        "of_peers": "gradients@auto-log_probability",
        "attention_last": None,
        "human": None,
        "gold_l2": "gradients@gold-log_odds",
        "gold_dot": "gradients@gold-log_odds",
        "gold_p": "gradients@gold-probability",
        "gxa": "gradient_x_attention@auto-log_odds",
        "gxa_last": "gradient_x_attention@auto-log_odds",
        "ig": "ig",
    }
    assert set(plan.attributed) == {table for table in tables.values() if table} | {
        "integrated_gradients",
        "leave_one_out",
    }
    spec = json.loads(plan.attributions("movie_reviews", "smollm2-135m-instruct", tables["gold_l2"]))
    assert (spec["kind"], spec["target"], spec["of"]) == ("gradients", "gold", "log_odds")
    assert not {"statistic", "aggregation", "punctuation"} & set(spec)


def test_dropping_punctuation_changes_the_rationales_and_nothing_before_them(raw: dict[str, Any]) -> None:
    corpus, model = "movie_reviews", "smollm2-135m-instruct"
    before = StudyPlan(parse(raw))
    other = {"keep": "drop", "drop": "keep"}[before.config.methods["attention_last"].punctuation]
    raw["methods"]["attention_last"] = raw["methods"]["attention_last"] | {"punctuation": other}
    after = StudyPlan(parse(raw))
    assert after.method("attention_last", model) != before.method("attention_last", model)
    assert after.evidence(corpus, model) == before.evidence(corpus, model)
    for name in ("first_words", "last_words", "saliency_l2"):
        assert after.method(name, model) == before.method(name, model)
    # Both orders of position have curves, as every order of words has.
    assert {"first_words", "last_words"} <= set(before.masking.curved("movie_reviews", model))


def test_the_study_of_config_yaml_needs_no_attributions_of_their_own(raw: dict[str, Any]) -> None:
    plan = StudyPlan(parse(raw))
    assert [plan.attribution_table(name) for name in plan.study.methods] == [None] * len(plan.study.methods)
