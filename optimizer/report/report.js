// Draws the charts of a plan.
"use strict";
(() => {
  const { data: plan, narrow, colour, highest, lowest, caption, axis, layout } = Charts;
  const KINDS = ["served", "unreachable", "short"];
  const ROW_PX = 15;

  const millis = (seconds) => seconds * 1000;
  const edges = plan.edges.map(millis);
  const last = edges.length - 1;
  const range = [edges[0], edges[last]];

  // Corners of a step line: two for each run of equal values, none where there is no value.
  function stepped(values) {
    const x = [];
    const y = [];
    for (let begin = 0; begin < values.length; ) {
      let end = begin + 1;
      while (end < values.length && values[end] === values[begin]) end += 1;
      x.push(edges[begin], edges[end]);
      y.push(values[begin], values[begin]);
      begin = end;
    }
    return { x, y };
  }

  const line = (values, style, more) => ({
    type: "scatter", mode: "lines", hoverinfo: "skip", connectgaps: false, line: style, ...stepped(values), ...more,
  });

  // One shape for all stretches, however many: a path of rectangles over the whole height.
  function shading(stretches, name) {
    if (!stretches.length) return [];
    const stamp = (step) => new Date(edges[step]).toISOString().slice(0, 19).replace("T", "_");
    const box = ([begin, end]) => {
      const [left, right] = [stamp(begin), stamp(end)];
      return `M${left},0L${right},0L${right},1L${left},1Z`;
    };
    const path = stretches.map(box).join("");
    return [{ type: "path", path, yref: "paper", layer: "below", line: { width: 0 }, fillcolor: colour(name) }];
  }

  const shadings = (part) => [...shading(part.binds, "binds-shade"), ...shading(part.over, "over-shade")];

  function stepFacts(group, step) {
    const facts = [`group ${group.power[step]} kW`];
    const limit = group.limit && group.limit[step];
    if (limit !== null) facts.push(`limit ${limit} kW`);
    if (plan.price) facts.push(`price ${plan.price[step]} ${plan.currency}/kWh`);
    return facts.join(" · ");
  }

  const widths = (steps) => steps.map((step) => edges[step + 1] - edges[step]);
  const starts = (steps) => steps.map((step) => edges[step]);
  const shown = { textposition: "none", hovertemplate: "%{text}<extra></extra>" };

  function stackTrace(group) {
    const { names, outcomes, layer, step, base, power } = group.stack;
    const shade = outcomes.map((kind, place) => colour(`${KINDS[kind]}-${(place % 2) + 1}`));
    const words = (place, cell) => {
      const at = step[cell];
      return `<b>${names[place]}</b><br>${plan.when[at]}: ${power[cell]} kW<br>${stepFacts(group, at)}`;
    };
    return {
      type: "bar", offset: 0, x: starts(step), width: widths(step), base, y: power, text: layer.map(words), ...shown,
      marker: { color: layer.map((place) => shade[place]), line: { width: 0 } },
    };
  }

  function shadowTrace({ shadow }) {
    const steps = shadow.map((value, step) => step).filter((step) => shadow[step]);
    const words = (step) => `one more kWh is worth ${shadow[step].toPrecision(3)} ${plan.currency}`;
    return {
      type: "bar", yaxis: "y3", offset: 0, x: starts(steps), width: widths(steps), y: steps.map((step) => shadow[step]),
      marker: { color: colour("binds"), line: { width: 1, color: colour("binds") } },
      text: steps.map((step) => `${plan.when[step]}<br>${words(step)}`), ...shown,
    };
  }

  function limitCaption(group) {
    const step = group.limit.findIndex((value) => value !== null);
    const known = new Set(group.limit.filter((value) => value !== null));
    const text = known.size === 1 ? `limit ${group.limit[step]} kW` : "limit";
    return {
      text: `<b>${text}</b>`, x: edges[step], y: group.limit[step], xanchor: "left", yanchor: "bottom", xshift: 2,
      showarrow: false, font: { color: colour("limit") }, yshift: 3, bgcolor: colour("surface"), borderpad: 1,
    };
  }

  // A rim in the colour of the page keeps the thin line readable on the stack, unless it would hide the stack.
  function priceLines() {
    const dense = plan.price.filter((value, step) => step && value !== plan.price[step - 1]).length > 40;
    if (dense) return [line(plan.price, { color: colour("price"), width: 1 }, { yaxis: "y2" })];
    return [
      line(plan.price, { color: colour("surface"), width: 5 }, { yaxis: "y2", opacity: 0.75 }),
      line(plan.price, { color: colour("price"), width: 2, dash: "5px,2px" }, { yaxis: "y2" }),
    ];
  }

  const shadowTitle = () =>
    narrow.matches
      ? `Shadow price, ${plan.currency}/kWh`
      : `Shadow price: what one more kWh under this limit is worth, ${plan.currency}/kWh`;

  function groupFigure(group) {
    const peak = highest(group.power);
    const limit = group.limit ? highest(group.limit) : 0;
    const far = limit > 2.5 * peak && peak > 0;
    const top = 1.14 * (far ? peak : Math.max(peak, limit)) || 1;
    const floor = group.shadow ? 0.34 : 0;
    const data = [stackTrace(group), line(group.power, { color: colour("ink"), width: last > 500 ? 0.4 : 1 })];
    const notes = [caption("Power, kW", 1)];
    if (group.limit) {
      data.push(line(group.limit, { color: colour("limit"), width: 3 }));
      if (far) notes.push(caption(`limit up to ${limit} kW: above this chart`, 1, { x: 0.5, xanchor: "center" }));
      else notes.push(limitCaption(group));
    }
    const axes = {
      xaxis: axis({ type: "date", range, anchor: group.shadow ? "y3" : "y", fixedrange: false, showgrid: true }),
      yaxis: axis({ domain: [floor, 1], range: [0, top], nticks: 6 }),
    };
    if (plan.price) {
      data.push(...priceLines());
      const right = { x: 1, xanchor: "right", font: { color: colour("price") } };
      notes.push(caption(`Price, ${plan.currency}/kWh`, 1, right));
      const low = lowest(plan.price);
      axes.yaxis2 = axis({
        overlaying: "y", side: "right", showgrid: false, tickmode: "auto", nticks: 5,
        tickfont: { color: colour("price") },
        range: [1.05 * low, low + 1.3 * (highest(plan.price) - low) || 1],
      });
    }
    if (group.shadow) {
      data.push(shadowTrace(group));
      notes.push(caption(shadowTitle(), 0.2));
      axes.yaxis3 = axis({ domain: [0, 0.2], range: [0, 1.1 * highest(group.shadow) || 1], nticks: 3 });
    }
    const margin = { l: 38, r: plan.price ? 46 : 12, t: 28, b: 40 };
    const height = narrow.matches ? 400 : 470;
    return { data, layout: layout({ ...axes, margin, height, annotations: notes, shapes: shadings(group) }) };
  }

  const span = (from, to) => ({ base: from.map(millis), x: from.map((begin, i) => millis(to[i] - begin)) });

  function windowTrace(rows) {
    const shade = ({ outcome }) => colour(outcome ? `${KINDS[outcome]}-window` : "window");
    return {
      type: "bar", orientation: "h", y: rows.map((row, i) => i), width: rows.map((row) => (row.outcome ? 0.34 : 0.22)),
      ...span(rows.map((row) => row.from), rows.map((row) => row.to)), text: rows.map((row) => row.hover), ...shown,
      marker: { color: rows.map(shade), line: { width: 0 } },
    };
  }

  function chargingTrace({ rows, bars }) {
    return {
      type: "bar", orientation: "h", y: bars.row, width: bars.level.map((level) => 0.25 + 0.6 * level),
      ...span(bars.from, bars.to), ...shown,
      text: bars.row.map((row, i) => `${rows[row].hover}<br><b>${bars.text[i]}</b>`),
      marker: { color: bars.row.map((row) => colour(`${KINDS[rows[row].outcome]}-1`)), line: { width: 0 } },
    };
  }

  function missingTrace(rows) {
    const short = rows.map((row, i) => i).filter((i) => rows[i].missing);
    return {
      type: "scatter", mode: "text", cliponaxis: false, hoverinfo: "skip", x: short.map(() => edges[last]), y: short,
      text: short.map((i) => rows[i].missing), textposition: "middle right",
      textfont: { color: short.map((i) => colour(`${KINDS[rows[i].outcome]}-text`)), size: 11 },
    };
  }

  function timelineFigure(timeline) {
    const { rows } = timeline;
    const axes = {
      xaxis: axis({ type: "date", range, fixedrange: false, side: "bottom" }),
      yaxis: axis({
        range: [rows.length - 0.4, -0.6], tickvals: rows.map((row, i) => i), ticktext: rows.map((row) => row.label),
        ticklen: 0, showgrid: false, zeroline: false, tickfont: { color: colour("muted"), size: 10 },
      }),
    };
    const frame = {
      margin: { l: narrow.matches ? 74 : 104, r: 56, t: 26, b: 40 },
      height: rows.length * ROW_PX + 74,
      annotations: [caption("kWh missing", 1, { x: 1, xanchor: "right", xshift: 54 })],
      shapes: shadings(plan.shade),
    };
    return {
      data: [windowTrace(rows), chargingTrace(timeline), missingTrace(rows)],
      layout: layout({ ...axes, ...frame }),
    };
  }

  Charts.start((name) => (name === "timeline" ? timelineFigure(plan.timeline) : groupFigure(plan.groups[Number(name)])));
})();
