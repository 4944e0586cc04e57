// Which instances pass the filters, in which order.

// 1 for each kind of prediction and of masking, by the names that the state has for them.
function predictionOf(corpus, cell, place) {
  const label = cell.predicted[place];
  return label < 0 ? "none" : cell.labels[label] === corpus.gold[place] ? "right" : "wrong";
}

function maskedOf(cell, view, place, count) {
  const flip = view < 0 ? -1 : cell.flip[view * count + place];
  return flip < 0 ? "unknown" : flip === 1 ? "flips" : "stays";
}

// The ways in which replies to `method` were read, or of those to any method where it is not a prompted one, as bits.
function readingsOf(cell, method, place, count) {
  const number = cell.prompted.indexOf(method);
  if (number >= 0) return cell.read_as[number * count + place];
  let bits = 0;
  for (let i = 0; i < cell.prompted.length; i += 1) bits |= cell.read_as[i * count + place];
  return bits;
}

function searchable(corpus) {
  corpus.searchable ??= corpus.texts.map((texts, place) => [corpus.ids[place], ...texts].join("\n").toLowerCase());
  return corpus.searchable;
}

// The places of the instances that pass.
function passing(corpus, cell, state, view) {
  const count = corpus.ids.length;
  const wanted = state.search.trim().toLowerCase();
  const texts = wanted ? searchable(corpus) : null;
  const outcome = state.reply === "all" ? null : cell.outcomes.indexOf(state.reply);
  const found = [];
  for (let place = 0; place < count; place += 1) {
    if (state.prediction !== "all" && predictionOf(corpus, cell, place) !== state.prediction) continue;
    if (state.masked !== "all" && maskedOf(cell, view, place, count) !== state.masked) continue;
    if (outcome !== null && !(outcome >= 0 && (readingsOf(cell, state.method, place, count) >> outcome) & 1)) continue;
    if (texts && !texts[place].includes(wanted)) continue;
    found.push(place);
  }
  if (state.order === "corpus" || view < 0) return found;
  const sign = state.order === "best" ? -1 : 1;
  const f1 = (place) => fixed(cell.f1, view * count + place);
  // What has no F1 comes last in either order.
  return found.sort((a, b) => {
    const [x, y] = [f1(a), f1(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return sign * (x - y) || a - b;
  });
}

// How many instances of the cell have each value of each filter.
function counts(corpus, cell, state, view) {
  const count = corpus.ids.length;
  const found = { prediction: new Map(), masked: new Map(), reply: new Map() };
  const add = (part, value) => found[part].set(value, (found[part].get(value) ?? 0) + 1);
  for (let place = 0; place < count; place += 1) {
    add("prediction", predictionOf(corpus, cell, place));
    add("masked", maskedOf(cell, view, place, count));
    const bits = readingsOf(cell, state.method, place, count);
    cell.outcomes.forEach((outcome, i) => { if ((bits >> i) & 1) add("reply", outcome); });
  }
  return found;
}
