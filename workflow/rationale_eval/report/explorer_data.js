// Blocks of data: base64 of deflated typed arrays and JSON, as explorer_pack.py describes them.
const TYPES = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, float32: Float32Array,
};
const SCALE = 10000, MISSING = -32768, LEVELS = 127, NO_COUNT = -1;
const KEPT_BLOCKS = 16;
const blocks = new Map();

// The text of a block. It may not have been read from the file yet, and is whole once something follows it.
async function blockText(id) {
  for (;;) {
    const loaded = document.readyState !== "loading";
    const node = document.getElementById(id);
    if (node && (loaded || node.nextElementSibling)) return node.textContent;
    if (loaded) throw new Error(`The file is not whole: its part ${id} is missing.`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

async function unpack(text) {
  const characters = atob(text.trim());
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = characters.charCodeAt(i);
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(inflated).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const found = header.values;
  for (const [name, [type, offset, items]] of Object.entries(header.arrays)) {
    found[name] = new TYPES[type](buffer, 4 + length + offset, items);
  }
  return found;
}

// A block, unpacked; the least recently used ones are forgotten.
function block(id) {
  const found = blocks.get(id) ?? blockText(id).then(unpack);
  blocks.delete(id);
  blocks.set(id, found);
  if (blocks.size > KEPT_BLOCKS) blocks.delete(blocks.keys().next().value);
  return found;
}

const bit = (bytes, place, begin = 0) => ((bytes[begin + (place >> 3)] >> (place & 7)) & 1) === 1;

// What `values` holds by a name that comes from outside: `constructor` names something in every object.
const own = (values, name) => (Object.hasOwn(values, name) ? values[name] : undefined);

// A number that is kept to four decimals; null for none.
const fixed = (column, place) => (column[place] === MISSING ? null : column[place] / SCALE);

// Where a method at a budget stands among the cell's views; a method without that budget is shown as its sets were
// given, or else at the main budget or the first that it has. -1 for a method without any.
function viewOf(cell, method, budget, main) {
  const has = (wanted) => cell.views.findIndex(([name, at]) => name === method && (wanted === null || at === wanted));
  return [budget, "as_given", main, null].map(has).find((view) => view >= 0) ?? -1;
}

// What the model decides of the whole text, before anything is masked: where the mask is announced, with that sentence.
function decided(cell, place) {
  const announced = cell.label_whole[place] >= 0;
  const label = announced ? cell.label_whole[place] : cell.predicted[place];
  const known = cell.probabilities[place * cell.labels.length + label];
  const probability = announced ? fixed(cell.probability_whole, place) : known;
  return {
    announced,
    label: label < 0 ? null : cell.labels[label],
    probability: label < 0 || Number.isNaN(probability) ? null : probability,
  };
}

// All measures of one view of one instance; null for what is not known.
function measured(cell, view, place, count) {
  const at = view * count + place;
  const label = (column) => (column[at] < 0 ? null : cell.labels[column[at]]);
  const truth = (column) => (column[at] < 0 ? null : column[at] === 1);
  return {
    budget: cell.views[view][1],
    aligned: cell.statuses[cell.alignment_status[at]],
    faithful: cell.statuses[cell.faithfulness_status[at]],
    selected: cell.selected[at] === NO_COUNT ? null : cell.selected[at],
    short: cell.short[at] === 1,
    f1: fixed(cell.f1, at), chance: fixed(cell.f1_chance, at), precision: fixed(cell.precision, at),
    recall: fixed(cell.recall, at), iou: fixed(cell.iou, at),
    flip: truth(cell.flip), flipKept: truth(cell.flip_when_kept),
    labelMasked: label(cell.label_masked), labelKept: label(cell.label_kept),
    drop: fixed(cell.comprehensiveness, at), loss: fixed(cell.sufficiency, at),
    flipRandom: fixed(cell.flip_random, at), dropRandom: fixed(cell.comprehensiveness_random, at),
  };
}
