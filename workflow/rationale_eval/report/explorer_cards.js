// The marked words and those of each method of an instance, as a card each.

const WHERE = 12; // as many words are listed with their scores

// Why something is not there.
const reason = (study, status) => own(study.statuses, status) || words(status);

function peopleCard(study, corpus, cell, place, state) {
  const [first, last] = [corpus.first[place], corpus.first[place + 1]];
  const annotators = corpus.annotators[place];
  let marked = 0;
  for (let word = first; word < last; word += 1) marked += bit(corpus.marked, word);
  const paint = (word) => ({
    human: bit(corpus.marked, word),
    note: annotators > 1 ? `marked by ${corpus.votes[word]} of ${annotators}` : null,
  });
  const facts = [`${marked} of ${few(last - first, "word")}`];
  if (annotators > 1) facts.push(`${annotators} annotators`);
  const { annotation: about, marked: said } = study.corpora[state.corpus];
  const card = element("article", { class: "card people", "aria-label": said.rationale },
    element("h3", {}, said.rationale),
    element("p", { class: "facts" }, marked ? facts.join(" · ") : "No word of this text is marked."),
    passage(corpus, place, paint));
  const view = study.human === null ? -1 : viewOf(cell, study.human, "as_given", study.main_budget);
  if (view >= 0) card.append(...outcomes(study, cell, measured(cell, view, place, corpus.ids.length), place));
  if (about) card.append(element("p", { class: "soft" }, about));
  return card;
}

function methodCard(study, corpus, cell, inside, place, state, method) {
  const count = corpus.ids.length;
  const view = viewOf(cell, method.name, state.budget, study.main_budget);
  const found = view < 0 ? null : measured(cell, view, place, count);
  const chosen = method.name === state.method;
  const card = element("article", { class: chosen ? "card chosen" : "card", "aria-label": plain(method.name) },
    element("h3", {}, foreign(method.name), " ", element("span", { class: "family", title: plain(method.settings) },
      words(method.family))));
  const scores = scoresOf(corpus, inside, place, study.block, method.name);
  card.append(element("p", { class: "facts" }, facts(study, cell, found, scores, place, count, method, state)));
  const paint = (word) => ({
    human: bit(corpus.marked, word),
    picked: found !== null && found.selected !== null && isPicked(corpus, cell, inside, place, study.block, view, word),
    heat: scores === null ? null : scores.of(word),
    note: scores === null ? null : `score ${precise(scores.of(word) * scores.largest)}`,
  });
  card.append(...passage(corpus, place, paint));
  if (found) card.append(...outcomes(study, cell, found, place));
  card.append(...replies(study, corpus, inside, place, method.name));
  if (scores) card.append(byScore(corpus, place, scores, method.name));
  if (found) card.append(budgets(study, cell, place, count, method.name));
  return card;
}

// The scores of a method in one instance: `of(word)` from -1 to 1, and what 1 stands for; null where there are none.
function scoresOf(corpus, inside, place, size, method) {
  const number = inside.scored.indexOf(method);
  if (number < 0) return null;
  const begin = Math.floor(place / size) * size;
  const length = inside.largest.length / inside.scored.length;
  const largest = inside.largest[number * length + place - begin];
  if (Number.isNaN(largest)) return null;
  const offset = number * (inside.scores.length / inside.scored.length) - corpus.first[begin];
  return { largest, of: (word) => inside.scores[offset + word] / LEVELS };
}

function isPicked(corpus, cell, inside, place, size, view, word) {
  const begin = Math.floor(place / size) * size;
  return bit(inside.masks, word - corpus.first[begin], view * (inside.masks.length / cell.views.length));
}

function facts(study, cell, found, scores, place, count, method, state) {
  if (found === null) return "This method has no budget in the study.";
  if (found.selected === null) {
    return [`No words${scores ? ` at ${words(found.budget)}` : ""}: ${reason(study, found.aligned)}.`];
  }
  const parts = [few(found.selected, "word") + (found.short ? ", fewer than the budget asks for" : "")];
  if (found.budget !== state.budget) parts.push(words(found.budget));
  if (found.f1 !== null) parts.push(`F1 ${number(found.f1)}`, `by chance ${number(found.chance)}`);
  else parts.push(`no F1: ${reason(study, found.aligned)}`);
  const own = study.methods.indexOf(method) * count + place;
  const auprc = fixed(cell.auprc, own);
  if (auprc !== null) parts.push(`AUPRC ${number(auprc)}`, `by chance ${number(fixed(cell.auprc_chance, own))}`);
  return parts.join(" · ");
}

// What happened when the words were masked, and when all others were.
function outcomes(study, cell, found, place) {
  if (found.selected === null) return [];
  if (found.flip === null && found.labelMasked === null) {
    const why = reason(study, found.faithful === "ok" ? cell.statuses[cell.status[place]] : found.faithful);
    return [element("p", { class: "outcome" }, `Masking was not measured${why ? `: ${why}` : ""}.`)];
  }
  const before = decided(cell, place);
  const lines = [["Masked", found.flip, found.labelMasked, found.drop]];
  if (found.labelKept !== null) lines.push(["Kept alone", found.flipKept, found.labelKept, found.loss]);
  const shown = lines.map(([what, flip, label, drop]) => element("p", { class: "outcome" }, `${what}: `,
    verdict(flip, label, before.label), shift(before, drop)));
  if (found.flipRandom !== null && found.selected > 0) {
    const drop = found.dropRandom === null ? "" : `, p ${signed(-found.dropRandom)} on average`;
    shown[0].append(element("span", { class: "soft" }, ` As many random words: ${percent(found.flipRandom)} of draws flip${drop}.`));
  }
  return shown;
}

function verdict(flip, label, before) {
  const flips = flip ?? label !== before;
  const shown = label === null ? "" : [flips ? " to " : " ", foreign(label)];
  return element("b", { class: flips ? "flips" : "stays" }, flips ? "flips" : "stays", shown);
}

function shift(before, drop) {
  if (drop === null || before.probability === null) return ".";
  return [", p(", foreign(before.label), `) ${number(before.probability)} → ${number(before.probability - drop)}.`];
}

function replies(study, corpus, inside, place, method) {
  const given = own(inside.replies, method);
  if (!given) return [];
  const mine = given[place % study.block];
  if (!mine.length) return [element("p", { class: "outcome" }, "There is no reply.")];
  return mine.map((reply, i) => {
    const title = mine.length > 1 ? `Reply ${i + 1} of ${mine.length}` : "Reply";
    const read = reply.outcome ? `read as ${words(reply.outcome)}` : reason(study, reply.status);
    const notes = [read];
    if (reply.asked !== undefined) notes.push(`asked for ${few(reply.asked, "word")}`);
    if (reply.finish && reply.finish !== "stop") notes.push(`ended by ${words(reply.finish)}`);
    if (reply.copied) notes.push("copies the text");
    const missing = (reply.hallucinated ?? []).flatMap((item, j) => [j ? ", " : "; not in the text: ", "“", foreign(item), "”"]);
    const answer = reply.answer === undefined ? [] : ["; label given after it: ", foreign(reply.answer)];
    const node = element("div", { class: "reply" }, element("p", { class: "outcome" }, `${title}: ${notes.join(", ")}`,
      missing, answer, "."));
    if (reply.reply !== undefined) {
      node.append(reply.reply === "" ? element("p", { class: "soft" }, "The reply is empty.")
        : element("pre", { dir: "auto", tabindex: "0", "aria-label": `${title}, as it came` }, reply.reply));
    }
    const order = (reply.order ?? []).map((word) => wordText(corpus, place, corpus.first[place] + word));
    if (order.length > 1) {
      node.append(element("p", { class: "soft" }, "In this order: ", order.flatMap((text, j) => [j ? ", " : "", foreign(text)]), "."));
    }
    return node;
  });
}

const wordText = (corpus, place, word) => corpus.texts[place][corpus.field[word]].slice(corpus.start[word], corpus.end[word]);

function byScore(corpus, place, scores, method) {
  const all = [];
  for (let word = corpus.first[place]; word < corpus.first[place + 1]; word += 1) all.push(word);
  all.sort((a, b) => scores.of(b) - scores.of(a) || a - b);
  const list = element("ol", {}, all.slice(0, WHERE).map((word) => element("li", {},
    foreign(wordText(corpus, place, word)), ` ${precise(scores.of(word) * scores.largest)}`)));
  const title = all.length > WHERE ? `The ${WHERE} words with the highest scores` : "Words by score";
  return details(`scores ${method}`, title, list);
}

function budgets(study, cell, place, count, method) {
  const head = ["budget", "words", "F1", "masked", "p", "kept alone", "p"];
  const rows = [];
  const before = decided(cell, place);
  cell.views.forEach(([name], view) => {
    if (name !== method) return;
    const found = measured(cell, view, place, count);
    const label = (flip, text) => (text === null ? "\u2013" : verdict(flip, text, before.label));
    const change = (drop) => (drop === null ? "\u2013" : signed(-drop));
    rows.push(element("tr", {}, element("th", { scope: "row" }, foreign(found.budget)),
      element("td", {}, found.selected === null ? reason(study, found.aligned) : found.selected),
      element("td", {}, number(found.f1)),
      element("td", {}, label(found.flip, found.labelMasked)), element("td", {}, change(found.drop)),
      element("td", {}, label(found.flipKept, found.labelKept)), element("td", {}, change(found.loss))));
  });
  const table = element("table", {}, element("thead", {}, element("tr", {}, head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, rows));
  return details(`budgets ${method}`, "Every budget",
    element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Every budget, ${plain(method)}` }, table));
}
