"""What a study runs: its cells, the methods and budgets of each corpus, and the tables that methods are read from."""

from __future__ import annotations

import json
from typing import Any

from rationale_eval.config_checks import parse
from rationale_eval.report.layout import Cell, of_cell
from rationale_eval.study import StudyPlan

MODEL = "smollm2-135m-instruct"


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
    spec = json.loads(plan.attributions("movie_reviews", MODEL, tables["gold_l2"]))
    assert (spec["kind"], spec["target"], spec["of"]) == ("gradients", "gold", "log_odds")
    assert not {"statistic", "aggregation", "punctuation"} & set(spec)


def test_dropping_punctuation_changes_the_rationales_and_nothing_before_them(raw: dict[str, Any]) -> None:
    corpus, model = "movie_reviews", MODEL
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
