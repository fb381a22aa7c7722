// Line charts as SVG, each with a legend that shows the values under the pointer (or the last ones) and with the
// same values as a table. A chart is drawn again whole: with 180 points that takes a few milliseconds.

const HEIGHT = 180, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 20;
// Points of a series that are further apart are not joined: in between nothing was known.
const JOINED = 31000;

const charts = {};

// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below value.
function niceStep(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= value * 0.999999);
}

// chart(place, {label, series: [{name, color, dash, value(point)}], points, end, format, most, empty})
function chart(place, spec) {
  let state = charts[place];
  if (!state) {
    state = charts[place] = { open: false, pointer: null };
    build(place, state);
  }
  state.spec = spec;
  draw(place, state);
}

function build(place, state) {
  const parent = byId(place);
  state.svg = drawing("svg", { role: "img", focusable: "false" });
  state.legend = element("ul", { class: "legend" });
  state.table = element("div", { class: "scroll", tabindex: "0", role: "region" });
  const details = element("details", null, element("summary", null, "Values as a table"), state.table);
  details.addEventListener("toggle", () => { state.open = details.open; draw(place, state); });
  state.svg.addEventListener("pointermove", (event) => {
    state.pointer = event.clientX - state.svg.getBoundingClientRect().left;
    draw(place, state);
  });
  state.svg.addEventListener("pointerleave", () => { state.pointer = null; draw(place, state); });
  parent.replaceChildren(state.svg, state.legend, details);
  new ResizeObserver(() => draw(place, state)).observe(parent);
}

function draw(place, state) {
  const { spec, svg } = state;
  if (!spec) return;
  const width = svg.clientWidth || 320;
  const { points, series } = spec;
  const values = series.map((line) => points.map((point) => line.value(point)));
  const top = spec.most || scaleTop(values.flat());
  // A young history fills the chart too, though two minutes are the least.
  const last = spec.end;
  const span = Math.min(historySpan, Math.max(120000, points.length ? last - points[0].t : 0));
  const first = last - span;
  const x = (t) => LEFT + ((t - first) / span) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (Math.min(value, top) / top) * (HEIGHT - TOP - BOTTOM);
  const nodes = [...yAxis(width, top, y, spec.format), ...xAxis(first, last, x, width)];
  const shown = state.pointer === null ? points.length - 1 : nearest(points, state.pointer, x);
  series.forEach((line, at) => nodes.push(...lineOf(line, points, values[at], x, y)));
  if (state.pointer !== null && points[shown]) {
    const at = x(points[shown].t);
    nodes.push(drawing("line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
  }
  if (!values.flat().some(known)) {
    nodes.push(drawing("text", { class: "empty", x: LEFT + (width - LEFT - RIGHT) / 2, y: HEIGHT / 2 - 8 }, spec.empty || "nothing in the last 15 minutes"));
  }
  svg.setAttribute("viewBox", "0 0 " + width + " " + HEIGHT);
  const latest = series.map((line, at) => line.name + " " + text(spec, lastKnown(values[at])));
  svg.setAttribute("aria-label", spec.label + " over the last " + duration(Math.round(span / 1000)) + "; last values: " + (latest.join(", ") || "none"));
  svg.replaceChildren(...nodes);
  drawLegend(state, values, shown);
  if (state.open) drawTable(state, values);
}

function text(spec, value) { return known(value) ? spec.format(value) : NONE; }

function scaleTop(values) {
  const most = Math.max(0, ...values.filter(known));
  return most > 0 ? niceStep(most * 1.05 / 4) * 4 : 1;
}

function yAxis(width, top, y, format) {
  return [0, 0.25, 0.5, 0.75, 1].flatMap((part) => {
    const at = y(top * part);
    return [
      drawing("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }),
      drawing("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, format(top * part)),
    ];
  });
}

function xAxis(first, last, x, width) {
  const most = width < 420 ? 4 : 6;
  const step = [1, 2, 3, 5].find((minutes) => (last - first) / 60000 / minutes <= most) * 60000 || 300000;
  const nodes = [];
  for (let t = Math.ceil(first / step) * step; t <= last; t += step) {
    const at = x(t);
    if (at < LEFT + 14 || at > width - RIGHT - 14) continue;
    nodes.push(drawing("text", { x: at, y: HEIGHT - 4, "text-anchor": "middle" }, clock(t)));
  }
  return nodes;
}

function lineOf(line, points, values, x, y) {
  let path = "", before = null;
  const dots = [];
  values.forEach((value, at) => {
    if (!known(value)) return;
    const t = points[at].t;
    const joined = before !== null && t - before <= JOINED;
    const next = points.slice(at + 1).find((point, further) => known(values[at + 1 + further]));
    if (!joined && !(next && next.t - t <= JOINED)) {
      dots.push(drawing("circle", { class: line.color, cx: x(t), cy: y(value), r: 2 }));
    }
    path += (joined ? "L" : "M") + x(t).toFixed(1) + " " + y(value).toFixed(1);
    before = t;
  });
  if (path === "") return dots;
  return [drawing("path", { class: line.color, d: path, "stroke-dasharray": line.dash, fill: "none" }), ...dots];
}

function nearest(points, pointer, x) {
  let best = points.length - 1;
  points.forEach((point, at) => {
    if (Math.abs(x(point.t) - pointer) < Math.abs(x(points[best].t) - pointer)) best = at;
  });
  return best;
}

function lastKnown(values) {
  for (let at = values.length - 1; at >= 0; at -= 1) if (known(values[at])) return values[at];
  return null;
}

function drawLegend(state, values, shown) {
  const { spec } = state;
  const items = spec.series.map((line, at) => {
    const sample = drawing("svg", { viewBox: "0 0 18 8", "aria-hidden": "true" },
      drawing("path", { class: line.color, d: "M0 4H18", "stroke-dasharray": line.dash, "stroke-width": 2 }));
    const value = state.pointer === null ? lastKnown(values[at]) : values[at][shown];
    return element("li", null, sample, line.name, element("b", null, text(spec, value)));
  });
  if (state.pointer !== null && spec.points[shown]) {
    items.push(element("li", { class: "muted" }, clock(spec.points[shown].t, true)));
  }
  state.legend.replaceChildren(...items);
}

// A row a minute, the newest first, with the last value known of that minute.
function drawTable(state, values) {
  const { spec } = state;
  const rows = [];
  for (let at = spec.points.length - 1; at >= 0 && rows.length < 16; at -= 12) {
    const cells = values.map((line) => element("td", { class: "number" }, text(spec, lastKnown(line.slice(Math.max(0, at - 11), at + 1)))));
    rows.push(element("tr", null, element("th", { scope: "row" }, clock(spec.points[at].t, true)), ...cells));
  }
  const head = spec.series.map((line) => element("th", { scope: "col", class: "number" }, line.name));
  state.table.setAttribute("aria-label", spec.label + " as a table");
  state.table.replaceChildren(element("table", null, element("caption", { class: "hidden" }, spec.label),
    element("thead", null, element("tr", null, element("th", { scope: "col" }, "time"), ...head)),
    element("tbody", null, ...rows)));
}
