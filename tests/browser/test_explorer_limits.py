"""The explorer of larger and odder things than usual: very many words and annotators, and names that JavaScript has."""

from __future__ import annotations

from dataclasses import replace

import hidden_characters
import pytest
import report_trees
from browser_checks import until
from explorer_pages import build
from rationale_eval.corpora.instances import read_instances, write_instances
from rationale_eval.report.wording import HIDDEN, visible
from report_trees import ATTENTION, BUDGETS, METHODS, write_cell

pytestmark = pytest.mark.xdist_group("browser")
READY = "#instance[aria-busy=false]"
TAG = "\U000e0041"  # a letter that no browser draws
WORDS, ANNOTATORS = 70_000, 300  # more than 16 bits hold, and more than 8


@pytest.fixture
def names(tmp_path, monkeypatch):
    """A corpus, methods, a budget and a label with names that every object of JavaScript has.

    300 people marked each text, and each method has selected 70,000 words.
    """
    for name in ("constructor", "toString", "hasOwnProperty"):
        monkeypatch.setitem(METHODS, name, METHODS["grad"])
    monkeypatch.setitem(BUDGETS, "valueOf", BUDGETS["half"])
    write = report_trees.write_table

    def with_many_selected(path, rows, schema, made):
        if path.name == "alignment.parquet":
            rows = [row | {"selected": WORDS} if row["selected"] is not None else row for row in rows]
        return write(path, rows, schema, made)

    monkeypatch.setattr(report_trees, "write_table", with_many_selected)
    write_cell(tmp_path, "constructor", "__proto__", f"fine film{TAG}", {})
    path = tmp_path / "corpora/constructor/test.parquet"
    rows = [replace(one, annotators=(one.rationale,) * ANNOTATORS) for one in read_instances(path)]
    write_instances(path, rows, {})
    return build(tmp_path, [("constructor", "m", "base")])


def test_names_of_javascript_are_names_and_large_numbers_are_whole(open_page, names):
    page = open_page(names, "#id=1&method=constructor&budget=valueOf&reply=constructor&shown=toString")
    page.wait_for_selector(READY)
    assert "constructor (0)" in page.inner_text("#reply")
    page.click("#reset")
    until(page, "document.querySelectorAll('.card').length === 3")
    assert "2 of 3 words · 300 annotators" in page.inner_text(".people")
    assert page.locator(".people .word").first.get_attribute("title") == "marked by 300 of 300"
    assert "70000 words · F1 0.60" in page.locator("article[aria-label=constructor]").inner_text()
    assert "predicted __proto__" in page.inner_text(".answer")
    assert page.locator(".people .word").nth(1).inner_text() == "filmU+E0041"
    assert TAG not in page.evaluate("document.documentElement.innerText")
    assert "right (1)" in page.inner_text("#prediction")


def test_the_browser_shows_hidden_characters_as_python_does(open_page, names):
    page = open_page(names)
    texts = [*(text for pair in hidden_characters.KEPT for text in pair), *hidden_characters.every()]
    spelt = """([pattern, texts]) => texts.map((text) => text.replace(new RegExp(pattern, "gu"), (character) =>
        `[U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`))"""
    assert page.evaluate(spelt, [HIDDEN, texts]) == [visible(text) for text in texts]


def test_a_text_of_very_many_words_is_shown(open_page, tmp_path, monkeypatch):
    for name in (ATTENTION, "random"):
        monkeypatch.delitem(METHODS, name)
    write_cell(tmp_path, "long", "yes", "1 " * WORDS, {})  # figures: no letter says in which direction they are read
    page = open_page(build(tmp_path, [("long", "m", "base")]), "#id=1&method=human")
    until(page, f"document.querySelectorAll('.people .word').length === {WORDS + 1}", seconds=60)
    assert f"2 of {WORDS + 1} words" in page.inner_text(".people .facts")
    assert page.locator(".people .human").count() == 2
