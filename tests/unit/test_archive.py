"""Members of nested archives, and what is said of missing and damaged ones."""

from __future__ import annotations

import io
import random
import tarfile

import pytest
from rationale_eval.corpora import archive
from rationale_eval.corpora.archive import read_member
from rationale_eval.errors import UserError

CONTENT = b"row one\nrow two\n" * 500


def tar_of(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def read_or_refusal(path):
    """The bytes of ``rows.tsv``, or the message with which the archive is refused."""
    try:
        return read_member(path, [], "rows.tsv")
    except UserError as error:
        return str(error)


@pytest.fixture
def nested(tmp_path):
    path = tmp_path / "outer.tar.gz"
    inner = tar_of({"data/rows.tsv": CONTENT, "data": None}, "w:xz")
    path.write_bytes(tar_of({"package/data.tar.xz": inner, "package/README": b"hello"}))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_member_is_read_whatever_the_compression(tmp_path, mode):
    path = tmp_path / "archive"
    path.write_bytes(tar_of({"a/b.txt": CONTENT}, mode))
    assert read_member(path, [], "a/b.txt") == CONTENT


def test_a_member_of_a_nested_archive_is_read_and_nothing_is_unpacked(nested, tmp_path):
    assert read_member(nested, ["package/data.tar.xz"], "data/rows.tsv") == CONTENT
    assert list(tmp_path.iterdir()) == [nested]


def test_a_file_of_a_folder_is_read(tmp_path):
    (tmp_path / "rows.tsv").write_bytes(CONTENT)
    assert read_member(tmp_path, [], "rows.tsv") == CONTENT
    with pytest.raises(UserError, match=r"there is no file 'other.tsv' in this folder"):
        read_member(tmp_path, [], "other.tsv")
    with pytest.raises(UserError, match="`archive` must be empty"):
        read_member(tmp_path, ["inner.tar"], "rows.tsv")


@pytest.mark.parametrize(
    ("inner", "member", "message"),
    [
        (["package/data.tar.xz"], "data/none", "package/data.tar.xz: there is no member 'data/none'"),
        (["package/none.tar"], "data/rows.tsv", "outer.tar.gz: there is no member 'package/none.tar'"),
        (["package/README"], "data/rows.tsv", "package/README: not a whole tar archive"),
        (["package/data.tar.xz"], "data", "member 'data' is not a plain file"),
    ],
)
def test_what_is_missing_is_named_with_its_archive(nested, inner, member, message):
    with pytest.raises(UserError, match=message):
        read_member(nested, inner, member)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.tar: there is no such file"):
        read_member(tmp_path / "none.tar", [], "x")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_archive_is_refused_or_the_member_is_whole(tmp_path, mode, share):
    whole = tar_of({"rows.tsv": CONTENT, "more": b"x" * 3000}, mode)
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[: int(len(whole) * share)])
    found = read_or_refusal(path)
    assert found == CONTENT or (isinstance(found, str) and "cut.tar: not a whole tar archive" in found)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_damaged_archive_is_refused_or_the_member_is_whole(tmp_path, mode):
    chance = random.Random(1)
    content = chance.randbytes(20_000)
    whole = tar_of({"rows.tsv": content}, mode)
    path = tmp_path / "damaged.tar"
    found = []
    for place in range(0, len(whole), 500):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        found.append(read_or_refusal(path))
    refusals = [message for message in found if isinstance(message, str)]
    assert refusals
    assert all("damaged.tar" in message for message in refusals)
    assert all(len(member) == len(content) for member in found if isinstance(member, bytes))


def test_a_member_over_the_limit_is_refused_before_it_is_read(nested, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(CONTENT) - 1)
    with pytest.raises(UserError, match=f"has {len(CONTENT)} bytes, over the limit of {len(CONTENT) - 1}"):
        read_member(nested, ["package/data.tar.xz"], "data/rows.tsv")
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(CONTENT))
    assert read_member(nested, ["package/data.tar.xz"], "data/rows.tsv") == CONTENT
