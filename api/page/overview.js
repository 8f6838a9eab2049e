// Every site at a glance: what is allowed, planned and measured now, what lies ahead, and who goes short.

import { h, s } from "./dom.js";
import { intervals, scale, stepArea, stepLine } from "./draw.js";
import { ago, clock, kw, kwh, plural } from "./format.js";

export const siteLink = (site, group) =>
  `#/site/${encodeURIComponent(site)}${group ? `?group=${encodeURIComponent(group)}` : ""}`;

const pill = (kind, ...words) => h("span", { class: `pill ${kind}` }, ...words);

/** A peer in a word. */
export function peerPill(peer) {
  if (peer.state !== "registered") return pill("wait", `${peer.name}: ${peer.state}`);
  return peer.offline ? pill("bad", `${peer.name} offline`) : pill("good", `${peer.name} online`);
}

/** A bar from nothing to the capacity: filled as far as measured, with a mark where planned. */
export function gauge(group, tall = false) {
  const most = Math.max(group.capacity_kw ?? 0, group.planned_kw ?? 0, group.measured_kw ?? 0) || 1;
  const top = group.capacity_kw === most ? most : 1.04 * most;
  const width = (value) => (100 * Math.min(1, Math.max(0, value ?? 0) / top)).toFixed(2);
  const words =
    `Capacity ${group.capacity_kw === null ? "none stated" : kw(group.capacity_kw)}, ` +
    `planned ${kw(group.planned_kw)}, measured ${kw(group.measured_kw)}`;
  const height = tall ? 22 : 14;
  return s(
    "svg",
    { class: `gauge ${group.binds ? "full" : ""}`, viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": words, height },
    s("rect", { class: "gauge-over", x: 0, y: 0, width: 100, height }),
    s("rect", { class: "gauge-back", x: 0, y: 0, width: group.capacity_kw === null ? 100 : width(group.capacity_kw), height }),
    s("rect", { class: "gauge-planned", x: 0, y: 0, width: width(group.planned_kw), height }),
    s("rect", { class: "gauge-measured", x: 0, y: height * 0.36, width: width(group.measured_kw), height: height * 0.28 }),
    group.capacity_kw === null ? null : s("rect", { class: "gauge-limit", x: Math.max(0, width(group.capacity_kw) - 0.4), y: 0, width: 0.4, height }),
  );
}

function ahead(group, zone) {
  const { start, bin_s: bin, planned_kw: planned, capacity_kw: capacity } = group.ahead;
  const edges = Array.from({ length: planned.length + 1 }, (_, index) => start + index * bin);
  const known = planned.map((value) => value ?? 0);
  const peak = Math.max(...known, 0);
  const limit = Math.max(...capacity.map((value) => value ?? 0), 0);
  const most = 1.1 * (limit > 2.5 * peak && peak > 0 ? 1.5 * peak : Math.max(peak, limit)) || 1;
  const x = scale([edges[0], edges.at(-1)], [0, 200]);
  const y = scale([0, most], [46, 2]);
  const zeros = known.map(() => 0);
  const hour = Math.ceil(start / 3600) * 3600;
  const words = `The next 24 hours: planned up to ${kw(peak)}, capacity up to ${kw(limit)}`;
  return h(
    "div",
    { class: "ahead" },
    s(
      "svg",
      { viewBox: "0 0 200 48", preserveAspectRatio: "none", role: "img", "aria-label": words },
      s("path", { class: "spark-planned", d: stepArea(edges, zeros, known, x, y) }),
      s("path", { class: "spark-capacity", d: stepLine(intervals(edges, capacity.map((value) => (value === null ? null : Math.min(value, most)))), x, y) }),
    ),
    h("div", { class: "ahead-times", "aria-hidden": "true" }, [0, 6, 12, 18].map((hours) => h("span", null, clock(hour + hours * 3600, zone)))),
  );
}

function figures(group) {
  const pair = (name, value, kind) => h("div", { class: `pair ${kind}` }, h("dt", null, name), h("dd", null, value));
  return h(
    "dl",
    { class: "figures" },
    pair("capacity", group.capacity_kw === null ? "not limited" : kw(group.capacity_kw), "capacity"),
    pair("planned", kw(group.planned_kw), "planned"),
    pair("measured", kw(group.measured_kw), "measured"),
  );
}

function shortness(group) {
  if (!group.sessions) return pill("calm", "no sessions");
  if (!group.short) return pill("good", `${plural(group.sessions, "session")}, all served`);
  return pill("short", `${group.short} of ${group.sessions} short, ${kwh(group.short_kwh)}`);
}

function root(site, group) {
  return h(
    "a",
    { class: "root", href: siteLink(site.site_id, group.group_id), "data-key": group.group_id },
    h("div", { class: "root-now" }, group.group_id === site.site_id ? null : h("b", null, group.group_id), gauge(group), figures(group)),
    ahead(group, site.time_zone),
    h("div", { class: "root-short" }, shortness(group)),
  );
}

function card(site, now) {
  const troubled = site.last_error || site.peer.offline || site.roots.some(({ short }) => short);
  return h(
    "article",
    { class: `card site ${troubled ? "troubled" : ""}`, "data-key": site.site_id, "aria-label": `Site ${site.site_id}` },
    h(
      "header",
      null,
      h("h2", null, h("a", { href: siteLink(site.site_id) }, site.site_id)),
      peerPill(site.peer),
      site.waits ? pill("wait", "planning") : null,
      site.plan && site.plan.status !== "optimal" ? pill("wait", `plan ${site.plan.status}`) : null,
      h("span", { class: "quiet" }, site.plan ? `planned ${ago(site.plan.made_at, now)}` : "no plan yet"),
    ),
    site.last_error ? h("p", { class: "error" }, `Cannot be planned: ${site.last_error}`) : null,
    site.roots.map((group) => root(site, group)),
  );
}

function tile(name, value, note, kind, href) {
  const inside = [h("span", { class: "tile-name" }, name), h("b", null, String(value)), h("span", { class: "quiet" }, note)];
  return href ? h("a", { class: `tile ${kind}`, href }, inside) : h("div", { class: `tile ${kind}` }, inside);
}

export function overview(data, now) {
  const groups = data.sites.flatMap(({ roots }) => roots);
  const short = groups.reduce((sum, group) => sum + group.short, 0);
  const lacking = groups.reduce((sum, group) => sum + group.short_kwh, 0);
  const sum = (name) => groups.reduce((total, group) => total + (group[name] ?? 0), 0);
  const { peers, outbox } = data;
  return [
    h("h1", { class: "unseen" }, "Sites"),
    h(
      "section",
      { class: "tiles", "aria-label": "In total" },
      tile("Measured now", kw(sum("measured_kw")), `planned ${kw(sum("planned_kw"))}`, "", null),
      tile("Go short", short, short ? `${kwh(lacking)} in all` : "everybody is served", short ? "short" : "", null),
      tile("Peers", peers.offline ? `${peers.offline} offline` : `${peers.all} online`, `${peers.all} in all`, peers.offline ? "bad" : "", "#/peers"),
      tile("Outbox", outbox.waiting, outbox.failing ? `${outbox.failing} are tried again` : "waiting to go out", outbox.failing ? "bad" : "", "#/outbox"),
    ),
    data.sites.length
      ? h("section", { class: "sites", "aria-label": "Sites" }, data.sites.map((site) => card(site, now)))
      : h("p", { class: "empty" }, "There is no site yet. Put one with PUT /v1/sites/{site_id}, and it appears here."),
  ];
}
