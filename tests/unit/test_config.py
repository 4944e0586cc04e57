"""The configuration: what is accepted, how faults are told, and that its documents follow its types."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_faults import MINE, TABLE, faults_of
from pydantic import BaseModel
from rationale_eval import config_docs
from rationale_eval.config import Config
from rationale_eval.config_checks import parse
from rationale_eval.errors import UserError

ROOT = Path(__file__).parents[2]


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
    (["corpora", "a b"], {}, "corpora.a b: must be a name of up to 64 letters, digits"),
    (["methods", "saliency_l2", "statistic"], "grad_l3", "methods.saliency_l2.statistic: input should be 'grad_l1'"),
    (
        ["methods", "saliency_l2", "agregation"],
        "max",
        "methods.saliency_l2.agregation: unknown key; did you mean 'aggregation'?",
    ),
    (
        ["methods", "mine"],
        {"kind": "gradient"},
        "methods.mine.kind: 'gradient' is no method of the package or of a plugin",
    ),
    (
        ["methods", "saliency_l2", "target"],
        "foil",
        "methods.saliency_l2.target: foil is for contrastive corpora; 'movie_reviews' of the study is none",
    ),
    (["methods", "leave_one_out", "target"], "runnerup", "methods.leave_one_out.target: input should be 'auto'"),
    (["methods", "leave_one_out", "of"], "logits", "methods.leave_one_out.of: input should be 'log_odds'"),
    (
        ["methods", "integrated_gradients", "max_steps"],
        30,
        "methods.integrated_gradients: `max_steps` (30) is less than `steps` (40)",
    ),
    (["validity", "min_label_mass"], 2, "validity.min_label_mass: input should be less than or equal to 1"),
    (
        ["budgets", "b"],
        {"kind": "top_ratio", "ratio": "0.2"},
        "budgets.b.ratio: input should be a valid number (it is '0.2')",
    ),
    (["budgets", "b"], {"kind": "top_ratio", "ratio": 1.5}, "budgets.b.ratio: input should be less than or equal to 1"),
    (
        ["models", "smollm2-135m-instruct", "source", "sha256"],
        "abc",
        "source.sha256: must be a SHA-256: 64 hexadecimal digits in lower case (it is 'abc')",
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
    (
        ["study", "budgets"],
        ["top_ratio_20"],
        "methods.random.budgets: none of these is in study.budgets, ['top_ratio_20']",
    ),
    (["methods", "random", "seeds"], [0, 1, 0], "methods.random.seeds: something is listed twice in [0, 1, 0]"),
    (
        ["study", "checkpoints_of"],
        {"movie_review": ["base"]},
        "study.checkpoints_of: 'movie_review' is not in study.corpora; did you mean 'movie_reviews'?",
    ),
    (
        ["study", "checkpoints_of"],
        {"movie_reviews": [1, 1]},
        "study.checkpoints_of.movie_reviews: something is listed twice in [1, 1]",
    ),
    (["study", "methods_of"], {"tweetz": ["random"]}, "study.methods_of: 'tweetz' is not in study.corpora"),
    (
        ["study", "methods_of"],
        {"movie_reviews": ["randon"]},
        "study.methods_of.movie_reviews: 'randon' is not in study.methods; did you mean 'random'?",
    ),
    (
        ["study", "methods_of"],
        {"movie_reviews": ["random"], "editorials": ["random"]},
        "study.methods[0]: 'saliency_l2' is run on no corpus, by study.methods_of",
    ),
    (["faithfulness", "random_seeds"], [3, 3], "faithfulness.random_seeds: something is listed twice in [3, 3]"),
    (
        ["models", "smollm2-135m-instruct", "dtype"],
        "float16",
        "models.smollm2-135m-instruct.dtype: float16 is for models as they are, but the study has fine-tuned",
    ),
    (["results_dir"], "res{y}", "results_dir: must be a path without braces, which Snakemake takes for wildcards (it"),
    (
        ["tasks", "sentiment", "verbalisers"],
        {True: "good", "no": "bad"},
        "tasks.sentiment.verbalisers: a key is true, which is what YAML reads yes and on as; put the word in quotes",
    ),
    (
        ["tasks", "sentiment", "verbalisers"],
        {"positive": "good", "negative": False},
        "tasks.sentiment.verbalisers.negative: is false, which is what YAML reads no and off as; put the word in quote",
    ),
    (
        ["budgets", "as_given"],
        {"kind": "top_k", "k": 2},
        "budgets.as_given: the tables call sets of words so that are taken as they are given; choose another name",
    ),
    (["finetuning", "rank"], 0, "finetuning.rank: input should be greater than or equal to 1 (it is 0)"),
    (["compute", "batch_rows"], 0, "compute.batch_rows: input should be greater than or equal to 1 (it is 0)"),
    (["perturbation", "mask"], "", "perturbation.mask: string should have at least 1 character"),
    (["tasks", "nli", "shots"], -1, "tasks.nli.shots: input should be greater than or equal to 0 (it is -1)"),
    (["corpora", "tweets"], "mine", "corpora.tweets: must be a section with keys of its own (it is 'mine')"),
    (["plugins"], "my/plugin.py", "plugins: input should be a valid list (it is 'my/plugin.py')"),
    (
        ["corpora", "fever", "query_field"],
        "evidence",
        "corpora.fever.query_field: is the same as document_field, 'evidence'",
    ),
    (["study", "metrics"], ["hit"], "study.metrics[0]: 'hit' is no metric of the package or of a plugin"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS, ids=[".".join(path) for path, _, _ in FAULTS])
def test_a_fault_is_told_with_its_path_and_what_is_allowed(
    path: list[str], value: Any, message: str, raw: dict[str, Any]
) -> None:
    assert message in faults_of(raw, path, value)


def sections(raw: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The paths of all sections of a configuration."""
    if isinstance(raw, dict):
        yield path
        for key, value in raw.items():
            yield from sections(value, *path, key)


def test_every_section_refuses_an_unknown_key_and_a_value_in_its_place(raw: dict[str, Any]) -> None:
    """Whatever a section is replaced by, the message is one that a person can act on, never an exception."""
    raw["corpora"] |= {"my_table": TABLE, "mine": MINE}
    raw["methods"] |= {"elsewhere": {"kind": "external", "path": "x"}, "mine": {"kind": "mine"}}
    registries = {(name,) for name in ("corpora", "models", "tasks", "methods", "budgets")}
    any_key = registries | {("corpora", "my_table", "fields"), ("corpora", "e_snli", "source", "files")}
    for path in filter(None, sections(raw)):
        added = [] if path in any_key else [{"unheard_of": 1}, {"kind": 3}, {"format": [1]}]
        for value in (1, [{}], "x", *added):
            changed = copy.deepcopy(raw)
            section = changed
            for key in path[:-1]:
                section = section[key]
            section[path[-1]] = section[path[-1]] | value if isinstance(value, dict) else value
            with pytest.raises(UserError, match=re.escape(".".join(path))):
                parse(changed)


@pytest.mark.parametrize("address", ["https://me:secret@example.org/data.zip", "https://secret@example.org/"])
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str, raw: dict[str, Any]) -> None:
    said = faults_of(raw, ["corpora", "mine"], {**TABLE, "source": {"url": address}})
    assert "corpora.mine.source.url: must be an address http://… or https://… without spaces, user name" in said
    assert "secret" not in said


def test_a_corpus_without_train_rows_is_refused_where_they_are_needed(raw: dict[str, Any]) -> None:
    mine = {**TABLE, "train": [], "train_rows": None}
    raw |= {"corpora": raw["corpora"] | {"mine": mine}}
    raw["tasks"] = raw["tasks"] | {TABLE["task"]: raw["tasks"][TABLE["task"]] | {"shots": 0}}
    study = raw["study"] | {"corpora": ["mine"], "checkpoints": ["base"], "methods": ["random", "prompt_unbound"]}
    study["budgets"] = [study["main_budget"]]
    assert parse(raw | {"study": study}).corpora["mine"].train == []
    epochs, examples = study | {"checkpoints": ["base", 2]}, study | {"methods": ["random", "prompt_few_shot"]}
    shown = raw["tasks"] | {TABLE["task"]: raw["tasks"][TABLE["task"]] | {"shots": 2}}
    many = raw["corpora"] | {"mine": mine | {"train_rows": 7}}
    for change, fault in (
        ({"study": epochs}, "the study has epoch 2 of model 'smollm2-135m-instruct', which is trained on them"),
        ({"study": examples}, "methods.prompt_few_shot.shots asks for solved examples from them"),
        ({"study": study, "tasks": shown}, f"tasks.{TABLE['task']}.shots asks for solved examples from them"),
        ({"study": study, "corpora": many}, "train_rows is 7; set it to null"),
    ):
        with pytest.raises(UserError) as caught:
            parse(raw | change)
        assert str(caught.value).splitlines()[1:] == [f"  corpora.mine.train: is empty, but {fault}"]
