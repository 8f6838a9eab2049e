// What the charts of every page share: the figures in #plan, the colours of the style sheet, axes, and how they are drawn.
"use strict";
const Charts = (() => {
  const data = JSON.parse(document.getElementById("plan").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const touch = matchMedia("(pointer: coarse)");
  const FONT = "system-ui, sans-serif";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const highest = (values) => values.reduce((top, value) => (value > top ? value : top), 0);
  const lowest = (values) => values.reduce((low, value) => (value < low ? value : low), 0);

  const caption = (text, y, more) => ({
    text, y, yref: "paper", yanchor: "bottom", yshift: 4, x: 0, xref: "paper", xanchor: "left", showarrow: false,
    font: { color: colour("muted") }, ...more,
  });

  const axis = (more) => ({
    fixedrange: true, gridcolor: colour("grid"), linecolor: colour("grid"), zerolinecolor: colour("grid"),
    tickfont: { color: colour("muted") }, ...more,
  });

  const layout = (more) => ({
    font: { family: FONT, size: narrow.matches ? 11 : 12, color: colour("ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    barmode: "overlay", dragmode: touch.matches ? false : "zoom",
    hoverlabel: {
      bgcolor: colour("surface"), bordercolor: colour("muted"), align: "left",
      font: { family: FONT, color: colour("ink") },
    },
    ...more,
  });

  // Draw every chart, named by its data-chart, as the figure that is given for its name.
  function start(figureOf) {
    function draw(chart) {
      const figure = figureOf(chart.dataset.chart);
      Plotly.react(chart, figure.data, figure.layout, { responsive: true, displayModeBar: false, scrollZoom: false });
      chart.dataset.drawn = "yes";
    }

    const charts = [...document.querySelectorAll("[data-chart]")];
    const open = (chart) => !chart.closest("details:not([open])");
    const drawOpen = () => charts.filter(open).forEach(draw);
    for (const chart of charts) {
      chart.closest("details")?.addEventListener("toggle", () => {
        if (open(chart)) draw(chart);
      });
    }
    const named = (name) => charts.find((chart) => chart.dataset.chart === name);
    for (const button of document.querySelectorAll("[data-save]")) {
      const { save: format, of } = button.dataset;
      button.addEventListener("click", () => {
        Plotly.downloadImage(named(of), { format, filename: `chart-${of}`, scale: format === "png" ? 2 : 1 });
      });
    }
    // For whoever asks a browser without a window: report.html#image=svg:timeline has the image in an attribute.
    const wanted = location.hash.match(/^#image=(svg|png):(\w+)$/);
    if (wanted && named(wanted[2])) {
      const chart = named(wanted[2]);
      const parent = chart.closest("details");
      if (parent) parent.open = true;
      draw(chart);
      Plotly.toImage(chart, { format: wanted[1], scale: wanted[1] === "png" ? 2 : 1 }).then((image) => {
        document.documentElement.dataset.image = image;
      });
    }
    for (const query of [dark, narrow, touch]) query.addEventListener("change", drawOpen);
    drawOpen();
  }

  return { data, narrow, colour, highest, lowest, caption, axis, layout, start };
})();
