// Draws the charts of a batch: by day, one colour for each site.
"use strict";
(() => {
  const { data: batch, narrow, colour, highest, lowest, caption, axis, layout } = Charts;
  const SHADES = ["served-1", "unreachable-1", "price", "short-1", "binds", "served-2", "unreachable-2", "short-2", "over"];
  const HALF_DAY = 43_200_000;
  const UNITS = { unmet: "kWh", peak: "kW", cost: batch.currency };

  const shade = (place) => colour(SHADES[place % SHADES.length]);

  function trace(site, place, name) {
    const values = site[name];
    const shared = {
      name: site.name, x: batch.days, y: values, hovertemplate: "%{text}<extra></extra>",
      text: values.map((value, day) => `<b>${site.name}</b><br>${batch.days[day]}: ${value} ${UNITS[name]}`),
    };
    if (name === "peak") {
      return { type: "scatter", mode: "lines+markers", ...shared, line: { color: shade(place), width: 1.6 }, marker: { color: shade(place), size: 5 } };
    }
    return { type: "bar", textposition: "none", ...shared, marker: { color: shade(place), line: { width: 0 } } };
  }

  function figure(name) {
    const sums = batch.days.map((_, day) => batch.sites.reduce((sum, site) => sum + (site[name][day] ?? 0), 0));
    const all = name === "peak" ? batch.sites.flatMap((site) => site.peak) : sums;
    const axes = {
      // The same days in every chart, a bar being a day wide.
      xaxis: axis({ type: "date", fixedrange: false, showgrid: false, range: [Date.parse(batch.days[0]) - HALF_DAY, Date.parse(batch.days.at(-1)) + HALF_DAY] }),
      yaxis: axis({ range: [1.1 * lowest(all), 1.12 * highest(all) || 1], nticks: 5 }),
    };
    return {
      data: batch.sites.map((site, place) => trace(site, place, name)),
      layout: layout({
        ...axes, barmode: name === "peak" ? "overlay" : "relative", bargap: 0.15, height: narrow.matches ? 220 : 250,
        margin: { l: 52, r: 12, t: 26, b: 40 }, annotations: [caption(UNITS[name], 1)],
        showlegend: batch.sites.length > 1, legend: { orientation: "h", y: -0.22 },
      }),
    };
  }

  Charts.start(figure);
})();
