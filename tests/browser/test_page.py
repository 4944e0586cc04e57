"""The report page in a browser: foreign text stays text, nothing overflows, all is legible, links lead somewhere."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from browser_checks import low_contrasts, overflowing
from report_trees import HOSTILE, SCRIPT, run, write_cell

pytestmark = pytest.mark.xdist_group("browser")
A4_HEIGHT = 1046  # less a centimetre at each end, in CSS pixels
CELLS = [("one", "base"), ("one", "epoch-01-seed-0"), ("two", "base")]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    for corpus, checkpoint in CELLS:
        write_cell(results, corpus, HOSTILE, f"fine {HOSTILE} {'w' * 10_000}", {}, checkpoint)
    return run(results, CELLS)


def opened(page):
    """The page with all its details open."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    return page


def test_foreign_text_is_shown_as_text(open_page, report):
    page = opened(open_page(report / "index.html"))
    assert SCRIPT in page.inner_text("h1")
    assert HOSTILE.split()[0] in page.inner_text("#examples")
    assert page.locator("script").count() == 0
    assert all(
        source.startswith("data:image/svg+xml")
        for source in page.eval_on_selector_all("img", "all => all.map((one) => one.src)")
    )
    assert (
        page.eval_on_selector_all(
            "*", "all => all.flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith('on'))"
        )
        == []
    )


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(open_page, report, width):
    assert overflowing(opened(open_page(report / "index.html", width=width))) == []


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_legible(open_page, report, dark):
    assert low_contrasts(opened(open_page(report / "index.html", dark=dark))) == []


def test_every_link_leads_somewhere(open_page, report):
    page = open_page(report / "index.html")
    links = page.eval_on_selector_all("a", "all => all.map((one) => one.getAttribute('href'))")
    inside = [link[1:] for link in links if link.startswith("#")]
    assert {"study", "claims", "cost"} <= set(inside)
    assert [name for name in inside if page.locator(f"[id='{name}']").count() != 1] == []
    files = [link for link in links if not link.startswith("#")]
    assert "tables/alignment.csv" in files
    assert [link for link in files if not (report / unquote(link)).exists() and link != "explorer.html"] == []


def test_it_prints_without_a_cut(open_page, report, tmp_path):
    page = opened(open_page(report / "index.html", width=800))
    page.emulate_media(media="print")
    assert not page.is_visible("nav")
    # A figure with more panels than a sheet holds is made smaller, or it would be cut.
    page.eval_on_selector_all("figure img", "all => all.forEach((one) => { one.style.height = '5000px'; })")
    heights = page.eval_on_selector_all("figure", "all => all.map((one) => one.getBoundingClientRect().height)")
    assert max(heights) <= A4_HEIGHT
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
