"""The rationale explorer in a browser: filters, links, keys, and foreign text that stays text."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from browser_checks import low_contrasts, overflowing, until, watch
from explorer_pages import LONG, MODEL, hostile
from report_trees import ASKED, ATTENTION, HOSTILE, IMAGE, SCRIPT

pytestmark = pytest.mark.xdist_group("browser")
PHONE = 400
READY = "#instance[aria-busy=false]"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return hostile(tmp_path_factory.mktemp("results"))


@pytest.fixture
def explore(open_page, file):
    """``explore(fragment, **settings)``: the hostile explorer, unpacked."""

    def opened(fragment="", **settings):
        page = open_page(file, fragment, **settings)
        page.wait_for_selector(READY)
        return page

    return opened


def shown(page):
    """The id of the instance that is shown, once its heading is the one that the address names."""
    until(
        page,
        "document.querySelector('.heading bdi')?.textContent === new URLSearchParams(location.hash.slice(1)).get('id')",
    )
    return page.inner_text(".heading bdi")


def listed(page, count):
    """The ids of the instances in the list, which has ``count``: the tree's texts end with them."""
    until(page, f"document.querySelectorAll('.row').length === {count}")
    places = page.eval_on_selector_all(".row", "rows => rows.map((row) => row.id.replace('option-', ''))")
    return [int(place) for place in places]


def card(page, method):
    return page.locator("article", has=page.locator("h3 bdi", has_text=method))


def test_foreign_text_is_shown_as_text_and_runs_nothing(explore):
    page = explore("#id=0&shown=asked&shown=grad")
    text = page.inner_text("#instance")
    for foreign in (SCRIPT, IMAGE, LONG, "\N{GRINNING FACE}", "U+202E", "{{ 7 * 7 }}"):
        assert foreign in text
    assert not set("\u202e\u2066") & set(page.evaluate("document.documentElement.innerText + document.title"))
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 1
    assert IMAGE in page.locator("#model option").inner_text()
    assert f"- {SCRIPT}" in card(page, ASKED).locator("pre").inner_text()
    assert "not in the text: “<script>" in card(page, ASKED).inner_text()


@pytest.mark.parametrize("width", [PHONE, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_its_window_and_can_be_read(explore, width, dark):
    page = explore("#corpus=one&id=1&method=asked", width=width, dark=dark)
    page.click("#methods-shown summary")
    page.click("#methods-shown button:has-text('All')")
    until(page, "document.querySelectorAll('.card').length === 5")
    page.eval_on_selector_all("details", "all => all.forEach((one) => { one.open = true; })")
    assert overflowing(page) == []
    assert low_contrasts(page) == []
    page.click("#help-open")
    assert low_contrasts(page) == []


def test_filters_and_orders(explore):
    page = explore("#corpus=two&method=grad")
    assert listed(page, 4) == [0, 1, 2, 3]
    for control, value, expected in (
        ("prediction", "wrong", [0, 2]),
        ("prediction", "right", [1]),
        ("prediction", "none", [3]),
        ("masked", "flips", [1]),
        ("masked", "stays", [0, 2]),
        ("masked", "unknown", [3]),
        ("reply", "refusal", [2]),
        ("reply", "partly_matched", [0]),
        ("reply", "too_long", [3]),
    ):
        page.select_option(f"#{control}", value)
        assert listed(page, len(expected)) == expected, (control, value)
        assert page.inner_text("#count") == f"{len(expected)} of 4 instances; F1 and flips of grad, top_var"
        assert shown(page) == str(expected[0])
        page.select_option(f"#{control}", "all")
        listed(page, 4)
    page.select_option("#order", "worst")
    until(page, "document.querySelector('.row')?.id === 'option-0'")
    page.select_option("#order", "best")
    until(page, "document.querySelector('.row')?.id === 'option-3'")
    assert listed(page, 4) == [3, 2, 1, 0]
    page.fill("#search", "TEXT 2")
    assert listed(page, 1) == [2]
    page.fill("#search", "no such text")
    listed(page, 0)
    assert page.inner_text("#instance") == "No instance passes the filters."
    page.click("#reset")
    assert listed(page, 4) == [0, 1, 2, 3]


def test_a_link_restores_the_view_and_another_one_changes_it(explore, file):
    page = explore()
    page.select_option("#checkpoint", "epoch-01-seed-0")
    page.select_option("#method", ATTENTION)
    page.select_option("#budget", "half")
    page.select_option("#order", "best")
    page.fill("#search", "script")
    page.click("#option-2")
    page.click("#methods-shown summary")
    page.click(f"#methods-shown label:has-text('{ASKED}')")
    until(page, "location.hash.includes('shown=')")
    until(page, "document.querySelector('.heading a').getAttribute('href') === location.hash")
    address, text = page.url, page.inner_text(".cards")
    assert page.get_attribute(".heading a", "href") == f"#{urlsplit(address).fragment}"
    again = explore(f"#{urlsplit(address).fragment}")
    assert again.url == address
    assert again.inner_text(".cards") == text
    for control, value in (("model", MODEL), ("checkpoint", "epoch-01-seed-0"), ("method", ATTENTION)):
        assert again.input_value(f"#{control}") == value
    assert again.input_value("#search") == "script"
    assert parse_qs(urlsplit(again.url).fragment)["id"] == ["2"]
    again.evaluate("location.hash = '#corpus=two&id=1'")
    until(again, "document.querySelector('#corpus').value === 'two'")
    assert shown(again) == "1"
    assert again.input_value("#search") == ""


def test_choices_that_follow_each_other_at_once_all_count(explore):
    page = explore("#corpus=one&id=1")
    page.evaluate("""for (const [id, value] of Object.entries({checkpoint: "epoch-01-seed-0", budget: "half"})) {
        document.getElementById(id).value = value;
        document.getElementById(id).dispatchEvent(new Event("change"));
    }""")
    until(page, "location.hash.includes('half')")
    given = parse_qs(urlsplit(page.url).fragment)
    assert (given["checkpoint"], given["id"]) == (["epoch-01-seed-0"], ["1"])


def test_a_link_to_what_is_not_there_says_so(explore):
    page = explore("#corpus=two&checkpoint=epoch-09&id=99")
    said = page.inner_text("#fault")
    assert "There is no checkpoint “epoch-09” here." in said
    assert "There is no instance “99” in two." in said
    assert shown(page) == "0"
    page.select_option("#prediction", "right")
    page.wait_for_selector("#fault", state="hidden")


def test_the_keyboard_does_all(explore):
    page = explore("#corpus=two")
    for key, expected in (("j", "1"), ("ArrowRight", "2"), ("k", "1"), ("ArrowLeft", "0"), ("k", "0")):
        page.keyboard.press(key)
        until(page, f"document.querySelector('.heading bdi')?.textContent === '{expected}'")
    page.keyboard.press("/")
    page.keyboard.type("text 3")
    assert listed(page, 1) == [3]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    page.click("#reset")
    listed(page, 4)
    page.focus("#list")
    for key, expected in (("End", "3"), ("ArrowUp", "2"), ("Home", "0"), ("ArrowDown", "1")):
        page.keyboard.press(key)
        until(page, f"document.querySelector('.heading bdi')?.textContent === '{expected}'")
    assert page.get_attribute("#list", "aria-activedescendant") == "option-1"
    assert page.get_attribute("#option-1", "aria-selected") == "true"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_the_focus_and_what_is_unfolded_stay_from_one_instance_to_the_next(explore):
    page = explore("#corpus=two&method=grad")
    card(page, "grad").locator("summary", has_text="Every budget").click()
    for expected in ("1", "2"):
        page.click("#next")
        until(page, f"document.querySelector('.heading bdi')?.textContent === '{expected}'")
        assert page.evaluate("document.activeElement.id") == "next"
    assert card(page, "grad").locator("table").is_visible()
    assert not card(page, ASKED).locator("table").is_visible()
    page.keyboard.press("Enter")
    page.wait_for_selector("#next:disabled")
    assert page.evaluate("document.activeElement.id") == "instance"


def test_the_chosen_method_stands_beside_people_even_if_it_is_not_among_the_shown(explore):
    page = explore("#corpus=two&method=random&shown=grad")
    assert page.locator(".card h3").all_inner_texts() == ["Human rationale", "random reference", "grad gradients"]


def test_every_control_is_reached_by_tab_and_shows_its_focus(explore):
    page = explore("#corpus=two")
    wanted = page.eval_on_selector_all(
        "a, button, select, input, summary, [tabindex='0']",
        "all => all.filter((one) => one.checkVisibility() && !one.disabled).length",
    )
    seen = set()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert len(seen) == wanted


def test_words_are_painted_by_the_tables(explore):
    """Scores of the tree are 0, 1, 2, 0, … by word; people marked the first two words, as has the reply."""
    page = explore("#corpus=two&id=1&method=grad")
    words = ["seven", "plain", "words", "of", "a", "\N{GRINNING FACE}", "text", "1"]
    grad = card(page, "grad")
    assert grad.locator(".word").all_inner_texts() == words
    assert grad.locator(".picked").all_inner_texts() == ["words", "\N{GRINNING FACE}"]
    assert grad.locator(".human").all_inner_texts() == ["seven", "plain"]
    heat = grad.locator(".word").evaluate_all("all => all.map((one) => one.style.getPropertyValue('--heat'))")
    assert heat == ["", "50%", "100%", "", "50%", "100%", "", "50%"]
    assert "2 words · F1 0.60" in grad.inner_text()
    assert "Masked: flips, p(yes) 0.75 → 0.65." in grad.inner_text()
    assert card(page, ASKED).locator(".picked").all_inner_texts() == ["seven", "plain"]
    people = page.locator(".people")
    assert people.locator(".human").all_inner_texts() == ["seven", "plain"]
    assert people.locator(".human").first.get_attribute("title") == "marked by 2 of 2"
    page.select_option("#budget", "half")
    until(page, "document.querySelector('.chosen')?.querySelectorAll('.picked').length === 4")
    assert grad.locator(".picked").all_inner_texts() == ["plain", "words", "a", "\N{GRINNING FACE}"]


def test_what_is_missing_is_said_in_words(explore):
    page = explore("#corpus=two&id=3")
    text = page.inner_text("#instance")
    assert "no prediction: the text is too long for the model" in text
    assert "Masking was not measured: the text is too long for the model." in text
    page = explore("#corpus=two&id=2")
    asked = card(page, ASKED).inner_text()
    assert "No words: the model refused." in asked
    assert "read as refusal" in asked
    assert f"licence: {HOSTILE[:20]}" in page.inner_text(".terms")


def test_a_file_that_was_cut_off_says_so(browser, file, tmp_path):
    html = file.read_text(encoding="utf-8")
    cut = tmp_path / "explorer.html"
    cut.write_text(html[: html.index('id="cell-0"')], encoding="utf-8")
    page = browser.new_page()
    faults = watch(page, cut.as_uri())
    page.goto(cut.as_uri())
    page.wait_for_selector("#fault:not([hidden])")
    assert "The file is not whole: its part cell-0 is missing." in page.inner_text("#fault")
    assert [fault for fault in faults if not fault.startswith("exception: The file is not whole")] == []
    page.close()
