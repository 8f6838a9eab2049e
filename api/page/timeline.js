// A row for each session: how long it is there, when it draws how much, and how far it is with its request.

import { h, s } from "./dom.js";
import { scale, timeAxis, timeTicks } from "./draw.js";
import { clock, kwh, number, when } from "./format.js";
import { margins, place } from "./chart.js";
import { steer } from "./timeview.js";

const ROW_PX = 24;
const NARROW_ROW_PX = 36;

const missing = (session) => session.unmet_kwh + session.unreachable_kwh;

export const ORDERS = {
  arrival: ["by arrival", (a, b) => a.arrival - b.arrival],
  departure: ["by departure", (a, b) => a.departure - b.departure],
  short: ["short first", (a, b) => missing(b) - missing(a) || a.departure - b.departure],
};

export class Timeline {
  constructor(view) {
    this.view = view;
    this.order = "arrival";
    this.axis = s("svg", { class: "timeline-axis", "aria-hidden": "true", focusable: "false" });
    this.svg = s("svg", { "aria-hidden": "true", focusable: "false" });
    this.rows = h("div", { class: "rows", tabindex: "0", role: "group", "aria-label": "Sessions over time" }, this.svg);
    this.element = h("div", { class: "timeline" }, this.axis, this.rows);
    steer(this.svg, view, () => place(this.element));
    view.addEventListener("change", () => this.draw());
    view.addEventListener("point", () => this.point());
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  update(site) {
    this.site = site;
    const short = site.group.sessions.filter((one) => one.is_short).length;
    this.rows.setAttribute(
      "aria-label",
      `${site.group.sessions.length} sessions over time, ${short} of them go short; the table below has the same in figures.`,
    );
    this.draw();
  }

  draw() {
    if (!this.site || !this.element.clientWidth) return;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const width = this.element.clientWidth;
    const narrow = margins(width).left < 60;
    const { left, right } = place(this.element);
    const rowHeight = narrow ? NARROW_ROW_PX : ROW_PX;
    const sessions = [...this.site.group.sessions].sort(ORDERS[this.order][1]);
    const height = sessions.length * rowHeight + 4;
    const x = scale(this.view.range, [left, right]);
    this.x = x;
    this.height = height;
    const most = Math.max(0, ...sessions.flatMap(({ draws, took }) => [...draws, ...took].map(([, , power]) => power))) || 1;
    this.cursor = s("g", { class: "cursor" });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("width", width);
    this.axis.setAttribute("viewBox", `0 0 ${width} 34`);
    this.axis.replaceChildren(timeAxis(this.view, this.site.time_zone, x, { top: -1, bottom: -1, width: right - left }));
    this.svg.replaceChildren(
      s("defs", null, s("clipPath", { id: "rows" }, s("rect", { x: left, y: 0, width: Math.max(0, right - left), height }))),
      ...timeTicks(this.view.range, this.site.time_zone, Math.max(2, (right - left) / 74)).map((at) =>
        s("line", { class: "grid", x1: x(at), x2: x(at), y1: 0, y2: height }),
      ),
      ...sessions.map((session, row) => this.#row(session, row * rowHeight, x, { left, right, width, narrow, rowHeight, most })),
      this.#now(x, height, { left, right }),
      this.cursor,
    );
    this.point();
  }

  #row(session, top, x, { left, right, width, narrow, rowHeight, most }) {
    const kind = session.is_short ? "short" : session.is_planned ? "ok" : "unplanned";
    const room = narrow ? 18 : rowHeight - 6;
    const base = top + rowHeight - 4;
    const bars = s("g", { "clip-path": "url(#rows)" });
    const from = x(session.arrival);
    bars.append(s("rect", { class: `stay ${kind}`, x: from, width: Math.max(2, x(session.departure) - from), y: base - room, height: room, rx: 3 }));
    for (const [begin, end, power] of session.took) {
      const tall = Math.min(1, power / most) * room;
      bars.append(s("rect", { class: "took", x: x(begin), width: Math.max(0.7, x(end) - x(begin)), y: base - tall, height: tall }));
    }
    for (const [begin, end, power] of session.draws) {
      const tall = Math.max(2, (power / most) * room);
      bars.append(s("rect", { class: `draw ${kind}`, x: x(begin), width: Math.max(0.7, x(end) - x(begin)), y: base - tall, height: tall }));
    }
    const shown = session.charger_id.length > 15 ? `${session.charger_id.slice(0, 14)}…` : session.charger_id;
    const group = s(
      "g",
      { class: "row", "data-mark": session.charger_id },
      s("rect", { class: "hit", "data-mark": session.charger_id, x: 0, y: top, width, height: rowHeight }),
      bars,
      s("title", null, this.#words(session)),
    );
    const progress = `${number(session.got_kwh)} of ${number(session.requested_kwh)}`;
    if (narrow) {
      group.append(s("text", { class: "name", x: 2, y: top + 11 }, `${shown} · ${progress} kWh`));
      if (session.is_short) group.append(s("text", { class: "missing", x: right, y: top + 11, "text-anchor": "end" }, `−${number(missing(session))}`));
      return group;
    }
    group.append(s("text", { class: "name", x: left - 8, y: base - 4, "text-anchor": "end" }, shown));
    group.append(...this.#meter(session, right + 10, base - 9, 46));
    const words = session.is_short ? `−${number(missing(session))} kWh` : progress;
    group.append(s("text", { class: session.is_short ? "missing" : "quiet", x: right + 62, y: base - 4 }, words));
    return group;
  }

  #meter(session, x, y, width) {
    const total = session.requested_kwh || 1;
    const got = Math.min(1, session.got_kwh / total) * width;
    const will = Math.min(1, session.will_have_kwh / total) * width;
    const lacks = Math.min(width - will, (missing(session) / total) * width);
    const part = (kind, from, wide) => (wide > 0.3 ? s("rect", { class: kind, x: x + from, y, width: wide, height: 7 }) : null);
    return [
      part("meter-back", 0, width),
      part("meter-will", 0, will),
      part("meter-got", 0, got),
      part("meter-short", will, lacks),
    ].filter(Boolean);
  }

  #words(session) {
    const zone = this.site.time_zone;
    const lines = [
      `${session.session_id} at ${session.charger_id}`,
      `there ${when(session.arrival, zone, this.site.now)} to ${when(session.departure, zone, this.site.now)}`,
      `${kwh(session.got_kwh)} of ${kwh(session.requested_kwh)} so far, ${kwh(session.will_have_kwh)} by the plan`,
    ];
    if (session.is_short) lines.push(`short ${kwh(missing(session))}: ${session.reason}`);
    return lines.join("\n");
  }

  #now(x, bottom, { left, right }) {
    const at = x(this.site.now);
    if (at < left || at > right) return s("g");
    return s("g", { class: "now" }, s("line", { x1: at, x2: at, y1: 0, y2: bottom }));
  }

  point() {
    if (!this.cursor) return;
    const { left, right } = place(this.element);
    const { cursor, selection, marked } = this.view;
    this.cursor.replaceChildren();
    for (const row of this.svg.querySelectorAll(".row")) row.classList.toggle("marked", marked !== null && row.dataset.mark === marked);
    if (selection) {
      const [from, to] = selection.map((at) => Math.min(Math.max(this.x(at), left), right));
      this.cursor.append(s("rect", { class: "selection", x: from, width: to - from, y: 0, height: this.height }));
    }
    const at = cursor === null ? null : this.x(cursor);
    if (at === null || at < left || at > right) return;
    this.cursor.append(s("line", { x1: at, x2: at, y1: 0, y2: this.height }));
  }
}

/** The sessions as a table, for whoever reads rather than looks. */
export function sessionTable(site) {
  const zone = site.time_zone;
  const row = (session) =>
    h(
      "tr",
      { class: session.is_short ? "short" : null },
      h("th", { scope: "row" }, session.charger_id, h("small", null, session.session_id)),
      h("td", null, when(session.arrival, zone, site.now)),
      h("td", null, when(session.departure, zone, site.now)),
      ...[session.requested_kwh, session.got_kwh, session.will_have_kwh, missing(session)].map((value) =>
        h("td", { class: "figure" }, number(value)),
      ),
      h("td", null, session.reason),
    );
  const heads = ["Charger", "Arrival", "Departure", "Requested", "So far", "By the plan", "Short", "Why"];
  return h(
    "table",
    null,
    h("caption", { class: "unseen" }, `Sessions, energy in kWh; now is ${clock(site.now, zone)}`),
    h("thead", null, h("tr", null, heads.map((head, at) => h("th", { scope: "col", class: at > 2 && at < 7 ? "figure" : null }, head)))),
    h("tbody", null, site.group.sessions.map(row)),
  );
}
