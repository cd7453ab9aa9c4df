const MOST_RUNS = 64, OPEN_AT_FIRST = 24, MOST_ROWS = 150, PLAY = 9000, TALLEST = 64, LEAST_FOLD = 3, MOST_NAMES = 4, MOST_OWN = 3;
const SVG = "http://www.w3.org/2000/svg";
const $ = id => document.getElementById(id);
const state = { k: -1, measure: 0, rule: -1, chosen: "", playing: 0, opened: null, printing: false };
let blocks, root, paths, kindsOf, runsOf, bars, lines, rows, cursor, stopMark, colours, dark;

// ------------------------------------------------------------ small tools

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}
function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}
function spelled(value) {
  if (typeof value !== "number") return String(value);
  const plain = String(Number(value.toPrecision(4)));
  const [head, power] = value.toExponential(3).split("e");
  const short = value === 0 ? "0" : `${Number(head)}e${Number(power)}`;
  return short.length < plain.length ? short : plain;
}
function sized(number) {
  let value = number;
  for (const unit of ["", " k", " M", " B", " T"]) {
    if (value < 999.5 || unit === " T") return unit && value < 99.95 ? value.toFixed(1) + unit : Math.round(value) + unit;
    value /= 1000;
  }
}
function counted(number, noun) { return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`; }
function shared(part) {
  // As `plan` says it: what is a little is not nothing, and what lacks a little is not all.
  const percent = 100 * part;
  if (part === 0 || part === 1) return `${percent}%`;
  if (percent < 0.1) return "<0.1%";
  return percent >= 99 || percent < 9.95 ? `${Math.min(percent, 99.9).toFixed(1)}%` : `${percent.toFixed(0)}%`;
}
function last(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] <= value) low = middle + 1; else high = middle; }
  return Math.max(low - 1, 0);
}
function moment(at) { return `${data.unit} ${Number(at.toFixed(3))}`; }

// ------------------------------------------------------------ colour

const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
const NAMED = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"];
function scale(part) {
  const at = Math.min(Math.max(part, 0), 1) * (VIRIDIS.length - 1), k = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return `rgb(${VIRIDIS[k].map((from, n) => Math.round(from + (VIRIDIS[k + 1][n] - from) * (at - k))).join(",")})`;
}
const LADDER = Array.from({ length: 128 }, (_, k) => scale(k / 127));
function value(measure, group, k) {
  const curve = data.measures[measure].of[group];
  if (!curve) return null;
  const shape = data.shapes[curve[1]];
  return curve[0] * (shape.length === 1 ? shape[0] : shape[k]);
}
function frozen(group, k) {
  const at = data.times[k];
  return data.groups[group].frozen.some(([start, end]) => start <= at && at < end);
}
function rangeOf(measure) {
  // What decays to nothing would take up all of the scale.
  let low = Infinity, high = 0, peak = Infinity, zero = false;
  data.groups.forEach((group, g) => {
    const curve = data.measures[measure].of[g];
    if (!curve || !group.trains) return;
    const shape = data.shapes[curve[1]];
    let top = 0;
    for (let k = 0; k < shape.length; k++) {
      const now = curve[0] * shape[k];
      if (shape.length > 1 && frozen(g, k)) continue;
      if (now > 0) { low = Math.min(low, now); high = Math.max(high, now); top = Math.max(top, now); } else zero = true;
    }
    if (top) peak = Math.min(peak, top);
  });
  const least = Math.max(low, peak / 30), cut = high > 0 && least > low * 1.0001;
  return { low: high ? least : 1, high: high || 1, zero, cut };
}
function palette() {
  const names = [...new Set(data.groups.filter(one => one.trains).map(one => one.optimizer))];
  colours = { ranges: data.measures.map((_, n) => rangeOf(n)), names };
}
function colour(group, k) {
  if (frozen(group, k)) return "still";
  if (state.measure < 0) return NAMED[colours.names.indexOf(data.groups[group].optimizer) % NAMED.length];
  const now = value(state.measure, group, k), { low, high } = colours.ranges[state.measure];
  if (now === null) return "var(--hollow)";
  if (!(now > 0)) return "var(--zero)";
  return LADDER[Math.round(127 * (low === high ? 0.6 : Math.min(Math.max(Math.log(now / low) / Math.log(high / low), 0), 1)))];
}
function paint(node, colour) {
  node.classList.toggle("still", colour === "still");
  node.style.background = colour === "still" ? "" : colour;
}
function legend() {
  const box = $("legend"), any = data.groups.some(one => one.frozen.length), told = [];
  box.replaceChildren();
  const key = (colour, text) => { const node = make("span", "key"); paint(node, colour); box.append(node, make("span", "", text)); told.push(text); };
  if (state.measure < 0) colours.names.forEach((name, n) => key(NAMED[n % NAMED.length], name));
  else {
    const { low, high, zero, cut } = colours.ranges[state.measure], bar = make("span", "scale");
    if (low === high) key(LADDER[76], spelled(low));
    else {
      bar.style.background = `linear-gradient(90deg, ${VIRIDIS.map((_, n) => scale(n / (VIRIDIS.length - 1))).join(", ")})`;
      box.append(make("span", "", `${cut ? "≤ " : ""}${spelled(low)}`), bar, make("span", "", spelled(high)));
      told.push(`from ${spelled(low)}${cut ? " or less" : ""}, dark, to ${spelled(high)}, light, on a log scale`);
    }
    if (zero) key("var(--zero)", "0");
  }
  if (any) key("still", "frozen");
  box.setAttribute("aria-label", `colours: ${told.join("; ")}`);
}

// ------------------------------------------------------------ blocks

// A block is [module, tensors, children, structure, numel, count]; a tensor [leaf, shape, numel, kind, tied?].
function unfolded() {
  return data.blocks.map(([structure, kinds, children]) => {
    const [module, tensors, segments, numel, count] = data.structures[structure];
    return [module, tensors.map((one, n) => [one[0], one[1], one[2], kinds[n], one[3]]), children.map((child, n) => [segments[n], child]), structure, numel, count];
  });
}
function stem(segment) { return segment.replace(/\d+$/, ""); }
function index(segment) { return segment === stem(segment) ? NaN : Number(segment.slice(stem(segment).length)); }
function folded(children) {
  const out = [];
  for (let start = 0; start < children.length;) {
    let end = start + 1;
    const alike = (a, b) => blocks[a[1]][3] === blocks[b[1]][3] && stem(a[0]) === stem(b[0]) && index(b[0]) === index(a[0]) + 1;
    while (end < children.length && alike(children[end - 1], children[end])) end++;
    if (end - start >= LEAST_FOLD) out.push(children.slice(start, end));
    else for (let k = start; k < end; k++) out.push([children[k]]);
    start = end;
  }
  return out;
}
function cut(runs) {
  if (runs.length <= MOST_RUNS) return runs;
  const whole = runs.reduce((sum, run) => sum + run[1], 0) || 1, slices = [];
  let place = 0, passed = 0;
  for (let k = 0; k < MOST_RUNS; k++) {
    const middle = whole * (k + 0.5) / MOST_RUNS;
    while (place + 1 < runs.length && passed + runs[place][1] < middle) passed += runs[place++][1];
    push(slices, runs[place][0], whole / MOST_RUNS);
  }
  return slices;
}
function push(runs, kind, numel) {
  const before = runs[runs.length - 1];
  if (before && before[0] === kind) before[1] += numel; else runs.push([kind, numel]);
}
function runs(number) {
  if (!runsOf.has(number)) {
    const [, tensors, children] = blocks[number], out = [];
    for (const tensor of tensors) push(out, tensor[3], tensor[2]);
    for (const [, child] of children) for (const [kind, numel] of runs(child)) push(out, kind, numel);
    runsOf.set(number, cut(out));
  }
  return runsOf.get(number);
}
function add(found, kind, count, numel, leaves) {
  const old = found.get(kind);
  if (!old) found.set(kind, { count, numel, leaves: new Set(leaves) });
  else { old.count += count; old.numel += numel; for (const leaf of leaves) if (old.leaves.size < MOST_NAMES) old.leaves.add(leaf); }
}
function gathered(children, found) {
  for (const [segment, child] of children) for (const [kind, one] of kinds(child)) add(found, kind, one.count, one.numel, [...one.leaves].map(leaf => `${segment}.${leaf}`));
  return found;
}
function kinds(number) {
  if (!kindsOf.has(number)) {
    const [, tensors, children] = blocks[number], found = new Map();
    for (const tensor of tensors) add(found, tensor[3], 1, tensor[2], [tensor[0]]);
    kindsOf.set(number, gathered(children, found));
  }
  return kindsOf.get(number);
}
function kindsIn(node) {
  if (!node.kinds) node.kinds = node.many ? gathered(node.members, new Map()) : kinds(node.members[0][1]);
  return node.kinds;
}
function nodeOf(parent, members) {
  const many = members.length > 1, first = blocks[members[0][1]];
  const label = many ? `${stem(members[0][0])}{${index(members[0][0])}..${index(members[members.length - 1][0])}}` : members[0][0];
  const numel = members.reduce((sum, [, child]) => sum + blocks[child][4], 0);
  const count = members.reduce((sum, [, child]) => sum + blocks[child][5], 0);
  const above = parent && parent.members.length > 1 ? parent.parent : parent;
  const path = above && above.path ? `${above.path}.${label}` : label;
  return { parent, members, many, label, path, module: first[0], numel, count, level: parent ? parent.level + 1 : 1, open: false, inside: null };
}
function inside(node) {
  if (!node.inside) {
    const lists = node.many ? node.members.map(one => [one]) : folded(blocks[node.members[0][1]][2]);
    node.inside = lists.map(members => nodeOf(node, members));
    for (const child of node.inside) paths.set(child.path, child);
  }
  return node.inside;
}
function opens(node) { return node.many || blocks[node.members[0][1]][2].length > 0; }
function openSome() {
  // From the outside in, as long as the picture stays small enough to take in.
  let shown = inside(root).length, queue = [...inside(root)];
  while (queue.length) {
    const node = queue.shift();
    if (node.many || !opens(node) || shown + inside(node).length > OPEN_AT_FIRST) continue;
    node.open = true;
    shown += inside(node).length;
    queue.push(...node.inside);
  }
}
function heightOf(node) { return Math.round(Math.max(8, TALLEST * Math.sqrt(node.numel / (root.numel || 1)))); }
function element(node) {
  const box = make("div", `block${node.many ? " fold" : ""}`), head = make("div", "head"), bar = make("div", "bar");
  box.setAttribute("role", "treeitem");
  box.setAttribute("aria-level", node.level - 1);
  box.tabIndex = -1;
  box.dataset.path = node.path;
  const name = node.many ? `${node.parent.label === "" || node.parent === root ? "" : `${node.parent.label}.`}${node.label}` : node.label;
  const times = node.many ? ` × ${node.members.length}` : "";
  head.append(make("span", "twist"), make("span", "name", name), make("span", "module", node.module + times), make("span", "size", node.count ? sized(node.numel) : "tied"));
  box.setAttribute("aria-label", `${node.path}, ${node.module}${times}, ${counted(node.numel, "parameter")}`);
  bar.style.height = `${heightOf(node)}px`;
  bar.append(...strip(node));
  box.append(head, bar);
  node.element = box;
  node.bar = bar;
  if (opens(node)) {
    node.group = make("div", "inside");
    node.group.setAttribute("role", "group");
    box.append(node.group);
    toggle(node, node.open);
  }
  return box;
}
function strip(node) {
  let found = [];
  if (node.many) for (const [, child] of node.members) for (const [kind, numel] of runs(child)) push(found, kind, numel);
  else found = runs(node.members[0][1]);
  return (node.many ? cut(found) : found).map(([kind, numel]) => {
    const segment = make("i");
    segment.dataset.kind = kind;
    segment.style.flexGrow = Math.max(numel, node.numel / 400) || 1;
    return segment;
  });
}
function toggle(node, open) {
  node.open = open;
  node.element.setAttribute("aria-expanded", open);
  node.element.querySelector(".twist").textContent = open ? "▾" : "▸";
  node.bar.hidden = open;
  node.group.hidden = !open;
  node.group.replaceChildren(...(open ? ownTensors(node).concat(inside(node)).map(element) : []));
}
function ownTensors(node) {
  // Tensors of a module that has modules inside it too, such as a class token, are a block of their own.
  if (node.many || !blocks[node.members[0][1]][1].length) return [];
  if (!node.own) {
    const block = blocks[node.members[0][1]], number = blocks.length;
    const numel = block[1].reduce((sum, tensor) => sum + tensor[2], 0);
    blocks.push(["own parameters", block[1], [], -1 - number, numel, block[1].filter(tensor => !tensor[4]).length]);
    const label = block[1].length <= MOST_OWN ? block[1].map(tensor => tensor[0]).join(", ") : "(own)";
    node.own = nodeOf(node, [[label, number]]);
    paths.set(node.own.path, node.own);
  }
  return [node.own];
}
function rearranged() {
  watched(bars);
  bars = [...$("tree").querySelectorAll(".bar:not([hidden])")].map(node => ({
    node, away: false, parts: [...node.children].map(segment => ({ segment, group: data.kinds[segment.dataset.kind][0], colour: "" })),
  }));
  watched(bars, true);
  const items = visible();
  if (!items.some(item => item.tabIndex === 0) && items.length) items[0].tabIndex = 0;
  cover();
  refresh(false);
  markStop(true);
}
function visible() { return [...$("tree").querySelectorAll("[role=treeitem]")]; }

// ------------------------------------------------------------ time

// What is out of sight is brought up to date when it comes into sight, so that a frame costs what it shows.
const held = new WeakMap();
const sight = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) if (held.has(target)) held.get(target).away = !isIntersecting;
  refresh(false);
}, { rootMargin: "25%" });
function watched(list, on) {
  for (const one of list || []) { if (on) { held.set(one.node, one); sight.observe(one.node); } else sight.unobserve(one.node); }
}
function refresh(all) {
  const now = new Map(), seen = one => all || state.printing || !one.away;
  for (const bar of bars) if (seen(bar)) for (const part of bar.parts) {
    if (!now.has(part.group)) now.set(part.group, colour(part.group, state.k));
    recolour(part, now.get(part.group));
  }
  rows.forEach((row, n) => { if (seen(row)) rewrite(row, n); });
}
function recolour(part, now) {
  if (now === part.colour) return;
  const whole = !part.colour || part.colour === "still" || now === "still";
  part.colour = now;
  if (whole) paint(part.segment, now); else part.segment.style.background = now;
}
function rewrite(row, n) {
  const now = value(Math.max(state.measure, 0), n, state.k), text = now === null ? "" : spelled(now), still = frozen(n, state.k);
  if (row.text !== text) row.rate.textContent = row.text = text;
  if (row.still !== still) row.node.classList.toggle("asleep", row.still = still);
}
function show(k) {
  state.k = k;
  $("at").value = data.times[k];
  const at = data.times[k], stretch = stretchAt(at);
  refresh(false);
  const stage = data.stages.length ? `${data.stages[last(data.stages.map(one => one[1]), at)][0]}, ` : "";
  const words = `${stage}${moment(at)}: ${shared(root.numel ? stretch[2] / root.numel : 0)} of parameters train`;
  $("now").value = words;
  if (state.playing && state.heard !== stretch) $("heard").textContent = words;  // what changes, not each moment
  state.heard = stretch;
  $("at").setAttribute("aria-valuetext", words);
  $("bands").lastChild.style.left = `${100 * at / data.end}%`;
  cursor.setAttribute("transform", `translate(${x(at)} 0)`);
  markStop(false);
  if (!state.playing) { settle(); details(); }
}
let settling = 0;
function settle() {
  // What is out of sight is read aloud, searched and copied too: it is brought up to date once time stands still.
  clearTimeout(settling);
  settling = setTimeout(() => refresh(true), 200);
}
function stretchAt(at) { return data.stretches[last(data.stretches.map(one => one[0]), at)]; }
function markStop(moved) {
  const path = stretchAt(data.times[state.k])[3];
  if (!moved && state.stop === path) return;
  state.stop = path;
  if (stopMark) stopMark.remove();
  if (!path) return;
  let node = root;
  while (node.open || node === root) {
    const next = inside(node).find(child => child.members.some(([segment]) => {
      const above = node.many ? node.parent : node, own = above && above.path ? `${above.path}.${segment}` : segment;
      return path === own || path.startsWith(`${own}.`);
    }));
    if (!next) break;
    node = next;
  }
  stopMark = make("div", "stop", "▲ the backward pass stops here: nothing before it trains");
  if (node.element) node.element.before(stopMark);
}
function bands() {
  const box = $("bands"), width = (start, end) => `${100 * (end - start) / data.end}%`;
  box.replaceChildren();
  for (const [start, end, numel] of data.stretches) {
    const bar = make("i");
    bar.style.left = `${100 * start / data.end}%`;
    bar.style.width = width(start, end);
    bar.style.height = `${Math.max(3, 100 * (root.numel ? numel / root.numel : 0))}%`;
    box.append(bar);
  }
  data.stages.forEach(([name, start], n) => {
    const band = make("b", "", name);
    band.style.left = `${100 * start / data.end}%`;
    band.style.width = width(start, n + 1 < data.stages.length ? data.stages[n + 1][1] : data.end);
    box.append(band);
  });
  for (const marker of data.markers) { const line = make("u"); line.style.left = `${100 * marker.at / data.end}%`; line.title = marker.text; box.append(line); }
  box.append(make("s"));
}
function play(on) {
  cancelAnimationFrame(state.playing);
  state.playing = 0;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "pause" : "play");
  if (!on) { settle(); details(); return; }
  let at = state.k === data.times.length - 1 ? 0 : data.times[state.k], before = 0, wait = 0;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const step = now => {
    const passed = before ? now - before : 0;
    before = now;
    if (calm) {
      wait += passed;
      if (wait > 1500) { wait = 0; const next = data.boundaries.find(one => one > at); at = next === undefined ? data.end : next; }
    } else at += Math.min(passed, 100) * data.end / PLAY;
    const k = last(data.times, at);
    if (k !== state.k) show(k);
    if (at < data.end) state.playing = requestAnimationFrame(step);
    else { play(false); $("heard").textContent = $("now").value; }
  };
  state.playing = requestAnimationFrame(step);
}

// ------------------------------------------------------------ why

// What a statement says is [rule, option, multiplies, value, formula, holds].
function holds(span, at) { return !span || (span[0] <= at && (span[1] === null || at < span[1])); }
function steps(kind, at) {
  const options = new Map(), decided = new Set(), won = new Set();
  for (const number of [...data.kinds[kind][3]].reverse()) {
    const said = data.said[number], option = said[1];
    let status = "outside";
    if (holds(said[5], at)) {
      status = decided.has(option) ? "overridden" : won.has(option) ? "applies" : "wins";
      won.add(option);
      if (!said[2]) decided.add(option);
    }
    if (!options.has(option)) options.set(option, []);
    options.get(option).unshift([said, status]);
  }
  return options;
}
const STATUS = { wins: "decides", applies: "multiplied on", overridden: "overridden", outside: "not at this time" };
function valueNow(kind, option, found) {
  const [group, , , , , base] = data.kinds[kind], measure = data.measures.findIndex(one => one.option === option);
  if (option === "frozen") return frozen(group, state.k) ? "frozen" : "trains";
  if (measure >= 0 && data.measures[measure].of[group]) return spelled(value(measure, group, state.k));
  const parts = data.measures.flatMap((one, n) => one.option.startsWith(`${option}[`) && one.of[group] ? [spelled(value(n, group, state.k))] : []);
  if (parts.length) return `(${parts.join(", ")})`;
  let out = base[option];
  for (const [said, status] of found) if (status === "wins" || status === "applies") out = said[2] && typeof out === "number" && typeof said[3] === "number" ? out * said[3] : said[3];
  return out === undefined ? "default" : spelled(out);
}
function summary(kind) {
  const group = data.groups[data.kinds[kind][0]], k = state.k, measure = Math.max(state.measure, 0);
  const found = steps(kind, data.times[k]), now = value(measure, data.kinds[kind][0], k);
  const option = data.measures[measure].option, asked = frozen(data.kinds[kind][0], k) ? "frozen" : option;
  const winner = (found.get(asked) || []).find(([, status]) => status === "wins");
  const what = asked === "frozen" ? "frozen" : `${data.measures[measure].label} ${now === null ? "none" : spelled(now)}`;
  return `${what}${winner ? `\nby ${data.rules[winner[0][0]][1]}: ${data.rules[winner[0][0]][0]}` : "\nno rule says so: the default"}\ngroup ${group.name}, ${group.optimizer}`;
}
function details() {
  const box = $("details"), node = paths.get(state.chosen);
  box.replaceChildren();
  $("what-title").textContent = node ? node.path : "Block";
  if (!node) { box.append(make("p", "", "Choose a block: with the mouse, or with Tab and the arrow keys. Right opens it, left closes it.")); return; }
  const list = make("dl"), add = (term, text) => list.append(make("dt", "", term), make("dd", "", text));
  add("module", node.module + (node.many ? ` × ${node.members.length}` : ""));
  add("size", node.count ? `${counted(node.numel, "parameter")} in ${counted(node.count, "tensor")}` : "none of its own: tied to what is counted elsewhere");
  box.append(list);
  const all = [...kindsIn(node)].sort((a, b) => b[1].numel - a[1].numel);
  for (const [kind, one] of all.slice(0, 8)) box.append(explained(node, kind, one));
  if (all.length > 8) box.append(make("p", "", `and ${all.length - 8} more kinds of parameters: open the block to see them`));
}
function namesOf(node, kind, { count, leaves }) {
  const tensors = node.many ? [] : blocks[node.members[0][1]][1].filter(tensor => tensor[3] === kind);
  if (tensors.length !== count) return `${counted(count, "tensor")}: ${[...leaves].join(", ")}${leaves.size < count ? ", …" : ""}`;
  return tensors.map(tensor => `${tensor[0]} (${tensor[1].join("×") || "scalar"})${tensor[4] ? `, tied to ${tensor[4]}` : ""}`).join(", ");
}
function explained(node, kind, one) {
  const box = make("div", "kind"), group = data.kinds[kind][0];
  box.append(make("strong", "", namesOf(node, kind, one)), make("div", "status", `group ${data.groups[group].name}, ${data.groups[group].optimizer}`));
  const found = steps(kind, data.times[state.k]), driven = data.measures[0].option;
  for (const option of new Set([driven, "frozen", ...found.keys()])) {
    const list = found.get(option) || [];
    if (option === "frozen" && !list.length && !frozen(group, state.k)) continue;
    const label = option === "frozen" ? "" : `${option} `;
    box.append(make("div", "", `${label}${valueNow(kind, option, list)}${list.length ? "" : option === "frozen" ? " (as the model came)" : " (default)"}`));
    const ul = make("ul");
    for (const [said, status] of list) {
      const li = make("li", status), button = make("button", "plain");
      button.type = "button";
      button.append(make("span", "code", `${data.rules[said[0]][1]}  ${data.rules[said[0]][0]}`));
      button.addEventListener("click", () => choose(said[0]));
      li.append(button, make("span", "status", `  ${STATUS[status]}${said[4] ? `: ${said[4]}` : ""}`));
      ul.append(li);
    }
    if (list.length) box.append(ul);
  }
  return box;
}

// ------------------------------------------------------------ rules

function rules() {
  const when = data.rules.map(() => []);
  for (const said of data.said) when[said[0]].push(said[5]);
  $("rules").replaceChildren(...data.rules.map(([text, place, , stage, tensors, numel], n) => {
    const item = make("li"), button = make("button"), lane = make("span", "when");
    button.type = "button";
    button.setAttribute("aria-pressed", state.rule === n);
    button.append(make("span", "code", text), make("span", "note", `${place}${stage ? ` (stage ${stage})` : ""}: ${counted(tensors, "tensor")}, ${sized(numel)} parameters`));
    for (const span of when[n].length ? when[n] : [null]) {
      const bar = make("i"), [start, end] = span || [0, null];
      bar.style.left = `${100 * Math.max(start, 0) / data.end}%`;
      bar.style.width = `${Math.max(0, 100 * (Math.min(end === null ? data.end : end, data.end) - Math.max(start, 0)) / data.end)}%`;
      lane.append(bar);
    }
    button.append(lane);
    button.addEventListener("click", () => choose(n));
    item.append(button);
    return item;
  }));
  if (!data.rules.length) $("rules").append(make("li", "", "no statement covers a parameter: all are at the optimizer's defaults"));
}
function choose(rule) {
  state.rule = state.rule === rule ? -1 : rule;
  $("rules").querySelectorAll("button").forEach((button, n) => button.setAttribute("aria-pressed", state.rule === n));
  cover();
}
function cover() {
  const on = state.rule >= 0, set = new Set();
  if (on) data.kinds.forEach((kind, n) => { if (kind[4].includes(state.rule)) set.add(n); });
  $("tree").classList.toggle("covering", on);
  for (const segment of $("tree").querySelectorAll(".bar > i")) {
    const covered = on && set.has(Number(segment.dataset.kind));
    segment.classList.toggle("on", covered);
    segment.classList.toggle("off", on && !covered);
  }
  const rule = data.rules[state.rule];
  $("covered").textContent = rule ? `${rule[1]} covers ${counted(rule[4], "tensor")} of ${counted(root.count, "tensor")}; the underlined parts of the blocks` : data.rules.length ? "Choose a rule to see what it covers. The line below each shows when it holds." : "";
}

// ------------------------------------------------------------ curves

let left = 64, right = 1124, width = 1140;
const top_ = 22, bottom = 262, LANE = 17;
function x(at) { return left + (right - left) * at / data.end; }
function short(text, room) {
  // Of several all but the first; then the outermost modules, but no number; then the middle.
  const [first, ...more] = text.split(", ");
  if (text.length > room && more.length && !first.includes("{") && room > 14) return `${short(first, room - 3)}, …`;
  for (let rest = text, found; text.length > room && (found = rest.match(/^[A-Za-z_]\w*\.(.+)$/));) text = `…${rest = found[1]}`;
  if (text.length <= room) return text;
  const head = Math.max(Math.ceil((room - 1) / 2), 1);
  return `${text.slice(0, head)}…${text.slice(text.length - Math.max(room - 1 - head, 0))}`;
}
function fitted([name, remark], room) {
  // What it is of its layers is said as long as the layers can still be told.
  const rest = room - remark.length - 3;
  return !remark || rest < Math.min(name.length, 10) ? short(name, room) : `${short(name, rest)} (${remark})`;
}
function labelled([name, remark]) { return remark ? `${name} (${remark})` : name; }
function courseColour(number) {
  // The part of the scale that stands out from the paper: dark on white, light on black.
  const [from, to] = dark ? [0.35, 1] : [0, 0.59];
  return scale(from + (to - from) * curves()[number].place);
}
function curves() { return data.measures[Math.max(state.measure, 0)].curves; }
function curveOf(group) { return curves().findIndex(curve => curve.groups.includes(group)); }
function chart() {
  const svg = $("chart"), measure = Math.max(state.measure, 0), { low, high } = colours.ranges[measure];
  dark = matchMedia("(prefers-color-scheme: dark)").matches && !state.printing;
  width = state.printing ? 760 : Math.max(svg.clientWidth || 1140, 300);
  left = Math.round(Math.min(Math.max(width * 0.26, 116), 260));
  right = width - (width > 700 ? 150 : 12);
  const fans = measure === 0 ? curves().flatMap(curve => curve.fan.flatMap(band => band.map(point => point[1]))) : [];
  const least = Math.max(Math.min(low, ...fans), low / 20);
  const room = least === high ? 3 : 1.4, from = Math.log10(least / room), to = Math.log10(high * room), y = rate => bottom - (bottom - top_) * (Math.log10(rate) - from) / (to - from);
  const foot = bottom + 10 + LANE * curves().length, tall = foot + 36;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
  svg.setAttribute("height", tall);
  svg.setAttribute("aria-label", `${data.measures[measure].label} over time, from ${spelled(low)} to ${spelled(high)}: ${counted(curves().length, "curve")}, and below them when each trains; the table below has the numbers`);
  ticks(svg, from, to, y);
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000].find(s => data.end / s <= (right - left) / 55) || data.end / 4;
  for (let at = 0; at <= data.end; at += step) draw(svg, "text", { x: x(at), y: foot + 16, "text-anchor": "middle" }, Math.round(at));
  draw(svg, "text", { x: right, y: foot + 31, "text-anchor": "end" }, data.unit);
  draw(svg, "text", { x: 2, y: 12 }, `${data.measures[measure].label}${width > 520 ? " (log scale)" : ""}`);
  for (const at of data.boundaries) draw(svg, "line", { x1: x(at), x2: x(at), y1: top_, y2: foot, class: "boundary" });
  let told = false;
  for (const at of [...new Set(data.markers.map(marker => marker.at))].sort((a, b) => a - b)) {
    draw(svg, "line", { x1: x(at), x2: x(at), y1: top_ - 6, y2: foot, class: "marker" });
    if (told) continue;
    told = true;
    draw(svg, "text", { x: Math.min(x(at) + 4, right - 110), y: top_ - 8, class: "note" }, "assumed from here on");
  }
  const defs = draw(svg, "defs", {}), clip = draw(defs, "clipPath", { id: "within" });
  draw(clip, "rect", { x: left, y: top_ - 2, width: right - left + 2, height: bottom - top_ + 2 });
  const hatch = draw(defs, "pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  draw(hatch, "rect", { width: 7, height: 7, class: "hollow" });
  draw(hatch, "rect", { width: 3, height: 7, class: "frozen" });
  if (measure === 0) curves().forEach((curve, n) => fan(svg, curve, courseColour(n), y));
  const drawn = new Map();
  lines = curves().map((curve, n) => {
    const nodes = [], courses = new Set();
    for (const group of curve.groups) for (const waiting of [true, false]) {
      const course = `${waiting} ${data.measures[measure].of[group]} ${data.groups[group].frozen}`;
      if (!data.measures[measure].of[group] || (waiting && !data.groups[group].trains) || courses.has(course)) continue;
      courses.add(course);
      const d = path(group, measure, waiting, y), key = `${waiting} ${d}`;
      if (!d) continue;
      if (!drawn.has(key)) drawn.set(key, draw(svg, "path", { d, class: waiting ? "curve waiting" : "curve", stroke: courseColour(n), "clip-path": "url(#within)" }));
      nodes.push(drawn.get(key));
    }
    lane(svg, defs, curve, n, measure);
    return nodes;
  });
  if (width > 700) ends(svg, measure, y);
  cursor = draw(svg, "line", { x1: 0, x2: 0, y1: top_, y2: foot, class: "cursor" });
}
function ticks(svg, from, to, y) {
  const heads = Math.floor(to) > Math.ceil(from) ? [1] : to - from > 0.7 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  for (let power = Math.floor(from); power <= Math.floor(to); power++) for (const head of heads) {
    const at = y(head * 10 ** power);
    if (at > bottom || at < top_) continue;
    draw(svg, "line", { x1: left, x2: right, y1: at, y2: at, class: "grid" });
    draw(svg, "text", { x: left - 6, y: at + 4, "text-anchor": "end" }, spelled(head * 10 ** power));
  }
}
function fan(svg, curve, colour, y) {
  const dots = points => points.map(([at, rate]) => `${x(at).toFixed(1)} ${y(rate).toFixed(1)}`).join("L");
  const faint = Math.min(Math.max(0.3 / curves().filter(one => one.fan.length).length, 0.04), 0.13);
  for (const band of curve.fan) {
    const above = band.map(([at, , high]) => [at, high]), below = band.map(([at, low]) => [at, low]);
    draw(svg, "path", { d: `M${dots(above)}L${dots(below.slice().reverse())}Z`, fill: colour, "fill-opacity": faint, "clip-path": "url(#within)" });
    for (const edge of [above, below]) draw(svg, "path", { d: `M${dots(edge)}`, class: "edge", stroke: colour, "clip-path": "url(#within)" });
  }
}
function lane(svg, defs, curve, n, measure) {
  // As strong as the value is high, hatched while frozen, framed where a metric decides.
  const top = bottom + 10 + LANE * n, tall = LANE - 4, colour = courseColour(n), { low, high } = colours.ranges[measure];
  const group = curve.groups.find(one => data.measures[measure].of[one]), label = labelled(curve.label);
  const box = (start, end, more) => draw(svg, "rect", { x: x(start), y: top, width: Math.max(x(end) - x(start), 0.5), height: tall, "data-curve": n, ...more });
  draw(svg, "rect", { x: 2, y: top + 2, width: 9, height: 9, fill: colour });
  draw(draw(svg, "text", { x: 16, y: top + 10.5, class: "label", "data-curve": n }, fitted(curve.label, Math.floor((left - 24) / 6.8))), "title", {}, `${label}: ${curve.numel.toLocaleString("en")} parameters`);
  if (group !== undefined) {
    const id = `lane${n}`, shade = draw(defs, "linearGradient", { id }), values = data.times.map((_, k) => value(measure, group, k));
    const strength = now => now > 0 ? (low === high ? 1 : 0.22 + 0.78 * Math.min(Math.max(Math.log(now / low) / Math.log(high / low), 0), 1)) : 0;
    const stop = (at, now) => draw(shade, "stop", { offset: (at / data.end).toFixed(4), "stop-color": now > 0 ? colour : "var(--zero)", "stop-opacity": now > 0 ? strength(now).toFixed(2) : 1 });
    let before = null;
    values.forEach((now, k) => {
      const last = k === values.length - 1, jump = before !== null && Math.abs(strength(now) - strength(before)) > 0.03;
      if (before === null || jump || last || k % Math.ceil(values.length / 48) === 0) {
        if (before !== null && (jump || data.times.length <= 60)) stop(data.times[k], before);
        stop(data.times[k], now);
        before = now;
      }
      if (last) stop(data.end, now);
    });
    box(0, data.end, { fill: `url(#${id})` });
    for (const [start, end] of data.groups[group].frozen) box(start, end, { fill: "url(#hatch)" });
  }
  for (const [start, end] of curve.assumed) draw(box(start, end, { class: "assumed" }), "title", {}, "assumed: a metric decides whether it is frozen here");
}
function ends(svg, measure, y) {
  // Names where curves end, as far as there is room.
  const found = curves().map((curve, n) => {
    const group = curve.groups.find(one => data.measures[measure].of[one]), k = data.times.length - 1;
    return { n, text: labelled(curve.label), at: group !== undefined && (data.groups[group].trains || !frozen(group, k)) ? y(value(measure, group, k)) : NaN };
  }).filter(one => one.at >= top_ && one.at <= bottom).sort((a, b) => b.at - a.at);
  let above = Infinity;
  for (const one of found) {
    if (above - one.at < 12) continue;
    above = one.at;
    const here = found.filter(other => Math.abs(other.at - one.at) < 0.1).sort((a, b) => a.n - b.n);
    draw(svg, "text", { x: right + 6, y: one.at + 4, style: `fill:color-mix(in srgb, ${courseColour(here[here.length - 1].n)} 65%, var(--ink))` }, short(here.map(other => other.text).join(", "), 22));
  }
}
function path(group, measure, waiting, y) {
  let out = "", before = 0;
  for (let k = 0; k < data.times.length; k++) {
    const now = value(measure, group, k);
    if (!(now > 0) || frozen(group, k) !== waiting) { before = 0; continue; }
    const end = k + 1 < data.times.length ? data.times[k + 1] : data.end;
    if (before === now && out) out = out.slice(0, out.lastIndexOf("H"));
    else out += `${before ? "L" : "M"}${x(data.times[k]).toFixed(1)} ${y(now).toFixed(1)}`;
    out += `H${x(end).toFixed(1)}`;
    before = now;
  }
  return out;
}
function point(curve) {
  $("chart").classList.toggle("dim", curve >= 0);
  lines.forEach(nodes => nodes.forEach(node => node.classList.remove("on")));
  if (curve >= 0) lines[curve].forEach(node => node.classList.add("on"));
  const groups = curve >= 0 ? new Set(curves()[curve].groups) : new Set();
  rows.forEach((row, n) => row.node.classList.toggle("on", groups.has(n)));
}
function table() {
  const body = $("groups"), listed = data.groups.slice(0, MOST_ROWS);
  body.replaceChildren();
  watched(rows);
  rows = listed.map((one, n) => {
    const row = body.insertRow(), name = make("th", "name"), swatch = make("span", "swatch"), curve = curveOf(n);
    name.scope = "row";
    swatch.style.background = one.trains && curve >= 0 ? courseColour(curve) : "var(--frozen)";
    name.append(swatch, one.label[0]);
    if (one.label[1]) name.append(make("span", "remark", ` ${one.label[1]}`));
    name.title = one.name;
    const rate = make("td", "number rate");
    row.append(name, make("td", "number", one.tensors.toLocaleString("en")), make("td", "number", one.numel.toLocaleString("en")), rate, make("td", "optimizer", one.optimizer), make("td", "schedule", one.schedule));
    row.addEventListener("mouseenter", () => point(curve));
    row.addEventListener("mouseleave", () => point(-1));
    return { node: row, away: false, rate, text: null, still: null };
  });
  watched(rows, true);
  $("more").textContent = data.groups.length > listed.length ? `${data.groups.length - listed.length} more groups are neither drawn nor listed here` : "";
  $("assumed").replaceChildren(...[...new Set([...data.supposed, ...data.markers.map(marker => marker.text)])].map(text => make("li", "", text)));
}

// ------------------------------------------------------------ the reader's hands

function select(node) {
  const old = paths.get(state.chosen);
  if (old && old.element) { old.element.classList.remove("chosen"); old.element.setAttribute("aria-selected", "false"); }
  state.chosen = node.path;
  node.element.classList.add("chosen");
  node.element.setAttribute("aria-selected", "true");
  for (const item of visible()) item.tabIndex = item === node.element ? 0 : -1;
  details();
}
function opened(node, open) {
  if (!opens(node) || node.open === open) return;
  toggle(node, open);
  rearranged();
}
function nodeAt(target) { const box = target.closest("[role=treeitem]"); return box && paths.get(box.dataset.path); }
function keys(event) {
  const node = nodeAt(event.target);
  if (!node) return;
  const items = visible(), place = items.indexOf(node.element), to = item => { if (item) { item.focus(); select(paths.get(item.dataset.path)); } };
  const done = {
    ArrowDown: () => to(items[place + 1]), ArrowUp: () => to(items[place - 1]), Home: () => to(items[0]), End: () => to(items[items.length - 1]),
    ArrowRight: () => node.open ? to(items[place + 1]) : opened(node, true),
    ArrowLeft: () => node.open ? opened(node, false) : node.parent && node.parent.element && to(node.parent.element),
    Enter: () => { select(node); opened(node, !node.open); }, " ": () => select(node),
  }[event.key];
  if (done) { event.preventDefault(); done(); }
}
function hover(event) {
  const segment = event.target.closest && event.target.closest(".bar > i"), tip = $("tip");
  tip.hidden = !segment;
  if (!segment) return;
  const node = nodeAt(segment), kind = Number(segment.dataset.kind);
  tip.textContent = `${node.path}: ${namesOf(node, kind, kindsIn(node).get(kind))}\n${summary(kind)}`;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
}
function measures() {
  const box = $("measure"), several = new Set(data.groups.map(one => one.optimizer)).size > 1;
  box.replaceChildren(...data.measures.map((one, n) => { const option = make("option", "", one.label); option.value = n; return option; }));
  if (several) { const option = make("option", "", "optimizer"); option.value = -1; box.append(option); }
  if (state.measure >= data.measures.length || (state.measure < 0 && !several)) state.measure = 0;
  box.value = state.measure;
  $("measured").textContent = data.measures[Math.max(state.measure, 0)].label;
}
function measured() {
  state.measure = Number($("measure").value);
  $("measured").textContent = data.measures[Math.max(state.measure, 0)].label;
  for (const bar of bars) for (const part of bar.parts) part.colour = "";
  legend();
  redraw();
}
function follow(event, box, start, width) {
  const bounds = box.getBoundingClientRect(), part = ((event.clientX - bounds.left) / bounds.width - start) / width;
  play(false);
  show(last(data.times, Math.min(Math.max(part, 0), 1) * data.end));
}
function about() {
  $("title").textContent = document.title = data.title;
  document.body.classList.remove("one-optimizer", "one-schedule");
  const common = ["optimizer", "schedule"].map(name => {
    const values = new Set(data.groups.filter(one => one.trains).map(one => one[name]));
    if (values.size > 1) return "";
    document.body.classList.add(`one-${name}`);
    return [...values][0] ? `; ${name} ${[...values][0]}` : "";
  }).join("");
  $("about").textContent = `${counted(root.numel, "parameter")} in ${counted(root.count, "tensor")}, ${counted(data.groups.length, "group")}, ${counted(data.end, data.unit)}${common}`;
  $("order").textContent = `Blocks stand in the order ${data.ordered ? "of a forward pass" : "in which the model registers them, since that of a forward pass is not known"}; the height of a block is by the square root of its parameters.`;
}
function findings({ found, stale, lost }) {
  const box = $("findings"), list = make("ul");
  box.hidden = !found.length && !stale && !lost;
  box.classList.toggle("mild", !lost && !found.some(one => one.severity === "error"));
  box.replaceChildren();
  for (const text of [lost, stale]) if (text) box.append(make("p", "stale", text));
  for (const one of found) {
    const item = make("li"), line = one.excerpt ? make("pre", "", one.excerpt) : "";
    item.append(make("span", "", `${one.place ? `${one.place}: ` : ""}${one.severity}${one.code ? `[${one.code}]` : ""}: ${one.message}`), line, make("span", "", one.help ? `help: ${one.help}` : ""));
    list.append(item);
  }
  if (found.length) box.append(list);
}
function begin() {
  const open = state.opened;
  state.k = state.k < 0 ? opening() : Math.min(state.k, data.times.length - 1);
  blocks = unfolded();
  kindsOf = new Map(); runsOf = new Map(); paths = new Map(); stopMark = null;
  root = nodeOf(null, [["", data.root]]);
  if (blocks[data.root][2].length === 0) { const alone = nodeOf(root, [["(model)", data.root]]); root.inside = [alone]; paths.set(alone.path, alone); }
  if (open) for (const path of open) { const node = paths.get(path) || (inside(root), paths.get(path)); if (node && opens(node)) { node.open = true; inside(node); } }
  else openSome();
  palette();
  about();
  measures();
  legend();
  rules();
  bands();
  chart();
  table();
  $("tree").replaceChildren(...(root.inside && blocks[data.root][2].length ? ownTensors(root) : []).concat(inside(root)).map(element));
  $("at").max = data.end;
  $("at").step = data.end / 1000;
  rearranged();
  if (paths.has(state.chosen) && paths.get(state.chosen).element) select(paths.get(state.chosen));
  show(state.k);
}
function opening() {
  // The beginning, but where a warm-up begins at nothing, its end: a page in grey tells nothing.
  const top = k => Math.max(0, ...data.measures[0].curves.map(({ groups: [group] }) => data.groups[group].trains && !frozen(group, k) ? value(0, group, k) : 0));
  let k = 0;
  if (!top(k)) while (k + 1 < data.times.length && top(k + 1) > top(k)) k++;
  return k;
}
function replaced(fresh) {
  const drawn = !!data.blocks, at = drawn ? data.times[state.k] : 0;
  if (drawn) state.opened = [...paths.values()].filter(node => node.open).map(node => node.path);
  data = fresh;
  if (drawn) state.k = last(data.times, at);
  if (state.rule >= data.rules.length) state.rule = -1;
  document.body.classList.remove("empty");
  begin();
}
function told(news) {
  if (news.drawing) replaced(news.drawing);
  findings(news);
}
function listen(now) {
  if (now.version === undefined) return addEventListener("message", event => { if (event.data && event.data.found) told(event.data); });
  let seen = now.version;
  const source = new EventSource(`events?since=${seen}`);
  source.addEventListener("message", event => {
    const news = JSON.parse(event.data);
    if (news.version === seen) return;
    seen = news.version;
    now = news;
    told(now);
  });
  source.addEventListener("open", () => findings(now));
  source.addEventListener("error", () => findings({ ...now, lost: "`layerlr view` does not answer: this is its last picture" }));
}

$("tree").addEventListener("keydown", keys);
$("tree").addEventListener("click", event => {
  const node = nodeAt(event.target);
  if (!node) return;
  const again = state.chosen === node.path || event.target.closest(".twist");
  select(node);
  if (event.target.closest(".head") && (again || !node.open)) opened(node, !node.open);
});
$("tree").addEventListener("focusin", event => { const node = nodeAt(event.target); if (node && event.target === node.element && state.chosen !== node.path) select(node); });
$("tree").addEventListener("pointermove", hover);
$("tree").addEventListener("pointerleave", () => { $("tip").hidden = true; });
$("at").addEventListener("input", () => { play(false); show(last(data.times, Number($("at").value))); });
$("at").addEventListener("keydown", event => {
  const far = Math.ceil(data.times.length / 10), by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: far, PageDown: -far, Home: -data.times.length, End: data.times.length }[event.key];
  if (!by) return;
  event.preventDefault();
  play(false);
  show(Math.min(Math.max(state.k + by, 0), data.times.length - 1));
});
$("play").addEventListener("click", () => play(!state.playing));
$("measure").addEventListener("change", measured);
$("bands").addEventListener("pointerdown", event => follow(event, $("bands"), 0, 1));
$("chart").addEventListener("pointermove", event => { if (event.pointerType === "mouse") follow(event, $("chart"), left / width, (right - left) / width); });
$("chart").addEventListener("pointerover", event => { const curve = event.target.dataset.curve; point(curve === undefined ? -1 : Number(curve)); });
$("chart").addEventListener("pointerleave", () => point(-1));
let resized = 0;
function redrawn() { cancelAnimationFrame(resized); resized = requestAnimationFrame(() => { if (data.blocks && !state.printing && $("chart").clientWidth !== width) redraw(); }); }
function redraw() { chart(); table(); show(state.k); }
addEventListener("resize", redrawn);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (data.blocks) redraw(); });
function printing(on) { state.printing = on; if (data.blocks) redraw(); }
addEventListener("beforeprint", () => printing(true));
addEventListener("afterprint", () => printing(false));
async function start() {
  if (typeof data === "string") {
    const bytes = Uint8Array.from(atob(data), sign => sign.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    data = JSON.parse(await new Response(plain).text());
  }
  const now = data.live;
  if (data.blocks) begin();
  else { document.body.classList.add("empty"); $("title").textContent = data.title; }
  if (now) { findings(now); listen(now); }
  window.layerlr = { show, play, choose, state, visible: () => visible().map(item => item.dataset.path) };
}
start();
