"""Fixtures of the tests in a real browser: Debian's chromium, driven by playwright, which downloads none of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_checks import watch

WIDE = 1280


# Not for the whole session: as long as playwright runs, its event loop does, and tests of asyncio could not run theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless chromium. Tests that use it are marked ``xdist_group("browser")``, so that one worker starts it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian's package of that name)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (envs/dev.txt)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--disable-quic"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(file, fragment="", width=1280, dark=False)``: a file from the disk in a browser window of its own.

    At its end the test fails if anything went wrong in one of its pages, as ``browser_checks.watch`` says.
    """
    opened = []

    def open_file(file: Path, fragment: str = "", width: int = WIDE, dark: bool = False) -> Any:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(10_000)
        address = file.resolve().as_uri()
        opened.append((context, watch(page, address)))
        page.goto(f"{address}{fragment}")
        return page

    yield open_file
    for context, _ in opened:
        context.close()
    assert [fault for _, faults in opened for fault in faults] == []
