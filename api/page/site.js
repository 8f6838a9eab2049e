// One site: its groups, the chart of the chosen one, its sessions, what changed, and what would be if.

import { AdvicePane } from "./advice.js";
import { CATEGORIES } from "./beside.js";
import { GroupChart } from "./chart.js";
import { fill, h, s, slot } from "./dom.js";
import { scale } from "./draw.js";
import { ago, clock, kw, kwh, money, plural, signed, span } from "./format.js";
import { gauge, peerPill, siteLink } from "./overview.js";
import { ORDERS, Timeline, sessionTable } from "./timeline.js";
import { TimeView } from "./timeview.js";
import { WhatIf } from "./whatif.js";
import { whyOf } from "./why.js";

const KINDS = {
  forecast: "capacity forecast",
  asset_measurements: "measurement of chargers",
  group_measurements: "measurement of the group",
};
const SOURCES = { forecast: "by forecast", fallback: "fallback", connection: "by the connection" };
const STATUSES = {
  optimal: ["good", "optimal", "proved: no plan within the limits is better"],
  feasible: ["wait", "stopped early", "it holds every limit; time ran out before it was proved best"],
  fallback: ["wait", "fallback", "the solver gave nothing in time; this plan holds every limit"],
  heuristic: ["wait", "heuristic", "made by a rule of thumb"],
};
const STALE_S = 1800;

export class SiteView {
  constructor(announce, changed) {
    this.changed = changed;
    this.view = new TimeView();
    this.chart = new GroupChart(this.view, announce);
    this.timeline = new Timeline(this.view);
    this.whatIf = new WhatIf(this.view, changed);
    this.advice = new AdvicePane(this.view, changed);
    this.view.addEventListener("change", changed);
  }

  /** Take what the server knows by now. */
  update(site) {
    const isOther = this.site?.site_id !== site.site_id || this.site?.group.group_id !== site.group.group_id;
    this.site = site;
    this.view.extend(site.group.window, site.group.home);
    if (isOther) {
      this.view.zoomed = null;
      this.whatIf.clear();
    }
    this.chart.update(site);
    this.timeline.update(site);
  }

  render(now) {
    const { site } = this;
    const glance = site.groups.find((one) => one.group_id === site.group.group_id);
    return [
      h(
        "header",
        { class: "site-head" },
        h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Sites"), " / "),
        h("h1", null, site.site_id),
        peerPill(site.peer),
        this.#status(now),
      ),
      site.last_error ? h("p", { class: "error" }, `Cannot be planned: ${site.last_error}`) : null,
      h(
        "div",
        { class: site.groups.length > 1 ? "with-groups" : "alone" },
        site.groups.length > 1 ? this.#groups() : null,
        h(
          "div",
          { class: "group" },
          this.#glance(glance, now),
          this.#chartCard(),
          h("div", { class: "halves" }, this.#shortCard(), this.#changesCard(now)),
          this.#timelineCard(),
          this.advice.render(site),
          this.whatIf.render(site),
        ),
      ),
    ];
  }

  /** Put what draws itself into its places. */
  mount(root) {
    fill(root, { power: this.chart.element, timeline: this.timeline.element, "what-if": this.whatIf.chart, advice: this.advice.chart });
  }

  #status(now) {
    const { plan, waits } = this.site;
    if (!plan) return h("span", { class: "pill wait" }, waits ? "planning" : "no plan yet");
    const [kind, word, words] = STATUSES[plan.status] ?? ["wait", plan.status, ""];
    return [
      h("span", { class: `pill ${kind}`, title: words }, `plan ${word}`),
      waits ? h("span", { class: "pill wait" }, "planning anew") : null,
      h("span", { class: "quiet" }, `made at ${clock(plan.made_at, this.site.time_zone)}, ${ago(plan.made_at, now)}`),
    ];
  }

  #groups() {
    const { site } = this;
    return h(
      "nav",
      { class: "groups", "aria-label": "Groups" },
      site.groups.map((group) =>
        h(
          "a",
          {
            href: siteLink(site.site_id, group.group_id),
            class: `depth-${Math.min(4, group.depth)}`,
            "aria-current": group.group_id === site.group.group_id ? "true" : null,
            "data-key": group.group_id,
          },
          h("span", { class: "group-name" }, group.group_id, group.short ? h("span", { class: "pill short" }, `${group.short} short`) : null),
          gauge(group),
          h("span", { class: "quiet" }, `${kw(group.planned_kw)} of ${group.capacity_kw === null ? "no limit" : kw(group.capacity_kw)}`),
        ),
      ),
    );
  }

  #glance(group, now) {
    const { plan, currency } = this.site;
    const fact = (name, value, note, kind = "") =>
      h("div", { class: `fact ${kind}` }, h("dt", null, name), h("dd", null, value), h("dd", { class: "quiet" }, note));
    const age = group.measured_at === null ? null : now - group.measured_at;
    return h(
      "section",
      { class: "card now-card", "aria-label": "Now" },
      gauge(group, true),
      h(
        "dl",
        { class: "facts" },
        fact("Capacity", group.capacity_kw === null ? "none" : kw(group.capacity_kw), SOURCES[group.capacity_source] ?? "nothing limits it", "capacity"),
        fact("Planned", kw(group.planned_kw), group.binds ? "at the limit" : group.counts_total && group.load_kw ? `beside ${kw(group.load_kw)} of load` : "now", group.binds ? "planned binds" : "planned"),
        fact("Measured", kw(group.measured_kw), age === null ? "nothing lately" : `until ${ago(group.measured_at, now)}`, age !== null && age > STALE_S ? "measured stale" : "measured"),
        fact("Sessions", String(group.sessions), `${group.present} there now, ${plural(group.chargers, "charger")}`),
        fact("Short", group.short ? kwh(group.short_kwh) : "nobody", group.short ? plural(group.short, "session") : "all are served", group.short ? "short" : ""),
        plan?.has_prices ? fact("Cost ahead", money(plan.energy_cost, currency), `for ${kwh(plan.delivered_energy_kwh)} on the site`) : null,
      ),
    );
  }

  #chartCard() {
    const hour = (hours) => () => this.view.show(this.site.now - 900, this.site.now - 900 + hours * 3600);
    const button = (name, label, act, pressed) =>
      h("button", { type: "button", class: "quiet-button", "aria-label": label, "aria-pressed": pressed === undefined ? null : String(pressed), on: { click: act } }, name);
    const keys = [
      ["capacity", "capacity"],
      ["planned", "planned, by charger"],
      ["short", "session goes short"],
      ["past", "planned then"],
      ["measured", "measured"],
      ["fallback", "fallback"],
      ["binds", "limit binds"],
      ["price", "price"],
      ["shadow", "shadow price"],
      ...new Set(this.site.group.assets.map(({ category }) => category)),
    ].map((one) => (typeof one === "string" ? [one.toLowerCase(), CATEGORIES[one] ?? one] : one));
    return h(
      "section",
      { class: "card", "aria-labelledby": "power-title", "data-key": "power" },
      h(
        "header",
        { class: "card-head" },
        h("h2", { id: "power-title" }, "Power and prices"),
        h(
          "div",
          { class: "tools", role: "group", "aria-label": "Time shown" },
          button("4 h", "4 h from now", hour(4)),
          button("12 h", "12 h from now", hour(12)),
          button("Stays", "Stays: as long as somebody is there", () => this.view.reset(), this.view.zoomed === null),
          button("All", "All there is", () => this.view.all(), this.view.zoomed !== null && this.view.isAll),
          button("−", "−, zoom out", () => this.view.zoom(1.5)),
          button("+", "+, zoom in", () => this.view.zoom(1 / 1.5)),
        ),
      ),
      h("ul", { class: "legend" }, keys.map(([kind, name]) => h("li", { class: `key ${kind}` }, name))),
      slot("power"),
      h("p", { class: "quiet hint" }, "Drag to zoom, double-click to return. Arrow keys move through the steps."),
    );
  }

  #shortCard() {
    const { site } = this;
    const short = site.group.sessions.filter((one) => one.is_short);
    short.sort((a, b) => b.unmet_kwh + b.unreachable_kwh - a.unmet_kwh - a.unreachable_kwh);
    const row = (one) =>
      h(
        "li",
        { "data-key": one.session_id },
        h("b", null, one.charger_id),
        h("span", { class: "lack" }, ` −${kwh(one.unmet_kwh + one.unreachable_kwh)}`),
        h("span", { class: "quiet" }, ` of ${kwh(one.requested_kwh)}, leaves ${clock(one.departure, site.time_zone)}`),
        h("span", { class: "why" }, one.reason),
        whyOf(one, site),
      );
    return h(
      "section",
      { class: "card", "aria-labelledby": "short-title", "data-key": "short" },
      h("h2", { id: "short-title" }, "Who goes short, and why"),
      short.length ? h("ol", { class: "list" }, short.slice(0, 12).map(row)) : h("p", { class: "fine" }, "Nobody: every request is met by the plan."),
      short.length > 12 ? h("p", { class: "quiet" }, `and ${short.length - 12} more in the table below`) : null,
    );
  }

  #changesCard(now) {
    const { site } = this;
    const changes = site.changes;
    const head = h("h2", { id: "changes-title" }, "What changed last");
    if (!changes) {
      return h("section", { class: "card", "aria-labelledby": "changes-title", "data-key": "changes" }, head, h("p", { class: "quiet" }, "No plan of the last hours differs from the one before it."));
    }
    const words = { new: "new", gone: "gone", later: "leaves later", earlier: "leaves earlier", short: "goes short now", served: "is served now", more: "gets more", less: "gets less" };
    const news = changes.news.map(({ kind, group_id: group, count }) => `${count > 1 ? `${count} × ` : ""}${KINDS[kind] ?? kind} of ${group}`);
    return h(
      "section",
      { class: "card", "aria-labelledby": "changes-title", "data-key": "changes" },
      head,
      h("p", { class: "quiet" }, `Plan of ${clock(changes.made_at, site.time_zone)} (${ago(changes.made_at, now)}) against that of ${clock(changes.before_at, site.time_zone)}.${changes.kept ? ` ${plural(changes.kept, "plan")} since then left it so.` : ""}`),
      h("p", null, news.length ? `What came: ${news.join(", ")}.` : "No message came in between; a session, a price or the time changed it."),
      changes.shifts.length
        ? [
            this.#shiftChart(changes),
            h("p", { class: "quiet" }, `${signed(changes.more_kwh, "kWh")} where it draws more, ${signed(changes.less_kwh, "kWh")} where less.`),
          ]
        : h("p", { class: "fine" }, "The power is as it was."),
      changes.sessions.length
        ? h(
            "ul",
            { class: "list" },
            changes.sessions.slice(0, 8).map((one) =>
              h("li", { "data-key": one.session_id }, h("b", null, one.charger_id), h("span", { class: one.what === "short" ? "lack" : "quiet" }, ` ${words[one.what] ?? one.what}`), ` ${signed(one.change_kwh, "kWh")}`),
            ),
          )
        : null,
      changes.sessions.length > 8 || changes.sessions_more ? h("p", { class: "quiet" }, `and ${Math.max(0, changes.sessions.length - 8) + changes.sessions_more} more`) : null,
    );
  }

  #shiftChart({ shifts, start: from }) {
    const to = Math.max(...shifts.map(([, end]) => end));
    const x = scale([from, to], [0, 400]);
    const most = Math.max(...shifts.map(([, , change]) => Math.abs(change)));
    const y = scale([-most, most], [58, 2]);
    const zone = this.site.time_zone;
    const biggest = shifts.reduce((best, one) => (Math.abs(one[2]) > Math.abs(best[2]) ? one : best));
    const words = `Change of planned power from ${clock(from, zone)} to ${clock(to, zone)}; the largest is ${signed(biggest[2], "kW")} at ${span(biggest[0], biggest[1], zone, this.site.now)}`;
    return h(
      "div",
      { class: "shift-chart" },
      s(
        "svg",
        { viewBox: "0 0 400 60", preserveAspectRatio: "none", role: "img", "aria-label": words },
        shifts.map(([begin, end, change]) => s("rect", { class: change > 0 ? "more" : "less", x: x(begin), width: Math.max(1, x(end) - x(begin)), y: Math.min(y(0), y(change)), height: Math.abs(y(change) - y(0)) })),
        s("line", { class: "zero", x1: 0, x2: 400, y1: y(0), y2: y(0) }),
      ),
      h("div", { class: "ends", "aria-hidden": "true" }, h("span", null, clock(from, zone)), h("span", null, `largest ${signed(biggest[2], "kW")}, ${span(biggest[0], biggest[1], zone, this.site.now)}`), h("span", null, clock(to, zone))),
    );
  }

  #timelineCard() {
    const { site } = this;
    const listed = site.group.sessions.length;
    const order = h(
      "label",
      { class: "order" },
      h("span", { class: "unseen" }, "Order of sessions"),
      h(
        "select",
        { on: { change: (event) => this.#sort(event.target.value) } },
        Object.entries(ORDERS).map(([key, [name]]) => h("option", { value: key, selected: this.timeline.order === key }, name)),
      ),
    );
    return h(
      "section",
      { class: "card", "aria-labelledby": "sessions-title", "data-key": "sessions" },
      h("header", { class: "card-head" }, h("h2", { id: "sessions-title" }, "Sessions"), listed ? order : null),
      h(
        "p",
        { class: "quiet" },
        listed ? `${plural(listed, "session")}: how long each is there, when it draws how much, and how far it is with its request, in kWh.` : "Nobody is there, and nobody is expected.",
        site.group.left_out ? ` ${site.group.left_out} more are not listed: those that go short and that get most are.` : "",
      ),
      slot("timeline", { hidden: !listed }),
      listed ? h("details", null, h("summary", null, "The same as a table"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sessions as a table" }, sessionTable(site))) : null,
    );
  }

  #sort(order) {
    this.timeline.order = order;
    this.timeline.draw();
    this.changed();
  }
}
