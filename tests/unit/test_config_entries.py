"""Entries of one's own in the configuration: what is said of one mistake in each, and of two that disagree."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from config_faults import MINE, TABLE, faults_of

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
    ("corpora", {**TABLE, "test": []}, "{}.test: list should have at least 1 item"),
    (
        "corpora",
        {**TABLE, "rationale": {"kind": "mask", "column": "marks", "offsets": "utf16"}},
        "{}.rationale: `offsets` and `span_texts` are about char_spans; kind is mask",
    ),
    (
        "corpora",
        {**TABLE, "rationale": {"kind": "char_spans", "span_texts": "said"}, "annotators": "raters"},
        "{}.rationale: `span_texts` are those of the spans in `column`, which is not given",
    ),
    ("corpora", {**MINE, "optons": {}}, "{}.optons: unknown key; did you mean 'options'?"),
    (
        "corpora",
        {**MINE, "minutes": 1},
        "{}.minutes: unknown key; what 'mine' of a plugin is told stands under `options`",
    ),
    (
        "methods",
        {"kind": "external", "path": "my/{corpus}/{seed}.csv"},
        "{}.path: must be a path whose only braces are {corpus}, {model} and {checkpoint} (it is 'my/",
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


VADER = {"package": "vaderSentiment", "version": "3.3.2", "artifact": "vaderSentiment-3.3.2.tar.gz", "sha256": SHA}
ONE = {"url": "https://a.b/c.csv", "sha256": SHA}
OTHERS = {
    "another sha256 of a package's file": (
        VADER,
        VADER,
        f"corpora.two.source.sha256: '{SHA}', but corpora.movie_reviews.source has '5d7c06e0",
    ),
    "another package of that file": (
        {**VADER, "artifact": "a.whl"},
        {**VADER, "artifact": "a.whl", "package": "other"},
        "corpora.two.source.package: 'other', but corpora.one.source has 'vaderSentiment' for the same artifact a.whl",
    ),
    "another sha256 of an address": (
        ONE,
        {**ONE, "sha256": "2" * 64},
        f"corpora.two.source.sha256: {'2' * 64} is another sha256 of https://a.b/c.csv than corpora.one.source.sha256",
    ),
    "the address as one of a folder": (
        ONE,
        {"url": "https://a.b/", "files": {"c.csv": "2" * 64}},
        f"corpora.two.source.files.c.csv: {'2' * 64} is another sha256 of https://a.b/c.csv than corpora.one.source",
    ),
}


@pytest.mark.parametrize(("one", "two", "message"), OTHERS.values(), ids=OTHERS)
def test_one_download_has_one_pin(one: Any, two: Any, message: str, raw: dict[str, Any]) -> None:
    added = {"one": {**TABLE, "source": one}, "two": {**TABLE, "source": two}}
    assert f"\n  {message}" in faults_of(raw, ["corpora"], raw["corpora"] | added)
