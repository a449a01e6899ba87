// Keeps an open page live. Everything on it works without this file.
"use strict";

const byId = (id) => document.getElementById(id);
const about = byId("live") ? byId("live").dataset.live : null;
// The page that answered a form is at the form's address.
const address = about === "runs" ? location.href : `/runs/${about}`;

// --- changing only what differs: focus, selection, scrolling and open parts stay ---------------

const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;
const bornAt = new WeakMap();

function patch(old, newer) {
  if (!isElement(old)) {
    if (old.data !== newer.data) old.data = newer.data;
    return;
  }
  if ("keep" in old.dataset || old.open && old.nodeName === "DIALOG") return;
  for (const { name, value } of newer.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !newer.hasAttribute(name)) old.removeAttribute(name);
  }
  patchWithin(old, newer);
}

function patchWithin(old, newer) {
  const ids = new Set([...newer.children].map((one) => one.id));
  for (const one of [...old.children]) {
    if (one.id && !ids.has(one.id) && !one.open) one.remove();
  }
  let place = old.firstChild;
  for (const wanted of [...newer.childNodes]) {
    const known = wanted.id ? [...old.children].find((one) => one.id === wanted.id) : null;
    if (isElement(wanted)) while (place && !isElement(place)) place = dropped(place);
    if (known) {
      if (known === place) place = place.nextSibling; else old.insertBefore(known, place);
      patch(known, wanted);
    } else if (place && !place.id && !wanted.id && place.nodeName === wanted.nodeName) {
      const next = place.nextSibling;
      patch(place, wanted);
      place = next;
    } else {
      old.insertBefore(wanted, place);
      if (isElement(wanted)) bornAt.set(wanted, performance.now());
    }
  }
  while (place) place = place.open ? place.nextSibling : dropped(place);
}

function dropped(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// --- showing a newer page in the place of this one ---------------------------------------------

const PRAISE_MILLISECONDS = 5000;
let toldAt = 0;

function show(newer) {
  const focused = document.activeElement;
  const before = states();
  for (const id of ["live", "asking"]) {
    const [old, wanted] = [byId(id), newer.getElementById(id)];
    if (old && wanted) patch(old, wanted);
  }
  document.title = newer.title;
  if (focused !== document.body && !focused.isConnected) {
    (byId("answer") || byId("main")).focus({ preventScroll: true });
  }
  tellChangesSince(before);
  // What went well is seen in the run itself by then, and would soon be out of date.
  if (performance.now() - toldAt > PRAISE_MILLISECONDS) {
    document.querySelector("#told .good")?.remove();
  }
  readLog();
}

function tell(text, kind) {
  const box = document.createElement("p");
  Object.assign(box, { id: "answer", className: `answer ${kind}`, tabIndex: -1 });
  box.textContent = text;
  box.setAttribute("role", "alert");
  byId("told").replaceChildren(box);
  toldAt = performance.now();
  box.scrollIntoView({ block: "nearest" });
}

async function pageOf(answer) {
  if (answer.redirected && new URL(answer.url).pathname === "/signin") {
    location.assign(answer.url);
    return new Promise(() => {});
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// --- telling changes of state to screen readers ------------------------------------------------

// How long an interrupted run has been silent is no change, nor on the list how far each run is.
const FLEETING = about === "runs" ? ["interrupted", "running"] : ["interrupted"];
const GATHERED_MILLISECONDS = about === "runs" ? 3000 : 500;
const news = new Map();
let telling = null;

function states() {
  return new Map([...document.querySelectorAll(".run, .one")].map((place) => {
    const [badge, words] = [".badge", ".words"].map((one) => place.querySelector(one).textContent);
    const name = place.querySelector(":scope > a");
    const state = FLEETING.includes(badge) ? badge : `${badge}: ${words}`;
    return [place.id, { state, told: name ? `${name.textContent}: ${words}` : words }];
  }));
}

function tellChangesSince(before) {
  for (const [id, { state, told }] of states()) {
    if (before.get(id)?.state !== state) news.set(id, told);
  }
  if (news.size) telling ??= setTimeout(tellNews, GATHERED_MILLISECONDS);
}

function tellNews() {
  const [told] = news.values();
  byId("spoken").textContent = news.size === 1 ? told : `${news.size} runs changed`;
  news.clear();
  telling = null;
}

// --- hearing of changes ------------------------------------------------------------------------

const HTML = { Accept: "text/html" };
const SOON_MILLISECONDS = 100, STEADY_MILLISECONDS = 15000, PATIENCE_MILLISECONDS = 10000;
const AGAIN_MILLISECONDS = 2000, SELDOM_MILLISECONDS = 30000;
let due = null, later = null, busy = false, again = false, sent = 0, failures = 0;

function refreshSoon() {
  due ??= setTimeout(() => { due = null; refresh(); }, SOON_MILLISECONDS);
}

async function refresh() {
  again = busy;
  if (busy) return;
  busy = true;
  const before = sent;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    const answer = await fetch(address, { headers: HTML, signal });
    const page = await pageOf(answer);
    lose(!answer.ok && answer.status >= 500);
    // What was sent meanwhile has brought a page that is newer than this one.
    if (answer.ok && sent === before) show(page);
  } catch { lose(true); }
  busy = false;
  refreshLater();
  if (again) refreshSoon();
}

function refreshLater() {
  const pause = AGAIN_MILLISECONDS * 2 ** (failures - 1);
  clearTimeout(later);
  later = setTimeout(
    () => { if (!document.hidden) refreshSoon(); },
    failures ? Math.min(pause, SELDOM_MILLISECONDS) : STEADY_MILLISECONDS,
  );
}

function lose(lost) {
  const text = lost ? "Baton does not answer; this page may be out of date. Trying again." : "";
  if (byId("lost").textContent !== text) byId("lost").textContent = text;
  failures = lost ? failures + 1 : 0;
}

// A browser allows few connections to one host, so that one page listens for all that are open.
const channel = new BroadcastChannel("baton");
channel.onmessage = (event) => heard(event.data);

// Where Baton does not answer, only that it listens again is news. A page that nobody sees asks
// only whether it is still theirs to see, which a broken stream may mean.
function heard(what) {
  if (!about || failures && what !== "any" || document.hidden && what !== "broken") return;
  if (about === "runs" || [about, "any", "broken"].includes(what)) refreshSoon();
}

function tellAll(what) {
  heard(what);
  channel.postMessage(what);
}

let refusals = 0, broken = false;

function listen() {
  const source = new EventSource("/events");
  source.addEventListener("run", (event) => tellAll(event.lastEventId.split(".")[0]));
  source.onopen = () => {
    [refusals, broken] = [0, false];
    // Whatever happened while nobody listened is on the page anew.
    tellAll("any");
  };
  source.onerror = () => {
    if (!broken) tellAll("broken");
    broken = true;
    if (source.readyState !== EventSource.CLOSED) return;
    // Refused, as where too many listen: the pages look at what changed from time to time.
    setTimeout(listen, Math.min(AGAIN_MILLISECONDS * 2 ** refusals, SELDOM_MILLISECONDS));
    refusals += 1;
  };
}

// --- the log -----------------------------------------------------------------------------------

const MOST_SHOWN = 500_000, LOG_MILLISECONDS = 1000, AT_END_PIXELS = 40;
// A last line that has no end comes once nothing has been written for a second.
const LAST_LOOKS = 3;
let reading = false, looks = 0;

async function readLog() {
  const log = byId("log");
  if (!log || reading || failures || document.hidden) return;
  reading = true;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    const answer = await fetch(`${log.dataset.log}?offset=${log.dataset.offset}`, { signal });
    const offset = answer.headers.get("Log-Next-Offset");
    if (answer.redirected) refreshSoon();
    else if (answer.ok && offset !== log.dataset.offset) grow(log, await answer.text(), offset);
    else if (answer.ok) looks = "grows" in byId("live").dataset ? 0 : looks + 1;
  } catch { refreshSoon(); }
  reading = false;
}

function grow(log, text, offset) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PIXELS;
  if (log.dataset.offset === "0") log.textContent = "";
  log.append(text);
  log.dataset.offset = offset;
  looks = 0;
  while (log.textContent.length > MOST_SHOWN && log.childNodes.length > 1) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// --- forms and dialogs -------------------------------------------------------------------------

addEventListener("submit", (event) => {
  const form = event.target, dialog = byId(form.dataset.opens);
  if (!dialog && !("liveForm" in form.dataset)) return;
  event.preventDefault();
  if (dialog) dialog.showModal(); else if (!isTooNew(form)) send(form);
});

// A click on what came this moment, such as the second of two, was meant for what was there before.
function isTooNew(element) {
  const born = element && bornAt.get(element);
  return element && (performance.now() - born < NEW_MILLISECONDS || isTooNew(element.parentElement));
}

const sending = new WeakSet(), NEW_MILLISECONDS = 500, SENT_PATIENCE_MILLISECONDS = 30000;

async function send(form) {
  if (sending.has(form)) return;
  sending.add(form);
  form.setAttribute("aria-busy", "true");
  const body = new URLSearchParams(new FormData(form));
  const signal = AbortSignal.timeout(SENT_PATIENCE_MILLISECONDS);
  try {
    await answered(form, await fetch(form.action, { method: "POST", headers: HTML, body, signal }));
  } catch {
    form.closest("dialog")?.close();
    tell("Baton did not answer, so that it may be done or not. Look, then try again.", "bad");
  }
  sending.delete(form);
  form.removeAttribute("aria-busy");
}

async function answered(form, answer) {
  const page = await pageOf(answer);
  sent += 1;
  form.closest("dialog")?.close();
  if (answer.redirected) return location.assign(answer.url);
  const box = page.querySelector("[role=alert]");
  const text = box ? box.textContent : `Baton answered with status ${answer.status}.`;
  tell(text, box?.classList.contains("good") ? "good" : "bad");
  const next = page.getElementById("delivery");
  if (next && byId("delivery")) byId("delivery").value = next.value;
  const shown = about !== "runs" && page.getElementById("live");
  if (shown) show(page);
  if (!shown || failures) refreshSoon();
}

addEventListener("click", (event) => {
  const closer = event.target.closest("[data-closes]");
  if (closer) byId(closer.dataset.closes).close();
});

// --- beginning ---------------------------------------------------------------------------------

if (about) {
  const forever = () => { listen(); return new Promise(() => {}); };
  if (navigator.locks) navigator.locks.request("baton", forever); else listen();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshSoon(); });
  refreshLater();
}
// A ticket that opened nothing is not to be sent again when the page is loaded again.
if (byId("failed")) history.replaceState(null, "", "/signin");
if (byId("log")) {
  byId("log").scrollTop = byId("log").scrollHeight;
  setInterval(() => { if (looks < LAST_LOOKS) readLog(); }, LOG_MILLISECONDS);
}
