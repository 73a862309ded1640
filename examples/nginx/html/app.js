"use strict";
// The page of the job console: plain DOM, no build step. Everything from the
// server goes in as text, never as HTML.
const $ = id => document.getElementById(id);
const PAGE = 25;
const SAMPLES = {
  sql: "select 1 as id, 'hello' as word",
  shell: "echo one; sleep 1; echo two; sleep 1; echo three",
  python: "import time\nfor i in range(1, 6):\n    print(i * i)\n    time.sleep(0.3)",
};
let stream = null, current = null, page = 1, lines = 0;

async function ask(path, body) {
  const options = body && { method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" } };
  const reply = await fetch("/api/jobs" + path, options);
  const value = await reply.json();
  if (!reply.ok) throw new Error(value.error);
  return value;
}

function show(element, text) {
  element.hidden = !text;
  element.textContent = text || "";
}

function make(tag, text, name) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function showState(now) {
  $("state").textContent = now.state;
  $("state").className = "pill " + now.state;
  const done = ["succeeded", "failed", "cancelled"].includes(now.state);
  const percent = now.state === "succeeded" ? 100 : Math.round((now.progress || 0) * 100);
  $("percent").textContent = percent + " %";
  $("bar").style.width = percent + "%";
  $("bar").className = now.state;
  $("bar").parentElement.setAttribute("aria-valuenow", percent);
  $("abort").disabled = done;
}

function addLine({ line, late }) {
  const log = $("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const level = (/ (WARN|ERROR) /.exec(line) || [""])[0].trim();
  log.append(make("span", line + "\n", (late ? "late " : "") + level));
  $("lines").textContent = ++lines + " lines";
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function clearLog() {
  lines = 0;
  $("log").textContent = ""; $("lines").textContent = "";
}

// Which of the recent ones is shown.
function mark() {
  for (const button of $("recent").querySelectorAll("button"))
    button.setAttribute("aria-current", button.firstChild.textContent === String(current));
}

function open(id) {
  if (stream) stream.close();
  current = id;
  history.replaceState(null, "", "#" + id); // a reload takes the task up again
  $("work").hidden = false;
  $("empty").hidden = true;
  $("task").textContent = id;
  clearLog();
  mark();
  $("results").hidden = true;
  show($("why"), "");
  showState({ state: "queued" });
  stream = new EventSource(`/api/jobs/${id}/events`);
  stream.onopen = clearLog; // a connection that was lost begins anew, with the whole log
  stream.addEventListener("state", e => showState(JSON.parse(e.data)));
  stream.addEventListener("log", e => addLine(JSON.parse(e.data)));
  stream.addEventListener("trouble", e => show($("why"), JSON.parse(e.data)));
  stream.addEventListener("end", e => finish(id, JSON.parse(e.data)));
}

function finish(id, end) {
  stream.close();
  document.body.dataset.ended = id;
  if (end.error) show($("why"), end.error);
  listResults().catch(e => show($("why"), e.message));
  recent();
}

async function listResults() {
  const sets = await ask(`/${current}/results`);
  if (!sets.count) return;
  $("set").replaceChildren(...sets.names.map((name, i) => {
    const option = make("option", name);
    option.value = i + 1;
    return option;
  }));
  page = 1;
  await showRows();
}

function cell(value) {
  return value === null ? make("td", "NULL", "null") : make("td", value);
}

async function showRows() {
  const set = await ask(`/${current}/results/${$("set").value}?page=${page}&size=${PAGE}`);
  const head = make("tr", "");
  for (const c of Array.isArray(set.columns) ? set.columns : [{ columnName: "text" }]) {
    const th = make("th", c.columnName);
    if (c.dataType) th.append(make("small", c.dataType));
    head.append(th);
  }
  const body = (Array.isArray(set.rows) ? set.rows : []).map(row => {
    const tr = make("tr", "");
    tr.append(...row.map(cell));
    return tr;
  });
  $("rows").replaceChildren(head, ...body);
  $("page").textContent = "page " + page;
  $("back").disabled = page === 1;
  $("next").disabled = !set.more;
  $("results").hidden = false;
}

async function turn(by) {
  page += by;
  await showRows().catch(e => show($("why"), e.message));
}

async function recent() {
  const list = await ask("").catch(() => ({}));
  $("recent").replaceChildren(...(list.jobs || []).map(job => {
    const button = make("button", "");
    button.type = "button";
    button.append(make("span", job.id), make("span", job.state, "state " + job.state), make("code", job.code || ""));
    button.onclick = () => open(job.id);
    const item = make("li", "");
    item.append(button);
    return item;
  }));
  $("none").hidden = (list.jobs || []).length > 0;
  mark();
}

$("kind").onchange = () => { $("code").value = SAMPLES[$("kind").value.split("|")[0]]; };
$("set").onchange = () => { page = 1; turn(0); };
$("back").onclick = () => turn(-1);
$("next").onclick = () => turn(1);
$("abort").onclick = () => ask(`/${current}/abort`, {}).catch(e => show($("why"), e.message));
$("submit").onsubmit = async event => {
  event.preventDefault();
  $("go").disabled = true;
  const [run_type, engine] = $("kind").value.split("|");
  try {
    const job = await ask("", { code: $("code").value, run_type, engine });
    show($("refused"), "");
    open(job.id);
    recent();
  } catch (e) {
    show($("refused"), e.message);
  }
  $("go").disabled = false;
};
$("code").onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("submit").requestSubmit();
};
recent();
if (/^#\d+$/.test(location.hash)) open(location.hash.slice(1));
