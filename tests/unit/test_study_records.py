"""What tables say that they were made from, beside what the configuration would make; checksums; spellings of paths."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from rationale_eval.checks.results import results
from rationale_eval.checksums import Checksums
from rationale_eval.config_corpora import plain_path
from rationale_eval.config_files import merged
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.errors import UserError
from rationale_eval.provenance import provenance, sha256_file
from rationale_eval.study_records import METADATA, expected, is_recorded, record_of, rules_of, spec_of, stale_unrecorded
from rationale_eval.yaml_keys import check_keys
from snakemake.persistence.file import FilePersistence


@pytest.fixture
def plan(project):
    """The default study with results of its own; its test table of editorials is there."""
    (project / "own.yaml").write_text("results_dir: out\n")
    found = merged([Path("own.yaml")])
    (project / "source.txt").write_text("rows")
    spec = yaml.safe_load(found.corpus("editorials", "test"))
    write(spec)
    return found


def write(spec):
    rows = [Instance("1", "positive", {"text": "a film"}, whitespace_words(["a film"]), (False, True))]
    Path("out/corpora/editorials").mkdir(parents=True, exist_ok=True)
    made = provenance("corpus", spec, {"source": Path("source.txt")})
    write_instances(Path("out/corpora/editorials/test.parquet"), rows, made)


def test_every_rule_that_stores_a_slice_has_its_files(plan):
    found = list(expected(plan))
    assert len({made.path for made in found}) == len(found)
    assert {made.rule for made in found} >= {"corpus", "model", "evidence", "finetune", "replies", "perturb", "claims"}
    for made in found:
        assert isinstance(yaml.safe_load(made.spec()), dict), made


def test_a_table_of_another_slice_is_stale_unless_snakemake_knows_it(plan):
    assert stale_unrecorded(plan) == []
    write(yaml.safe_load(plan.corpus("editorials", "test")) | {"rows": 7})
    (stale,) = stale_unrecorded(plan)
    assert (str(stale.path), stale.rule) == ("out/corpora/editorials/test.parquet", "corpus")
    METADATA.mkdir(parents=True)
    assert [made.path for made in stale_unrecorded(plan)] == [stale.path]
    # As Snakemake names its record of this path.
    (METADATA / "b3V0L2NvcnBvcmEvZWRpdG9yaWFscy90ZXN0LnBhcnF1ZXQ=").write_text("{}")
    assert stale_unrecorded(plan) == []


def test_a_long_path_has_its_record_in_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    METADATA.mkdir(parents=True)
    path = Path("results") / ("x" * 150) / ("y" * 150) / "t.parquet"
    assert not is_recorded(path)
    # Snakemake's own code says where, so that its way of cutting long names is the one that is read.
    files = SimpleNamespace(_fetch_max_len=lambda folder: os.pathconf(folder, "PC_NAME_MAX"))
    record = Path(FilePersistence._record_path(files, str(METADATA), str(path)))
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert record.parent != METADATA
    assert is_recorded(path)


def test_what_says_nothing_of_itself_is_no_fault(tmp_path):
    for content in ("", "{", "[]", "{}", '{"provenance": 1}'):
        (tmp_path / "card.json").write_text(content)
        assert spec_of(record_of(tmp_path / "card.json") or {}) is None
    (tmp_path / "t.parquet").write_bytes(b"no table")
    assert record_of(tmp_path / "t.parquet") is None


def test_rules_are_those_of_shards_where_there_are_some(plan):
    found = [made for made in expected(plan) if made.rule in ("perturb", "curves")]
    assert rules_of(found) == "curves perturb"
    assert rules_of(found, shards=3) == "curves perturb_shard"


def test_the_check_of_results_names_what_is_stale_and_what_mends_it(plan):
    (found,) = results(plan)
    assert (found.level, found.text) == ("ok", "1 files are of this configuration and of the inputs that they name")
    Path("source.txt").write_text("other rows")
    first, last = results(plan)
    assert (first.level, first.what) == ("problem", "rule corpus")
    assert "out/corpora/editorials/test.parquet: its input source.txt has changed since" in first.text
    assert "1 of 1 files are stale; snakemake --cores all --forcerun corpus makes them anew" in last.text
    write(yaml.safe_load(plan.corpus("editorials", "test")) | {"rows": 7})
    assert "made from another configuration" in next(iter(results(plan))).text
    Path("out/corpora/editorials/test.parquet").unlink()
    (found,) = results(plan)
    assert (found.level, found.text) == ("ok", "out: there are none yet")


def test_a_checksum_is_remembered_until_the_content_may_be_another(tmp_path, monkeypatch):
    file, memory = tmp_path / "weights", tmp_path / "memory.json"
    file.write_bytes(b"one")
    first = Checksums(memory)
    assert first.of(file) == sha256_file(file)
    first.save()
    monkeypatch.setattr("rationale_eval.checksums.sha256_file", lambda path: "computed")
    assert Checksums(memory).of(file) != "computed"
    # The same size and an older time, as a copy with its times makes it.
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Checksums(memory).of(file) == "computed"
    memory.write_text("{")
    assert Checksums(memory).of(file) == "computed"
    # Where nothing can be written nothing is lost but time.
    other = Checksums(tmp_path / "weights/memory.json")
    other.of(file)
    other.save()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("results/", "results"),
        ("./results//a", "results/a"),
        ("HERE/results", "results"),
        ("HERE", "."),
        ("/elsewhere/results/", "/elsewhere/results"),
        ("~/results", "HOME/results"),
        ("../results", "../results"),
        ("", ""),
    ],
)
def test_a_path_has_one_spelling(given, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert plain_path(given.replace("HERE", str(tmp_path))) == found.replace("HOME", "/home/me")


def test_a_home_that_is_not_known_is_told():
    with pytest.raises(ValueError, match="names a home folder that is not known"):
        plain_path("~nobody-of-this-name/results")


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{b: *a{i - 1}, c: *a{i - 1}, d: *a{i - 1}}}\n" for i in range(1, 20)),
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30)),
        "a: &a\n  b: *a\n",
    ],
    ids=["sections", "lists", "without end"],
)
def test_aliases_that_stand_for_millions_of_entries_are_refused(text, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UserError, match=r"own.yaml: its aliases \(\*name\) stand for [\d,]+ entries"):
        check_keys(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("study: {a: 1}\nother: 2\nstudy: {b: 1}\n", "line 3: 'study' stands twice"),
        ("study:\n  a: 1\n  a: 2\n", "line 3: 'a' stands twice"),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2}\n", None),
        ("a: {b: 1}\nc: {b: 1}\n", None),
        ("a: {1: x, '1': y}\n", None),
        ("a: [{b: 1, b: 2}]\n", "line 1: 'b' stands twice"),
        ("{", None),
    ],
)
def test_a_key_twice_in_one_section_is_refused(text, fault, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    if fault is None:
        check_keys(tmp_path / "own.yaml")
        return
    with pytest.raises(UserError, match=f"own.yaml: {fault} in one section"):
        check_keys(tmp_path / "own.yaml")
