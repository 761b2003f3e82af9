// Puts pages, feed and actions together. Which page is shown, and its filters, stand in the address.

import { h, update, chip } from "./dom.js";
import { mount, repaint } from "./charts.js";
import { ask, follow, now, open, state } from "./feed.js";
import * as fmt from "./format.js";
import { live } from "./live.js";
import { older, openRecord, requests } from "./requests.js";
import { force, providers } from "./providers.js";
import { cost } from "./cost.js";
import { guards } from "./guards.js";
import { restart, system, verify } from "./system.js";

const PAGES = { live, requests, providers, cost, guards, system };
const byId = (id) => document.getElementById(id);
const drawer = byId("drawer");
let notice = null;
let shown = null;

function where() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: PAGES[path] ? path : "live", params: new URLSearchParams(query) };
}

function render() {
  const { name, params } = where();
  const page = PAGES[name];
  document.title = `${page.title} · Sentinel`;
  update(byId("nav"), h("ul", {}, Object.entries(PAGES).map(([key, one]) =>
    h("li", {}, h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null }, one.title)))));
  const { about } = state.sections;
  if (about) {
    const tone = { ok: "good", degraded: "warn", down: "bad" }[about.status] ?? "idle";
    update(byId("health"), h("div", {},
      state.connected ? chip(tone, about.status === "ok" ? "All well" : about.status === "down" ? "Down" : "Degraded") : chip("idle", "Not connected"),
      h("span", { class: "muted" }, `v${about.version} · up ${fmt.duration((now() - about.started_ms) / 1000)}`)));
    byId("logout-button").hidden = !about.login;
  }
  update(byId("banner"), h("div", {}, banner()));
  if (!state.last) return;
  if (shown !== name) { byId("main").replaceChildren(); shown = name; }
  update(byId("main"), h("main", {}, h("h1", {}, page.title), page.render(state, params, render)));
  mount(state.points);
}

function banner() {
  const lines = [];
  if (notice) lines.push(h("p", { class: `notice ${notice.tone}` }, notice.text));
  if (state.last && !state.connected && !document.hidden) {
    const wait = state.retryAt ? Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000)) : 0;
    lines.push(h("p", { class: "notice warn" },
      state.ended ? "The gateway has shut down. " : "The connection to the gateway is lost. ",
      `Everything here is stale since ${fmt.clock(state.last)} (${fmt.duration((Date.now() - state.last) / 1000)} ago); next try in ${wait} s. `,
      h("button", { type: "button", class: "small", "data-action": "reconnect" }, "Try now")));
  }
  const { about } = state.sections;
  if (about?.phase === "lame_duck" || about?.phase === "draining") lines.push(h("p", { class: "notice warn" }, "The gateway is shutting down: it finishes what is in flight."));
  if (about?.store_content) lines.push(h("p", { class: "notice" }, "Redacted content of requests is kept in the audit trail (audit.store_content = true)."));
  return lines;
}

function say(tone, text) {
  notice = { tone, text };
  render();
  setTimeout(() => { if (notice?.text === text) { notice = null; render(); } }, 6000);
}

async function attempt(order, data) {
  try {
    const done = await order(data);
    if (done) say("good", done);
  } catch (error) {
    say("bad", error.message);
  }
}

function themeNow() {
  return document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function nameTheme() {
  const button = byId("theme-button");
  const other = themeNow() === "dark" ? "Light" : "Dark";
  button.textContent = `${other} theme`;
}

const ACTIONS = {
  theme() {
    const theme = themeNow() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("sentinel-theme", theme); } catch { /* the choice lasts for this visit */ }
    nameTheme();
    repaint(state.points);
  },
  async logout() {
    await attempt(() => ask("/dashboard/logout", { method: "POST" }));
    location.reload();
  },
  skip() { byId("main").focus(); },
  reconnect() { open(); },
  older() { older(where().params, render); },
  force(data) { attempt(force, data); },
  restart(data) { attempt(restart, data); },
  verify() { verify(render); },
  "close-drawer"() { drawer.close(); },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) {
    if (button.dataset.action === "skip") event.preventDefault();
    ACTIONS[button.dataset.action]?.({ ...button.dataset });
    return;
  }
  if (event.target === drawer) drawer.close();
  const line = event.target.closest("table.records tbody tr");
  if (line && !event.target.closest("a") && !String(getSelection())) location.hash = line.querySelector("a").getAttribute("href");
});

/** Filters go into the address, and from there into the page. */
function applyFilters(form) {
  const { name } = where();
  const params = new URLSearchParams();
  for (const [key, value] of new FormData(form)) if (String(value).trim()) params.set(key, String(value).trim());
  return `#/${name}${params.size ? `?${params}` : ""}`;
}

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.form) return;
  event.preventDefault();
  location.hash = applyFilters(event.target);
});

document.addEventListener("input", (event) => {
  const form = event.target.closest('form[role="search"]');
  if (!form) return;
  history.replaceState(null, "", applyFilters(form));
  render();
});

function followAddress() {
  const { name, params } = where();
  render();
  const id = name === "requests" ? params.get("id") : null;
  if (id && !drawer.open) {
    drawer.replaceChildren(h("p", { class: "loading" }, "Loading…"));
    drawer.showModal();
    openRecord(id, drawer);
  } else if (!id && drawer.open) drawer.close();
}

drawer.addEventListener("close", () => {
  const { name, params } = where();
  if (!params.has("id")) return;
  params.delete("id");
  history.replaceState(null, "", `#/${name}${params.size ? `?${params}` : ""}`);
  render();
});

addEventListener("hashchange", () => {
  if (where().name !== shown) window.scrollTo(0, 0);
  followAddress();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { nameTheme(); repaint(state.points); });
nameTheme();
followAddress();
follow(render);
