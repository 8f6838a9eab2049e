// Paths and axes from figures.

import { s } from "./dom.js";
import { clock, day, offset } from "./format.js";

const STEPS_S = [300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const fix = (value) => Math.round(value * 10) / 10;

/** Position of an instant within a stretch of pixels, and back. */
export function scale([from, to], [first, last]) {
  const factor = (last - first) / (to - from || 1);
  return (value) => first + (value - from) * factor;
}

/** A line in steps through intervals of begin, end and value; broken where they leave a gap or have no value. */
export function stepLine(intervals, x, y) {
  let path = "";
  let end = null;
  for (const [from, to, value] of intervals) {
    if (value === null) {
      end = null;
      continue;
    }
    path += from === end ? `V${fix(y(value))}` : `M${fix(x(from))} ${fix(y(value))}`;
    path += `H${fix(x(to))}`;
    end = to;
  }
  return path;
}

/** The area between two heights in steps, of every run of steps where they differ. */
export function stepArea(edges, bottom, top, x, y) {
  let path = "";
  let first = null;
  for (let step = 0; step <= top.length; step += 1) {
    const isThere = step < top.length && top[step] - bottom[step] > 1e-9;
    if (isThere && first === null) first = step;
    if (!isThere && first !== null) {
      path += `M${fix(x(edges[first]))} ${fix(y(bottom[first]))}`;
      for (let i = first; i < step; i += 1) path += `V${fix(y(top[i]))}H${fix(x(edges[i + 1]))}`;
      for (let i = step - 1; i >= first; i -= 1) path += `V${fix(y(bottom[i]))}H${fix(x(edges[i]))}`;
      path += "Z";
      first = null;
    }
  }
  return path;
}

/** Intervals of the steps of a plan. */
export const intervals = (edges, values) => values.map((value, step) => [edges[step], edges[step + 1], value]);

/** The value of intervals at an instant; null where none holds. */
export function valueAt(list, at) {
  const found = list.find(([from, to]) => from <= at && at < to);
  return found ? found[2] : null;
}

/** Runs of steps for which something holds, as begin and end. */
export function runs(edges, holds) {
  const found = [];
  for (let step = 0; step < edges.length - 1; step += 1) {
    if (!holds(step)) continue;
    const last = found.at(-1);
    if (last && last[1] === edges[step]) last[1] = edges[step + 1];
    else found.push([edges[step], edges[step + 1]]);
  }
  return found;
}

/** Round values for an axis. */
export function ticks(from, to, count) {
  const rough = (to - from) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough - 1e-12) ?? power;
  const values = [];
  for (let value = Math.ceil(from / step - 1e-9) * step; value <= to + 1e-9 * step; value += step) values.push(Math.abs(value) < 1e-9 * step ? 0 : value);
  return values;
}

/** Round instants of a zone's wall clock. */
export function timeTicks([from, to], zone, count) {
  const step = STEPS_S.find((size) => (to - from) / size <= count) ?? 86400;
  const ahead = offset(from, zone);
  const found = [];
  for (let at = Math.ceil((from + ahead) / step) * step - ahead; at <= to; at += step) {
    // Where the clocks are changed in between, the ticks go on at round times.
    const shift = offset(at, zone) - ahead;
    found.push(at - (step > 3600 ? shift : 0));
  }
  return found;
}

/** Vertical grid lines and clock times below them. */
export function timeAxis(view, zone, x, { top, bottom, width }) {
  const group = s("g", { class: "axis" });
  let known = null;
  for (const at of timeTicks(view.range, zone, Math.max(2, width / 74))) {
    const place = fix(x(at));
    group.append(s("line", { class: "grid", x1: place, x2: place, y1: top, y2: bottom }));
    group.append(s("text", { x: place, y: bottom + 16, "text-anchor": "middle" }, clock(at, zone)));
    const name = day(at, zone);
    if (known !== name) {
      group.append(s("text", { class: "day", x: place, y: bottom + 31, "text-anchor": "middle" }, name));
      known = name;
    }
  }
  return group;
}

/** Horizontal grid lines with their values. */
export function valueAxis(values, y, { left, right }, write) {
  return s(
    "g",
    { class: "axis" },
    values.map((value) => [
      s("line", { class: value === 0 ? "zero" : "grid", x1: left, x2: right, y1: fix(y(value)), y2: fix(y(value)) }),
      s("text", { x: left - 8, y: fix(y(value)) + 4, "text-anchor": "end" }, write(value)),
    ]),
  );
}

/** Texts at the end of lines, moved apart where they would cover one another. */
export function endLabels(labels, left, [top, bottom]) {
  const ordered = labels.filter(Boolean).sort((a, b) => a.y - b.y);
  let last = -Infinity;
  for (const label of ordered) {
    label.at = Math.max(label.y + 4, last + 14, top + 8);
    last = label.at;
  }
  let limit = bottom + 4;
  for (const label of ordered.toReversed()) {
    label.at = Math.min(label.at, limit);
    limit = label.at - 14;
  }
  return ordered.map(({ at, text, kind }) => s("text", { class: `end-label end-${kind}`, x: left + 8, y: fix(at) }, text));
}
