// Peers with their heartbeats, what was said by and to them, and what waits to go out.

import { h } from "./dom.js";
import { ago, day, duration, exactClock, plural } from "./format.js";
import { get } from "./net.js";

const bodies = new Map();

const at = (seconds, now, zone) => (day(seconds, zone) === day(now, zone) ? exactClock(seconds, zone) : `${day(seconds, zone)} ${exactClock(seconds, zone)}`);

function heartbeat(peer, now, grace) {
  if (peer.state !== "registered") return ["wait", peer.state];
  if (peer.offline) return ["bad", `offline since ${duration(now - peer.offline_at)}`];
  if (peer.offline_at === null) return ["calm", "sends no heartbeats yet"];
  const left = peer.offline_at - now;
  if (left > 0) return ["good", `online, promised for another ${duration(left)}`];
  return ["wait", left > -grace ? "heartbeat is late" : "heartbeat is missing"];
}

function card(peer, now, grace, chosen, choose) {
  const [kind, words] = heartbeat(peer, now, grace);
  const fact = (name, value) => [h("dt", null, name), h("dd", null, value)];
  return h(
    "article",
    { class: "card peer", "data-key": peer.peer_id, "aria-label": `Peer ${peer.name}` },
    h("header", null, h("h2", null, peer.name), h("span", { class: `pill ${kind}` }, words)),
    h(
      "dl",
      { class: "plain" },
      fact("last heard", peer.last_heard_at === null ? "never" : ago(peer.last_heard_at, now)),
      fact("our next heartbeat", peer.next_heartbeat_at === null ? "not asked for" : `in ${duration(peer.next_heartbeat_at - now)}, every ${duration(peer.heartbeat_interval_s)}`),
      fact("handshake", peer.handshake_at === null ? "none yet" : ago(peer.handshake_at, now)),
      fact("profile", peer.profile),
      fact("address", peer.base_url ?? "unknown yet"),
      fact("waiting for it", peer.waiting ? `${plural(peer.waiting, "message")}, ${plural(peer.retries, "retry", "retries")}` : "nothing"),
    ),
    peer.last_error ? h("p", { class: "error" }, peer.last_error) : null,
    choose
      ? h("button", { type: "button", class: "quiet-button", "aria-pressed": String(chosen), on: { click: () => choose(chosen ? null : peer.peer_id) } }, chosen ? "Show all messages" : "Only its messages")
      : null,
  );
}

const STATES = { received: "good", delivered: "good", pending: "wait", superseded: "calm", given_up: "bad" };

function size(characters) {
  return characters > 2000 ? `${Math.round(characters / 1000)} kB` : `${characters} B`;
}

async function open(event, key, changed) {
  if (!event.target.open || bodies.has(key)) return;
  bodies.set(key, "…");
  try {
    const body = await get("message", { key });
    bodies.set(key, body.text + (body.is_cut ? "\n… cut here" : ""));
  } catch (error) {
    bodies.delete(key);
    bodies.set(key, error.message);
  }
  changed();
}

function line(entry, now, { changed, zone }) {
  const about = [entry.type, entry.site_id, entry.group_id && entry.group_id !== entry.site_id ? entry.group_id : null].filter(Boolean);
  const late = entry.state === "pending" && entry.attempts > 0;
  return h(
    "li",
    { "data-key": entry.key },
    h(
      "details",
      { on: { toggle: (event) => open(event, entry.key, changed) } },
      h(
        "summary",
        null,
        h("time", null, at(entry.at, now, zone)),
        h("span", { class: `way ${entry.direction}`, role: "img", "aria-label": entry.direction === "in" ? "received from" : "sent to" }, entry.direction === "in" ? "→" : "←"),
        h("span", { class: "message" }, h("b", null, entry.name), h("span", { class: "quiet" }, ` ${about.join(" · ")}`)),
        h("span", { class: "quiet from" }, entry.peer),
        h("span", { class: `pill ${late ? "bad" : (STATES[entry.state] ?? "calm")}` }, late ? `${plural(entry.attempts, "attempt")}` : entry.state.replace("_", " ")),
      ),
      entry.last_error ? h("p", { class: "error" }, entry.last_error) : null,
      entry.direction === "out" && entry.next_attempt_at !== null && entry.next_attempt_at !== undefined
        ? h("p", { class: "quiet" }, `tried ${plural(entry.attempts, "time")}, next ${entry.next_attempt_at <= now ? "now" : `in ${duration(entry.next_attempt_at - now)}`}`)
        : null,
      h("p", { class: "quiet" }, `${size(entry.size)} of JSON`),
      h("pre", { tabindex: "0" }, bodies.get(entry.key) ?? ""),
    ),
  );
}

export function peersPage(data, log, now, actions) {
  const { peer, choose, zone } = actions;
  const chosen = data.peers.find(({ peer_id: id }) => id === peer);
  return [
    h("h1", null, "Peers"),
    data.peers.length
      ? h("section", { class: "peers", "aria-label": "Peers" }, data.peers.map((one) => card(one, now, data.heartbeat_grace_s, one.peer_id === peer, data.peers.length > 1 ? choose : null)))
      : h("p", { class: "empty" }, "There is no peer yet. Invite one with POST /v1/peers."),
    h(
      "section",
      { class: "card", "aria-labelledby": "log-title" },
      h("h2", { id: "log-title" }, chosen ? `Messages of ${chosen.name}` : "Messages"),
      h("p", { class: "quiet" }, `The newest first, times of ${zone}. Tokens are never shown.`),
      log.entries.length ? h("ol", { class: "log" }, log.entries.map((entry) => line(entry, now, actions))) : h("p", { class: "quiet" }, "Nothing was said yet."),
    ),
  ];
}

export function outboxPage(data, now, actions) {
  const failing = data.waiting.filter(({ attempts }) => attempts > 0).length;
  return [
    h("h1", null, "Outbox"),
    h(
      "section",
      { class: "card", "aria-labelledby": "waiting-title" },
      h("h2", { id: "waiting-title" }, data.waiting.length ? `${plural(data.waiting.length, "message")} waiting` : "Nothing waits"),
      h("p", { class: "quiet" }, failing ? `${failing} were tried in vain and are tried again, with growing pauses.` : "A message that a peer does not take is tried again, with growing pauses."),
      data.waiting.length ? h("ol", { class: "log" }, data.waiting.map((entry) => line(entry, now, actions))) : null,
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "finished-title" },
      h("h2", { id: "finished-title" }, "Done"),
      data.finished.length ? h("ol", { class: "log" }, data.finished.map((entry) => line(entry, now, actions))) : h("p", { class: "quiet" }, "Nothing went out yet."),
    ),
  ];
}
