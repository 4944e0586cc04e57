"""What a browser can say of a page: what goes wrong in it, whether it overflows its window, what is hard to read."""

from __future__ import annotations

import time
from typing import Any

# Elements whose right edge lies outside the window though no scrolling box holds them.
_OVERFLOWING = """() => {
  const wide = document.documentElement.clientWidth + 1;
  const boxed = (node) => node && (getComputedStyle(node).overflowX !== "visible" || boxed(node.parentElement));
  return [...document.body.querySelectorAll("*")]
    .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > wide
      && !boxed(node.parentElement))
    .map((node) => `${node.tagName} ${node.className}: ${node.textContent.slice(0, 40)}`);
}"""

# WCAG 2.1, success criterion 1.4.3: relative luminance and contrast of each text with what lies behind it.
_CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a));
  const base = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  const behind = (node) => node
    ? over(parse(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : base;
  const light = (colour) => {
    const linear = (part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
    const [r, g, b] = colour.map((part) => linear(part / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !node.checkVisibility({visibilityProperty: true})) continue;
    if (node.closest(":disabled, script, style")) continue;
    const style = getComputedStyle(node);
    const back = behind(node), fore = over(parse(style.color), back);
    const [high, low] = [light(fore), light(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    const ratio = (high + .05) / (low + .05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${node.tagName} ${node.className}: `
      + texts.currentNode.textContent.trim().slice(0, 40));
  }
  return found;
}"""


def watch(page: Any, address: str) -> list[str]:
    """A list that grows with what goes wrong while ``page`` shows the file at ``address``.

    That is errors and warnings on the console, exceptions, dialogs, and requests for anything but that file and data
    and blob addresses, which are within it.
    """
    faults: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            faults.append(f"request: {request.url}")

    def wrote(message: Any) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"console: {message.text}")

    def asks(dialog: Any) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("request", asked)
    page.on("console", wrote)
    page.on("pageerror", lambda error: faults.append(f"exception: {error}"))
    page.on("dialog", asks)
    return faults


def overflowing(page: Any) -> list[str]:
    """The elements that stick out of the window to the right, those within a scrolling box aside."""
    found: list[str] = page.evaluate(_OVERFLOWING)
    return found


def low_contrasts(page: Any) -> list[str]:
    """The visible texts with less contrast than WCAG's level AA asks for: 4.5, or 3 for large text."""
    found: list[str] = page.evaluate(_CONTRASTS)
    return found


def until(page: Any, condition: str, seconds: float = 10) -> None:
    """Wait until a JavaScript expression is true, for so many seconds at most; then the assertion fails.

    Playwright's own way to wait for one evaluates it within the page, where a security policy can forbid that.
    """
    end = time.monotonic() + seconds
    while not (met := page.evaluate(condition)) and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert met, condition
