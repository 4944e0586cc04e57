"""Where files come from: what is fetched, what jobs read, and which files they depend on, for each kind of source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rationale_eval.config import Config
from rationale_eval.corpora.archive import open_members
from rationale_eval.errors import UserError
from rationale_eval.study_sources import Sources

ROOT = Path(__file__).parents[2]
SHA = "1" * 64
ABOUT = {"task": "sentiment", "train_rows": None, "test_rows": None}
TABLE = {
    **ABOUT,
    "format": "table",
    "train": ["train.csv"],
    "test": ["test.csv"],
    "fields": {"text": "review"},
    "label": "verdict",
    "rationale": {"kind": "mask", "column": "marks"},
}
ERASER = {
    **ABOUT,
    "format": "eraser",
    "train": ["movies/train.jsonl"],
    "test": ["movies/test.jsonl"],
    "docs": "movies/docs",
    "query_field": None,
    "document_field": "text",
}
SNIPPETS = {**ABOUT, "format": "rated_snippets", "snippets": "snippets.tsv", "lexicon": "lexicon.tsv"}
PLUGIN = {**ABOUT, "format": "mine"}
PACKAGE = {"package": "p", "version": "1", "artifact": "p-1.tar.gz", "sha256": SHA}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sources(
    corpora: dict[str, Any] | None = None, models: dict[str, Any] | None = None, **top: Any
) -> tuple[Sources, Config]:
    """The sources of config.yaml with other registries of corpora and models."""
    raw = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    raw |= {"corpora": corpora or {}, "models": models or {}, "plugins": [], **top}
    config = Config.model_validate(raw)
    return Sources(config), config


def of_corpus(entry: dict[str, Any], **top: Any) -> tuple[Sources, Any]:
    made, config = sources({"c": entry}, **top)
    return made, config.corpora["c"]


def of_model(source: dict[str, Any], local: str | None = None, **top: Any) -> tuple[Sources, Any]:
    made, config = sources(models={"m": {"source": source, "local": local}}, **top)
    return made, config.models["m"]


def files(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("", encoding="utf-8")


def test_a_package_file_is_fetched_by_its_name() -> None:
    made, entry = of_corpus({**SNIPPETS, "source": PACKAGE}, cache_dir="store")
    assert made.fetched([entry]) == made.inputs(entry) == ["store/packages/p-1.tar.gz"]
    assert made.path(entry) == "store/packages/p-1.tar.gz"
    assert set(made.packages) == {"p-1.tar.gz"}
    assert (made.urls, made.hub) == ({}, {})


def test_one_file_from_the_web_keeps_its_name() -> None:
    made, entry = of_corpus({**TABLE, "source": {"url": "https://a.b/c/data.zip?download=1", "sha256": SHA}})
    (file,) = made.fetched([entry])
    assert file == made.path(entry)
    assert [file] == made.inputs(entry)
    assert Path(file).name == "data.zip"
    assert made.urls == {
        str(Path(file).relative_to("cache/urls")): {"url": "https://a.b/c/data.zip?download=1", "sha256": SHA}
    }


def test_several_files_from_the_web_are_read_as_their_folder() -> None:
    given = {"url": "https://a.b/c/", "files": {"train.csv": SHA, "test.csv": None}}
    made, entry = of_corpus({**TABLE, "source": given})
    fetched = made.fetched([entry])
    assert {Path(file).name for file in fetched} == {"train.csv", "test.csv"}
    assert {str(Path(file).parent) for file in fetched} == {made.path(entry)}
    assert sorted(made.inputs(entry)) == fetched
    slices = {Path(file).name: entry for file, entry in made.urls.items()}
    assert slices == {
        "train.csv": {"url": "https://a.b/c/train.csv", "sha256": SHA},
        "test.csv": {"url": "https://a.b/c/test.csv", "sha256": None},
    }


def test_files_of_one_name_from_two_addresses_stay_apart() -> None:
    two = {name: {**TABLE, "source": {"url": f"https://{name}.org/data.zip"}} for name in ("a", "b")}
    made, config = sources(two)
    assert made.path(config.corpora["a"]) != made.path(config.corpora["b"])
    assert len(made.urls) == 2


def test_a_download_that_two_corpora_share_is_fetched_once() -> None:
    two = {name: {**TABLE, "source": {"url": "https://a.b/data.zip"}} for name in ("a", "b")}
    made, config = sources(two)
    assert len(made.fetched(config.corpora.values())) == len(made.urls) == 1


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_pin_holds_for_every_entry_that_names_the_file(order: tuple[str, str]) -> None:
    pinned = {"a": {"url": "https://a.b/data.zip", "sha256": SHA}, "b": {"url": "https://a.b/data.zip"}}
    folder = {"url": "https://a.b/", "files": {"data.zip": None}}
    given = {name: {**TABLE, "source": pinned[name]} for name in order} | {"c": {**TABLE, "source": folder}}
    made, _ = sources(given)
    assert list(made.urls.values()) == [{"url": "https://a.b/data.zip", "sha256": SHA}] * 2


def test_a_hub_data_set_is_a_card() -> None:
    asked = {"hub": "owner/name", "revision": "main", "files": ["*.csv"]}
    made, entry = of_corpus({**TABLE, "source": asked})
    (card,) = made.fetched([entry])
    assert card == made.path(entry)
    assert [card] == made.inputs(entry)
    assert card.startswith("cache/hub/owner--name-")
    assert card.endswith(".hub.json")
    assert list(made.hub.values()) == [
        {"repo": "owner/name", "kind": "dataset", "revision": "main", "files": ["*.csv"]}
    ]
    # Another revision, other files and a model of the same name are downloads of their own.
    cards = {card}
    for other in ({"revision": "v2"}, {"files": None}):
        made, entry = of_corpus({**TABLE, "source": asked | other})
        cards.add(made.path(entry))
    made, model = of_model({"hub": "owner/name", "revision": "main"})
    assert len(cards | {made.path(model)}) == 4


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, None),
        ({"gguf": "m.gguf"}, ["m.gguf"]),
        ({"files": ["*.safetensors", "*.json"]}, ["*.safetensors", "*.json"]),
        ({"gguf": "m.gguf", "files": ["m.gguf", "*.json"]}, ["m.gguf", "*.json"]),
    ],
)
def test_of_a_hub_model_only_what_is_loaded_is_fetched(more: dict[str, Any], wanted: list[str] | None) -> None:
    made, _ = of_model({"hub": "owner/name", "revision": "main", **more})
    assert list(made.hub.values()) == [{"repo": "owner/name", "kind": "model", "revision": "main", "files": wanted}]


def test_a_folder_with_a_model_is_its_files_that_loading_reads() -> None:
    files("m/config.json", "m/tokenizer.json", "m/model.safetensors", "m/README.md", "m/pytorch_model.bin")
    made, entry = of_model({"path": "m"})
    assert made.path(entry) == "m"
    assert made.inputs(entry) == ["m/config.json", "m/model.safetensors", "m/tokenizer.json"]
    assert made.fetched([entry]) == []
    assert made.described(entry)["gguf"] is None


def test_a_gguf_file_is_named_by_itself_or_in_its_folder() -> None:
    files("m/a.gguf", "m/b.gguf")
    made, by_itself = of_model({"path": "m/a.gguf"})
    assert made.path(by_itself) == "m/a.gguf"
    assert made.inputs(by_itself) == ["m/a.gguf"]
    made, in_folder = of_model({"path": "m", "gguf": "b.gguf"})
    assert made.path(in_folder) == "m"
    assert made.inputs(in_folder) == ["m/b.gguf"]
    assert made.described(in_folder)["gguf"] == "b.gguf"


def test_of_a_folder_a_corpus_depends_on_the_files_that_it_reads() -> None:
    files("t/train.csv", "t/test.csv", "t/notes.txt", "t/part/train.csv", "t/lexicon.tsv", "t/snippets.tsv")
    made, entry = of_corpus({**TABLE, "source": {"path": "t"}})
    assert made.path(entry) == "t"
    # As the reader takes it, a pattern without a folder is about names.
    assert made.inputs(entry) == ["t/part/train.csv", "t/test.csv", "t/train.csv"]
    made, entry = of_corpus({**TABLE, "train": ["part/*.csv"], "source": {"path": "t"}})
    assert made.inputs(entry) == ["t/part/train.csv", "t/test.csv"]
    made, entry = of_corpus({**SNIPPETS, "source": {"path": "t"}})
    assert made.inputs(entry) == ["t/snippets.tsv", "t/lexicon.tsv"]
    made, entry = of_corpus({**TABLE, "archive": ["data.zip", "inner.tar"], "source": {"path": "t"}})
    assert made.inputs(entry) == ["t/data.zip"]


@pytest.mark.parametrize("source", [{"path": "t"}, {"url": "https://a.b/t", "files": {"a.csv": SHA, "b.csv": SHA}}])
def test_test_rows_depend_on_no_file_of_train_rows(source: dict[str, Any]) -> None:
    files("t/a.csv", "t/b.csv")
    made, entry = of_corpus({**TABLE, "train": ["a.csv"], "test": ["b.csv"], "source": source})
    read = {side: [Path(file).name for file in made.inputs(entry, side)] for side in ("train", "test")}
    # A text that is on both sides is left out of the train rows.
    assert read == {"train": ["a.csv", "b.csv"], "test": ["b.csv"]}
    made, entry = of_corpus({**TABLE, "train": ["*.csv"], "test": ["*.csv"], "test_share": 0.5, "source": source})
    assert [Path(file).name for file in made.inputs(entry, "test")] == ["a.csv", "b.csv"]


def test_a_corpus_depends_on_exactly_the_files_that_the_reader_opens() -> None:
    files("t/in/deep/train.csv", "t/fold[1]/train.csv", "t/test[1].csv", "t/test1.csv", "elsewhere/train.csv")
    Path("t/link").symlink_to(Path("elsewhere").absolute())
    Path("t/gone/train.csv").parent.mkdir()
    Path("t/gone/train.csv").symlink_to("nowhere")
    cases = {
        "in/*.csv": ["t/in/deep/train.csv"],  # a star goes through folders
        "fold[1]/train.csv": ["t/fold[1]/train.csv"],  # a path written out
        "./link/train.csv": ["t/link/train.csv"],
        "li*/*.csv": ["t/link/train.csv"],
        "test[1].csv": ["t/test1.csv", "t/test[1].csv"],
    }
    for pattern, expected in cases.items():
        made, entry = of_corpus({**TABLE, "train": [pattern], "test": [pattern], "source": {"path": "t"}})
        assert made.inputs(entry) == expected, pattern
        assert [where for where, _ in open_members(Path("t"), [], [pattern])] == expected, pattern
    # The message on what matches nothing, or is no file, is the reader's.
    for pattern in ("/t/*.csv", "gone/train.csv"):
        made, entry = of_corpus({**TABLE, "train": [pattern], "test": [pattern], "source": {"path": "t"}})
        assert made.inputs(entry) == ["t"]
        with pytest.raises(UserError, match=re.escape(pattern)):
            list(open_members(Path("t"), [], [pattern]))


@pytest.mark.parametrize("entry", [TABLE, ERASER, SNIPPETS], ids=["table", "eraser", "snippets"])
def test_of_a_folder_that_holds_an_archive_alone_a_corpus_depends_on_that(entry: dict[str, Any]) -> None:
    files("t/data.zip", "t/.gitattributes")
    made, found = of_corpus({**entry, "source": {"path": "t"}})
    assert made.inputs(found) == ["t/data.zip"]


def test_of_an_eraser_folder_a_corpus_depends_on_rows_and_documents() -> None:
    files("e/movies/train.jsonl", "e/movies/test.jsonl", "e/movies/val.jsonl", "e/movies/docs/a", "e/movies/docs/b")
    files("e/other/docs/c", "e/movies/README")
    made, entry = of_corpus({**ERASER, "source": {"path": "e"}})
    assert made.inputs(entry) == [
        "e/movies/docs/a",
        "e/movies/docs/b",
        "e/movies/test.jsonl",
        "e/movies/train.jsonl",
    ]
    files("e/movies/docs.jsonl")
    made, entry = of_corpus({**ERASER, "docs": "movies/docs.jsonl", "source": {"path": "e"}})
    assert made.inputs(entry) == ["e/movies/docs.jsonl", "e/movies/test.jsonl", "e/movies/train.jsonl"]


def test_a_plugins_corpus_depends_on_all_files_of_its_folder() -> None:
    files("p/a.txt", "p/inside/b.txt")
    made, entry = of_corpus({**PLUGIN, "source": {"path": "p"}})
    assert made.inputs(entry) == ["p/a.txt", "p/inside/b.txt"]


@pytest.mark.parametrize("entry", [TABLE, ERASER], ids=["table", "eraser"])
def test_a_path_without_the_files_is_named_for_the_message(entry: dict[str, Any]) -> None:
    made, missing = of_corpus({**entry, "source": {"path": "nowhere"}})
    assert made.inputs(missing) == ["nowhere"]
    Path("empty").mkdir()
    made, empty = of_corpus({**entry, "source": {"path": "empty"}})
    assert made.inputs(empty) == ["empty"]


@pytest.mark.parametrize(
    "source",
    [PACKAGE, {"url": "https://a.b/data.zip"}, {"hub": "owner/name", "revision": "main"}, {"path": "elsewhere"}],
    ids=["package", "url", "hub", "path"],
)
def test_local_files_win_where_they_are(source: dict[str, Any]) -> None:
    files("root/reviews/train.csv", "root/reviews/test.csv")
    entry = {**TABLE, "source": source, "local": "reviews"}
    made, won = of_corpus(entry, data_root="root")
    assert made.path(won) == "root/reviews"
    assert made.inputs(won) == ["root/reviews/test.csv", "root/reviews/train.csv"]
    assert made.fetched([won]) == []
    assert (made.packages, made.urls, made.hub) == ({}, {}, {})

    absent = {**entry, "local": "others"}
    for top, given in (({}, entry), ({"data_root": "root"}, absent), ({"data_root": "nowhere"}, entry)):
        made, kept = of_corpus(given, **top)
        assert made.local(kept) is None
        assert made.path(kept) != "root/reviews"
        assert len(made.fetched([kept])) == ("path" not in source)


def test_a_local_model_wins_and_says_so_in_its_description() -> None:
    files("root/llama/config.json", "root/llama/tokenizer.json", "root/llama/model.safetensors")
    asked = {"hub": "owner/name", "revision": "main"}
    made, won = of_model(asked, local="llama", data_root="root")
    assert made.path(won) == "root/llama"
    assert made.described(won) == {"path": "llama", "gguf": None}
    made, kept = of_model(asked, local="llama")
    assert made.described(kept) == {**asked, "files": None, "gguf": None}


def test_everything_fetched_has_a_slice_from_which_it_is_fetched() -> None:
    corpora = {
        "web": {**TABLE, "source": {"url": "https://a.b", "files": {"train.csv": None, "test.csv": None}}},
        "hub": {**TABLE, "source": {"hub": "o/n", "revision": "main"}},
        "package": {**SNIPPETS, "source": PACKAGE},
        "path": {**TABLE, "source": {"path": "t"}},
    }
    models = {
        "gguf": {"source": {**PACKAGE, "artifact": "m-1.whl", "gguf": "m.gguf"}},
        "hub": {"source": {"hub": "o/n", "revision": "main"}},
    }
    made, config = sources(corpora, models)
    slices = {
        *(f"cache/packages/{name}" for name in made.packages),
        *(f"cache/urls/{name}" for name in made.urls),
        *(f"cache/hub/{name}.hub.json" for name in made.hub),
    }
    assert slices == set(made.fetched([*config.corpora.values(), *config.models.values()]))
    assert len(slices) == 6
