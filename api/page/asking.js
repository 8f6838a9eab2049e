// A card that asks the server what could be, and draws the answer on a chart of its own.

import { h, s } from "./dom.js";
import { scale, ticks, timeAxis, valueAxis } from "./draw.js";
import { number } from "./format.js";

const [LEFT, TOP, BOTTOM, HEIGHT] = [40, 24, 150, 186];

export class AskingCard {
  constructor(view, changed, name) {
    this.view = view;
    this.changed = changed;
    this.answer = null;
    this.error = "";
    this.busy = false;
    this.svg = s("svg", { "aria-hidden": "true", focusable: "false" });
    this.chart = h("div", { class: `${name}-chart` }, this.svg);
    view.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.chart);
  }

  /** Drop what was answered. */
  forget() {
    this.answer = null;
    this.error = "";
  }

  /** Show that the card is busy until an answer was taken, and then the answer or what went wrong. */
  async request(take) {
    this.busy = true;
    this.error = "";
    this.changed();
    try {
      await take();
    } catch (error) {
      this.answer = null;
      this.error = error.message;
    }
    this.busy = false;
    this.changed();
    this.draw();
  }

  /** Size the chart for a range of time and values up to the most: its scales, its edges, and its axes under a title. */
  frame(range, most, title, right) {
    const width = this.chart.clientWidth;
    const edges = { left: LEFT, right: width - right, top: TOP, bottom: BOTTOM };
    const x = scale(range, [edges.left, edges.right]);
    const y = scale([0, most], [BOTTOM, TOP]);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", HEIGHT);
    const axes = [
      timeAxis({ range }, this.site.time_zone, x, { top: TOP, bottom: BOTTOM, width: edges.right - edges.left }),
      valueAxis(ticks(0, most, 4), y, edges, number),
      s("text", { class: "title", x: edges.left, y: 12 }, title),
    ];
    return { ...edges, x, y, axes };
  }
}
