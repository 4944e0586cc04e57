"""The report's page in a browser: foreign text stays text, it fits its window and the sheet, and can be read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest
from browser_checks import low_contrasts, overflowing
from report_trees import BIDI, HOSTILE, IMAGE, SCRIPT, run, write_cell

pytestmark = pytest.mark.xdist_group("browser")
LONG = "x" * 10_000
TEXT = f"{SCRIPT} {IMAGE} </script> \N{GRINNING FACE} {BIDI} {LONG}"
PHONE = 400
# A4 less a centimetre at each side, at 96 dots per inch.
SHEET, LOW = 718, 1046
LOADED = "Promise.all([...document.images].map((image) => image.decode())).then(() => true)"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The page of a base model and an epoch, on texts and with labels, replies and names that try to inject."""
    results = tmp_path_factory.mktemp("results")
    for checkpoint in ("base", "epoch-01-seed-0"):
        write_cell(results, "one", HOSTILE, TEXT, {"torch": "1"}, checkpoint)
    return run(results, [("one", "base"), ("one", "epoch-01-seed-0")]) / "index.html"


def unfolded(page):
    page.eval_on_selector_all("details", "all => all.forEach((one) => { one.open = true; })")
    return page


def test_foreign_text_is_shown_as_text_and_runs_nothing(open_page, file):
    page = unfolded(open_page(file))
    assert page.evaluate(LOADED)
    text = page.evaluate("document.documentElement.innerText")
    for foreign in (SCRIPT, IMAGE, "</script>", LONG, "\N{GRINNING FACE}", "{{ 7 * 7 }}"):
        assert foreign in text
    assert not set("\u202e\u2066") & set(text + page.title())
    assert page.locator("script").count() == 0
    assert page.locator("img:not([src^='data:image/svg+xml'])").count() == 0


@pytest.mark.parametrize("width", [PHONE, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_its_window_and_can_be_read(open_page, file, width, dark):
    page = unfolded(open_page(file, width=width, dark=dark))
    assert overflowing(page) == []
    assert low_contrasts(page) == []


def test_a_printed_page_is_light_and_cuts_no_figure(open_page, file):
    page = unfolded(open_page(file, width=SHEET, dark=True))
    page.emulate_media(media="print")
    assert low_contrasts(page) == []
    # A figure of more panels than a sheet holds is made smaller.
    page.eval_on_selector_all("figure img", "all => all.forEach((one) => { one.style.height = '5000px'; })")
    boxes = page.eval_on_selector_all("figure", "all => all.map((one) => one.getBoundingClientRect().toJSON())")
    assert len(boxes) == 5
    assert max(box["right"] for box in boxes) <= SHEET
    assert max(box["height"] for box in boxes) <= LOW
    assert page.locator("nav").is_hidden()


def test_every_link_within_the_results_leads_somewhere(open_page, file):
    page = open_page(file)
    anchors = page.eval_on_selector_all("a[href^='#']", "all => all.map((one) => one.hash.slice(1))")
    assert [name for name in anchors if not page.evaluate("name => !!document.getElementById(name)", name)] == []
    addresses = page.eval_on_selector_all("a:not([href^='#'])", "all => all.map((one) => one.getAttribute('href'))")
    assert len(addresses) > 20
    # As a browser resolves them, from wherever the results lie.
    paths = page.evaluate("all => all.map((one) => new URL(one, location).pathname)", addresses)
    assert [path for path in paths if not Path(unquote(path)).is_file()] == []
