"""Files of folders, tars and zips, nested or not, and what is said of missing, damaged and malicious ones."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import tarfile
import zipfile
import zlib

import pytest
from rationale_eval.corpora import archive, containers
from rationale_eval.corpora.archive import open_members, open_named_members, read_member, unpacked_gz
from rationale_eval.errors import UserError

CONTENT = b"row one\nrow two\n" * 500
MODES = ["w", "w:gz", "w:bz2", "w:xz"]


def tar_of(members, mode="w:gz"):
    """A tar of ``{name: bytes}``; a value may also be a prepared ``TarInfo`` type or None for a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes) and len(content) == 1 and content in tarfile.SUPPORTED_TYPES:
                info.type, info.linkname = content, "/etc/passwd"
                tar.addfile(info)
            elif content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def zip_with_link():
    info = zipfile.ZipInfo("rows.tsv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of({info: b"/etc/passwd"})


def encrypted_zip():
    """A zip whose only member says, in both of its headers, that it is encrypted (PKWARE's APPNOTE 4.4.4, bit 0)."""
    packed = bytearray(zip_of({"rows.tsv": CONTENT}))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def lying_zip():
    """A zip whose headers say that its 8,000 bytes are one."""
    packed = bytearray(zip_of({"rows.tsv": CONTENT}))
    for place in (22, packed.index(b"PK\x01\x02") + 24):
        packed[place : place + 4] = (1).to_bytes(4, "little")
    return bytes(packed)


def contents(source, inner, patterns):
    return {name: stream.read() for name, _, stream in open_named_members(source, inner, patterns)}


def content_or_refusal(path):
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


def test_what_the_consumer_raises_is_not_mistaken_for_damage(nested):
    members = open_members(nested, [], ["README"])
    next(members)
    with pytest.raises(ValueError, match="mine"):
        members.throw(ValueError("mine"))


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
