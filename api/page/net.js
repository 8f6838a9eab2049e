// What the page asks the server for, and what the server tells by itself.

/** An answer that reports an error. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(`/page/${path}`, { credentials: "same-origin", ...options });
  } catch {
    throw new Refused(0, "the server cannot be reached");
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.message ?? `the server answered ${answer.status}`);
  return body;
}

const query = (values) => {
  const known = Object.entries(values ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return known.length ? `?${new URLSearchParams(known)}` : "";
};

export const get = (path, values) => call(path + query(values), {});
export const post = (path, body, values) =>
  call(path + query(values), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Page": "1" },
    body: JSON.stringify(body ?? {}),
  });

const HIDDEN_MS = 30_000;
const SILENT_MS = 35_000;
const AGAIN_MS = 2_000;

/** Follows what changes: opens the stream again whenever it breaks, and rests while nobody looks. */
export class Live {
  constructor(onChange, onState) {
    this.onChange = onChange;
    this.onState = onState;
    this.skew = null;
    this.source = null;
    document.addEventListener("visibilitychange", () => this.#turn());
    window.addEventListener("online", () => this.open());
  }

  /** The server's present, s. */
  now() {
    return this.skew === null ? Date.now() / 1000 : performance.now() / 1000 + this.skew;
  }

  /** Take over the server's clock. */
  set(now) {
    this.skew = now - performance.now() / 1000;
  }

  open() {
    this.close();
    this.onState("connecting");
    const source = new EventSource("/page/events");
    this.source = source;
    source.addEventListener("change", (event) => this.#take(JSON.parse(event.data)));
    source.onerror = () => {
      if (this.source !== source) return;
      source.close();
      this.source = null;
      this.onState("lost");
      this.again = setTimeout(() => this.open(), AGAIN_MS);
    };
    this.#watch();
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.again);
    clearTimeout(this.silence);
  }

  #watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.open(), SILENT_MS);
  }

  #take(change) {
    this.#watch();
    if (change.ended) {
      this.close();
      this.onState("ended");
      return;
    }
    this.set(change.now);
    this.onState(change.database ? "live" : "away");
    this.onChange(new Set([...Object.keys(change.changed), ...change.gone]));
  }

  #turn() {
    clearTimeout(this.resting);
    if (document.hidden) {
      this.resting = setTimeout(() => this.source && this.close(), HIDDEN_MS);
    } else if (!this.source && this.isWanted) {
      this.open();
    }
  }
}
