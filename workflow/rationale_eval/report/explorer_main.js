// The page: what is chosen, what follows from it, and the keys.
const by = (id) => document.getElementById(id);
const TEXTS = {
  prediction: { all: "all", right: "right", wrong: "wrong", none: "none made" },
  masked: { all: "all", flips: "flips", stays: "stays", unknown: "not measured" },
  order: { corpus: "as in the corpus", best: "best aligned first (F1)", worst: "worst aligned first (F1)" },
};
// `asked` is what was chosen last; `state` what is shown, which follows once its blocks are unpacked.
let study, asked, state, corpus, cell, view, found = [], turn = 0, showList;

function fill(id, options, value, text = plain) {
  by(id).replaceChildren(...options.map((option) => {
    const node = element("option", { value: option });
    node.textContent = text(option);
    node.selected = option === value;
    return node;
  }));
}

function fillControls() {
  const possible = choices(study, state);
  for (const part of ["corpus", "model", "checkpoint", "method", "budget"]) fill(part, possible[part], state[part]);
  const count = counts(corpus, cell, state, view);
  for (const part of ["prediction", "masked"]) {
    fill(part, possible[part], state[part],
      (value) => TEXTS[part][value] + (value === "all" ? "" : ` (${count[part].get(value) ?? 0})`));
  }
  fill("order", possible.order, state.order, (value) => TEXTS.order[value]);
  const outcomesHere = unique(["all", ...cell.outcomes, state.reply]);
  fill("reply", outcomesHere, state.reply,
    (value) => (value === "all" ? "all" : `${plain(words(value))} (${count.reply.get(value) ?? 0})`));
  by("reply").disabled = cell.prompted.length === 0;
  if (by("search").value !== state.search) by("search").value = state.search;
}

function tell(faults) {
  by("fault").hidden = faults.length === 0;
  by("fault").replaceChildren();
  appendText(by("fault"), faults.join(" "));
}

// Show what `wanted` names. An instance that does not pass the filters gives way to the first that does, unless it is
// `named`, by a link: then it is shown all the same.
async function show(wanted, named = false) {
  turn += 1;
  const mine = turn;
  const { state: next, faults } = settled(study, wanted);
  asked = next;
  const number = cellNumber(study, next);
  const order = choices(study, next).corpus.indexOf(next.corpus);
  const [texts, measures] = await Promise.all([block(`corpus-${order}`), block(`cell-${number}`)]);
  if (mine !== turn) return;
  [state, corpus, cell] = [next, texts, measures];
  view = viewOf(cell, state.method, state.budget, study.main_budget);
  found = passing(corpus, cell, state, view);
  let place = state.id === undefined ? -1 : corpus.ids.indexOf(state.id);
  if (state.id !== undefined && place < 0 && named) faults.push(`There is no instance “${state.id}” in ${state.corpus}.`);
  const passes = found.includes(place);
  if (place >= 0 && !passes && named) faults.push("The instance does not pass the filters.");
  else if (!passes) place = found[0] ?? -1;
  state.id = place < 0 ? undefined : corpus.ids[place];
  tell(faults);
  fillControls();
  by("count").replaceChildren();
  appendText(by("count"), (found.length === corpus.ids.length ? "" : `${found.length} of `) + few(corpus.ids.length, "instance")
    + (view < 0 ? "" : `; F1 and flips of ${cell.views[view].join(", ")}`));
  showList(found, place, (one) => rowOf(corpus, cell, view, one));
  if (place < 0) {
    by("instance").replaceChildren(element("p", {}, "No instance passes the filters."));
  } else {
    const inside = await block(`cell-${number}-block-${Math.floor(place / study.block)}`);
    if (mine !== turn) return;
    const step = { position: found.indexOf(place), count: found.length, by: move };
    showInstance(by("instance"), study, corpus, cell, inside, state, place, step, (shown) => go({ shown }));
  }
  by("instance").setAttribute("aria-busy", "false");
  document.title = `${state.id === undefined ? "Rationale explorer" : plain(state.id)} · ${plain(state.corpus)}, ${plain(state.checkpoint)}`;
  if (location.hash !== addressOf(state)) history.replaceState(null, "", addressOf(state));
}

const go = (changes) => show({ ...asked, ...changes }).catch(failed);

function move(step) {
  const at = found.indexOf(corpus.ids.indexOf(state.id));
  const next = Math.min(Math.max(at + step, 0), found.length - 1);
  if (next >= 0 && next !== at) go({ id: corpus.ids[found[next]] });
}

function failed(error) {
  tell([`The explorer cannot go on. ${error.message}`]);
  throw error;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || by("help").open) return;
  const target = event.target;
  if (target === by("search") && event.key === "Escape") { by("list").focus(); return; }
  if (target.matches("input:not([type=checkbox]), select, textarea")) return;
  const inList = target === by("list");
  const keys = { j: 1, k: -1 };
  if (!target.closest(".scroll, pre")) Object.assign(keys, { ArrowRight: 1, ArrowLeft: -1 });
  if (inList) Object.assign(keys, { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity });
  if (Object.hasOwn(keys, event.key)) move(keys[event.key]);
  else if (event.key === "/") by("search").focus();
  else if (event.key === "?") by("help").showModal();
  else return;
  event.preventDefault();
}

function wire() {
  showList = makeList(by("list"), by("rows"), (place) => go({ id: corpus.ids[place] }));
  by("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const part of ["corpus", "model", "checkpoint", "method", "budget", "prediction", "masked", "reply", "order"]) {
    by(part).addEventListener("change", () => go({ [part]: by(part).value }));
  }
  by("search").addEventListener("input", () => go({ search: by("search").value }));
  by("reset").addEventListener("click", () => go({ ...FIRST }));
  by("help-open").addEventListener("click", () => by("help").showModal());
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", () => show(readAddress(), true).catch(failed));
}

async function start() {
  study = await block("study");
  wire();
  await show(readAddress(), true);
}

start().catch(failed);
