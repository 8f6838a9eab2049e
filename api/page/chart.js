// Capacity, planned and measured power, price and shadow price of a group over one axis of time.

import { assetLines, assetSums, currents, mostAmperes } from "./beside.js";
import { h, s, show } from "./dom.js";
import { endLabels, intervals, runs, scale, stepArea, stepLine, ticks, timeAxis, valueAt, valueAxis } from "./draw.js";
import { kw, number, price, span } from "./format.js";
import { steer, steerByKeys } from "./timeview.js";

const NARROW_PX = 640;
const FAR = 2.5;
const FULL = 0.999;
const LISTED = 6;
const TITLE_PX = 300;

/** Widths left and right of what is drawn over time, the same for every chart of a page. */
export const margins = (width) => (width < NARROW_PX ? { left: 40, right: 10 } : { left: 108, right: 160 });

/** Where the plot of an element begins and ends, and how wide it is, in pixels. */
export function place(element) {
  const width = element.clientWidth;
  const { left, right } = margins(width);
  return { left, width: width - left - right, right: width - right };
}

const highest = (values) => values.reduce((most, value) => (value !== null && value > most ? value : most), 0);

/** Mean power of each charger in each step of the plan, and of what is not listed. */
export function layersOf(group) {
  const { edges, power_kw: total } = group;
  const steps = total.length;
  const layers = new Map();
  for (const session of group.sessions) {
    if (!session.draws.length) continue;
    if (!layers.has(session.charger_id)) {
      layers.set(session.charger_id, { name: session.charger_id, kw: new Float64Array(steps), isShort: false, ids: [] });
    }
    const layer = layers.get(session.charger_id);
    layer.isShort ||= session.is_short;
    layer.ids.push(session.session_id);
    let step = 0;
    for (const [from, to, power] of session.draws) {
      while (step > 0 && edges[step] > from) step -= 1;
      while (step < steps && edges[step + 1] <= from) step += 1;
      for (let at = step; at < steps && edges[at] < to; at += 1) {
        const shared = Math.min(to, edges[at + 1]) - Math.max(from, edges[at]);
        layer.kw[at] += (power * Math.max(0, shared)) / (edges[at + 1] - edges[at]);
      }
    }
  }
  const listed = [...layers.values()];
  if (group.left_out) {
    const rest = total.map((value, step) => Math.max(0, value - listed.reduce((sum, layer) => sum + layer.kw[step], 0)));
    listed.push({ name: `${group.left_out} more sessions`, kw: rest, isShort: false, ids: [] });
  }
  return listed;
}

export class GroupChart {
  constructor(view, onAnnounce) {
    this.view = view;
    this.svg = s("svg", { "aria-hidden": "true", focusable: "false" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h(
      "div",
      {
        class: "chart",
        tabindex: "0",
        role: "group",
        "aria-roledescription": "chart",
        "aria-label": "Power and prices over time",
      },
      this.svg,
      this.tip,
    );
    steer(this.svg, view, () => place(this.element));
    steerByKeys(this.element, view, () => this.stops ?? [], () => onAnnounce(this.tip.innerText));
    view.addEventListener("change", () => this.draw());
    view.addEventListener("point", () => this.point());
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  update(site) {
    this.site = site;
    this.group = site.group;
    this.layers = layersOf(site.group);
    const { edges, power_kw: power, limit_kw: limit } = site.group;
    this.glance = site.groups.find((one) => one.group_id === site.group.group_id);
    this.planned = intervals(edges, power);
    this.binding = runs(edges, (step) => limit[step] !== null && power[step] > 0 && power[step] >= FULL * limit[step]);
    this.prices = site.group.prices.length ? site.group.prices : intervals(edges, site.group.price);
    this.stops = [...new Set([...site.group.past.map(([from]) => from), ...edges])].sort((a, b) => a - b);
    const blocks = (kind) => site.group.forecasts.filter(({ type }) => type === kind).map((one) => one);
    this.capacity = blocks("CONSUMPTION");
    this.fallback = blocks("FALLBACK_CONSUMPTION");
    this.exported = [...blocks("GENERATION"), ...blocks("FALLBACK_GENERATION")];
    this.assets = assetSums(site.group);
    this.element.setAttribute("aria-label", this.#words());
    this.draw();
  }

  draw() {
    if (!this.group || !this.element.clientWidth) return;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#draw());
  }

  #words() {
    const peak = highest(this.group.power_kw);
    const bound = this.binding.length;
    return (
      `Power and prices of ${this.group.group_id} over time. Planned up to ${kw(peak)}. ` +
      `The limit binds in ${bound} ${bound === 1 ? "stretch" : "stretches"} of time. ` +
      "Arrow keys move through the steps, plus and minus zoom, shift and arrow keys pan, 0 shows all."
    );
  }

  #draw() {
    const width = this.element.clientWidth;
    const narrow = width < NARROW_PX;
    const { left, right } = place(this.element);
    const hasPrice = this.prices.some(([, , value]) => value !== null);
    const hasShadow = this.group.shadow.some((value) => value !== null && value > 1e-9);
    const power = { top: 26, bottom: narrow ? 236 : 316 };
    let bottom = power.bottom;
    const priced = hasPrice ? { top: bottom + 40, bottom: bottom + (narrow ? 92 : 104) } : null;
    bottom = priced?.bottom ?? bottom;
    const worth = hasShadow ? { top: bottom + 40, bottom: bottom + (narrow ? 82 : 92) } : null;
    bottom = worth?.bottom ?? bottom;
    const carried = this.group.lines.length ? { top: bottom + 40, bottom: bottom + (narrow ? 92 : 104) } : null;
    bottom = carried?.bottom ?? bottom;
    const height = bottom + 38;
    const x = scale(this.view.range, [left, right]);
    this.x = x;
    this.frame_ = { left, right, top: power.top, bottom };
    const clip = s("clipPath", { id: "plot" }, s("rect", { x: left, y: 0, width: Math.max(0, right - left), height }));
    this.cursor = s("g", { class: "cursor" });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("width", width);
    this.svg.replaceChildren(
      s("defs", null, clip),
      timeAxis(this.view, this.site.time_zone, x, { top: power.top, bottom, width: right - left }),
      ...this.#power(x, power, { left, right, narrow }),
      ...(priced ? this.#price(x, priced, { left, right, narrow }) : []),
      ...(worth ? this.#shadow(x, worth, { left, right, narrow }) : []),
      ...(carried ? this.#currents(x, carried, { left, right, narrow }) : []),
      this.#now(x, power.top, bottom, { left, right }),
      this.cursor,
    );
    this.point();
  }

  #limits() {
    const connection = this.glance?.connection_kw ?? null;
    const stated = this.capacity.flatMap(({ blocks }) => blocks.map(([, , value]) => value));
    return [...stated, ...(connection === null ? [] : [connection])];
  }

  #power(x, { top, bottom }, { left, right, narrow }) {
    const group = this.group;
    const base = Math.max(0, this.glance?.load_kw ?? 0);
    const peak = Math.max(
      base + highest(group.power_kw),
      highest(group.measured.map(([, , value]) => value)),
      highest(group.past.map(([, , value]) => value)) + base,
      ...this.assets.map(({ power }) => highest(power)),
    );
    const fed = Math.max(0, ...this.assets.flatMap(({ power }) => power.map((value) => -value)));
    const limit = highest(this.#limits());
    const far = peak > 0 && limit > FAR * peak;
    const most = 1.08 * (far ? 1.5 * peak : Math.max(peak, limit)) || 1;
    const out = Math.max(fed, Math.min(highest(this.exported.flatMap(({ blocks }) => blocks.map(([, , value]) => value))), 0.4 * most));
    const y = scale([-1.08 * out, most], [bottom, top]);
    const plot = s("g", { "clip-path": "url(#plot)" });
    for (const [from, to] of this.binding) {
      const place = { x: x(from), width: Math.max(1, x(to) - x(from)), y: top };
      plot.append(s("rect", { class: "binds", ...place, height: bottom - top }), s("rect", { class: "binds-edge", ...place, height: 4 }));
    }
    if (base) plot.append(s("rect", { class: "base", x: left, width: right - left, y: y(base), height: y(0) - y(base) }));
    const past = group.past.map(([from, to, value]) => [from, to, value + base]);
    if (past.length) {
      const edges = [...past.map(([from]) => from), past.at(-1)[1]];
      const even = past.every(([, to], index) => index === past.length - 1 || to === past[index + 1][0]);
      if (even) {
        const tops = past.map(([, , value]) => value);
        plot.append(s("path", { class: "past", d: stepArea(edges, tops.map(() => base), tops, x, y) }));
      }
      plot.append(s("path", { class: "past-line", d: stepLine(past, x, y) }));
    }
    plot.append(this.#stack(x, y, base));
    plot.append(s("path", { class: "planned", d: stepLine(this.planned.map(([a, b, v]) => [a, b, v + base]), x, y) }));
    plot.append(...assetLines(this.assets, x, y));
    for (const { blocks, phase } of this.fallback) {
      plot.append(s("path", { class: phase === "ALL" ? "fallback" : "fallback phase", d: stepLine(blocks, x, y) }));
    }
    const connection = this.glance?.connection_kw ?? null;
    if (connection !== null && connection <= most) {
      plot.append(s("path", { class: "connection", d: `M${left} ${y(connection)}H${right}` }));
    }
    for (const { blocks, phase } of this.capacity) {
      plot.append(s("path", { class: phase === "ALL" ? "capacity" : "capacity phase", d: stepLine(blocks, x, y) }));
    }
    plot.append(s("path", { class: "measured-rim", d: stepLine(group.measured, x, y) }));
    plot.append(s("path", { class: "measured", d: stepLine(group.measured, x, y) }));
    for (const { blocks, type } of this.exported) {
      const line = blocks.map(([from, to, value]) => [from, to, -value]);
      plot.append(s("path", { class: type === "GENERATION" ? "export" : "export fallback", d: stepLine(line, x, y) }));
    }
    const title = far ? `Power, kW · capacity up to ${number(limit)} kW is above the chart` : "Power, kW";
    return [
      valueAxis(ticks(-out, most, narrow ? 4 : 6), y, { left, right }, number),
      s("text", { class: "title", x: left, y: top - 10 }, title),
      plot,
      ...(narrow ? [] : this.#endLabels(y, right, [top, bottom], base)),
    ];
  }

  #endLabels(y, right, range, base) {
    const [from, to] = this.view.range;
    const last = (list) => {
      const seen = list.filter(([begin, end, value]) => value !== null && end > from && begin < to);
      return seen.length ? seen.at(-1) : null;
    };
    const label = (list, text, kind, shift = 0) => {
      const found = last(list);
      return found ? { y: Math.max(range[0], y(found[2] + shift)), text, kind } : null;
    };
    const whole = (list) => list.filter(({ phase }) => phase === "ALL").flatMap(({ blocks }) => blocks);
    const connection = this.glance?.connection_kw;
    const known = whole(this.capacity);
    return endLabels(
      [
        label(known, "capacity", "capacity"),
        label(whole(this.fallback), "fallback", "fallback"),
        this.exported.length ? { y: y(-this.exported[0].blocks.at(-1)?.[2] || 0), text: "export", kind: "export" } : null,
        connection !== null && connection !== undefined && !known.length ? label([[from, to, connection]], "connection", "capacity") : null,
        label(this.planned, "planned", "planned", base),
        label(this.group.measured, "measured", "measured"),
        ...this.assets.map(({ category, name, list }) => label(list, name, category.toLowerCase())),
      ],
      right,
      range,
    );
  }

  #stack(x, y, base) {
    const { edges, power_kw: power } = this.group;
    const group = s("g", { class: "stack" });
    let bottom = new Float64Array(power.length).fill(base);
    this.layers.forEach((layer, place) => {
      const top = bottom.map((value, step) => value + layer.kw[step]);
      const kind = layer.isShort ? "short" : "ok";
      group.append(
        s("path", {
          class: `layer ${kind} tone-${place % 3}`,
          "data-mark": layer.name,
          d: stepArea(edges, bottom, top, x, y),
        }),
      );
      bottom = top;
    });
    return group;
  }

  #price(x, { top, bottom }, { left, right }) {
    const values = this.prices.map(([, , value]) => value).filter((value) => value !== null);
    const low = Math.min(0, ...values);
    const high = Math.max(...values, 0) || 1;
    const y = scale([low, 1.1 * high], [bottom, top]);
    const plot = s("g", { "clip-path": "url(#plot)" });
    const edges = [...this.prices.map(([from]) => from), this.prices.at(-1)[1]];
    const even = this.prices.every(([, to], index) => index === this.prices.length - 1 || to === this.prices[index + 1][0]);
    if (even) {
      const heights = this.prices.map(([, , value]) => Math.max(0, value ?? 0));
      plot.append(s("path", { class: "price-area", d: stepArea(edges, heights.map(() => 0), heights, x, y) }));
    }
    plot.append(s("path", { class: "price", d: stepLine(this.prices, x, y) }));
    return [
      valueAxis(ticks(low, 1.1 * high, 2), y, { left, right }, price),
      s("text", { class: "title", x: left, y: top - 10 }, `Price, ${this.site.currency}/kWh`),
      plot,
    ];
  }

  #shadow(x, { top, bottom }, { left, right, narrow }) {
    const { edges, shadow } = this.group;
    const values = shadow.map((value) => value ?? 0);
    const y = scale([0, 1.1 * (highest(values) || 1)], [bottom, top]);
    const plot = s("g", { "clip-path": "url(#plot)" });
    plot.append(s("path", { class: "shadow", d: stepArea(edges, values.map(() => 0), values, x, y) }));
    const words = narrow ? "Shadow price" : "Shadow price: what a further kWh of this limit would save";
    return [
      valueAxis(ticks(0, 1.1 * (highest(values) || 1), 2), y, { left, right }, price),
      s("text", { class: "title", x: left, y: top - 10 }, `${words}, ${this.site.currency}/kWh`),
      plot,
    ];
  }

  #currents(x, place, frame) {
    const most = mostAmperes(this.group);
    return currents(this.group, x, scale([0, most], [place.bottom, place.top]), place, frame, most);
  }

  #now(x, top, bottom, { left, right }) {
    const at = x(this.site.now);
    if (at < left || at > right) return s("g");
    const flip = at > right - 40;
    return s(
      "g",
      { class: "now" },
      s("line", { x1: at, x2: at, y1: top - 6, y2: bottom }),
      // Beside the title, or below it.
      s("text", { x: flip ? at - 5 : at + 5, y: at < left + TITLE_PX ? top + 12 : top - 10, "text-anchor": flip ? "end" : "start" }, "now"),
    );
  }

  /** Show what holds where the pointer is. */
  point() {
    if (!this.cursor) return;
    const { left, right, top, bottom } = this.frame_;
    const { cursor, selection, marked } = this.view;
    this.cursor.replaceChildren();
    for (const path of this.svg.querySelectorAll(".layer")) {
      path.classList.toggle("marked", marked !== null && path.dataset.mark === marked);
      path.classList.toggle("dimmed", marked !== null && path.dataset.mark !== marked);
    }
    if (selection) {
      const [from, to] = selection.map((at) => Math.min(Math.max(this.x(at), left), right));
      this.cursor.append(s("rect", { class: "selection", x: from, width: to - from, y: top, height: bottom - top }));
    }
    const at = cursor === null ? null : this.x(cursor);
    const isInside = at !== null && at >= left && at <= right;
    this.tip.hidden = !isInside;
    if (!isInside) return;
    this.cursor.append(s("line", { x1: at, x2: at, y1: top, y2: bottom }));
    show(this.tip, ...this.#tip(cursor, marked));
    const width = this.tip.offsetWidth;
    this.tip.style.left = `${at + 14 + width < this.element.clientWidth ? at + 14 : Math.max(0, at - width - 14)}px`;
    this.tip.style.top = `${top + 6}px`;
  }

  #tip(cursor, marked) {
    const { edges, shadow } = this.group;
    const step = edges.findLastIndex((edge) => edge <= cursor);
    const isPlanned = step >= 0 && step < edges.length - 1;
    const zone = this.site.time_zone;
    const past = this.group.past.find(([from, to]) => from <= cursor && cursor < to);
    const [from, to] = isPlanned ? [edges[step], edges[step + 1]] : past ? [past[0], past[1]] : [cursor, cursor];
    const whole = (list) => list.find(({ phase }) => phase === "ALL")?.blocks ?? [];
    const allowed = valueAt(whole(this.capacity), cursor) ?? valueAt(whole(this.fallback), cursor) ?? this.glance?.connection_kw;
    const planned = isPlanned ? this.group.power_kw[step] : (past?.[2] ?? null);
    const rows = [
      ["capacity", "Capacity", kw(allowed)],
      ["planned", "Planned", kw(planned)],
      ["measured", "Measured", kw(valueAt(this.group.measured, cursor))],
    ];
    const paid = valueAt(this.prices, cursor);
    if (paid !== null) rows.push(["price", "Price", price(paid)]);
    if (isPlanned && shadow[step]) rows.push(["shadow", "A further kWh saves", price(shadow[step])]);
    if (isPlanned) {
      for (const { category, name, power } of this.assets) rows.push([category.toLowerCase(), name, kw(power[step])]);
      for (const line of this.group.lines) rows.push(["line", line.name, `${number(line.current_a[step])} of ${number(line.limit_a[step] ?? 0)} A`]);
    }
    const drawing = isPlanned
      ? this.layers.filter((layer) => layer.kw[step] > 0.005).sort((a, b) => b.kw[step] - a.kw[step])
      : [];
    const first = drawing.filter(({ name }) => name === marked);
    const listed = [...first, ...drawing.filter(({ name }) => name !== marked)].slice(0, LISTED);
    return [
      h("b", null, from === to ? span(from, to, zone, this.site.now).split("–")[0] : span(from, to, zone, this.site.now)),
      h("dl", null, rows.map(([kind, name, value]) => [h("dt", { class: `key ${kind}` }, name), h("dd", null, value)])),
      drawing.length ? h("p", { class: "quiet" }, `${drawing.length} ${drawing.length === 1 ? "charger draws" : "chargers draw"}`) : null,
      h(
        "ol",
        null,
        listed.map((layer) =>
          h("li", { class: `${layer.isShort ? "short" : "ok"} ${layer.name === marked ? "marked" : ""}` }, `${layer.name} `, h("span", null, kw(layer.kw[step]))),
        ),
      ),
    ];
  }
}
