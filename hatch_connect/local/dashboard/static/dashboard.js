"use strict";
// What pages do more than without this file: Connect's own addresses, and logs as they grow.

const VIEWS = {
  "": "", output: "", info: "/settings", settings: "/settings", runtime: "/settings",
  schedule: "/settings", access: "/access", collaborators: "/access", sharing: "/access",
  tags: "/access", url: "/access", vars: "/variables", variables: "/variables",
  environment: "/variables", versions: "/versions", history: "/versions", source: "/versions",
  bundles: "/versions", logs: "/logs", log: "/logs", draft: "/draft",
};
const SERVER = ["system", "people", "admin", "settings", "api-keys", "documentation", "help"];
const MOST_LINES = 2000;
const SHOW_MS = 200;
const STATES_MS = 2000;

// Return the path for a fragment such as #/apps/GUID/logs; undefined for one of another kind.
function pathOf(fragment) {
  if (!fragment.startsWith("#/")) return undefined;
  const [kind, id, view = "", detail] = fragment.slice(2).split(/[/?]/).filter(Boolean);
  if (SERVER.includes(kind)) return "/connect/server";
  if (kind !== "apps" && kind !== "content" || !/^[\w-]+$/.test(id || "") || id === "listing") {
    return "/connect/";
  }
  const below = VIEWS[Object.hasOwn(VIEWS, view) ? view : ""];
  const detailed = /^[\w-]+$/.test(detail || "") && ["/logs", "/draft"].includes(below);
  if (below === "/draft" && !detailed) return `/connect/apps/${id}/versions`;
  return `/connect/apps/${id}${below}${detailed ? `/${detail}` : ""}`;
}

function followFragment() {
  const path = pathOf(location.hash);
  if (path && (path !== location.pathname || location.hash)) location.replace(path);
}

function lineOf({ source, time, clock, text }) {
  const line = document.createElement("p");
  const when = document.createElement("time");
  when.dateTime = time;
  when.textContent = clock;
  line.append(when);
  if (source === "stderr") {
    const mark = document.createElement("b");
    mark.textContent = "stderr";
    line.className = "stderr";
    line.append(mark);
  }
  line.append(text);
  return line;
}

// Show the lines of a log as they come; at its end, the page that has its result.
function follow(log) {
  const control = document.querySelector("[data-follow]");
  const button = control?.querySelector("button");
  let following = true;
  const set = (value) => {
    following = value;
    button?.setAttribute("aria-pressed", String(value));
    if (value) log.scrollTop = log.scrollHeight;
  };
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  set(true);
  if (control) control.hidden = false;
  button?.addEventListener("click", () => set(!following));
  log.addEventListener("scroll", () => {
    if (atEnd() !== following) set(atEnd());
  });

  let waiting = [];
  const show = () => {
    const lines = waiting;
    waiting = [];
    if (lines.length < MOST_LINES) log.append(...lines.map(lineOf));
    else log.replaceChildren(...lines.map(lineOf));
    while (log.children.length > MOST_LINES) log.firstElementChild.remove();
    if (following) log.scrollTop = log.scrollHeight;
  };
  const events = new EventSource(log.dataset.stream);
  events.addEventListener("message", (event) => {
    if (!waiting.length) setTimeout(show, SHOW_MS);
    waiting.push(JSON.parse(event.data));
    if (waiting.length > MOST_LINES) waiting.shift();
  });
  events.addEventListener("end", (event) => {
    events.close();
    const { end = "ended", error = "" } = JSON.parse(event.data);
    const state = document.querySelector("[data-log-state]");
    if (!state) {
      location.reload();
      return;
    }
    state.textContent = end;
    const result = document.querySelector("[data-log-result]");
    result.textContent = error;
    result.hidden = !error;
    control.hidden = true;
  });
}

// Show the states that content has now, while the page is looked at.
async function refreshStates(shown) {
  const one = shown.length === 1 ? `?guid=${shown[0].dataset.state}` : "";
  const answer = await fetch(`/connect/states${one}`).catch(() => undefined);
  if (!answer?.ok) return;
  const states = await answer.json();
  for (const each of shown) {
    const state = (states[each.dataset.state] ?? "").trim();
    // What has not changed is not announced again.
    if (state && each.innerHTML.trim() !== state) each.innerHTML = state;
  }
}

followFragment();
addEventListener("hashchange", followFragment);
for (const log of document.querySelectorAll("[role=log]")) {
  log.scrollTop = log.scrollHeight;
  if (log.dataset.stream) follow(log);
}
const states = document.querySelectorAll("[data-state]");
if (states.length) setInterval(() => document.hidden || refreshStates(states), STATES_MS);
