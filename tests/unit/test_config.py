"""The configuration: what is accepted, how faults are told, and that its documents follow its types."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
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


def faults_of(raw: dict[str, Any], path: list[str], value: Any) -> str:
    """What is said of the configuration with ``value`` at ``path``."""
    section = raw
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(raw))
    return str(caught.value)


@pytest.mark.parametrize(("path", "value", "message"), FAULTS, ids=[".".join(path) for path, _, _ in FAULTS])
def test_a_fault_is_told_with_its_path_and_what_is_allowed(
    path: list[str], value: Any, message: str, raw: dict[str, Any]
) -> None:
    assert message in faults_of(raw, path, value)


TABLE = {
    "format": "table",
    "source": {"path": "my/table"},
    "train": ["train.csv"],
    "test": ["test.csv"],
    "fields": {"text": "review"},
    "label": "verdict",
    "rationale": {"kind": "mask", "column": "marks"},
    "task": "sentiment",
    "train_rows": None,
    "test_rows": None,
}
MINE = {"format": "mine", "source": {"path": "x"}, "task": "sentiment", "train_rows": None, "test_rows": None}
SHA = "0" * 64

# Entries of one's own with one mistake each, and all that is said about it; {} is the path of the entry.
MISTAKES: list[tuple[str, Any, str]] = [
    # keys of the formats
    ("corpora", {**TABLE, "feilds": {}}, "{}.feilds: unknown key; did you mean 'fields'?"),
    ("corpora", {**TABLE, "minutes": 1}, "{}.minutes: unknown key; known are source, local, task"),
    (
        "corpora",
        {**TABLE, "rationale": {"kind": "mask", "colum": "marks"}},
        "{}.rationale.colum: unknown key; did you mean 'column'?",
    ),
    (
        "corpora",
        {**TABLE, "rationale": {"kind": "masks", "column": "marks"}},
        "{}.rationale.kind: input should be 'word_indices', 'mask', 'char_spans' or 'marked_text' (it is 'masks')",
    ),
    (
        "corpora",
        {**TABLE, "rationale": {"kind": "mask", "column": "marks", "field": "txt"}},
        "{}.rationale.field: 'txt' is not in `fields`; did you mean 'text'?",
    ),
    ("corpora", {**TABLE, "test": ["train.csv"]}, "{}.test_share: is needed where train and test are the same files"),
    (
        "corpora",
        {**TABLE, "test_share": 0.5},
        "{}.test_share: is for train and test in the same files; here these differ",
    ),
    ("corpora", {**TABLE, "train": []}, "{}.train: list should have at least 1 item"),
    ("corpora", {**MINE, "optons": {}}, "{}.optons: unknown key; did you mean 'options'?"),
    (
        "corpora",
        {**MINE, "minutes": 1},
        "{}.minutes: unknown key; what 'mine' of a plugin is told stands under `options`",
    ),
    # names of formats and of kinds of method
    ("corpora", {**TABLE, "format": "tabel"}, "{}.format: 'tabel' is not known; did you mean 'table'?"),
    ("corpora", MINE, "{}.format: 'mine' is no corpus format of the package or of a plugin; known are rated_snippets"),
    (
        "corpora",
        {**MINE, "format": "esnly"},
        "{}.format: 'esnly' is no corpus format of the package or of a plugin; did",
    ),
    ("corpora", {key: MINE[key] for key in MINE if key != "format"}, "{}.format: is missing"),
    ("methods", {"kind": "mine"}, "{}.kind: 'mine' is no method of the package or of a plugin; known are gradients"),
    (
        "methods",
        {"kind": "gradient", "statistic": "grad_l2", "aggregation": "max"},
        "{}.kind: 'gradient' is not known; did you mean 'gradients'?",
    ),
    ("corpora", {**TABLE, "format": ["table"]}, "{}.format: input should be a valid string"),
    ("corpora", {key: TABLE[key] for key in TABLE if key != "format"}, "{}.format: is missing"),
    ("methods", {}, "{}.kind: is missing"),
    ("methods", {"statistic": "grad_l2", "aggregation": "max"}, "{}.kind: is missing"),
    ("budgets", {"kind": "top"}, "{}.kind: 'top' is not known; did you mean 'top_k'?"),
    ("budgets", {}, "{}.kind: is missing"),
    # keys of the kinds of method and of budgets
    ("methods", {"kind": "external", "paht": "x"}, "{}.paht: unknown key; did you mean 'path'?"),
    (
        "methods",
        {"kind": "external", "path": "x", "gives": "score"},
        "{}.gives: input should be 'scores' or 'selected'",
    ),
    ("methods", {"kind": "prompt", "stratgy": "guided"}, "{}.stratgy: unknown key; did you mean 'strategy'?"),
    ("methods", {"kind": "random", "seed": [0]}, "{}.seed: unknown key; did you mean 'seeds'?"),
    ("methods", {"kind": "human", "seeds": [0]}, "{}.seeds: unknown key; known are kind"),
    (
        "methods",
        {"kind": "attention", "statistc": "last", "aggregation": "max"},
        "{}.statistc: unknown key; did you mean 'statistic'?",
    ),
    ("methods", {"kind": "mine", "option": {}}, "{}.option: unknown key; did you mean 'options'?"),
    ("budgets", {"kind": "matched", "too": "prompt_guided"}, "{}.too: unknown key; did you mean 'to'?"),
    # sources of corpora
    ("corpora", {**TABLE, "source": {"pth": "x"}}, "{}.source.pth: unknown key; did you mean 'path'?"),
    ("corpora", {**TABLE, "source": {"file": "x"}}, "{}.source: must have one of the keys path, url, hub, package"),
    (
        "corpora",
        {**TABLE, "source": "my/table"},
        "{}.source: must be a section with keys of its own (it is 'my/table')",
    ),
    ("corpora", {**TABLE, "source": {"path": "x", "sha": SHA}}, "{}.source.sha: unknown key; known are path"),
    (
        "corpora",
        {**TABLE, "source": {"path": "x", "url": "https://a.b/c"}},
        "{}.source.url: is a second source beside `path`; give one",
    ),
    (
        "corpora",
        {**TABLE, "source": {"url": "https://a.b/c", "sha": SHA}},
        "{}.source.sha: unknown key; did you mean 'sha256'?",
    ),
    ("corpora", {**TABLE, "source": {"url": "ftp://a.b/c"}}, "{}.source.url: must be an address http://… or https://…"),
    (
        "corpora",
        {**TABLE, "source": {"url": "https://a.b/c", "files": {"../x": None}}},
        "{}.source.files.../x: must be the name of a file without folders (it is '../x')",
    ),
    (
        "corpora",
        {**TABLE, "source": {"url": "https://a.b/c", "sha256": SHA, "files": {"x": None}}},
        "{}.source: `files` holds at least one file, each with its own sha256",
    ),
    (
        "corpora",
        {**TABLE, "source": {"hub": "name", "revision": "main"}},
        "{}.source.hub: must be owner/name as on the hub",
    ),
    ("corpora", {**TABLE, "source": {"hub": "a/b"}}, "{}.source.revision: is missing"),
    (
        "corpora",
        {**TABLE, "source": {"hub": "a/b", "revison": "main"}},
        "{}.source.revison: unknown key; did you mean 'revision'?",
    ),
    (
        "corpora",
        {**TABLE, "source": {"package": "a", "version": "1", "artefact": "a.whl", "sha256": SHA}},
        "{}.source.artefact: unknown key; did you mean 'artifact'?",
    ),
    # models and their sources
    (
        "models",
        {"source": {"path": "x"}, "promt_style": "chat"},
        "{}.promt_style: unknown key; did you mean 'prompt_style'?",
    ),
    ("models", {"source": {"path": "x", "ggf": "y"}}, "{}.source.ggf: unknown key; did you mean 'gguf'?"),
    (
        "models",
        {"source": {"hub": "a/b", "revision": "c", "ggf": "y"}},
        "{}.source.ggf: unknown key; did you mean 'gguf'?",
    ),
    (
        "models",
        {"source": {"hub": "b", "revision": "c"}},
        "{}.source.hub: must be owner/name as on the hub (it is 'b')",
    ),
    ("models", {"source": {"url": "https://a.b/c"}}, "{}.source: must have one of the keys path, hub, package"),
    ("tasks", {"prompts": "x", "shot": 2}, "{}.shot: unknown key; did you mean 'shots'?"),
]


@pytest.mark.parametrize(("section", "entry", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_a_mistake_in_an_entry_is_one_line(section: str, entry: Any, message: str, raw: dict[str, Any]) -> None:
    said = faults_of(raw, [section, "my_own"], copy.deepcopy(entry)).splitlines()
    assert said[0] == "the configuration is not valid:"
    assert len(said) == 2, said
    assert said[1].strip().startswith(message.replace("{}", f"{section}.my_own"))


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
    assert json.loads(plan.alignment())["metrics"] == ["hit"]
    assert [plugin.name for plugin in (*plan.corpus_plugins("mine"), *plan.method_plugins("own"))] == [
        "mine",
        "of_gradients",
    ]


def test_a_plugins_method_needs_its_evidence(plugged: dict[str, Any]) -> None:
    plugged["models"]["smollm2-135m-instruct"]["evidence"] = ["attention"]
    plugged["study"] |= {"methods": ["random", "own"], "budgets": ["top_var"]}
    with pytest.raises(UserError) as caught:
        StudyPlan(parse(plugged))
    assert str(caught.value).splitlines()[1:] == [
        "  study.methods[1]: 'own' needs gradients, which model 'smollm2-135m-instruct' cannot give "
        "(models.smollm2-135m-instruct.evidence is ['attention'])"
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
        "saliency": plan.method("saliency_l2"),
        "alignment": plan.alignment(),
        "perturbation": plan.perturbation("movie_reviews", MODEL),
        "tables": plan.tables(),
        "figures": plan.figures(),
        "page": plan.page(),
    }


ASKED = {"finetuning", "evidence", "unbound", "guided", "perturbation"}


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        (["perturbation", "mask"], "[MASK]", {"perturbation", "page"}),
        (["models", MODEL, "system_prompt"], "Be brief.", ASKED),
        (["models", MODEL, "prompt_style"], "completion", ASKED),
        (["models", MODEL, "licence"], "MIT", {"model"}),
        # A question about words is put without solved examples.
        (["tasks", "sentiment", "shots"], 2, {"finetuning", "evidence", "perturbation"}),
        (["tasks", "sentiment", "shots_seed"], 1, {"finetuning", "evidence", "perturbation"}),
        (["tasks", "nli", "shots"], 2, set()),
        (["corpora", "movie_reviews", "privacy"], "None.", {"card"}),
        (["corpora", "movie_reviews", "test_rows"], 50, {"test"}),
        (["corpora", "movie_reviews", "local"], "reviews", set()),
        (["corpora", "e_snli", "aggregation"], "union", set()),
        (["methods", "prompt_guided", "max_words"], 10, {"guided", "tables", "figures", "page"}),
        (["finetuning", "rank"], 4, {"finetuning"}),
        (["study", "title"], "Another", {"page"}),
        (["data_root"], "elsewhere", set()),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, list) else None,
)
def test_each_step_reads_only_its_slice(path: list[str], value: Any, changed: set[str], raw: dict[str, Any]) -> None:
    before = slices(raw)
    section = raw
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    assert {name for name, text in slices(raw).items() if text != before[name]} == changed


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
