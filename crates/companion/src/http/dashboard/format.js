"use strict";
// Numbers, times and elements. Texts of the database become text nodes and nothing else.

const NONE = "–";

function known(value) { return value !== null && value !== undefined && Number.isFinite(Number(value)); }

function number(value, digits) {
  if (!known(value)) return NONE;
  return Number(value).toLocaleString("en", { maximumFractionDigits: digits === undefined ? 0 : digits });
}

// Three significant digits.
function short(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  return number(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function millis(value) {
  if (!known(value)) return NONE;
  return value >= 1000 ? short(value / 1000) + " s" : short(value) + " ms";
}

function percent(value) { return known(value) ? short(value * 100) + " %" : NONE; }

function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return (unit === 0 ? number(value) : short(value)) + " " + units[unit];
}

function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 60) return short(seconds) + " s";
  const parts = [[86400, "d"], [3600, "h"], [60, "min"]];
  const at = parts.findIndex(([length]) => seconds >= length);
  const [length, name] = parts[at];
  const [below, belowName] = parts[at + 1] || [1, "s"];
  const rest = Math.floor((seconds % length) / below);
  return Math.floor(seconds / length) + " " + name + (rest ? " " + rest + " " + belowName : "");
}

function clock(milliseconds, withSeconds) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) options.second = "2-digit";
  return new Date(milliseconds).toLocaleTimeString("en", options);
}

function moment(text) {
  const at = Date.parse(text);
  if (Number.isNaN(at)) return NONE;
  return new Date(at).toLocaleDateString("en-CA") + " " + clock(at, true);
}

function byId(id) { return document.getElementById(id); }

// element("td", {class: "number"}, "text", child…); attributes that are null are left out.
function element(name, attributes, ...content) {
  return filled(document.createElement(name), attributes, content);
}

function drawing(name, attributes, ...content) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, content);
}

function filled(node, attributes, content) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...content.filter((part) => part !== null && part !== undefined));
  return node;
}

function setText(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
}

// table(place, columns, rows): the first column is the row's heading. A cell is a text or a node.
function table(place, caption, columns, rows) {
  const parent = byId(place);
  if (rows.length === 0) {
    parent.replaceChildren(element("p", { class: "none" }, "none"));
    return;
  }
  const kind = (column) => (column.number ? "number" : null);
  const head = columns.map((column) => element("th", { scope: "col", class: kind(column) }, column.name));
  const lines = rows.map((row) => {
    const cells = columns.map((column, at) => {
      const value = column.value(row);
      const cell = value === null || value === undefined || value === "" ? NONE : value;
      if (at === 0) return element("th", { scope: "row" }, cell);
      return element("td", { class: kind(column), "data-label": column.name }, cell);
    });
    return element("tr", null, ...cells);
  });
  parent.replaceChildren(element("table", null, element("caption", { class: "hidden" }, caption),
    element("thead", null, element("tr", null, ...head)), element("tbody", null, ...lines)));
}

function facts(place, rows) {
  const nodes = rows.flatMap(([name, value]) => [element("dt", null, name), element("dd", null, value)]);
  byId(place).replaceChildren(...nodes);
}

// A share with a bar beside it. With worseFrom a high share is bad: the bar changes its colour there.
function share(value, worseFrom) {
  if (!known(value)) return element("span", null, NONE, element("span", { class: "bar" }));
  const limits = worseFrom === undefined ? {} : { low: worseFrom, high: Math.min(1, worseFrom * 2), optimum: 0 };
  const bar = element("meter", { min: 0, max: 1, value, "aria-hidden": "true", ...limits });
  return element("span", null, percent(value), bar);
}
