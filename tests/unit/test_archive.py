"""Files of folders, tars and zips, nested or not, and what is said of missing, damaged and malicious ones."""

from __future__ import annotations

import os
import zipfile

import pytest
from archives import (
    CONTENT,
    MODES,
    contents,
    tar_of,
    zip_of,
)
from rationale_eval.corpora.archive import open_members, read_member
from rationale_eval.errors import UserError


@pytest.fixture
def nested(tmp_path):
    path = tmp_path / "outer.tar.gz"
    inner = tar_of({"data/rows.tsv": CONTENT, "data": None}, "w:xz")
    path.write_bytes(tar_of({"package/data.tar.xz": inner, "package/README": b"hello"}))
    return path


@pytest.mark.parametrize("mode", MODES)
def test_a_member_is_read_whatever_the_compression(tmp_path, mode):
    path = tmp_path / "archive"
    path.write_bytes(tar_of({"a/b.txt": CONTENT}, mode))
    assert read_member(path, [], "a/b.txt") == CONTENT


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_is_read_too(tmp_path, method):
    path = tmp_path / "archive"
    path.write_bytes(zip_of({"a/b.txt": CONTENT, "a/": b""}, method))
    assert read_member(path, [], "a/b.txt") == CONTENT


def test_nested_archives_are_read_from_a_file_or_a_folder_and_nothing_is_unpacked(nested, tmp_path):
    steps = ["package/data.tar.xz"]
    assert read_member(nested, steps, "data/rows.tsv") == CONTENT
    assert read_member(tmp_path, [nested.name, *steps], "data/rows.tsv") == CONTENT
    assert list(tmp_path.iterdir()) == [nested]


def test_a_tar_in_a_zip_in_a_tar_in_a_folder(tmp_path):
    innermost = tar_of({"./rows/a.txt": b"a"}, "w:bz2")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "outer").write_bytes(tar_of({"x/middle.zip": zip_of({"deep.tar.bz2": innermost})}, "w"))
    (found,) = open_members(tmp_path, ["sub/outer", "x/middle.zip", "deep.tar.bz2"], ["rows/a.txt"])
    assert found[0] == f"{tmp_path}/sub/outer -> x/middle.zip -> deep.tar.bz2 -> ./rows/a.txt"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["rows/*.txt"], ["rows/a.txt", "rows/b.txt", "rows/deep/c.txt"]),
        (["*.txt"], ["rows/a.txt", "rows/b.txt", "rows/deep/c.txt", "top.txt"]),
        (["top.txt", "rows/b.txt"], ["rows/b.txt", "top.txt"]),
        (["b.*", "*.txt", "rows/b.txt"], ["rows/a.txt", "rows/b.txt", "rows/deep/c.txt", "top.txt"]),
        (["rows/[x].csv"], ["rows/[x].csv"]),
        (["./rows/?.txt"], ["rows/a.txt", "rows/b.txt"]),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "tar", "dotted tar", "zip"])
def test_patterns_choose_files_and_the_order_is_that_of_the_names(tmp_path, kind, patterns, names):
    files = ["top.txt", "rows/b.txt", "rows/[x].csv", "rows/deep/c.txt", "rows/a.txt"]
    source = tmp_path / "source"
    if kind == "folder":
        for name in files:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(name.encode())
    elif kind == "zip":
        source.write_bytes(zip_of({name: name.encode() for name in files}))
    else:
        prefix = "./" if kind == "dotted tar" else ""
        source.write_bytes(tar_of({f"{prefix}{name}": name.encode() for name in files} | {"./rows": None}))
    found = contents(source, [], patterns)
    assert list(found) == names
    assert all(content == name.encode() for name, content in found.items())


def test_a_single_file_is_a_source_if_its_name_matches(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_bytes(CONTENT)
    ((where, stream),) = open_members(path, [], ["*.tsv"])
    assert (where, stream.closed) == (str(path), True)
    assert contents(path, [], ["rows.tsv"]) == {"rows.tsv": CONTENT}
    with pytest.raises(UserError, match=r"rows.tsv: no file in it matches '\*.csv'; it holds 1, such as 'rows.tsv'"):
        contents(path, [], ["*.csv"])


def test_a_folder_whose_only_file_is_an_archive_is_that_archive(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "lock").touch()  # what the hub's tools leave beside a download
    (tmp_path / "data" / "rows.zip").write_bytes(zip_of({"in/a.txt": b"a", "in/b.tar": tar_of({"b.txt": b"b"}, "w")}))
    assert contents(tmp_path, [], ["*.txt"]) == {"in/a.txt": b"a"}
    assert read_member(tmp_path, ["data/rows.zip"], "in/a.txt") == b"a"
    assert contents(tmp_path, ["data/rows.zip", "in/b.tar"], ["b.txt"]) == {"b.txt": b"b"}
    with pytest.raises(UserError, match=r"there is no file 'in/b\.tar' in it"):
        contents(tmp_path, ["in/b.tar"], ["b.txt"])
    (tmp_path / "README").touch()
    with pytest.raises(UserError, match=r"no file in it matches '\*.txt'; it holds 3"):
        contents(tmp_path, [], ["*.txt"])
    # Rows that are compressed are no archive.
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "rows.csv.gz").write_bytes(b"x")
    assert contents(tmp_path / "one", [], ["rows.csv.gz"]) == {"rows.csv.gz": b"x"}


def test_links_in_a_folder_are_followed_but_not_in_circles(tmp_path):
    source, store = tmp_path / "source", tmp_path / "store"
    (store / "shards").mkdir(parents=True)
    source.mkdir()
    (store / "shards" / "one.txt").write_bytes(b"one")
    (source / "shards").symlink_to(store / "shards")
    (store / "shards" / "round").symlink_to(source)
    (source / "gone.txt").symlink_to(store / "gone.txt")
    assert contents(source, [], ["shards/*.txt"]) == {"shards/one.txt": b"one"}
    with pytest.raises(UserError, match=r"gone.txt: is not a plain file \(or a link that leads nowhere\)"):
        contents(source, [], ["*.txt"])


def test_streams_can_be_read_by_line_and_sought_in_and_are_closed_after_use(tmp_path):
    path = tmp_path / "rows.zip"
    path.write_bytes(zip_of({"a": CONTENT, "b": CONTENT}))
    streams = []
    for _, stream in open_members(path, [], ["*"]):
        assert next(iter(stream)) == b"row one\n"
        assert stream.seek(-8, os.SEEK_END) == len(CONTENT) - 8
        assert stream.read() == b"row two\n"
        streams.append(stream)
    assert [stream.closed for stream in streams] == [True, True]


@pytest.mark.parametrize(
    ("inner", "member", "message"),
    [
        (["package/data.tar.xz"], "data/none", "package/data.tar.xz: there is no file 'data/none' in it; it holds 1"),
        (["package/none.tar"], "data/rows.tsv", "outer.tar.gz: there is no file 'package/none.tar' in it; it holds 2"),
        (["package/README"], "data/rows.tsv", "package/README: not a whole tar or zip archive"),
        (["package/data.tar.xz"], "data", "package/data.tar.xz: there is no file 'data'"),
    ],
)
def test_what_is_missing_is_named_with_its_archive(nested, inner, member, message):
    with pytest.raises(UserError, match=message):
        read_member(nested, inner, member)


def test_a_missing_source_and_a_missing_file_of_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none.tar: there is no such file"):
        contents(tmp_path / "none.tar", [], ["x"])
    with pytest.raises(UserError, match=r"no file in it matches 'x'; it is empty"):
        contents(tmp_path, [], ["x"])
    with pytest.raises(UserError, match=r"there is no file 'x' in it; it is empty"):
        read_member(tmp_path, [], "x")


def test_every_pattern_must_match(nested):
    with pytest.raises(UserError, match=r"outer.tar.gz: no file in it matches 'rows_\*.tsv'; it holds 2, such as"):
        contents(nested, [], ["package/README", "rows_*.tsv"])


def test_what_the_consumer_raises_is_not_mistaken_for_damage(nested):
    members = open_members(nested, [], ["README"])
    next(members)
    with pytest.raises(ValueError, match="mine"):
        members.throw(ValueError("mine"))
