// The page: who is signed in, which view is shown, and what is fetched when something changes.

import { h, show } from "./dom.js";
import { exactClock } from "./format.js";
import { outboxPage, peersPage } from "./messages.js";
import { Live, Refused, get, post } from "./net.js";
import { overview } from "./overview.js";
import { SiteView } from "./site.js";

const AGAIN_MS = 1_000;
const QUIET_MS = 20_000;
const THEMES = ["auto", "light", "dark"];

const byId = (id) => document.getElementById(id);
const state = { me: null, data: null, peer: null, link: "connecting", failure: "", zones: new Set() };
const announce = (text) => byId("announce").replaceChildren(text);
const site = new SiteView(announce, () => render());
const live = new Live((changed) => refreshFor(changed), (link) => follow(link));

function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  if (name === "site" && rest[0]) {
    return { name, site: decodeURIComponent(rest.join("/")), group: new URLSearchParams(search).get("group") };
  }
  return { name: ["peers", "outbox"].includes(name) ? name : "sites" };
}

const LOADERS = {
  sites: () => get("overview"),
  site: ({ site: name, group }) => get("site", { site: name, group }),
  peers: async () => {
    const [peers, log] = await Promise.all([get("peers"), get("log", { peer: state.peer })]);
    return { now: peers.now, peers, log };
  },
  outbox: () => get("outbox"),
};

let loading = false;
let current = Promise.resolve();
let isAsked = false;
let lastMs = 0;

/** Fetch what is shown; however often something changes, at most once at a time and once in a while. */
async function refresh() {
  isAsked = true;
  if (loading) return;
  loading = true;
  try {
    while (isAsked && state.me) {
      await new Promise((done) => setTimeout(done, Math.max(0, lastMs + AGAIN_MS - performance.now())));
      if (!state.me) return;
      isAsked = false;
      lastMs = performance.now();
      current = load();
      await current;
    }
  } finally {
    loading = false;
  }
}

async function load() {
  const wanted = route();
  const key = JSON.stringify([wanted, state.peer]);
  try {
    const data = await LOADERS[wanted.name](wanted);
    if (key !== JSON.stringify([route(), state.peer])) return;
    state.data = { ...data, route: wanted.name };
    state.failure = "";
    live.set(data.now);
    if (data.time_zone) state.zones.add(data.time_zone);
    if (wanted.name === "site") site.update(data);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) return leave("Your sign-in has ended.");
    state.failure = error.status === 0 ? "" : error.message;
  }
  render();
}

function refreshFor(changed) {
  const shown = route();
  const concerns = shown.name !== "site" || changed.has(`site:${shown.site}`);
  if (changed.size && concerns) refresh();
}

function follow(link) {
  if (link === "ended") return leave("Your sign-in has ended.");
  const wasLost = state.link !== "live" && link === "live";
  state.link = link;
  frame();
  if (wasLost && state.data) refresh();
}

const LINKS = {
  connecting: ["wait", "connecting"],
  live: ["good", "live"],
  lost: ["bad", "connection lost, trying again"],
  away: ["bad", "the database is away"],
};

/** Whose clock is shown: that of the site, or of all sites where they share one, else of this browser. */
function zone() {
  if (state.data?.time_zone) return state.data.time_zone;
  for (const { time_zone: known } of state.data?.sites ?? []) state.zones.add(known);
  return state.zones.size === 1 ? [...state.zones][0] : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function frame() {
  const isIn = state.me !== null;
  byId("bar").hidden = !isIn;
  if (!isIn) return;
  const { name } = route();
  const links = { sites: ["#/", "Sites"], peers: ["#/peers", "Peers"], outbox: ["#/outbox", "Outbox"] };
  show(
    byId("nav"),
    Object.entries(links).map(([key, [href, text]]) =>
      h("a", { href, "aria-current": key === name || (key === "sites" && name === "site") ? "page" : null, "data-key": key }, text),
    ),
  );
  const [kind, words] = LINKS[state.link] ?? LINKS.connecting;
  show(byId("live"), h("i", { class: kind, "aria-hidden": "true" }), h("span", { class: "live-words" }, words), state.data ? h("time", { title: zone() }, exactClock(live.now(), zone())) : null);
  byId("who").replaceChildren(state.me.name);
}

function render() {
  frame();
  const notice = byId("notice");
  notice.hidden = !state.failure || !state.me;
  notice.replaceChildren(state.failure);
  const main = byId("main");
  if (!state.me) return;
  const { name } = route();
  const now = live.now();
  if (!state.data || state.data.route !== name) {
    show(main, state.failure ? null : h("p", { class: "empty" }, "Loading…"));
    return;
  }
  const actions = { peer: state.peer, choose: choosePeer, changed: render, zone: zone() };
  const pages = {
    sites: () => overview(state.data, now),
    site: () => site.render(now),
    peers: () => peersPage(state.data.peers, state.data.log, now, actions),
    outbox: () => outboxPage(state.data, now, actions),
  };
  show(main, h("div", { class: `view view-${name}`, "data-key": name }, pages[name]()));
  if (name === "site") site.mount(main);
  document.title = `${{ sites: "Sites", site: site.site?.site_id, peers: "Peers", outbox: "Outbox" }[name]} – Capacity Optimizer`;
}

function choosePeer(peer) {
  state.peer = peer;
  refresh();
}

function navigate() {
  if (!state.me) return;
  if (state.data?.route !== route().name) state.data = null;
  state.failure = "";
  lastMs = 0;
  render();
  refresh();
  byId("main").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function signInForm(words) {
  const error = h("p", { class: "error", role: "alert" }, words ?? "");
  const key = h("input", { id: "key", name: "key", type: "password", autocomplete: "current-password", required: true, spellcheck: "false", maxlength: "512" });
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      enter(await post("sign-in", { key: key.value }));
    } catch (refused) {
      error.replaceChildren(refused.message);
      key.select();
    }
    button.disabled = false;
  };
  return h(
    "form",
    { class: "card sign-in", on: { submit } },
    h("h1", null, h("span", { class: "mark", "aria-hidden": "true" }), "Capacity Optimizer"),
    h("input", { type: "text", name: "username", autocomplete: "username", value: location.hostname, hidden: true }),
    h("label", { for: "key" }, "Key"),
    key,
    h("p", { class: "quiet" }, "The operator's key, or the token that a registered peer presents: a peer sees its own sites and messages."),
    button,
    error,
  );
}

function leave(words) {
  live.isWanted = false;
  live.close();
  state.me = null;
  state.data = null;
  state.peer = null;
  render();
  byId("main").replaceChildren(signInForm(words));
  byId("key").focus();
  document.title = "Sign in – Capacity Optimizer";
}

function enter(me) {
  state.me = me;
  byId("main").replaceChildren();
  live.isWanted = true;
  live.open();
  navigate();
}

function theme(choice) {
  document.documentElement.dataset.theme = choice;
  localStorage.setItem("theme", choice);
  byId("theme").replaceChildren({ auto: "◐", light: "☀", dark: "☾" }[choice]);
  byId("theme").setAttribute("aria-label", `Colours: ${choice}`);
  byId("theme").title = `Colours: ${choice}`;
}

byId("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % THEMES.length]));
byId("sign-out").addEventListener("click", async () => {
  live.close();
  state.me = null;
  await current;
  await post("sign-out").catch(() => null);
  leave();
});
window.addEventListener("hashchange", navigate);
setInterval(() => {
  if (document.hidden || !state.me) return;
  frame();
  if (performance.now() - lastMs > QUIET_MS) refresh();
}, 1_000);

theme(localStorage.getItem("theme") ?? "auto");
try {
  const me = await get("me");
  if (me.name === null) leave();
  else enter(me);
} catch (error) {
  leave(error.message);
}
