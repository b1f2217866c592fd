// Elements, requests, times and words: what every view uses. Words from outside become text nodes, never markup.

/** An element: attributes and properties by name, `onNAME` listens, children are elements or text; empty ones are left out. */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "role") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

const shown_in = new WeakMap();

/** Fills an element anew only where what it is made of has changed: nothing is read out again, and no finger loses its button. */
export function refill(element, data, make) {
  const text = JSON.stringify(data) ?? "";
  if (shown_in.get(element) === text) return;
  shown_in.set(element, text);
  fill(element, make());
}

/** Makes these the children of an element, in this order. Those that are there stay untouched: sound goes on. */
export function arrange(element, children) {
  const wanted = new Set(children);
  for (const child of [...element.childNodes]) if (!wanted.has(child)) child.remove();
  let at = element.firstChild;
  for (const child of children) {
    if (child === at) at = at.nextSibling;
    else element.insertBefore(child, at);
  }
}

/** Why a request failed, in words for people. */
export class Failed extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

/** A request to our own origin; JSON out, JSON (or nothing) in. */
export async function api(path, body, { method, type } = {}) {
  const is_change = body !== undefined || method;
  const headers = { "X-Offhook": "1" };
  if (body !== undefined) headers["Content-Type"] = type ?? "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: method ?? (is_change ? "POST" : "GET"),
      headers,
      body: body === undefined ? undefined : type ? body : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new Failed(0, "Offhook does not answer. Is it running?");
  }
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = null;
  }
  if (!response.ok) {
    const words = value?.detail ?? (response.status === 413 ? "That is too large." : `It failed (${response.status}).`);
    throw new Failed(response.status, words);
  }
  return value;
}

/** Says something for a few seconds. */
export function toast(words) {
  const place = document.getElementById("toast");
  place.textContent = words;
  place.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => place.classList.remove("shown"), 6000);
}

/** Runs what a button does; the button rests meanwhile, and a failure is said. */
export function doing(work) {
  return async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await work(event);
    } catch (error) {
      toast(error.message);
    } finally {
      button.disabled = false;
    }
  };
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** `14:05`, with the day before it where that is not today. */
export function time(unix_ms) {
  const at = new Date(unix_ms);
  return h("time", { dateTime: at.toISOString(), title: at.toLocaleString() },
    at.toDateString() === new Date().toDateString() ? clock.format(at) : `${date.format(at)}, ${clock.format(at)}`);
}

/** The day as a heading between messages. */
export function day(unix_ms) {
  const at = new Date(unix_ms);
  return at.toDateString() === new Date().toDateString() ? "Today" : date.format(at);
}

/** `1:05`. */
export function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}

/** `in 5 min`, `3 days ago`. */
export function ago(unix_ms) {
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const seconds = (unix_ms - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  }
  return format.format(Math.round(seconds), "second");
}

const ITEM = /^\s*[-*•] /;
const PIECES = /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(https?:\/\/[^\s<>"')\]]+)/g;

function line(text) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(PIECES)) {
    parts.push(text.slice(last, found.index));
    const piece = found[0];
    if (found[1]) parts.push(h("code", {}, piece.slice(1, -1)));
    else if (found[2]) parts.push(h("strong", {}, piece.slice(2, -2)));
    else parts.push(h("a", { href: piece, target: "_blank", rel: "noopener noreferrer" }, piece));
    last = found.index + piece.length;
  }
  parts.push(text.slice(last));
  return parts;
}

/** What an agent writes, as elements: paragraphs, code, lists, bold words and links. Nothing else of Markdown. */
export function rich(text) {
  const blocks = [];
  text.split(/```/).forEach((part, n) => {
    if (n % 2) {
      blocks.push(h("pre", {}, h("code", {}, part.replace(/^[a-z0-9+-]*\n/i, "").trimEnd())));
      return;
    }
    for (const paragraph of part.split(/\n{2,}/)) {
      // Lines of one kind after each other: a list, or words.
      const groups = [];
      for (const each of paragraph.split("\n").filter((given) => given.trim())) {
        const is_item = ITEM.test(each);
        if (groups.at(-1)?.is_item !== is_item) groups.push({ is_item, lines: [] });
        groups.at(-1).lines.push(each.replace(ITEM, ""));
      }
      for (const { is_item, lines } of groups) {
        blocks.push(is_item
          ? h("ul", {}, lines.map((each) => h("li", {}, line(each))))
          : h("p", {}, lines.map((each, at) => [at ? h("br") : null, line(each)])));
      }
    }
  });
  return blocks;
}

/** A number nobody has had: names a message for ever, so that sent twice it is one. */
export function name() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
