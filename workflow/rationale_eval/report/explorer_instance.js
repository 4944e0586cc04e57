// The instance that is looked at: its answer, then the marked words and those of the methods side by side.

// Of the chosen method there is always a card, beside that of the marked words.
function cardsOf(study, state, shown) {
  const chosen = (method) => method.name === state.method;
  const others = study.methods.filter((method) => shown.includes(method.name) && !chosen(method));
  return [...study.methods.filter(chosen), ...others].filter((method) => method.name !== study.human);
}

function showInstance(target, study, corpus, cell, inside, state, place, step, choose) {
  const shown = state.shown ?? shownAtFirst(study);
  const cards = cardsOf(study, state, shown)
    .map((method) => methodCard(study, corpus, cell, inside, place, state, method));
  const focused = target.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  target.replaceChildren(
    heading(corpus, state, place, step),
    answer(study, corpus, cell, place),
    chooser(study, shown, choose),
    legend(study.corpora[state.corpus].marked.by),
    element("div", { class: "cards" }, peopleCard(study, corpus, cell, place, state), cards),
    element("p", { class: "soft terms" }, "Texts of ", foreign(state.corpus), ": ", study.corpora[state.corpus].terms,
      study.corpora[state.corpus].caveats?.length ? [". ", study.corpora[state.corpus].caveats.join(" ")] : ""),
    element("p", { class: "soft" }, "Masked words are ", study.masked, "."));
  // What had the focus is another element now; the last button that leads on may be off.
  if (focused !== undefined) {
    const again = [...target.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focused && !node.disabled);
    (again ?? target).focus({ preventScroll: true });
  }
}

// Details that stay open from one instance to the next, by what they are details of.
const unfolded = new Set();

function details(key, title, ...content) {
  const node = element("details", { open: unfolded.has(key) }, element("summary", { "data-key": `summary ${key}` }, title), content);
  node.addEventListener("toggle", () => (node.open ? unfolded.add(key) : unfolded.delete(key)));
  return node;
}

function heading(corpus, state, place, step) {
  const button = (text, by, off) => {
    const id = by < 0 ? "previous" : "next";
    const node = element("button", { type: "button", id, "data-key": id, disabled: off }, text);
    node.addEventListener("click", () => step.by(by));
    return node;
  };
  return element("div", { class: "heading" },
    element("h2", {}, "Instance ", foreign(corpus.ids[place])),
    element("p", { class: "soft" }, `${step.position + 1} of ${step.count}`),
    button("← Previous", -1, step.position <= 0), button("Next →", 1, step.position >= step.count - 1),
    element("a", { href: addressOf(state) }, "Link to this view"));
}

function answer(study, corpus, cell, place) {
  const predicted = cell.predicted[place];
  const gold = corpus.gold[place];
  const line = element("p", { class: "answer" }, "Gold label ", foreign(gold, "b"));
  if (corpus.foils && corpus.foils[place] !== null) line.append(" rather than ", foreign(corpus.foils[place], "b"));
  if (predicted < 0) {
    line.append(`, no prediction: ${reason(study, cell.statuses[cell.status[place]])}.`);
    return element("section", { "aria-label": "Prediction" }, line);
  }
  const right = cell.labels[predicted] === gold;
  line.append(", predicted ", foreign(cell.labels[predicted], "b"), " ",
    element("span", { class: right ? "verdict" : "verdict wrong" }, right ? "✓ right" : "✗ wrong"));
  const before = decided(cell, place);
  if (before.announced && before.label !== cell.labels[predicted]) {
    line.append(" (", foreign(before.label, "b"), " once the mask is announced)");
  }
  if (cell.label_all[place] >= 0 && before.label !== null) {
    const label = cell.labels[cell.label_all[place]];
    line.append("; with all words masked: ", verdict(null, label, before.label));
  }
  line.append(".");
  return element("section", { "aria-label": "Prediction" }, line, labelScores(cell, place, predicted, gold));
}

function labelScores(cell, place, predicted, gold) {
  const rows = cell.labels.map((label, i) => [label, i, cell.scores[place * cell.labels.length + i]])
    .filter(([, , score]) => !Number.isNaN(score));
  if (!rows.length) return element("p", { class: "soft" }, "The label was read from the answer, which has no scores.");
  return element("div", { class: "scroll" }, element("table", { class: "labels" },
    element("thead", {}, element("tr", {}, ["label", "probability", "log-probability"].map(
      (text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, rows.map(([label, i, score]) => {
      const probability = cell.probabilities[place * cell.labels.length + i];
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", `${100 * probability}%`);
      const notes = [i === predicted ? "predicted" : null, label === gold ? "gold" : null].filter(Boolean).join(", ");
      return element("tr", {}, element("th", { scope: "row" }, foreign(label), notes ? element("span", { class: "soft" }, ` ${notes}`) : null),
        element("td", {}, bar, number(probability)), element("td", {}, number(score)));
    }))));
}

function chooser(study, shown, choose) {
  const methods = study.methods.filter((method) => method.name !== study.human);
  const names = methods.map((method) => method.name);
  const visible = names.filter((name) => shown.includes(name)).length;
  const boxes = methods.map((method) => {
    const box = element("input", { type: "checkbox", value: method.name, "data-key": `show ${method.name}` });
    box.checked = shown.includes(method.name);
    box.addEventListener("change", () => choose(names.filter((name) => (name === method.name ? box.checked : shown.includes(name)))));
    return element("label", {}, box, " ", foreign(method.name));
  });
  const button = (text, wanted) => {
    const node = element("button", { type: "button", "data-key": text }, text);
    node.addEventListener("click", () => choose(wanted));
    return node;
  };
  const folded = details("methods shown", `Methods side by side: ${visible} of ${names.length}`,
    element("div", { class: "boxes" }, boxes),
    element("p", {}, button("All", names), " ", button("None", [])));
  folded.id = "methods-shown";
  return folded;
}

const legend = (markedBy) => element("p", { class: "legend soft" },
  element("span", { class: "word human" }, markedBy), " ",
  element("span", { class: "word picked" }, "picked at the budget"), " ",
  element("span", { class: "word heat full" }, "highest score"), " ",
  element("span", { class: "word heat low full" }, "lowest, if below 0"));
