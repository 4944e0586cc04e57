"""Archives that are damaged, malicious or grow without end: one message each, and no more memory than is allowed."""

from __future__ import annotations

import gzip
import random
import tarfile
import zipfile
import zlib

import pytest
from archives import (
    CONTENT,
    MODES,
    content_or_refusal,
    contents,
    encrypted_zip,
    lying_zip,
    tar_of,
    zip_of,
    zip_with_link,
)
from rationale_eval.corpora import archive, containers
from rationale_eval.corpora.archive import open_members, read_member, unpacked_gz
from rationale_eval.errors import UserError


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        pytest.param(tar_of({"/rows.tsv": CONTENT}), "-> /rows.tsv: has an absolute path", id="absolute"),
        pytest.param(tar_of({"../rows.tsv": CONTENT}), r"-> \.\./rows.tsv: has an absolute path or", id="parent"),
        pytest.param(tar_of({"a/../../rows.tsv": CONTENT}), "absolute path or one with `..`", id="parent within"),
        pytest.param(zip_of({"../rows.tsv": CONTENT}), "absolute path or one with `..`", id="parent in a zip"),
        pytest.param(zip_of({"/rows.tsv": CONTENT}), "absolute path or one with `..`", id="absolute in a zip"),
        pytest.param(tar_of({"rows.tsv": tarfile.SYMTYPE}), "rows.tsv: is a link to '/etc/passwd'", id="link"),
        pytest.param(tar_of({"rows.tsv": tarfile.LNKTYPE}), "rows.tsv: is a link to '/etc/passwd'", id="hard link"),
        pytest.param(tar_of({"rows.tsv": tarfile.CHRTYPE}), "rows.tsv: is a device", id="device"),
        pytest.param(tar_of({"rows.tsv": tarfile.FIFOTYPE}), "rows.tsv: is a device or a pipe", id="pipe"),
        pytest.param(zip_with_link(), "rows.tsv: is a link or a device", id="link in a zip"),
        pytest.param(encrypted_zip(), "rows.tsv: is encrypted", id="encrypted"),
        pytest.param(lying_zip(), "rows.tsv: not a whole tar or zip archive", id="a zip that lies about sizes"),
        pytest.param(b"", "not a whole tar or zip archive", id="empty file"),
        pytest.param(b"not an archive\n" * 100, "not a whole tar or zip archive", id="text"),
        pytest.param(b"\x1f\x8b" + b"junk" * 100, "not a whole tar or zip archive", id="not gzip after all"),
        pytest.param(zlib.compress(CONTENT), "not a whole tar or zip archive", id="bare zlib"),
    ],
)
def test_malicious_and_wrong_archives_are_refused_in_one_message(tmp_path, packed, message):
    path = tmp_path / "source.tar.gz"
    path.write_bytes(packed)
    with pytest.raises(UserError, match=message) as refusal:
        contents(path, [], ["rows.tsv"])
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_member_that_nobody_asked_for_does_no_harm(tmp_path):
    path = tmp_path / "source.tar"
    path.write_bytes(tar_of({"../evil": b"x", "link": tarfile.SYMTYPE, "rows.tsv": CONTENT}))
    assert contents(path, [], ["rows.tsv"]) == {"rows.tsv": CONTENT}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9])
def test_a_truncated_tar_is_refused_or_the_member_is_whole(tmp_path, mode, share):
    whole = tar_of({"rows.tsv": CONTENT, "more": b"x" * 3000}, mode)
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[: int(len(whole) * share)])
    found = content_or_refusal(path)
    assert found == CONTENT or (isinstance(found, str) and "cut.tar: not a whole tar or zip archive" in found)


def test_a_tar_that_ends_or_breaks_between_members_is_refused_rather_than_read_without_the_rest(tmp_path):
    whole = tar_of({"rows.tsv": CONTENT, "more.tsv": CONTENT}, "w")
    second = whole.index(b"more.tsv")
    broken_header = bytearray(whole)
    broken_header[second + 150] ^= 0xFF
    for number, damaged in enumerate((whole[:second], whole[: second + 100], bytes(broken_header))):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"not a whole tar or zip archive .it breaks off or .* at byte {second}"):
            contents(path, [], ["*.tsv"])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_zip_is_refused(tmp_path, share):
    whole = zip_of({"rows.tsv": CONTENT})
    path = tmp_path / "cut.zip"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cut.zip: not a whole tar or zip archive" in content_or_refusal(path)


@pytest.mark.parametrize("kind", [*MODES, "zip"])
def test_a_damaged_archive_is_refused_or_the_member_has_its_length(tmp_path, kind):
    chance = random.Random(1)
    content = chance.randbytes(20_000)
    whole = zip_of({"rows.tsv": content}) if kind == "zip" else tar_of({"rows.tsv": content}, kind)
    path = tmp_path / "damaged.tar"
    found = []
    for place in [*range(0, 512, 7), *range(512, len(whole), 500), *range(len(whole) - 100, len(whole), 3)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        found.append(content_or_refusal(path))
    refusals = [message for message in found if isinstance(message, str)]
    assert refusals
    assert all("damaged.tar" in message for message in refusals)
    assert all(len(member) == len(content) for member in found if isinstance(member, bytes))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_limits_are_counted_as_bytes_come_out(tmp_path, monkeypatch, pack):
    path = tmp_path / "bomb"
    path.write_bytes(pack({"a": CONTENT, "b": CONTENT}))
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(CONTENT))
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2 * len(CONTENT))
    assert contents(path, [], ["*"]) == {"a": CONTENT, "b": CONTENT}
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2 * len(CONTENT) - 1)
    with pytest.raises(UserError, match="bomb -> b: the files read up to here hold more than the limit of 15999 bytes"):
        contents(path, [], ["*"])
    assert contents(path, [], ["b"]) == {"b": CONTENT}
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(CONTENT) - 1)
    with pytest.raises(UserError, match="bomb -> a: decompresses to more than the limit of 7999 bytes for a file"):
        read_member(path, [], "a")


def test_a_compressed_tar_or_a_nested_archive_that_grows_without_end_is_stopped(tmp_path, monkeypatch):
    bomb = tar_of({"rows.tsv": bytes(10_000_000)})
    assert len(bomb) < 20_000
    (tmp_path / "bomb.tar.gz").write_bytes(bomb)
    (tmp_path / "outer.zip").write_bytes(zip_of({"x.tar": tar_of({"rows.tsv": bytes(10_000_000)}, "w")}))
    monkeypatch.setattr(containers, "MAX_ARCHIVE_BYTES", 5_000_000)
    for source, inner, where in [("bomb.tar.gz", [], "bomb.tar.gz"), ("outer.zip", ["x.tar"], "outer.zip -> x.tar")]:
        with pytest.raises(UserError, match=f"{where}: decompresses to more than the limit of 5000000 bytes"):
            contents(tmp_path / source, inner, ["rows.tsv"])


def test_files_of_a_folder_have_no_limit(tmp_path, monkeypatch):
    (tmp_path / "rows.tsv").write_bytes(CONTENT)
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 1)
    assert contents(tmp_path, [], ["rows.tsv"]) == {"rows.tsv": CONTENT}


@pytest.mark.parametrize("pack", [tar_of, lambda members: tar_of(members, "w:xz"), zip_of, lambda m: zip_of(m, 0)])
def test_a_file_is_read_in_pieces_larger_than_a_header_may_be(tmp_path, pack):
    content = random.Random(0).randbytes(1_000_000) * 3
    (tmp_path / "packed").write_bytes(pack({"a": content}))
    ((_, stream),) = ((where, stream.read(2_500_000)) for where, stream in open_members(tmp_path / "packed", [], ["a"]))
    assert stream == content[:2_500_000]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_every_method_are_sought_in_and_their_damage_is_found(tmp_path, method):
    path = tmp_path / "rows.zip"
    path.write_bytes(zip_of({"a": CONTENT}, method))
    ((_, stream),) = (
        (where, (s.seek(-8, 2), s.read(), s.seek(0), s.read())) for where, s in open_members(path, [], ["a"])
    )
    assert stream == (len(CONTENT) - 8, b"row two\n", 0, CONTENT)
    packed = bytearray(path.read_bytes())
    packed[packed.index(b"PK\x01\x02") + 16] ^= 1  # the checksum
    path.write_bytes(packed)
    with pytest.raises(UserError, match="another size or checksum"):
        contents(path, [], ["a"])


def test_what_a_gz_in_a_zip_holds_counts_too(tmp_path, monkeypatch):
    path = tmp_path / "rows.zip"
    path.write_bytes(zip_of({name: gzip.compress(CONTENT, mtime=0) for name in ("a.gz", "b.gz")}))

    def unpacked():
        return [unpacked_gz(stream, where).read() for where, stream in open_members(path, [], ["*"])]

    assert unpacked() == [CONTENT, CONTENT]
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2 * len(CONTENT) - 1)
    with pytest.raises(UserError, match=r"b\.gz: the files read up to here hold more"):
        unpacked()
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", len(CONTENT) - 1)
    with pytest.raises(UserError, match=r"a\.gz: decompresses to more than"):
        unpacked()


def test_names_too_long_for_a_file_system_and_too_many_of_them_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "packed"
    for pack in (tar_of, zip_of):
        path.write_bytes(pack({"a" * 5000: b"", "b": b"x"}))
        with pytest.raises(UserError, match=r"the name of a file in it, 'aaa.* is longer than 4096 characters"):
            contents(path, [], ["b"])
        path.write_bytes(pack({"a" * 4000: b"", "b": b"x"}))
        assert contents(path, [], ["b"]) == {"b": b"x"}
        with monkeypatch.context() as patch:
            patch.setattr(containers, "MAX_NAMES_CHARS", 4000)
            with pytest.raises(UserError, match="or their names are too long"):
                contents(path, [], ["b"])
