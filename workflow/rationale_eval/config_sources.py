"""Downloads that several corpora and models name: each has one pin, whichever of the entries gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rationale_eval.config import Config
from rationale_eval.config_corpora import PackageFile, Url
from rationale_eval.config_models import Model


def files_of(source: Url) -> list[tuple[str, str, str | None]]:
    """Name, address and sha256 of each file of a source on a web server."""
    if source.files is None:
        return [(source.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1], source.url, source.sha256)]
    return [(name, f"{source.url.rstrip('/')}/{name}", sha) for name, sha in source.files.items()]


def _named(config: Config) -> Iterator[tuple[str, Any]]:
    """The key and the source of each corpus and opened model."""
    for name, corpus in config.corpora.items():
        yield f"corpora.{name}.source", corpus.source
    for name, model in config.models.items():
        if isinstance(model, Model):
            yield f"models.{name}.source", model.source


def _pinned(config: Config) -> Iterator[tuple[str, str, str]]:
    """The key, the address and the sha256 of each pinned file on a web server."""
    for key, source in _named(config):
        if isinstance(source, Url):
            for name, address, sha256 in files_of(source):
                if sha256 is not None:
                    yield f"{key}.{'sha256' if source.files is None else f'files.{name}'}", address, sha256


def pins(config: Config) -> dict[str, str]:
    """The sha256 of the files on web servers that an entry pins, by address: it holds for those that do not too."""
    return {address: sha256 for _, address, sha256 in _pinned(config)}


def source_faults(config: Config) -> Iterator[str]:
    """Entries that give one download different contents: only one of them could be right."""
    known: dict[str, tuple[str, str]] = {}
    for key, address, sha256 in _pinned(config):
        first, wanted = known.setdefault(address, (key, sha256))
        if sha256 != wanted:
            yield f"{key}: {sha256} is another sha256 of {address} than {first} gives, {wanted}"
    packages: dict[str, tuple[str, PackageFile]] = {}
    for key, source in _named(config):
        if isinstance(source, PackageFile):
            other, same = packages.setdefault(source.artifact, (key, source))
            for part in ("package", "version", "sha256"):
                given, wanted = getattr(source, part), getattr(same, part)
                if given != wanted:
                    yield f"{key}.{part}: {given!r}, but {other} has {wanted!r} for the same artifact {source.artifact}"
