// Why a session goes short, and the smallest change that would have served it, in words.

import { h } from "./dom.js";
import { clock, duration, number, price, span } from "./format.js";

const LISTED = 3;
const CODES = {
  departure_too_early: () => "leaves too early even at full power",
  charger_limit: (holder) => `${holder} is at its limit`,
  vehicle_limit: () => "the vehicle is at its own limit",
  group_limit: (holder) => `${holder} is full`,
  line_limit: (holder) => `${holder} is full`,
  outranked_by_priority: (holder) => `higher priority comes first${holder ? ` under ${holder}` : ""}`,
  not_used_by_the_strategy: () => "the rule of thumb left room",
};

function times(stretches, site) {
  const shown = stretches.slice(0, LISTED).map(([from, to]) => span(from, to, site.time_zone, site.now));
  const more = stretches.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** What held a session back, and when. */
function holding(one, site) {
  const words = CODES[one.code]?.(one.holder) ?? one.code.replaceAll("_", " ");
  return h(
    "li",
    { "data-key": `${one.code} ${one.holder}` },
    `${words} ${times(one.stretches, site)}`,
    one.price > 0 ? h("span", { class: "quiet" }, `, a further kWh saves up to ${price(one.price)} ${site.currency}`) : null,
  );
}

function remedy(change, site) {
  if (change.kind === "departure") {
    return h("li", { "data-key": "departure" }, "leaving ", h("b", null, `${duration(60 * change.minutes_later)} later`), `, at ${clock(change.departure, site.time_zone)}`);
  }
  return h("li", { "data-key": "capacity" }, h("b", null, `${number(change.more_kw)} kW more`), ` on ${change.limits.join(" and ")}, ${times(change.stretches, site)}`);
}

/** What the plan says of a session that goes short, beside the reason; nothing where it says nothing. */
export function whyOf(session, site) {
  const { why } = session;
  if (!why) return null;
  const { changes, holdings } = why;
  return [
    changes === null ? h("p", { class: "quiet" }, "What would have served it was not looked for: time was up.") : null,
    changes?.length === 0 ? h("p", { class: "quiet" }, "Neither a departure up to a day later nor higher limits would have served it.") : null,
    changes?.length ? h("div", { class: "remedies" }, h("span", null, "Would have served it:"), h("ul", null, changes.map((change) => remedy(change, site)))) : null,
    holdings.length ? h("details", { "data-key": "held" }, h("summary", null, "What holds it back"), h("ul", { class: "held" }, holdings.map((one) => holding(one, site)))) : null,
  ];
}
