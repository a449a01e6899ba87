// Keeps an open page live. Everything on it works without this file.
"use strict";

const live = () => document.getElementById("live");
const dialogIsOpen = () => document.querySelector("dialog[open]") !== null;

// --- showing a newer page in the place of this one -------------------------------------------

function show(text) {
  const newer = new DOMParser().parseFromString(text, "text/html");
  const from = newer.getElementById("main");
  const to = document.getElementById("main");
  if (!from || !to) return;
  const focused = document.activeElement && document.activeElement.id;
  const log = document.getElementById("log");
  const open = [...to.querySelectorAll("details")].map((one) => one.open);
  const before = document.getElementById("state");
  const wasState = before && before.textContent;
  to.replaceChildren(...from.childNodes);
  keepLog(log);
  [...to.querySelectorAll("details")].forEach((one, place) => { if (open[place]) one.open = true; });
  const again = focused && document.getElementById(focused);
  if (again) again.focus({ preventScroll: true });
  document.title = newer.title;
  const state = document.getElementById("state");
  if (state && state.textContent !== wasState) {
    document.getElementById("spoken").textContent = state.textContent;
  }
}

// The log grows in its own way: what is there stays where the reader is.
function keepLog(older) {
  const log = document.getElementById("log");
  if (log && older && older.dataset.log === log.dataset.log) log.replaceWith(older);
}

let refreshing = null;
async function refresh() {
  if (refreshing || dialogIsOpen()) return;
  refreshing = new AbortController();
  try {
    const answer = await fetch(location.href, { signal: refreshing.signal });
    if (answer.redirected && new URL(answer.url).pathname === "/signin") location.reload();
    else if (answer.ok && !dialogIsOpen()) show(await answer.text());
  } catch { /* the next change tries again */ } finally { refreshing = null; }
}

let due = null;
function refreshSoon() {
  if (due === null) due = setTimeout(() => { due = null; refresh(); }, 150);
}

// --- what changes ----------------------------------------------------------------------------

function listen() {
  const shown = live();
  if (!shown) return;
  const source = new EventSource("/events");
  source.addEventListener("run", (event) => {
    const about = live() && live().dataset.live;
    if (about === "runs" || event.lastEventId.startsWith(`${about}.`)) refreshSoon();
  });
  // Whatever happened while the connection was away is on the page anew.
  let was = false;
  source.onopen = () => { if (was) refreshSoon(); was = true; };
  addEventListener("pagehide", () => source.close());
}

// --- the log ---------------------------------------------------------------------------------

async function readLog() {
  const log = document.getElementById("log");
  if (!log || document.hidden) return;
  try {
    const answer = await fetch(`${log.dataset.log}?offset=${log.dataset.offset}`);
    const text = answer.ok ? await answer.text() : "";
    if (text === "") return;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    if (log.dataset.offset === "0") log.textContent = "";
    log.append(text);
    log.dataset.offset = answer.headers.get("Log-Next-Offset");
    if (atEnd) log.scrollTop = log.scrollHeight;
  } catch { /* the next round tries again */ }
}

// --- forms and dialogs -----------------------------------------------------------------------

addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || "plain" in form.dataset) return;
  event.preventDefault();
  const dialog = form.closest("dialog");
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)),
    });
    if (dialog) dialog.close();
    show(await answer.text());
    const told = document.getElementById("answer");
    if (told) told.scrollIntoView({ block: "nearest" });
  } catch {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
    document.getElementById("spoken").textContent = "Baton did not answer; try again.";
  }
});

addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  const dialog = opener && document.getElementById(opener.dataset.opens);
  if (dialog) {
    event.preventDefault();
    dialog.showModal();
  }
  const closer = event.target.closest("[data-closes]");
  if (closer) document.getElementById(closer.dataset.closes).close();
});

listen();
const log = document.getElementById("log");
if (log) log.scrollTop = log.scrollHeight;
setInterval(readLog, 1000);
