"""Get a model or a data set of the Hugging Face hub into the hub's own cache, and write a card that points there.

The files stay in the cache, where every tool finds them: nothing is copied. The card names the commit that the
revision stood for, and each file with size and sha256. A token is taken from ``HF_TOKEN`` alone and goes into the
``Authorization`` header alone.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationale_eval.errors import UserError
from rationale_eval.progress import say
from rationale_eval.provenance import sha256_file
from rationale_eval.tables import write_json

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

# Loading such a file can run code that it carries.
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
# Weights a second time, in a form that transformers does not read.
DUPLICATES = ("consolidated*.safetensors",)
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT = 20.0  # seconds until the hub counts as out of reach
EVERY = 5.0  # seconds between progress lines
FULL = (errno.ENOSPC, errno.EDQUOT)


def fetch(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a repository at a revision, whose files are in the hub's cache afterwards.

    ``spec``: ``repo`` ("owner/name"), ``kind`` ("model" or "dataset"), ``revision`` (branch, tag or commit) and
    ``files``: patterns as of ``fnmatch``, or None for what loading a model reads, or for a whole data set. Pickles are
    never fetched. Without a network, or with ``HF_HUB_OFFLINE=1``, what the cache has is used, if it has everything.
    Raises ``UserError`` when the repository cannot be had, no file matches, or a file arrives damaged.
    """
    # The library reads these when it is imported: no telemetry, no token from a file.
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
    import httpx2
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError, XetDownloadError

    token = _token()
    out_of_reach = None

    def get(cache_only: bool) -> tuple[Path, list[RepoFile]]:
        folder = _snapshot(spec, token, cache_only)
        return folder, get_cached_repo_tree(spec["repo"], repo_type=spec["kind"], revision=folder.name)

    try:
        found = None
        if COMMIT.fullmatch(spec["revision"]):
            # A commit never changes: if the cache has all of it, the hub need not be asked.
            with suppress(LocalEntryNotFoundError, CachedRepoTreeNotFoundError):
                found = get(cache_only=True)
        if found is None:
            out_of_reach = _out_of_reach(spec, token)
            found = get(cache_only=out_of_reach is not None)
    except (
        OSError,
        ValueError,
        RuntimeError,
        httpx2.HTTPError,
        CachedRepoTreeNotFoundError,
        XetDownloadError,
    ) as error:
        raise UserError(_explanation(error, spec, token, out_of_reach)) from None
    folder, listed = found
    files = {entry.path: _verified(folder / entry.path, entry, spec) for entry in _wanted(listed, spec)}
    leftovers = list((folder.parents[1] / "blobs").glob("*.incomplete"))
    if leftovers:
        say(f"{leftovers[0].parent}: {len(leftovers)} *.incomplete of broken-off or running downloads take up room")
    asked = {key: spec[key] for key in ("repo", "kind", "revision")}
    return {**asked, "commit": folder.name, "snapshot": str(folder), "files": files}


def snapshot_of(card: Path) -> Path:
    """The folder that a card points to. Raises ``UserError`` when it lacks a file or has another size of one."""
    try:
        found = json.loads(card.read_text(encoding="utf-8"))
        folder, files = Path(found["snapshot"]), {name: file["bytes"] for name, file in found["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{card}: not the card of a hub repository ({error}); delete it and run again") from None
    for name, size in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            fault = "has another size" if path.is_file() else "is no longer there"
            raise UserError(f"{path}: {fault} in the hub's cache; delete {card} and run again with the network")
    return folder


def _token() -> str | None:
    token = os.environ.get("HF_TOKEN", "").strip()
    # The HTTP library would quote a header that it refuses, and the token with it.
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UserError("HF_TOKEN: has a space, line break or other character that no token has; set it anew")
    return token or None


def _patterns(spec: Mapping[str, Any]) -> tuple[list[str] | None, list[str]]:
    """The patterns to take (None: all) and to leave."""
    from rationale_eval.models.prepare import PATTERNS  # here, as preparing a model reads cards: the other way round

    if spec["files"] is not None or spec["kind"] == "dataset":
        return spec["files"], list(PICKLES)
    # Loading reads the top folder alone; others hold the weights of other frameworks.
    return list(PATTERNS), [*PICKLES, *DUPLICATES, "*/*"]


def _snapshot(spec: Mapping[str, Any], token: str | None, cache_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Lines(tqdm):
        """The library's count of all bytes as lines of a log; its other bars stay silent."""

        said = 0.0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = kwargs.get("name") != "huggingface_hub.snapshot_download"
            kwargs["file"] = io.StringIO()  # where it would steer the cursor of a terminal
            kwargs["bar_format"] = "{n_fmt}B/{total_fmt}B, {rate_fmt}, {elapsed} elapsed, {remaining} left"
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if self.n and time.monotonic() - self.said >= EVERY:
                self.said = time.monotonic()
                say(f"{spec['repo']}: {self}")

    take, leave = _patterns(spec)
    folder = snapshot_download(
        spec["repo"],
        repo_type=spec["kind"],
        revision=spec["revision"],
        token=token or False,
        allow_patterns=take,
        ignore_patterns=leave,
        local_files_only=cache_only,
        tqdm_class=Lines,
    )
    return Path(folder)


def _out_of_reach(spec: Mapping[str, Any], token: str | None) -> str | None:
    """Why the hub cannot be asked, if so. Errors that it answers with are raised.

    The download would ask the same, but without a time limit: behind a silent firewall it would not come to the cache.
    """
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if "@" in constants.ENDPOINT:
        raise UserError("HF_ENDPOINT: carries a user name or password, which logs would show; use HF_TOKEN")
    try:
        HfApi(token=token or False).repo_info(
            spec["repo"], repo_type=spec["kind"], revision=spec["revision"], timeout=TIMEOUT
        )
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except httpx2.TransportError as error:
        return f"the hub cannot be reached ({error or type(error).__name__})"
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return f"the hub answers {error.response.status_code}"
    return None


def _explanation(error: Exception, spec: Mapping[str, Any], token: str | None, out_of_reach: str | None) -> str:
    """What a person can do about ``error``. Quotes no address: a redirect's may carry a signature."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        CachedRepoTreeNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repo, kind, cache = spec["repo"], spec["kind"], constants.HF_HUB_CACHE
    what = f"{kind} {repo} of the hub"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo}"
        account = "the account of HF_TOKEN has no access" if token else "no HF_TOKEN is set"
        return f"{what}: is gated and {account}; accept the terms on {page} and set HF_TOKEN to a token of that account"
    if status == 401 and token:
        return f"{what}: HF_TOKEN is not accepted; set it to a valid token that may read this repository"
    if isinstance(error, RepositoryNotFoundError) or status in (401, 403, 404):
        if isinstance(error, RevisionNotFoundError):
            return f"{what}: has no revision {spec['revision']!r}"
        return f"{what}: there is none of that name and kind, or it is private and HF_TOKEN gives no access to it"
    if isinstance(error, HFValidationError):
        return f"{what}: is not a name of the form owner/name"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{what}: the disk of the cache {cache} is full; make room there or set HF_HOME, and run again"
    if isinstance(error, CachedRepoTreeNotFoundError):
        return f"{what}: the cache {cache} has no list of its files; run with the network and a writable cache"
    if out_of_reach is not None and isinstance(error, LocalEntryNotFoundError):
        return (
            f"{what}: {out_of_reach}, and the cache {cache} does not have all of revision {spec['revision']!r}; "
            "fetch it where there is a network, with the same HF_HOME"
        )
    cause = f"HTTP {status}" if status else f"{type(error).__name__}"
    return f"{what}: the download broke off ({cause}); run again, whole files are kept"


def _wanted(listed: list[RepoFile], spec: Mapping[str, Any]) -> list[RepoFile]:
    """The files of a repository that the patterns mean. Raises ``UserError`` when a pattern means none."""
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    take, leave = _patterns(spec)
    entries = {entry.path: entry for entry in sorted(listed, key=lambda entry: entry.path)}
    wanted = list(filter_repo_objects(entries, allow_patterns=take, ignore_patterns=leave))
    # A name by itself is matched like a pattern, so each pattern that a person gave is tried alone.
    for pattern in spec["files"] or ():
        if not list(filter_repo_objects(wanted, allow_patterns=pattern)):
            some = ", ".join(list(entries)[:10]) + (", …" if len(entries) > 10 else "")
            raise UserError(f"{spec['repo']}: no file matches {pattern!r} (pickles are never fetched); it has {some}")
    if spec["files"] is None and spec["kind"] == "model" and not any(name.endswith(".safetensors") for name in wanted):
        raise UserError(f"{spec['repo']}: has no .safetensors weights, and pickles are never loaded; choose another")
    if not wanted:
        raise UserError(f"{spec['repo']}: has no files that could be read at revision {spec['revision']!r}")
    return [entries[name] for name in wanted]


def _verified(path: Path, entry: RepoFile, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Size and sha256 of a cached file, held against the hub's own list of files: the library itself checks sizes only.

    The list has the sha256 of a large file and git's object id of a small one. What a blob of the cache is called says
    nothing: it is what a server sent as a header, and without links there are no blobs. A damaged file is taken out of
    the cache, which would hold on to it for ever, and ``UserError`` raised; so it is for one that lies outside.
    """
    size, sha256 = path.stat().st_size, sha256_file(path)
    blob = path.parent / path.readlink() if path.is_symlink() else path
    if not path.resolve().is_relative_to(_repository_folder(path, entry).resolve()):
        path.unlink()
        raise UserError(f"{spec['repo']}: {entry.path} was put outside the cache; it is not used")
    if entry.lfs is not None:
        whole = sha256 == entry.lfs.sha256
    elif re.fullmatch(r"[0-9a-f]{40}", entry.blob_id or ""):
        whole = hashlib.sha1(b"blob %d\0" % size + path.read_bytes()).hexdigest() == entry.blob_id
    else:
        raise UserError(f"{spec['repo']}: the hub lists no checksum of {entry.path}, so that it cannot be checked")
    if size != entry.size or not whole:
        for damaged in (path.resolve(), blob, path):
            damaged.unlink(missing_ok=True)
        raise UserError(f"{spec['repo']}: {entry.path} arrived damaged and was taken out of the cache; run again")
    return {"bytes": size, "sha256": sha256}


def _repository_folder(path: Path, entry: RepoFile) -> Path:
    """The folder of the repository in the cache: above ``snapshots/COMMIT`` with the file in it."""
    return path.parents[len(Path(entry.path).parts) + 1]


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval fetch_hub", description=__doc__)
    parser.add_argument("--spec", required=True, help='JSON: {"repo", "kind", "revision", "files" (patterns or null)}')
    parser.add_argument("--output", type=Path, required=True, help="the card (JSON)")
    args = parser.parse_args(argv)
    card = fetch(json.loads(args.spec))
    write_json(args.output, card)
    total = sum(file["bytes"] for file in card["files"].values())
    say(f"{args.output}: {card['repo']} at {card['commit']}, {len(card['files'])} files, {total} bytes, all checked")
