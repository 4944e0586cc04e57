"""Archives made for the tests of reading them, whole and damaged ones, and what is read of them."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

from rationale_eval.corpora.archive import open_named_members, read_member
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
