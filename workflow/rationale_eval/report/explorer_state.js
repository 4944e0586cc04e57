// What is shown, as the address names it: `#corpus=…&id=…`. What is as at the start is left out of the address.
const FIRST = { prediction: "all", masked: "all", reply: "all", order: "corpus", search: "" };
const PLACE = ["corpus", "model", "checkpoint", "id", "method", "budget"];

const unique = (values) => [...new Set(values)];

// The values that a part of the state may have, given the parts before it.
function choices(study, state) {
  const ofCorpus = study.cells.filter((cell) => cell.corpus === state.corpus);
  const ofModel = ofCorpus.filter((cell) => cell.model === state.model);
  return {
    corpus: unique(study.cells.map((cell) => cell.corpus)),
    model: unique(ofCorpus.map((cell) => cell.model)),
    checkpoint: ofModel.map((cell) => cell.checkpoint),
    method: study.methods.map((method) => method.name),
    budget: unique([study.main_budget, ...study.budgets, "as_given"]),
    prediction: ["all", "right", "wrong", "none"],
    masked: ["all", "flips", "stays", "unknown"],
    order: ["corpus", "best", "worst"],
  };
}

// `state` with a value that there is in each part, and a sentence for each value that there was not.
function settled(study, state) {
  const found = { ...FIRST, ...state };
  const faults = [];
  for (const part of ["corpus", "model", "checkpoint", "method", "budget", "prediction", "masked", "order"]) {
    const possible = choices(study, found)[part];
    if (possible.includes(found[part])) continue;
    if (found[part] !== undefined) faults.push(`There is no ${part} “${found[part]}” here.`);
    [found[part]] = part === "method" ? [firstMethod(study)] : possible;
  }
  if (found.shown) found.shown = found.shown.filter((name) => choices(study, found).method.includes(name));
  return { state: found, faults };
}

const firstMethod = (study) => (study.methods.find((one) => one.family !== "reference") ?? study.methods[0]).name;

// The methods that are shown where the address names none: all that are no reference.
function shownAtFirst(study) {
  const found = study.methods.filter((method) => method.family !== "reference").map((method) => method.name);
  return found.length ? found : study.methods.map((method) => method.name);
}

const cellNumber = (study, state) => study.cells.findIndex(
  (cell) => cell.corpus === state.corpus && cell.model === state.model && cell.checkpoint === state.checkpoint,
);

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = {};
  for (const part of [...PLACE, ...Object.keys(FIRST)]) if (given.has(part)) state[part] = given.get(part);
  if (given.has("shown")) state.shown = given.getAll("shown").filter((name) => name !== "");
  return state;
}

function addressOf(state) {
  const parts = new URLSearchParams();
  for (const part of PLACE) if (state[part] !== undefined) parts.set(part, state[part]);
  for (const [part, first] of Object.entries(FIRST)) if (state[part] !== first) parts.set(part, state[part]);
  if (state.shown) for (const name of state.shown.length ? state.shown : [""]) parts.append("shown", name);
  return `#${parts}`;
}
