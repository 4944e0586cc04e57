"""The checks themselves: they find what is wrong with a page that has every fault."""

from __future__ import annotations

import pytest
from browser_checks import low_contrasts, overflowing, watch

pytestmark = pytest.mark.xdist_group("browser")
FAULTY = """<!doctype html><meta charset="utf-8">
<p style="color: #808080">faint <b style="color: #6b6b6b">clear</b></p>
<div style="width: 2000px">wide</div>
<div style="overflow: auto"><div style="width: 3000px">scrolls</div></div>
<img src="elsewhere.png" alt="">
<script>alert("open"); console.warn("odd"); undefinedName();</script>"""


def test_every_fault_of_a_page_is_found(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(FAULTY, encoding="utf-8")
    page = browser.new_page()
    faults = watch(page, file.as_uri())
    page.goto(file.as_uri())
    assert {fault.split(":")[0] for fault in faults} == {"request", "dialog", "console", "exception"}
    assert [text.split(" ", 1)[1] for text in low_contrasts(page)] == ["P : faint"]
    assert overflowing(page) == ["DIV : wide"]
    page.close()
