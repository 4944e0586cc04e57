"""Fixtures of the unit tests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from downloads import DATA, NAME
from loopback_hub import FileServer
from rationale_eval.sources import url


@pytest.fixture
def raw() -> dict[str, Any]:
    """What config.yaml holds, to be changed."""
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's configuration and code, in which the test stands."""
    for name in ("config.yaml", "workflow"):
        (tmp_path / name).symlink_to(Path(__file__).parents[2] / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[None]:
    """statsmodels collects garbage at each correction: what is there already need not be searched every time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., Any]:
    """``rows_of(rows, spec, ending, side, left_out)``: what is read of such rows of a table, see ``table_rows``."""
    from table_rows import read_rows

    return partial(read_rows, tmp_path)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server on this machine that speaks OpenAI's chat completions; pauses between tries are short."""
    import loopback_api
    from rationale_eval.apis import client

    monkeypatch.setenv("FAKE_KEY", loopback_api.KEY)
    monkeypatch.setattr(client, "_backoff", lambda state: 0.01)
    with loopback_api.running() as server:
        yield server


@pytest.fixture
def ask_requests(api: Any, tmp_path: Path) -> Callable[..., Any]:
    """``ask_requests(requests, **settings)``: the outcomes by the requests' names."""
    from loopback_api import settings_of
    from rationale_eval.apis.asking import ask_all

    return lambda requests, **changed: ask_all("test", requests, tmp_path / "memo", settings_of(api.address) | changed)


@pytest.fixture
def ask(ask_requests: Callable[..., Any]) -> Callable[..., Any]:
    """``ask(texts, **settings)``: the outcomes by text."""
    from loopback_api import request_for

    def run(texts: list[str], reply_tokens: int = 8, **changed: Any) -> Any:
        return ask_requests({text: request_for(text, reply_tokens) for text in texts}, **changed)

    return run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of ``downloads.DATA`` that is asked again without waiting."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(url, "WAITS", (0.0, 0.0, 0.0))
    with FileServer({NAME: DATA}) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a download of it goes."""
    return tmp_path / "cache" / "corpus.tar.gz"
