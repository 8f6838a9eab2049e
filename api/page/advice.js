// What more capacity of a group is worth, block by block, and what can be handed back. Nothing is stored or sent.

import { AskingCard } from "./asking.js";
import { h, s, slot } from "./dom.js";
import { stepLine } from "./draw.js";
import { clock, kw, money, number, plural, price, span } from "./format.js";
import { get } from "./net.js";

const NOTHING_KW = 0.0005;

const seconds = (text) => Date.parse(text) / 1000;

export class AdvicePane extends AskingCard {
  constructor(view, changed) {
    super(view, changed, "advice");
  }

  render(site) {
    if (this.site?.site_id !== site.site_id) this.forget();
    this.site = site;
    const blocks = this.#blocks();
    return h(
      "section",
      { class: "card advice", "aria-labelledby": "advice-title", "data-key": "advice" },
      h(
        "header",
        { class: "card-head" },
        h("h2", { id: "advice-title" }, "What capacity is worth"),
        h("button", { type: "button", class: "quiet-button", disabled: this.busy, on: { click: () => this.#ask() } }, this.busy ? "Working it out…" : this.answer ? "Work it out again" : "Work it out"),
      ),
      h("p", { class: "quiet" }, "For each block of the capacity forecast: what more would be worth, and what can be handed back without loss. Nothing is stored, nothing is sent."),
      this.error ? h("p", { class: "error", role: "alert" }, this.error) : null,
      h("div", { class: "advice-words", "aria-live": "polite" }, this.answer ? this.#words(blocks) : null),
      h("ul", { class: "legend", hidden: !blocks.length }, [["capacity", "allowed"], ["needed", "needed"], ["spare", "can be handed back"], ["asked", "worth asking for"]].map(([kind, name]) => h("li", { class: `key ${kind}` }, name))),
      slot("advice", { class: "advice-frame", hidden: !blocks.length }),
      blocks.length ? [this.#table(blocks), this.#messages()] : null,
    );
  }

  draw() {
    const blocks = this.#blocks();
    if (!blocks.length || !this.chart.clientWidth) return;
    const range = [Math.min(this.site.now, blocks[0].from), blocks.at(-1).to];
    const heights = blocks.map((one) => Math.max(one.limit_kw, one.planned_kw) + one.asked_kw);
    const { x, y, axes } = this.frame(range, 1.1 * Math.max(1, ...heights), "Capacity, kW", 22);
    const bar = (kind, one, low, high) =>
      high - low > NOTHING_KW ? s("rect", { class: kind, x: x(one.from), width: Math.max(1, x(one.to) - x(one.from)), y: y(high), height: y(low) - y(high) }) : null;
    this.svg.replaceChildren(
      ...axes,
      ...blocks.flatMap((one) => [
        bar("needed", one, 0, Math.min(one.planned_kw, one.limit_kw)),
        bar("spare", one, one.limit_kw - one.hand_back_kw, one.limit_kw),
        bar("asked", one, one.limit_kw, one.limit_kw + one.asked_kw),
      ]).filter(Boolean),
      s("path", { class: "capacity", d: stepLine(blocks.map((one) => [one.from, one.to, one.limit_kw]), x, y) }),
    );
  }

  #blocks() {
    const group = this.site?.group.group_id;
    const found = this.answer?.blocks.filter((one) => one.group_id === group) ?? [];
    return found.map((one) => ({ ...one, from: Math.max(seconds(one.start), this.answer.at), to: seconds(one.end) }));
  }

  async #ask() {
    const name = this.site.site_id;
    await this.request(async () => {
      const answer = await get("advice", { site: name });
      if (this.site.site_id === name) this.answer = { ...answer, at: seconds(answer.made_at) };
    });
  }

  #words(blocks) {
    const { site, answer } = this;
    if (!blocks.length) {
      return h("p", null, "No capacity forecast of this group lies ahead: there is nobody to ask.");
    }
    const asked = blocks.filter((one) => one.asked_kw > NOTHING_KW);
    const spare = blocks.filter((one) => one.hand_back_kw > NOTHING_KW);
    const largest = Math.max(0, ...spare.map((one) => one.hand_back_kw));
    const isOld = site.plan && site.plan.made_at > answer.at;
    return [
      h("p", null, asked.length ? [h("b", null, `More helps in ${asked.length} of ${plural(blocks.length, "block")}`), `: on the whole site all that is worth asking for saves ${money(answer.asked_value, site.currency)}.`] : "More capacity is worth nothing now."),
      h("p", null, spare.length ? [h("b", null, `${spare.length} of ${plural(blocks.length, "block")} can be cut`), ` without loss, by up to ${kw(largest)}.`] : "All of the capacity is needed."),
      h("p", { class: "quiet" }, `Worked out at ${clock(answer.at, site.time_zone)}.${isOld ? " There is a newer plan since; work it out again." : ""}`),
    ];
  }

  #table(blocks) {
    const { site } = this;
    const steps = (one) => {
      if (one.more === null) return "not looked at";
      return one.more.length ? one.more.map((step) => `${price(step.value_per_kwh)} up to +${number(step.up_to_kw)} kW`).join(", then ") : "nothing";
    };
    const row = (one) =>
      h(
        "tr",
        { "data-key": one.start },
        h("th", { scope: "row" }, span(one.from, one.to, site.time_zone, site.now)),
        ...[one.limit_kw, one.planned_kw].map((value) => h("td", { class: "figure" }, number(value))),
        h("td", { class: "figure better" }, one.hand_back_kw > NOTHING_KW ? number(one.hand_back_kw) : "–"),
        h("td", { class: "figure worse" }, one.asked_kw > NOTHING_KW ? `+${number(one.asked_kw)}` : "–"),
        h("td", null, steps(one)),
      );
    const heads = ["Block", "Allowed", "Needed", "To hand back", "To ask for", `More in it alone is worth, ${site.currency}/kWh`];
    return h(
      "details",
      { "data-key": "blocks" },
      h("summary", null, "Block by block"),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Advice block by block" },
        h(
          "table",
          null,
          h("caption", { class: "unseen" }, "Capacities in kW"),
          h("thead", null, h("tr", null, heads.map((head, at) => h("th", { scope: "col", class: at > 0 && at < 5 ? "figure" : null }, head)))),
          h("tbody", null, blocks.map(row)),
        ),
      ),
    );
  }

  #messages() {
    const group = this.site.group.group_id;
    const message = this.answer.messages.find((one) => one.group_id === group);
    if (!message) return null;
    return h("details", { "data-key": "message" }, h("summary", null, "As a message of OSCP"), h("pre", { tabindex: "0", role: "region", "aria-label": "AdjustGroupCapacityForecast" }, JSON.stringify(message, null, 2)));
  }
}
