// Elements and texts. Whatever comes from a corpus, a model or the configuration becomes a text node here, never markup.
// HIDDEN, the pattern of what cannot be seen, stands above: it is the one of wording.py.

function element(tag, attributes = {}, ...content) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const part of content.flat()) {
    if (part instanceof Node) node.append(part);
    else if (part !== null && part !== undefined && part !== "") appendText(node, String(part));
  }
  return node;
}

// `text`, its characters that cannot be seen as marks with their numbers, so that they hide and reorder nothing.
function appendText(node, text) {
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > end) node.append(text.slice(end, match.index));
    const mark = document.createElement("span");
    mark.className = "control";
    mark.textContent = named(match[0]);
    node.append(mark);
    end = match.index + match[0].length;
  }
  if (end < text.length) node.append(text.slice(end));
}

const named = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

// `text` as one string, for attributes and options, which hold no marks.
const plain = (text) => text.replace(HIDDEN, (character) => `[${named(character)}]`);

// What others wrote, apart from the direction of the text around it.
const foreign = (text, tag = "bdi") => element(tag, {}, text);

const words = (name) => name.replaceAll("_", " ");
const minus = (text) => text.replace("-", "\u2212");
const rounded = (value) => { const text = value.toFixed(2); return text === "-0.00" ? "0.00" : text; };
const number = (value) => (value === null ? "\u2013" : minus(rounded(value)));
const signed = (value) => (value === null ? "\u2013" : `${rounded(value) > 0 ? "+" : ""}${minus(rounded(value))}`);
const percent = (value) => (value === null ? "\u2013" : `${Math.round(100 * value)}\u00a0%`);
const few = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
// Scores of gradients and of attention differ by many orders of magnitude.
const precise = (value) => minus(value.toPrecision(3));

// The fields of an instance, each word as `paint(word)` says: {human, picked, heat, note}; heat from -1 to 1 or null.
function passage(corpus, place, paint) {
  const [first, last] = [corpus.first[place], corpus.first[place + 1]];
  const names = corpus.names[place];
  return corpus.texts[place].map((text, field) => {
    const shown = element("p", { class: "passage" });
    let end = 0;
    for (let word = first; word < last; word += 1) {
      if (corpus.field[word] !== field) continue;
      appendText(shown, text.slice(end, corpus.start[word]));
      shown.append(painted(text.slice(corpus.start[word], corpus.end[word]), paint(word)));
      end = corpus.end[word];
    }
    appendText(shown, text.slice(end));
    // Last: a browser looks for the direction anew with each node that such an element gets.
    shown.setAttribute("dir", "auto");
    return names.length > 1 ? element("div", { class: "field" }, element("span", { class: "soft" }, names[field]), shown)
      : shown;
  });
}

function painted(text, { human = false, picked = false, heat = null, note = null }) {
  const node = element(human || picked ? "mark" : "span", { class: "word", title: note }, text);
  if (human) node.classList.add("human");
  if (picked) node.classList.add("picked");
  if (heat) {
    node.classList.add("heat");
    if (heat < 0) node.classList.add("low");
    node.style.setProperty("--heat", `${Math.round(Math.abs(heat) * 100)}%`);
  }
  return node;
}
