// Asks for the values every 5 s and shows them. Nothing is asked while the page is paused or hidden.

const INTERVAL = 5000;
const ORDER = ["match", "chat", "generate", "embed", "embed_batch", "sync"];
let historySpan = 15 * 60 * 1000;
let current = null, received = null, paused = false, timer = null, operation = null, cpuBefore = {};

async function load() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  try {
    const answer = await fetch("performance", { cache: "no-store", signal: AbortSignal.timeout(INTERVAL) });
    if (!answer.ok) throw new Error("status " + answer.status);
    current = await answer.json();
    received = Date.now();
    show();
  } catch (error) {
    document.body.dataset.state = "stale";
    setStatus("companion away", "bad");
    notice("The companion does not answer" + (received ? ": values of " + clock(received, true) : "") + ".", "bad");
  }
  // Another answer may have come meanwhile and set its own.
  clearTimeout(timer);
  timer = setTimeout(load, INTERVAL);
}

function show() {
  const { castmatch, recent, history, health, database } = current;
  historySpan = (current.history_seconds || 900) * 1000;
  const points = (history || []).map((point) => ({ ...point, t: Date.parse(point.at) }));
  const data = castmatch || {};
  showState(data, health || {}, database || {});
  showProblems(health || {});
  showTiles(data, recent || {}, database || {}, health || {});
  showCharts(data, points);
  showTables(data, recent || {});
  showFacts(data);
  document.body.dataset.state = database && database.up && castmatch ? "live" : "stale";
}

function setStatus(text, kind) {
  const node = byId("status");
  setText("status", text);
  node.className = "pill " + kind;
}

function notice(text, kind) {
  const node = byId("notice");
  node.hidden = text === null;
  setText("notice", text || "");
  node.className = "notice " + (kind || "");
}

function showState(data, health, database) {
  const kinds = { ok: "good", degraded: "warn", unavailable: "bad" };
  const down = health.database === "down";
  setStatus(down ? "database down" : health.status || "unknown", kinds[health.status] || "bad");
  const age = database.read_at ? (Date.parse(current.at) - Date.parse(database.read_at)) / 1000 : null;
  const identity = [data.version && "castmatch " + data.version, data.postgres && "PostgreSQL " + data.postgres,
    data.in_recovery === true && "standby", known(data.uptime_seconds) && "up " + duration(data.uptime_seconds)];
  setText("identity", identity.filter(Boolean).join(" · "));
  showAge(age);
  // Without its age: a text that changed every 5 s would be read aloud every 5 s.
  const since = database.read_at ? ": values of " + moment(database.read_at) : "";
  if (down) notice("The database is down" + since + ".", "bad");
  else if (health.status === "unavailable") notice(health.hint || "castmatch.health() does not answer" + since + ".", "bad");
  else if (database.hint) notice(database.hint + since, "");
  else notice(null);
}

function showAge(age) {
  setText("age", known(age) ? "values " + duration(Math.max(0, Math.round(age))) + " old" : "no values yet");
}

function showProblems(health) {
  const problems = (health.castmatch && health.castmatch.problems) || [];
  byId("problems").hidden = problems.length === 0;
  byId("problem-list").replaceChildren(...problems.map((one) => element("li", { class: one.severity === "error" ? "error" : "warning" },
    element("span", { class: "check " + (one.severity === "error" ? "bad" : "warn") }, (one.severity || "problem") + ": " + (one.check || "")),
    one.problem || "", element("div", { class: "remedy" }, one.remedy || ""))));
}

function total(rows, key) { return rows.reduce((sum, row) => sum + (Number(row[key]) || 0), 0); }

function showTiles(data, recent, database, health) {
  const operations = recent.operations || {};
  const all = Object.values(operations);
  const requests = total(all, "requests"), errors = total(all, "errors");
  const ratio = requests > 0 ? errors / requests : all.length ? 0 : data.error_ratio;
  const caches = recent.caches || [];
  const looked = total(caches, "requests");
  const minutes = recent.seconds ? "last " + duration(Math.round(recent.seconds)) : "";
  const queue = data.queue || {}, models = data.models || [];
  const broken = models.filter((model) => model.breaker === "open" || model.state === "failed" || model.state === "missing").length;
  const latency = (name) => {
    const one = operations[name] || {};
    return { name: name + " p95", value: millis(one.p95_ms), note: "p99 " + millis(one.p99_ms) };
  };
  const tiles = [
    { name: "Database", value: health.database || "unknown", kind: health.database === "up" ? null : "bad",
      note: data.in_recovery ? "standby" : database.read_at ? "read " + clock(Date.parse(database.read_at), true) : "" },
    { name: "Requests", value: all.length ? short(total(all, "rate")) + " /s" : NONE, note: minutes },
    latency("match"), latency("chat"),
    { name: "Error ratio", value: percent(ratio), kind: ratio > 0.05 ? "bad" : ratio > 0.01 ? "warn" : null,
      note: number(data.errors) + " in all" },
    { name: "Cache hits", value: looked ? percent(total(caches, "hits") / looked) : NONE, note: number(looked) + " look-ups" },
    { name: "Queue", value: number(queue.pending), kind: queue.failed > 0 ? "warn" : null,
      note: queue.pending > 0 ? "done in " + duration(queue.eta_seconds) : number(queue.failed) + " failed" },
    { name: "Models", value: models.length ? models.length - broken + " of " + models.length : NONE, kind: broken > 0 ? "warn" : null,
      note: broken > 0 ? broken + " out of order" : "usable" },
  ];
  byId("tiles").replaceChildren(...tiles.map((tile) => element("div", { class: tile.kind || null },
    element("dt", null, tile.name), element("dd", null, tile.value), element("dd", { class: "note" }, tile.note || ""))));
}

function operationNames(data) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return Object.keys(data.operations || {}).sort((one, other) => place(one) - place(other));
}

function color(at) { return "c" + ((at % 6) + 1); }

function showCharts(data, points) {
  const end = Date.parse(current.at);
  const names = operationNames(data);
  const used = names.filter((name) => points.some((point) => known(point[name + "_rate"])) || data.operations[name].requests > 0);
  showChoice(used.length ? used : names);
  const line = (key, name, at, dash) => ({ name, color: color(at), dash, value: (point) => point[key] });
  chart("latency", { label: "Latency of " + operation, points, end, format: millis, empty: "no requests in the last 15 minutes",
    series: operation ? [line(operation + "_p50_ms", "p50", 2, null), line(operation + "_p95_ms", "p95", 0, null), line(operation + "_p99_ms", "p99", 1, "5 3")] : [] });
  chart("rate", { label: "Requests per second", points, end, format: short, empty: "no requests in the last 15 minutes",
    series: used.map((name) => ({ name, color: color(names.indexOf(name)), value: (point) => point[name + "_rate"] || 0 })) });
  const places = (data.caches || []).filter((row) => points.some((point) => known(point[hitKey(row)])));
  chart("hits", { label: "Cache hit ratio", points, end, format: percent, most: 1, empty: "no look-ups in the last 15 minutes",
    series: places.map((row, at) => line(hitKey(row), row.cache + ", " + row.level, at, row.level === "shared" ? null : "5 3")) });
  const queue = data.queue || {};
  setText("queue-eta", queue.pending > 0
    ? "done in " + duration(queue.eta_seconds) + ", " + short(queue.rows_per_second) + " rows/s, oldest " + duration(queue.oldest_seconds)
    : number(queue.failed) + " failed");
  chart("queue", { label: "Rows waiting for their embedding", points, end, format: (value) => number(value, value < 10 ? 2 : 0),
    empty: "no values yet", series: [line("queue_pending", "waiting", 0, null)] });
}

function hitKey(row) { return "cache_" + row.cache + "_" + row.level + "_hit_ratio"; }

function showChoice(names) {
  if (!names.includes(operation)) operation = names.includes("match") ? "match" : names[0] || null;
  const place = byId("latency-operation");
  const shown = [...place.querySelectorAll("input")].map((input) => input.value);
  // Rebuilt only when it changes: the focus stays where it is.
  if (shown.join("\n") !== names.join("\n")) {
    for (const label of place.querySelectorAll("label")) label.remove();
    place.append(...names.map((name) => element("label", null,
      element("input", { type: "radio", name: "operation", value: name }), name)));
  }
  for (const input of place.querySelectorAll("input")) input.checked = input.value === operation;
}

const STATES = { ready: "good", closed: "good", starting: "warn", half_open: "warn", missing: "bad", failed: "bad", open: "bad", stopped: "warn" };

function state(value) {
  if (value === null || value === undefined) return NONE;
  return element("span", { class: STATES[value] || null }, String(value).replace("_", " "));
}

function showTables(data, recent) {
  const operations = recent.operations || {};
  setText("window", recent.seconds ? "rate and percentiles of the last " + duration(Math.round(recent.seconds)) : "rate and percentiles after the next reading");
  const rows = operationNames(data).map((name) => ({ name, ...data.operations[name], now: operations[name] || {} }));
  table("operations", "Operations", [
    { name: "operation", value: (row) => row.name },
    { name: "per second", number: true, value: (row) => short(row.now.rate) },
    { name: "p50", number: true, value: (row) => millis(row.now.p50_ms) },
    { name: "p95", number: true, value: (row) => millis(row.now.p95_ms) },
    { name: "p99", number: true, value: (row) => millis(row.now.p99_ms) },
    { name: "errors", number: true, value: (row) => number(row.now.errors) },
    { name: "total", number: true, value: (row) => number(row.requests) },
    { name: "errors in all", number: true, value: (row) => number(row.errors) },
    { name: "average", number: true, value: (row) => millis(row.average_ms) },
    { name: "p95 of all", number: true, value: (row) => millis(row.p95_ms) },
  ], rows);
  const lately = (row) => (recent.caches || []).find((one) => one.cache === row.cache && one.level === row.level) || {};
  table("caches", "Caches", [
    { name: "cache", value: (row) => row.cache },
    { name: "level", value: (row) => row.level },
    { name: "hit ratio", number: true, value: (row) => share(row.hit_ratio) },
    { name: "lately", number: true, value: (row) => percent(lately(row).hit_ratio) },
    { name: "look-ups", number: true, value: (row) => number(row.requests) },
    { name: "entries", number: true, value: (row) => number(row.entries) },
    { name: "size", number: true, value: (row) => bytes(row.bytes) },
  ], data.caches || []);
  table("models", "Models", [
    { name: "model", value: (row) => row.model },
    { name: "task", value: (row) => row.task },
    { name: "provider", value: (row) => row.provider },
    { name: "state", value: (row) => state(row.state) },
    { name: "breaker", value: (row) => state(row.breaker) },
    { name: "requests", number: true, value: (row) => number(row.requests) },
    { name: "errors", number: true, value: (row) => number(row.errors) },
    { name: "p95", number: true, value: (row) => millis(row.p95_ms) },
  ], data.models || []);
  setText("truncated", data.truncated ? "of models and indexes, the first 50 are listed" : "");
  table("indexes", "Indexes", [
    { name: "index", value: (row) => row.index },
    { name: "table", value: (row) => row.table },
    { name: "method", value: (row) => String(row.method || "").replace("castmatch_", "") },
    { name: "rows", number: true, value: (row) => number(row.rows) },
    { name: "size", number: true, value: (row) => bytes(row.bytes) },
    { name: "dead", number: true, value: (row) => share(row.dead_ratio, 0.2) },
    { name: "valid", value: (row) => (row.valid === false ? element("span", { class: "bad" }, "no") : "yes") },
  ], data.indexes || []);
}

// Share of one core since the last answer.
function cpu(name, seconds) {
  const before = cpuBefore[name], at = Date.parse(current.at);
  if (!known(seconds)) return NONE;
  if (!before || before.at !== at) cpuBefore[name] = { at, seconds, from: before };
  const from = cpuBefore[name].from;
  const used = from && at > from.at && seconds >= from.seconds ? (seconds - from.seconds) / ((at - from.at) / 1000) : null;
  return (used === null ? "" : percent(used) + " of a core, ") + duration(seconds) + " in all";
}

function showFacts(data) {
  const talk = data.conversations || {}, worker = data.embedder || {}, own = current.companion || {};
  facts("conversations", [["conversations", "≈ " + number(talk.conversations)], ["messages", "≈ " + number(talk.messages)],
    ["last prune", talk.last_prune ? moment(talk.last_prune) : "never"], ["messages pruned", number(talk.pruned_messages)]]);
  const memory = Object.entries(data.memory || {}).map(([name, value]) => [name.replace(/_bytes$/, "").replaceAll("_", " "), bytes(value)]);
  facts("memory", memory.length ? memory : [["shared", NONE]]);
  facts("embedder", [["state", state(worker.state)], ["process", known(worker.pid) ? String(worker.pid) : NONE], ["memory", bytes(worker.resident_bytes)],
    ["CPU", cpu("embedder", worker.cpu_seconds)], ["threads", number(worker.threads)]]);
  facts("companion", [["version", own.version || NONE], ["up", duration(own.uptime_seconds)], ["memory", bytes(own.resident_bytes)],
    ["CPU", cpu("companion", own.cpu_seconds)], ["threads", number(own.threads)], ["open files", number(own.open_fds)],
    ["HTTP requests", number(own.requests) + " (" + number(own.errors) + " of 5xx)"]]);
}

byId("latency-operation").addEventListener("change", (event) => { operation = event.target.value; show(); });
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  setText("pause", paused ? "Paused" : "Pause");
  load();
});
document.addEventListener("visibilitychange", load);
load();
