// What a chart has beside the chargers: conductors with a limit in ampere, storages, generators and base loads.

import { s } from "./dom.js";
import { endLabels, intervals, stepLine, ticks, valueAxis } from "./draw.js";
import { number } from "./format.js";

export const CATEGORIES = { STORAGE: "storage", GENERATION: "generation", CONSUMPTION: "base load" };

/** Power of the assets of each category in each step, kW. */
export function assetSums(group) {
  const sums = new Map();
  for (const { category, power_kw: power } of group.assets) {
    const known = sums.get(category);
    sums.set(category, known ? known.map((value, step) => value + power[step]) : [...power]);
  }
  return [...sums].map(([category, power]) => ({ category, name: CATEGORIES[category] ?? category, list: intervals(group.edges, power), power }));
}

export const assetLines = (sums, x, y) => sums.map(({ category, list }) => s("path", { class: `asset ${category.toLowerCase()}`, d: stepLine(list, x, y) }));

/** Currents of a group's conductors below their limits. */
export function currents(group, x, y, { top, bottom }, { left, right, narrow }, most) {
  const lines = group.lines.map((line, place) => ({ ...line, place, list: intervals(group.edges, line.current_a), limits: intervals(group.edges, line.limit_a) }));
  const plot = s("g", { "clip-path": "url(#plot)" });
  for (const { limits } of lines) plot.append(s("path", { class: "line-limit", d: stepLine(limits, x, y) }));
  for (const { list, place } of lines) plot.append(s("path", { class: `line line-${place % 3}`, d: stepLine(list, x, y) }));
  const labels = lines.map(({ name, list, place }) => ({ y: y(list.at(-1)?.[2] ?? 0), text: name, kind: `line-${place % 3}` }));
  return [
    valueAxis(ticks(0, most, 2), y, { left, right }, number),
    s("text", { class: "title", x: left, y: top - 10 }, narrow ? "Current, A" : "Current of the fullest conductors, A; limits dotted"),
    plot,
    ...(narrow ? [] : endLabels(labels, right, [top, bottom])),
  ];
}

export const mostAmperes = (group) => 1.1 * (Math.max(0, ...group.lines.flatMap((line) => [...line.current_a, ...line.limit_a.filter((limit) => limit !== null)])) || 1);
