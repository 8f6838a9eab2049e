// What the plan would be with another limit, price or departure. Nothing is stored or sent.

import { AskingCard } from "./asking.js";
import { h, s, slot } from "./dom.js";
import { intervals, stepLine } from "./draw.js";
import { clock, day, kw, kwh, money, offset, signed, when } from "./format.js";
import { post } from "./net.js";

const STEP_S = 1800;
const DAYS = 2;

/** Half hours of a zone's clock from now on. */
function marks(now, end, zone) {
  const ahead = offset(now, zone);
  const first = Math.ceil((now + ahead) / STEP_S) * STEP_S - ahead;
  const found = [];
  for (let at = first; at <= Math.min(end, now + DAYS * 86400); at += STEP_S) found.push(at);
  return found;
}

const iso = (seconds) => new Date(seconds * 1000).toISOString();

export class WhatIf extends AskingCard {
  constructor(view, changed) {
    super(view, changed, "what-if");
    this.kind = "limit";
    this.values = {};
  }

  /** Forget what was asked: another site or group is looked at. */
  clear() {
    this.values = {};
    this.forget();
  }

  render(site) {
    this.site = site;
    return h(
      "section",
      { class: "card what-if", "aria-labelledby": "what-if-title", "data-key": "what-if" },
      h("h2", { id: "what-if-title" }, "What if"),
      h("p", { class: "quiet" }, "Both plans are made now, side by side. Nothing is stored, nothing is sent."),
      this.#tabs(),
      h("form", { on: { submit: (event) => this.#ask(event) } }, this.#fields(), h("button", { class: "primary", type: "submit", disabled: this.busy }, this.busy ? "Planning…" : "Compare")),
      this.error ? h("p", { class: "error", role: "alert" }, this.error) : null,
      h("div", { "aria-live": "polite" }, this.answer ? this.#result() : null),
      slot("what-if", { class: "what-if-frame", hidden: !this.answer }),
    );
  }

  #tabs() {
    const kinds = { limit: "Limit", price: "Price", departure: "Departure" };
    return h(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "What to change" },
      Object.entries(kinds).map(([kind, name]) =>
        h(
          "label",
          { class: this.kind === kind ? "chosen" : "" },
          h("input", {
            type: "radio",
            name: "what-if-kind",
            value: kind,
            checked: this.kind === kind,
            on: { change: () => this.#choose(kind) },
          }),
          name,
        ),
      ),
    );
  }

  #choose(kind) {
    this.kind = kind;
    this.forget();
    this.changed();
  }

  #fields() {
    const { site } = this;
    const end = site.group.edges.at(-1) ?? site.now + 86400;
    const times = marks(site.now, end, site.time_zone);
    if (this.kind === "departure") {
      const sessions = site.group.sessions.filter(({ is_planned: planned }) => planned);
      const chosen = sessions.find(({ session_id: id }) => id === this.values.session) ?? sessions[0];
      const name = (one) => `${one.charger_id} · ${one.session_id} · leaves ${when(one.departure, site.time_zone, site.now)}`;
      return h(
        "div",
        { class: "fields" },
        this.#select("session", "Session", sessions.map((one) => [one.session_id, name(one)]), chosen?.session_id),
        this.#select("departure", "would leave", this.#options(times), this.#near(times, (chosen?.departure ?? site.now) + 3600)),
      );
    }
    const [from, to] = [this.#near(times, site.now), this.#near(times, site.now + 4 * 3600)];
    const glance = site.groups.find((one) => one.group_id === site.group.group_id);
    const price = site.group.prices.find(([begin, until]) => begin <= site.now && site.now < until)?.[2] ?? 0.2;
    return h(
      "div",
      { class: "fields" },
      this.#select("from", "From", this.#options(times), from),
      this.#select("to", "to", this.#options(times), to),
      this.kind === "limit"
        ? this.#input("limit", `${site.group.group_id} may draw, kW`, Math.round((glance?.capacity_kw ?? 100) / 2), "0", "1")
        : this.#input("price", `energy costs, ${site.currency}/kWh`, Math.round(price * 2 * 1e4) / 1e4, null, "any"),
    );
  }

  #options(times) {
    const zone = this.site.time_zone;
    return times.map((at) => [String(at), day(at, zone) === day(this.site.now, zone) ? clock(at, zone) : `${day(at, zone)} ${clock(at, zone)}`]);
  }

  #near(times, at) {
    return String(times.reduce((best, one) => (Math.abs(one - at) < Math.abs(best - at) ? one : best), times[0] ?? at));
  }

  #select(name, label, options, fallback) {
    const value = options.some(([key]) => key === this.values[name]) ? this.values[name] : fallback;
    return h(
      "label",
      { "data-key": name },
      h("span", null, label),
      h(
        "select",
        { name, on: { change: (event) => this.#keep(event) } },
        options.map(([key, text]) => h("option", { value: key, selected: key === value, "data-key": key }, text)),
      ),
    );
  }

  #input(name, label, fallback, min, step) {
    const value = this.values[name] ?? fallback;
    return h("label", { "data-key": name }, h("span", null, label), h("input", { name, type: "number", inputmode: "decimal", min, step, value, required: true, on: { input: (event) => this.#keep(event) } }));
  }

  #keep(event) {
    this.values[event.target.name] = event.target.value;
    if (event.target.name === "session") {
      delete this.values.departure;
      this.changed();
    }
  }

  async #ask(event) {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const { site } = this;
    const span = () => ({ start: iso(given.from), end: iso(given.to) });
    const body = {
      limit: () => ({ limits: [{ ...span(), group_id: site.group.group_id, limit_kw: Number(given.limit) }] }),
      price: () => ({ prices: [{ ...span(), import_price_per_kwh: Number(given.price) }] }),
      departure: () => ({ departures: [{ session_id: given.session, departure: iso(given.departure) }] }),
    }[this.kind];
    if (this.kind !== "departure" && Number(given.from) >= Number(given.to)) {
      this.error = "The end must be after the begin.";
      this.changed();
      return;
    }
    await this.request(async () => {
      this.answer = await post("what-if", body(), { site: site.site_id });
      this.asked = site.group.group_id;
    });
  }

  #result() {
    const { present, changed, currency, sessions } = this.answer;
    const row = (name, key, write, worse, unit) => {
      const change = changed[key] - present[key];
      const tone = Math.abs(change) < 0.005 ? "" : (change > 0) === worse ? "worse" : "better";
      return h(
        "tr",
        null,
        h("th", { scope: "row" }, name),
        h("td", { class: "figure" }, write(present[key])),
        h("td", { class: "figure" }, write(changed[key])),
        h("td", { class: `figure ${tone}` }, Math.abs(change) < 0.005 ? "same" : signed(change, unit)),
      );
    };
    return [
      h(
        "table",
        { class: "compare" },
        h("thead", null, h("tr", null, [h("td", null), ...["as it is", "what if", "change"].map((name) => h("th", { scope: "col", class: "figure" }, name))])),
        h(
          "tbody",
          null,
          present.has_prices ? row("Cost", "energy_cost", (value) => money(value, currency), true, currency) : null,
          row("Delivered", "delivered_kwh", kwh, false, "kWh"),
          row("Short", "unmet_kwh", kwh, true, "kWh"),
          row("Sessions short", "short", String, true, ""),
          row("Peak of the site", "peak_kw", kw, true, "kW"),
        ),
      ),
      sessions.length
        ? h(
            "ul",
            { class: "shifts" },
            sessions.slice(0, 8).map((one) =>
              h("li", null, h("b", null, one.charger_id), ` ${signed(one.change_kwh, "kWh")}`, one.short_kwh > 0.01 ? h("span", { class: "quiet" }, ` short ${kwh(one.short_kwh)}: ${one.reason}`) : null),
            ),
            sessions.length > 8 ? h("li", { class: "quiet" }, `and ${sessions.length - 8} more`) : null,
          )
        : h("p", { class: "quiet" }, "Every session would get the same energy."),
    ];
  }

  draw() {
    if (!this.answer || !this.chart.clientWidth) return;
    const [present, changed] = [this.answer.present, this.answer.changed];
    const group = this.asked;
    const lines = (side) => ({
      power: intervals(side.edges, side.groups[group].power_kw),
      limit: intervals(side.edges, side.groups[group].limit_kw),
    });
    const [is, would] = [lines(present), lines(changed)];
    const peak = Math.max(1, ...is.power.map(([, , value]) => value), ...would.power.map(([, , value]) => value));
    const most = 1.1 * Math.min(2.2 * peak, Math.max(peak, ...would.limit.map(([, , value]) => value ?? 0)));
    const end = Math.max(this.view.home[1], present.edges[0] + 3600);
    const range = [present.edges[0], Math.min(present.edges.at(-1), end)];
    const title = "Planned power, kW: as it is (filled) and what if (line)";
    const { x, y, left, right, top, bottom, axes } = this.frame(range, most, title, 10);
    const clip = s("clipPath", { id: "what-if-plot" }, s("rect", { x: left, y: top, width: right - left, height: bottom - top }));
    this.svg.replaceChildren(
      s("defs", null, clip),
      ...axes,
      s(
        "g",
        { "clip-path": "url(#what-if-plot)" },
        is.power.map(([from, to, value]) => s("rect", { class: "as-is", x: x(from), width: x(to) - x(from) + 0.3, y: y(value), height: bottom - y(value) })),
        s("path", { class: "capacity", d: stepLine(would.limit, x, y) }),
        s("path", { class: "would", d: stepLine(would.power, x, y) }),
      ),
    );
  }
}
