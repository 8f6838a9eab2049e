// The stretch of time that several charts show together, and where the pointer is in it.

const SHORTEST_S = 15 * 60;

export class TimeView extends EventTarget {
  constructor() {
    super();
    this.full = [0, 1];
    this.home = [0, 1];
    this.zoomed = null;
    this.cursor = null;
    this.marked = null;
  }

  /** From when to when is shown, s. */
  get range() {
    return this.zoomed ?? this.home;
  }

  /** There is more or less to see, and something else to look at first; whoever has zoomed in stays there. */
  extend(full, home) {
    this.full = full;
    this.home = home;
    if (this.zoomed && (this.zoomed[0] >= full[1] || this.zoomed[1] <= full[0])) this.zoomed = null;
  }

  show(from, to) {
    const [first, last] = this.full;
    const width = Math.min(Math.max(to - from, SHORTEST_S), last - first);
    const begin = Math.min(Math.max(from, first), last - width);
    this.zoomed = [begin, begin + width];
    this.dispatchEvent(new Event("change"));
  }

  /** Whether everything is shown. */
  get isAll() {
    return this.range[0] <= this.full[0] && this.range[1] >= this.full[1];
  }

  all() {
    this.show(...this.full);
  }

  reset() {
    this.zoomed = null;
    this.dispatchEvent(new Event("change"));
  }

  zoom(factor, around) {
    const [from, to] = this.range;
    const middle = around ?? (this.cursor !== null && this.cursor > from && this.cursor < to ? this.cursor : (from + to) / 2);
    this.show(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  pan(seconds) {
    const [from, to] = this.range;
    this.show(from + seconds, to + seconds);
  }

  point(cursor, mark = null) {
    if (cursor === this.cursor && mark === this.marked) return;
    this.cursor = cursor;
    this.marked = mark;
    this.dispatchEvent(new Event("point"));
  }
}

/** Lets an element that draws time be zoomed and panned by pointer, touch and keyboard. */
export function steer(element, view, place) {
  const touches = new Map();
  let drag = null;
  let before = null;

  const instant = (x) => {
    const { left, width } = place();
    const [from, to] = view.range;
    return from + ((x - element.getBoundingClientRect().left - left) / width) * (to - from);
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    touches.set(event.pointerId, event.clientX);
    if (event.pointerType === "mouse") drag = { from: event.clientX, to: event.clientX };
    before = { range: [...view.range], touches: new Map(touches) };
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    const { width } = place();
    if (touches.has(event.pointerId)) touches.set(event.pointerId, event.clientX);
    if (drag) {
      drag.to = event.clientX;
      view.selection = [instant(drag.from), instant(drag.to)].sort((a, b) => a - b);
      view.dispatchEvent(new Event("point"));
    } else if (before && touches.size === 1) {
      const [id, x] = [...touches][0];
      const perPixel = (before.range[1] - before.range[0]) / width;
      const moved = (before.touches.get(id) - x) * perPixel;
      if (view.zoomed) view.show(before.range[0] + moved, before.range[1] + moved);
    } else if (before && touches.size === 2) {
      const [a, b] = [...touches.keys()];
      if (!before.touches.has(a) || !before.touches.has(b)) return;
      const apart = Math.abs(before.touches.get(a) - before.touches.get(b)) || 1;
      const factor = apart / (Math.abs(touches.get(a) - touches.get(b)) || 1);
      const middle = (before.range[0] + before.range[1]) / 2;
      const half = ((before.range[1] - before.range[0]) / 2) * factor;
      view.show(middle - half, middle + half);
    }
    view.point(instant(event.clientX), event.target.getAttribute?.("data-mark") ?? null);
  });
  const end = (event) => {
    touches.delete(event.pointerId);
    if (drag && Math.abs(drag.to - drag.from) > 8 && event.type === "pointerup") view.show(...view.selection);
    drag = null;
    view.selection = null;
    before = touches.size ? { range: [...view.range], touches: new Map(touches) } : null;
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  element.addEventListener("pointerleave", (event) => {
    if (!drag && event.pointerType === "mouse") view.point(null);
  });
  element.addEventListener("dblclick", () => view.reset());
  element.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
      event.preventDefault();
      const [from, to] = view.range;
      if (event.ctrlKey) view.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, instant(event.clientX));
      else view.pan(((event.deltaX || event.deltaY) / place().width) * (to - from));
    },
    { passive: false },
  );
}

/** Keys for the same; `stops` are the instants the cursor steps through. */
export function steerByKeys(element, view, stops, onPoint) {
  element.addEventListener("keydown", (event) => {
    const [from, to] = view.range;
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move && event.shiftKey) {
      view.pan((move * (to - from)) / 8);
    } else if (move) {
      const inside = stops().filter((at) => at >= from && at <= to);
      const at = view.cursor ?? (move > 0 ? from - 1 : to + 1);
      const next = move > 0 ? inside.find((stop) => stop > at + 1) : inside.findLast((stop) => stop < at - 1);
      if (next !== undefined) {
        view.point(next + 0.5);
        onPoint();
      }
    } else if (event.key === "+" || event.key === "=") {
      view.zoom(1 / 1.5);
    } else if (event.key === "-") {
      view.zoom(1.5);
    } else if (event.key === "0" || event.key === "Home") {
      view.reset();
    } else if (event.key === "Escape") {
      view.point(null);
    } else {
      return;
    }
    event.preventDefault();
  });
}
