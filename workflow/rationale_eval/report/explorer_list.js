// The list of instances: only the rows that are in sight exist, so that thousands cost nothing.
const ROW = 60; // pixels, as in the style
const SNIPPET = 120; // characters of a row's text: two lines at the most

function makeList(box, rows, choose) {
  let shown = { found: [], place: -1, row: () => element("div") };

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 5);
    const last = Math.min(shown.found.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 5);
    const drawn = [];
    for (let i = first; i < last; i += 1) {
      const place = shown.found[i];
      const node = element("div", { class: "row", role: "option", id: `option-${place}`,
        "aria-selected": place === shown.place ? "true" : "false", "aria-posinset": i + 1, "aria-setsize": shown.found.length },
      shown.row(place));
      node.style.setProperty("--top", `${i * ROW}px`);
      node.addEventListener("click", () => choose(place));
      drawn.push(node);
    }
    rows.replaceChildren(...drawn);
  }

  box.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(box);
  return (found, place, row) => {
    shown = { found, place, row };
    rows.style.setProperty("--height", `${found.length * ROW}px`);
    const top = found.indexOf(place) * ROW;
    if (top >= 0 && (top < box.scrollTop || top + ROW > box.scrollTop + box.clientHeight)) {
      box.scrollTop = top - (box.clientHeight - ROW) / 2;
    }
    draw();
    if (place >= 0) box.setAttribute("aria-activedescendant", `option-${place}`);
    else box.removeAttribute("aria-activedescendant");
  };
}

// The beginning of a text; half of a character beyond 16 bits is none.
const cut = (text) => (text.length > SNIPPET ? `${text.slice(0, SNIPPET).replace(/[\ud800-\udbff]$/, "")}…` : text);

// What a row says of an instance: its text, answer, and the method's F1 and flip.
function rowOf(corpus, cell, view, place) {
  const count = corpus.ids.length;
  const prediction = predictionOf(corpus, cell, place);
  const text = corpus.texts[place].join(" · ");
  const parts = [element("span", { class: prediction === "right" ? "verdict" : "verdict wrong" },
    { right: "✓ right", wrong: "✗ wrong", none: "no prediction" }[prediction])];
  if (view >= 0) {
    const f1 = fixed(cell.f1, view * count + place);
    if (f1 !== null) parts.push(` · F1 ${number(f1)}`);
    if (maskedOf(cell, view, place, count) === "flips") parts.push(" · ", element("b", { class: "flips" }, "flips"));
  }
  return [element("div", { class: "snippet", dir: "auto" }, cut(text)),
    element("div", { class: "soft" }, parts)];
}
