"""Where the files of corpora and models come from: what is to be fetched, and what each reading depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rationale_eval.checksums import Checksums
from rationale_eval.config import Config
from rationale_eval.config_corpora import Eraser, HubData, LocalPath, PackageFile, RatedSnippets, SplitFiles, Url
from rationale_eval.config_models import HubModel, Model
from rationale_eval.config_sources import files_of, pins
from rationale_eval.corpora.archive import matches, only_archive
from rationale_eval.corpora.containers import folder_entries
from rationale_eval.corpora.eraser import documents_pattern
from rationale_eval.errors import UserError
from rationale_eval.models.prepare import model_files
from rationale_eval.sources.card import HUB_CARD


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Sources:
    """The sources of one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._cache = config.cache_dir
        self._pins = pins(config)
        self._checksums = Checksums(Path(config.memo_dir, "checksums.json"))
        models = [entry for entry in config.models.values() if isinstance(entry, Model)]
        entries = [*config.corpora.values(), *models]
        self._sources: list[Any] = [entry.source for entry in entries if self.local(entry) is None]

    @property
    def packages(self) -> dict[str, PackageFile]:
        """The package files that the configuration names, by artifact."""
        return {source.artifact: source for source in self._sources if isinstance(source, PackageFile)}

    @property
    def urls(self) -> dict[str, dict[str, str | None]]:
        """The slice of each download from a web server, by its path below the cache's folder ``urls``."""
        found: dict[str, dict[str, str | None]] = {}
        for source in self._sources:
            if isinstance(source, Url):
                found |= {
                    f"{_key(source.url)}/{name}": {"url": url, "sha256": self._pins.get(url)}
                    for name, url, _ in files_of(source)
                }
        return found

    @property
    def hub(self) -> dict[str, dict[str, Any]]:
        """The slice of each download from the hub, by the name of its card without ``HUB_CARD``."""
        return {_hub_key(source): _hub_slice(source) for source in self._sources if isinstance(source, HubData)}

    def fetched(self, entries: Iterable[Any]) -> list[str]:
        """All files that are to be fetched for these corpora and models."""
        return sorted({file for entry in entries for file in self._downloads(entry)})

    def _downloads(self, entry: Any) -> list[str]:
        source = entry.source
        if self.local(entry) is not None or isinstance(source, LocalPath):
            return []
        if isinstance(source, Url):
            return [f"{self._cache}/urls/{_key(source.url)}/{name}" for name, _, _ in files_of(source)]
        if isinstance(source, HubData):
            return [f"{self._cache}/hub/{_hub_key(source)}{HUB_CARD}"]
        return [f"{self._cache}/packages/{source.artifact}"]

    def local(self, entry: Any) -> str | None:
        """The entry's path below ``data_root``, if it is there: local files win."""
        if self.config.data_root is None or entry.local is None:
            return None
        path = Path(self.config.data_root, entry.local)
        return str(path) if path.exists() else None

    def path(self, entry: Any) -> str:
        """What a job reads: a local path, a downloaded file or folder, or the card of a download from the hub."""
        if (local := self.local(entry)) is not None:
            return local
        if isinstance(entry.source, LocalPath):
            return entry.source.path
        downloads = self._downloads(entry)
        if isinstance(entry.source, Url) and entry.source.files is not None:
            return str(Path(downloads[0]).parent)
        return downloads[0]

    def inputs(self, entry: Any, side: str | None = None) -> list[str]:
        """The files that the reading of a model, of a corpus or of one ``side`` of it ("train", "test") depends on.

        The train rows depend on the files of both sides: a text that is in a test row is left out of them. Of a folder
        the files: Snakemake checksums no folders. Downloads are named though they are not there yet.
        """
        if self.local(entry) is None and (downloads := self._downloads(entry)):
            if not isinstance(entry.source, Url) or entry.source.files is None:
                return downloads
            read = _read_of(list(entry.source.files), entry, side)
            return [file for file in downloads if Path(file).name in read] or downloads
        path = self.path(entry)
        if not Path(path).is_dir():
            return [path]
        if isinstance(entry, Model):
            named = getattr(entry.source, "gguf", None)
            return [f"{path}/{named}"] if named else [str(file) for file in model_files(Path(path))]
        # What cannot be read, and a folder in which nothing is to be read, are left to the reader's message.
        names = [name for name, file in folder_entries(Path(path)).items() if file.fault is None]
        return [str(Path(path, name)) for name in _read_of(names, entry, side)] or [path]

    def content(self, entry: Any, side: str | None = None) -> str:
        """A checksum over the files on this machine that the reading of an entry depends on; empty for downloads.

        Snakemake looks at times, which a copy can set back. Downloads are held against checksums when they come.
        """
        if self.local(entry) is None and not isinstance(entry.source, LocalPath):
            return ""
        files = [Path(file) for file in self.inputs(entry, side)]
        lines = [f"{file.name} {self._checksums.of(file)}" for file in files if file.is_file()]
        self._checksums.save()
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def check_names(self, entries: Iterable[Any]) -> None:
        """Raise ``UserError`` for a file with braces in its name, which Snakemake takes for wildcards."""
        for path in (path for entry in entries for path in self.inputs(entry)):
            if "{" in path or "}" in path:
                raise UserError(f"{path}: the file's name has braces, which Snakemake takes for wildcards; rename it")

    def described(self, entry: Model) -> dict[str, Any]:
        """The source of a model for its card; ``gguf`` names the GGUF file in it, if it is one."""
        if self.local(entry) is not None:
            return {"path": entry.local, "gguf": getattr(entry.source, "gguf", None)}
        return entry.source.model_dump()


def _hub_key(source: HubData) -> str:
    asked = json.dumps(_hub_slice(source), sort_keys=True)
    return f"{source.hub.replace('/', '--')}-{_key(asked)}"


def _hub_slice(source: HubData) -> dict[str, Any]:
    files = source.files
    if isinstance(source, HubModel) and source.gguf is not None and files is None:
        files = [source.gguf]
    kind = "model" if isinstance(source, HubModel) else "dataset"
    return {"repo": source.hub, "kind": kind, "revision": source.revision, "files": files}


def _read_of(names: Sequence[str], entry: Any, side: str | None) -> list[str]:
    """Of the files ``names`` in a folder those from which a corpus, or one side of it, is read, by its reader's rules.

    What is named without being a pattern is returned though it be missing: the message on it says which file it is.
    """
    archive: list[str] = getattr(entry, "archive", [])
    if isinstance(entry, SplitFiles | RatedSnippets) and (only := only_archive(names, archive)):
        return [only]
    if archive:
        return [archive[0]]
    if isinstance(entry, RatedSnippets):
        return [entry.snippets, entry.lexicon]
    if not isinstance(entry, SplitFiles):  # a plugin's format: which files it reads only the plugin knows
        return sorted(names)
    patterns = entry.test if side == "test" else [*entry.train, *entry.test]
    if isinstance(entry, Eraser):
        patterns = [*patterns, documents_pattern(entry.docs)]
    return sorted(name for name in names if any(matches(name, pattern) for pattern in patterns))
