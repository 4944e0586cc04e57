"""The configuration: what is accepted, how faults are told, and that its documents follow its types."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from rationale_eval import config_docs
from rationale_eval.config import Config
from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError
from rationale_eval.study import StudyPlan

ROOT = Path(__file__).parents[2]


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    return copy.deepcopy(loaded)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """What Snakemake makes of a second configuration file: dictionaries add up, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def test_the_shipped_configurations_are_valid(raw: dict[str, Any]) -> None:
    assert parse(raw).study.corpora == ["movie_reviews", "editorials"]
    files = sorted((ROOT / "configs").glob("*.yaml"))
    assert files
    for path in files:
        over = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert parse(merged(raw, over)).results_dir != "results", path


def test_schema_and_reference_are_those_of_the_types() -> None:
    """`make docs` writes them."""
    assert (ROOT / "workflow/schemas/config.schema.json").read_text(encoding="utf-8") == config_docs.schema()
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == config_docs.reference()


def test_every_key_is_described() -> None:
    def models(model: type[BaseModel]) -> set[type[BaseModel]]:
        inner = {found for field in model.model_fields.values() for found in config_docs._models_in(field.annotation)}
        return {model}.union(*(models(found) for found in inner))

    for model in models(Config):
        assert model.__doc__, model
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


FAULTS: list[tuple[list[str], Any, str]] = [
    (["studdy"], 1, "studdy: unknown key; did you mean 'study'?"),
    (["study", "metods"], [], "study.metods: unknown key; did you mean 'methods'?"),
    (
        ["study", "corpora"],
        ["movie_review"],
        "study.corpora[0]: 'movie_review' is not in `corpora`; did you mean 'movie_reviews'?",
    ),
    (["study", "models"], [], "study.models: list should have at least 1 item"),
    (["study", "methods"], ["random", "random"], "study.methods[1]: 'random' is listed twice"),
    (["study", "main_budget"], "top_k", "study.main_budget: 'top_k' is not in study.budgets"),
    (
        ["corpora", "tweets", "min_rating"],
        -1,
        "corpora.tweets.min_rating: input should be greater than or equal to 0 (it is -1)",
    ),
    (["corpora", "tweets", "max_words"], 2, "max_words (2) is below min_words (4)"),
    (
        ["corpora", "tweets", "task"],
        "sentimant",
        "corpora.tweets.task: 'sentimant' is not in `tasks`; did you mean 'sentiment'?",
    ),
    (["corpora", "tweets", "source"], {"pth": "x"}, "corpora.tweets.source.pth: unknown key"),
    (["corpora", "a b"], {}, "corpora.a b: string should match pattern"),
    (["methods", "saliency_l2", "statistic"], "grad_l3", "methods.saliency_l2.statistic: input should be 'grad_l1'"),
    (
        ["methods", "saliency_l2", "agregation"],
        "max",
        "methods.saliency_l2.agregation: unknown key; did you mean 'aggregation'?",
    ),
    (["methods", "mine"], {"kind": "gradient"}, "methods.mine: input tag 'gradient' found using 'kind' does not match"),
    (
        ["budgets", "b"],
        {"kind": "top_ratio", "ratio": "0.2"},
        "budgets.b.ratio: input should be a valid number (it is '0.2')",
    ),
    (["budgets", "b"], {"kind": "top_ratio", "ratio": 1.5}, "budgets.b.ratio: input should be less than or equal to 1"),
    (
        ["models", "smollm2-135m-instruct", "source", "sha256"],
        "abc",
        "models.smollm2-135m-instruct.source.sha256: string",
    ),
    (["models", "smollm2-135m-instruct", "source", "gguff"], "x", "gguff: unknown key; did you mean 'gguf'?"),
    (
        ["models", "smollm2-135m-instruct", "evidence"],
        ["attention"],
        "study.methods[0]: 'saliency_l2' needs gradients, which model 'smollm2-135m-instruct' cannot give",
    ),
    (["study", "methods"], ["random", "prompt_guided"], "study.budgets[2]: 'matched_unbound' matches 'prompt_unbound'"),
    (["study", "checkpoints"], ["base", 0], "study.checkpoints"),
    (["study", "checkpoints"], ["base", "base"], "study.checkpoints: something is listed twice"),
    (
        ["methods", "random", "budgets"],
        ["top_vra"],
        "methods.random.budgets[0]: 'top_vra' is not in `budgets`; did you",
    ),
    (["finetuning", "rank"], 0, "finetuning.rank: input should be greater than or equal to 1 (it is 0)"),
    (["compute", "batch_rows"], 0, "compute.batch_rows: input should be greater than or equal to 1 (it is 0)"),
    (["perturbation", "mask"], "", "perturbation.mask: string should have at least 1 character"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS, ids=[".".join(path) for path, _, _ in FAULTS])
def test_a_fault_is_told_with_its_path_and_what_is_allowed(
    path: list[str], value: Any, message: str, raw: dict[str, Any]
) -> None:
    section = raw
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(UserError) as caught:
        parse(raw)
    assert message in str(caught.value)


def test_each_step_reads_only_its_slice(raw: dict[str, Any]) -> None:
    def slices(config: dict[str, Any]) -> dict[str, str]:
        plan = StudyPlan(parse(config))
        return {
            "train": plan.corpus("movie_reviews", "train"),
            "test": plan.corpus("movie_reviews", "test"),
            "model": plan.model("smollm2-135m-instruct"),
            "evidence": plan.evidence("smollm2-135m-instruct"),
            "saliency": plan.method("saliency_l2"),
            "alignment": plan.alignment(),
            "perturbation": plan.perturbation("smollm2-135m-instruct"),
            "tables": plan.tables(),
            "figures": plan.figures(),
        }

    before = slices(raw)
    raw["perturbation"]["mask"] = "[MASK]"
    changed = {name for name, text in slices(raw).items() if text != before[name]}
    assert changed == {"perturbation"}


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


def test_budgets_apply_by_what_a_method_gives(raw: dict[str, Any]) -> None:
    spec = json.loads(StudyPlan(parse(raw)).alignment())
    budgets = {method["name"]: set(method["budgets"]) for method in spec["methods"]}
    assert budgets["saliency_l2"] == {"top_var", "top_ratio_20", "matched_unbound", "matched_guided"}
    assert budgets["random"] == {"top_var"}
    assert budgets["human"] == budgets["all_words"] == budgets["prompt_unbound"] == {"as_given"}
    # it is asked for as many words as people marked, and names them in an order
    assert budgets["prompt_guided"] == {"as_given", "top_var"}
