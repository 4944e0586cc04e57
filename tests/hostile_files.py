"""Files of kilobytes that say how many gigabytes to take: what ``test_hostile_files`` has read under a memory cap."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bad_files import LEXICON, ROW, jsonl, tarred, zipped

MiB = 1 << 20
ROWS = jsonl(ROW)


def gz(*parts: bytes | tuple[bytes, int]) -> bytes:
    """The gzip of ``parts``; a pair is bytes and how often they come."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    found = bytearray()
    for part in parts:
        content, times = part if isinstance(part, tuple) else (part, 1)
        found += b"".join(packer.compress(content) for _ in range(times))
    return bytes(found + packer.flush())


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


MEMBER = header("test.jsonl", len(ROWS)) + ROWS.ljust(512, b"\0")
END = bytes(1024)


def long_header(kind: bytes, first: bytes = b"") -> bytes:
    """A tar that asks to read a header of 320 MiB."""
    size = 320 * MiB
    filler = b"a" * MiB
    return gz(header("h", size, kind), first + filler[len(first) :], (filler, 318), filler[:-1] + b"\n", MEMBER, END)


def sparse() -> bytes:
    """A sparse file whose map goes on for 64 MiB."""
    start = bytearray(header("s", 0, tarfile.GNUTYPE_SPARSE))
    piece = b"00000000001\0" * 2
    start[386:482], start[482:495] = piece * 4, b"\1" + b"00000000001\0"
    start[148:156] = b" " * 8
    start[148:156] = b"%06o\0 " % sum(start)
    return gz(bytes(start), ((piece * 21 + b"\1").ljust(512, b"\0") * 256, 512), END)


def global_attributes() -> bytes:
    """A tar of which every member has new attributes for all that follow."""
    parts = []
    for number in range(20):
        body = b"".join(b"12 k%06x=\n" % (number * 40_960 + key) for key in range(40_960))
        parts += [header("g", len(body), tarfile.XGLTYPE), body, MEMBER]
    return gz(*parts, END)


def directory() -> bytes:
    """A zip in a gzip whose list has 900,000 members."""
    packed = zipped({"test.jsonl": ROWS})
    start = packed.index(b"PK\1\2")
    end = packed.index(b"PK\5\6")
    entry = packed[start:end]
    times = 900_000
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 65535, 65535, len(entry) * times, start, 0)
    return tarred(("data.zip", packed[:start] + entry * times + tail))


def zip_bomb() -> bytes:
    """A zip's member that unpacks to 320 MiB."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as made,
        made.open("test.jsonl", "w", force_zip64=True) as member,
    ):
        for _ in range(320):
            member.write(bytes(MiB))
    return stream.getvalue()


def zip_dictionary() -> bytes:
    """A zip's LZMA member that asks for a dictionary of almost 4 GiB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("test.jsonl", ROWS)
    packed = bytearray(stream.getvalue())
    place = 30 + len("test.jsonl") + 5
    packed[place : place + 4] = (2**32 - 1).to_bytes(4, "little")
    return bytes(packed)


def xz_dictionary() -> bytes:
    """A tar.xz that asks for a dictionary of almost 4 GiB."""
    packed = bytearray(lzma.compress(MEMBER + END, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    block = 12
    size = (packed[block] + 1) * 4
    packed[packed.index(b"\x21\x01", block, block + size) + 2] = 40
    packed[block + size - 4 : block + size] = zlib.crc32(packed[block : block + size - 4]).to_bytes(4, "little")
    return bytes(packed)


def parquet(column: pa.Array, **more: pa.Array) -> bytes:
    stream = io.BytesIO()
    table = pa.table({"review": column} | more)
    pq.write_table(
        table,
        stream,
        compression="zstd",
        use_dictionary=["review"],
        dictionary_pagesize_limit=1 << 30,
        store_schema=False,
    )
    return stream.getvalue()


def repeated(size: int, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array(["x" * size]))


def with_others(column: pa.Array) -> bytes:
    rest = {name: pa.array([ROW[name]] * len(column)) for name in ("key", "verdict", "marks")}
    return parquet(column, **rest)


def listed(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def many_annotators() -> bytes:
    """A row of 100,000 words and 150,000 annotators."""
    return jsonl({**ROW, "review": "a " * 100_000, "people": [[]] * 150_000})


LONG_LINE = (b"x" * MiB, 320)


def eraser_document() -> bytes:
    rows = jsonl({"annotation_id": "f1", "classification": "yes", "query": "a b", "docids": ["d"], "evidences": []})
    return gz(
        header("test.jsonl", len(rows)) + rows.ljust(-(-len(rows) // 512) * 512, b"\0"),
        header("docs/d", 160 * MiB),
        (b"a " * (MiB // 2), 160),
        END,
    )


def eraser_row() -> bytes:
    """A row with 60 documents of 1 MB."""
    names = [f"d{number}" for number in range(60)]
    rows = jsonl({"annotation_id": "f1", "classification": "yes", "query": "a b", "docids": names, "evidences": []})
    parts: list[bytes | tuple[bytes, int]] = [
        header("test.jsonl", len(rows)) + rows.ljust(-(-len(rows) // 512) * 512, b"\0")
    ]
    for name in names:
        text = (b"word" + name.encode() + b" ") * (MiB // 16)
        parts.append(header(f"docs/{name}", len(text)) + text + bytes(-len(text) % 512))
    return gz(*parts, END)


Made = Callable[[], bytes]
# By kind: the spec's name in ``bad_files``, what is changed in it, the file, how it is made, words of the refusal.
KINDS: dict[str, tuple[str, dict[str, object], str, Made, str]] = {
    "long name of a tar": ("TAR", {}, "data.tar.gz", lambda: long_header(tarfile.GNUTYPE_LONGNAME), "a header in it"),
    "long link of a tar": ("TAR", {}, "data.tar.gz", lambda: long_header(tarfile.GNUTYPE_LONGLINK), "a header in it"),
    "PAX record": (
        "TAR",
        {},
        "data.tar.gz",
        lambda: long_header(tarfile.XHDTYPE, b"335544320 comment="),
        "a header in",
    ),
    "global PAX record": (
        "TAR",
        {},
        "data.tar.gz",
        lambda: long_header(tarfile.XGLTYPE, b"335544320 a="),
        "a header in",
    ),
    "global PAX records": ("TAR", {}, "data.tar.gz", global_attributes, "attributes for all members"),
    "sparse map": ("TAR", {}, "data.tar.gz", sparse, "a header in it"),
    "headers of headers": (
        "TAR",
        {},
        "data.tar.gz",
        lambda: gz((header("h", 1, tarfile.GNUTYPE_LONGNAME) + b"a".ljust(512, b"\0"), 1000), MEMBER, END),
        "not a whole tar",
    ),
    "members of a tar": (
        "TAR",
        {},
        "data.tar.gz",
        lambda: gz((MEMBER * 100, 1000), END),
        "more than the limit of 20000",
    ),
    "members of a zip": (
        "TABLE",
        {"archive": ["d.tar.gz", "data.zip"]},
        "d.tar.gz",
        directory,
        "a header in it takes more",
    ),
    "xz dictionary": ("TAR", {}, "data.tar.gz", xz_dictionary, "its decoder needs more"),
    "LZMA dictionary in a zip": ("ZIP", {}, "data.zip", zip_dictionary, "its decoder needs more"),
    "bzip2 in a zip": ("ZIP", {}, "data.zip", zip_bomb, "longer than 1,000,000"),
    "a line in a .gz": (
        "TABLE",
        {"test": ["x.jsonl.gz"]},
        "x.jsonl.gz",
        lambda: gz(LONG_LINE),
        "longer than 1,000,000",
    ),
    "a field in a .gz": ("TABLE", {"test": ["x.csv.gz"]}, "x.csv.gz", lambda: gz(LONG_LINE), "longer than 1,000,000"),
    "a JSON array": (
        "TABLE",
        {"test": ["x.jsonl.gz"]},
        "x.jsonl.gz",
        lambda: gz(b"[", (b'{"a":1},' * 131_072, 64)),
        "longer than 1,000,000",
    ),
    "short lines of snippets": (
        "SNIPPETS",
        {"archive": ["d.tar.gz"]},
        "d.tar.gz",
        lambda: tarred(("snippets.tsv", b"x\n" * (64 * MiB // 2)), ("lexicon.tsv", LEXICON)),
        "has 1 tab-separated parts",
    ),
    "a line of snippets": (
        "SNIPPETS",
        {"archive": ["d.tar.gz"]},
        "d.tar.gz",
        lambda: tarred(("snippets.tsv", b"x" * (160 * MiB)), ("lexicon.tsv", LEXICON)),
        "line 1 is longer than 1,000,000",
    ),
    "a lexicon": (
        "SNIPPETS",
        {"archive": ["d.tar.gz"]},
        "d.tar.gz",
        lambda: tarred(
            ("snippets.tsv", b"1\t2.0\ta fine film\n"),
            ("lexicon.tsv", b"".join(b"%d\t1\n" % number for number in range(1_500_000))),
        ),
        "the lexicon is larger",
    ),
    "a document": ("ERASER", {"archive": ["d.tar.gz"]}, "d.tar.gz", eraser_document, "the document is larger"),
    "documents of a row": ("ERASER", {"archive": ["d.tar.gz"]}, "d.tar.gz", eraser_row, "its documents have more"),
    "annotators": (
        "TABLE",
        {"annotators": "people", "rationale": {"kind": "word_indices", "column": None, "field": None, "words": None}},
        "test.jsonl",
        many_annotators,
        "150000 annotators",
    ),
    "long rows of Parquet": (
        "PARQUET",
        {},
        "test.parquet",
        lambda: with_others(repeated(8 * MiB, 256)),
        "row 1 is longer than 1,000,000",
    ),
    "lists of Parquet": (
        "PARQUET",
        {},
        "test.parquet",
        lambda: with_others(listed(pa.array(np.zeros(40_000_000, np.int8)))),
        "takes more than",
    ),
    "lists of long texts of Parquet": (
        "PARQUET",
        {},
        "test.parquet",
        lambda: with_others(listed(repeated(MiB, 300))),
        "takes more than",
    ),
    "a page of Parquet": (
        "PARQUET",
        {},
        "test.parquet",
        lambda: with_others(pa.array(["x" * (160 * MiB)])),
        "takes more",
    ),
}
