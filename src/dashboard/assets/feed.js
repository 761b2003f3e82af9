// Follows the gateway's feed: a snapshot, then what changes. Pauses while nobody looks, comes back by itself.

const MOST_POINTS = 300;
const MOST_EVENTS = 200;
const LONGEST_WAIT_S = 15;
/** Without a frame for this long the connection counts as lost, even if nothing has said so. */
const SILENCE_MS = 6000;

export const state = {
  sections: {},
  points: [],
  events: [],
  connected: false,
  ended: false,
  /** When the last frame came, by this browser's clock. */
  last: null,
  /** When the next try is due, while disconnected. */
  retryAt: null,
  /** This browser's clock less the gateway's, ms. */
  skew: 0,
};

let source = null;
let timer = null;
let tries = 0;
let tell = () => {};

/** Starts following; `changed` is called after every change. */
export function follow(changed) {
  tell = changed;
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : open()));
  setInterval(() => {
    if (state.connected && Date.now() - state.last > SILENCE_MS) lost();
    tell();
  }, 1000);
  if (!document.hidden) open();
}

export function open() {
  close();
  source = new EventSource("/dashboard/events");
  source.addEventListener("snapshot", (event) => take(event, true));
  source.addEventListener("delta", (event) => take(event, false));
  source.addEventListener("bye", () => { state.ended = true; lost(); });
  source.onerror = lost;
}

function pause() {
  close();
  state.connected = false;
}

function close() {
  clearTimeout(timer);
  state.retryAt = null;
  source?.close();
  source = null;
}

async function lost() {
  close();
  state.connected = false;
  tries += 1;
  // A little chance keeps many dashboards from coming back in the same moment.
  const wait = Math.min(2 ** (tries - 1), LONGEST_WAIT_S) * (0.75 + Math.random() / 2);
  state.retryAt = Date.now() + wait * 1000;
  timer = setTimeout(open, wait * 1000);
  tell();
  try {
    const answer = await fetch("/dashboard", { method: "HEAD", cache: "no-store" });
    if (answer.status === 401) location.reload();
  } catch {
    // Not reachable: the timer above tries again.
  }
}

function take(event, isWhole) {
  const frame = JSON.parse(event.data);
  if (isWhole) {
    Object.assign(state, { sections: frame.sections, points: frame.points, events: frame.events });
  } else {
    Object.assign(state.sections, frame.sections);
    state.points = [...state.points, ...frame.points].slice(-MOST_POINTS);
    state.events = [...state.events, ...frame.events].slice(-MOST_EVENTS);
  }
  const newest = state.points.at(-1);
  if (newest && !isWhole) state.skew = Date.now() - newest.t;
  tries = 0;
  Object.assign(state, { connected: true, ended: false, last: Date.now() });
  tell();
}

/** The gateway's time now, ms since 1970. */
export const now = () => Date.now() - state.skew;

/** Asks the gateway; an error body becomes an Error with its message. */
export async function ask(path, options = {}) {
  const headers = { "x-sentinel-csrf": "1" };
  if (options.json !== undefined) headers["content-type"] = "application/json";
  const body = options.json === undefined ? undefined : JSON.stringify(options.json);
  const answer = await fetch(path, { method: options.method ?? "GET", headers, body, cache: "no-store" });
  const value = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(value?.error?.message ?? `the gateway answered ${answer.status}`);
  return value;
}
