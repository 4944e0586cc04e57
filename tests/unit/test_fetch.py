"""Fetching a pinned package file: nothing in it runs, and only the pinned bytes arrive."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from rationale_eval.errors import UserError
from rationale_eval.fetch import download, main

ABOUT = "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n"
BACKEND = """
import pathlib
pathlib.Path({marker!r}).write_text("backend")

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, "parcel-1.0.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text({about!r})
    return folder.name
"""
PROJECTS = {
    "setup.py alone": None,
    "setuptools": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
    "legacy setuptools": '[build-system]\nrequires = []\nbuild-backend = "setuptools.build_meta:__legacy__"\n',
    "no backend named": '[build-system]\nrequires = ["setuptools"]\n',
    "its own backend": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
}


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes packages from, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def make_sdist(index: Path, marker: Path, project: str | None) -> str:
    """An sdist all of whose code would leave a marker; its sha256."""
    files = {
        "PKG-INFO": ABOUT,
        "setup.py": f"import pathlib\npathlib.Path({str(marker)!r}).write_text('setup.py')\n"
        "from setuptools import setup\nsetup(name='parcel', version='1.0')\n",
        "own.py": BACKEND.format(marker=str(marker), about=ABOUT),
        "sitecustomize.py": f"import pathlib\npathlib.Path({str(marker)!r}).write_text('sitecustomize')\n",
        "data.txt": "payload",
    }
    if project is not None:
        files["pyproject.toml"] = project
    path = index / "parcel-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"parcel-1.0/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_wheel(index: Path) -> str:
    """A wheel; its sha256."""
    files = {
        "parcel/__init__.py": "",
        "parcel-1.0.dist-info/METADATA": ABOUT,
        "parcel-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for name, text in files.items()
    ]
    files["parcel-1.0.dist-info/RECORD"] = "\n".join([*record, "parcel-1.0.dist-info/RECORD,,", ""])
    path = index / "parcel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("project", PROJECTS.values(), ids=PROJECTS.keys())
def test_no_code_of_a_source_distribution_runs(index, tmp_path, project):
    marker = tmp_path / "marker"
    sha256 = make_sdist(index, marker, project)
    target = tmp_path / "got" / "parcel-1.0.tar.gz"
    try:
        download("parcel", "1.0", sha256, target)
    finally:
        assert not marker.exists(), f"{marker.read_text()} was run"
    assert target.read_bytes() == (index / target.name).read_bytes()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("version", ["1.0", "1", "1.0.0", "v1.0", "01.0"])
def test_versions_that_are_the_same_are_spelt_in_several_ways(index, tmp_path, monkeypatch, version):
    monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")  # as where a user builds nothing; nothing is built here
    sha256 = make_sdist(index, tmp_path / "marker", None)
    download("parcel", version, sha256, tmp_path / "got" / "parcel-1.0.tar.gz")
    assert (tmp_path / "got" / "parcel-1.0.tar.gz").exists()


def test_of_two_files_with_one_name_the_pinned_one_comes(index, tmp_path, monkeypatch):
    sha256 = make_sdist(index, tmp_path / "marker", None)
    for number, (content, digest) in enumerate([(b"other", "0" * 64), (None, sha256), (b"third", "1" * 64)]):
        page = tmp_path / f"simple{number}/parcel/index.html"
        page.parent.mkdir(parents=True)
        file = page.parent / "parcel-1.0.tar.gz"
        file.write_bytes((index / "parcel-1.0.tar.gz").read_bytes() if content is None else content)
        page.write_text(f'<a href="{file.name}#sha256={digest}">{file.name}</a>', encoding="utf-8")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    places = [(tmp_path / f"simple{number}").as_uri() for number in range(3)]
    monkeypatch.setenv("PIP_INDEX_URL", places[0])
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", " ".join(places[1:]))
    download("parcel", "1.0", sha256, tmp_path / "got" / "parcel-1.0.tar.gz")


def test_what_a_source_distribution_would_write_elsewhere_is_not_written(index, tmp_path):
    """It is not unpacked: not through a link, an absolute or a climbing path, nor a device."""
    outside = tmp_path / "home"
    outside.mkdir()
    path = index / "parcel-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("parcel-1.0/out")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(link)
        for name in ("parcel-1.0/out/a", f"{outside}/b", "parcel-1.0/../../../home/c", "parcel-1.0/PKG-INFO"):
            info = tarfile.TarInfo(name)
            info.size = len(ABOUT)
            tar.addfile(info, io.BytesIO(ABOUT.encode()))
    target = tmp_path / "got" / path.name
    download("parcel", "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), target)
    assert target.read_bytes() == path.read_bytes()
    assert list(outside.iterdir()) == []


def test_a_file_comes_from_an_index_of_links_too(index, tmp_path, monkeypatch):
    """As a mirror in a folder has them: a page of links with hashes, relative to it."""
    sha256 = make_sdist(index, tmp_path / "marker", None)
    page = tmp_path / "simple/parcel/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../index/parcel-1.0.tar.gz#sha256={sha256}">parcel-1.0.tar.gz</a>', encoding="utf-8")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", page.parents[1].as_uri())
    target = tmp_path / "got/parcel-1.0.tar.gz"
    download("parcel", "1.0", sha256, target)
    assert target.read_bytes() == (index / target.name).read_bytes()


def test_a_wheel_is_fetched_where_both_are_offered(index, tmp_path):
    make_sdist(index, tmp_path / "marker", None)
    sha256 = make_wheel(index)
    target = tmp_path / "got" / "parcel-1.0-py3-none-any.whl"
    main(["--spec", f'{{"package": "parcel", "version": "1.0", "sha256": "{sha256}"}}', "--output", str(target)])
    assert hashlib.sha256(target.read_bytes()).hexdigest() == sha256
    assert not (tmp_path / "marker").exists()


def test_other_bytes_than_the_pinned_ones_are_refused_and_not_left_behind(index, tmp_path):
    make_sdist(index, tmp_path / "marker", None)
    target = tmp_path / "got" / "parcel-1.0.tar.gz"
    with pytest.raises(UserError, match=rf"parcel-1.0.tar.gz: its sha256 is \w+, the configuration expects {'0' * 64}"):
        download("parcel", "1.0", "0" * 64, target)
    assert list(target.parent.iterdir()) == []
    assert not (tmp_path / "marker").exists()


def test_a_file_under_another_name_is_refused_and_named(index, tmp_path):
    sha256 = make_wheel(index)
    target = tmp_path / "got" / "parcel-1.0-cp311-none-any.whl"
    with pytest.raises(UserError, match=r"parcel-1.0-py3-none-any.whl"):
        download("parcel", "1.0", sha256, target)
    assert list(target.parent.iterdir()) == []


def test_a_package_that_the_index_lacks_gives_pips_reason(index, tmp_path):
    with pytest.raises(UserError, match="No matching distribution"):
        download("parcel", "1.0", "0" * 64, tmp_path / "got" / "parcel-1.0.tar.gz")
    assert list((tmp_path / "got").iterdir()) == []


def test_what_a_killed_job_left_is_deleted(index, tmp_path):
    sha256 = make_sdist(index, tmp_path / "marker", None)
    target = tmp_path / "got" / "parcel-1.0.tar.gz"
    for name in (f".{target.name}.fetch-abc", ".other-1.0.tar.gz.fetch-abc"):
        (target.parent / name).mkdir(parents=True)
        (target.parent / name / "half").write_text("half")
    download("parcel", "1.0", sha256, target)
    assert {path.name for path in target.parent.iterdir()} == {target.name, ".other-1.0.tar.gz.fetch-abc"}


def test_an_older_file_stays_when_a_new_fetch_fails(index, tmp_path):
    target = tmp_path / "parcel-1.0.tar.gz"
    target.write_bytes(b"older")
    with pytest.raises(UserError):
        download("parcel", "1.0", "0" * 64, target)
    assert target.read_bytes() == b"older"
