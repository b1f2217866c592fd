// The page itself: who is signed in, which view is shown, what the server says has changed.

import { api, fill, h, toast } from "/assets/dom.js";
import { chat } from "/assets/chat.js";
import { dial, is_in_call } from "/assets/dial.js";
import { calls } from "/assets/calls.js";
import { approvals, house } from "/assets/house.js";

const VIEWS = { chat, phone: dial, calls, approvals, house };
const main = document.getElementById("main");

/** What every view may look at. */
const app = { me: null, open, tell, signed_out };
let shown = null;
let events = null;
let retry = 0;

// A link that is opened in a tab where the page is already changes only what stands behind `#`.
addEventListener("hashchange", () => location.hash.startsWith("#login=") && location.reload());
start();

async function start() {
  const token = new URLSearchParams(location.hash.slice(1)).get("login");
  if (token) {
    // Out of the address bar and the history before anything else happens.
    history.replaceState(null, "", "/");
    try {
      await api("/api/web/login", { token });
    } catch (error) {
      return signed_out(error.message);
    }
  }
  try {
    app.me = await api("/api/web/me");
  } catch (error) {
    return signed_out(error.status === 401 ? "" : error.message);
  }
  document.getElementById("views").hidden = false;
  fill(document.getElementById("who"), app.me.person);
  addEventListener("hashchange", route);
  document.addEventListener("visibilitychange", listen);
  listen();
  route();
  count_waiting();
  // For tests and figures: from here on the page can be used.
  performance.mark("offhook-ready");
}

function signed_out(why) {
  app.me = null;
  events?.close();
  events = null;
  // Whoever sits here now has neither this call nor this phone.
  dial.close();
  document.getElementById("views").hidden = true;
  shown?.leave?.();
  shown = null;
  fill(main, h("section", { class: "card narrow" },
    h("h1", {}, "Sign in"),
    why && h("p", { role: "alert", class: "bad" }, why),
    h("p", {}, "This browser isn't signed in. Whoever runs Offhook gets a link on its machine:"),
    h("pre", {}, h("code", {}, "offhook login")),
    h("p", {}, "For somebody else who has an account:"),
    h("pre", {}, h("code", {}, "offhook login NAME")),
    h("p", {}, "A link works once, for ten minutes. Offhook prints one when it starts, too. Open it in this browser; it stays signed in."),
    h("button", { onclick: () => location.reload() }, "Try again")));
  document.title = "Sign in – Offhook";
}

/** Goes to a view: `calls/ID`. */
function open(place) {
  location.hash = place;
}

/** The parts of the address behind `#`; whatever somebody typed there. */
function place() {
  try {
    return decodeURIComponent(location.hash.slice(1)).split("/");
  } catch {
    return [""];
  }
}

function route() {
  const [name, ...rest] = place();
  if (!app.me || name.startsWith("login=")) return;
  const key = Object.hasOwn(VIEWS, name) ? name : "chat";
  for (const link of document.querySelectorAll("#views a")) {
    const is_here = link.hash === `#${key}`;
    link.toggleAttribute("aria-current", is_here);
    if (is_here) link.setAttribute("aria-current", "page");
  }
  const was = shown?.key;
  shown?.leave?.();
  main.className = key;
  fill(main);
  const view = VIEWS[key];
  document.title = `${view.title} – Offhook`;
  shown = { key, ...view.show(main, app, rest) };
  if (was && was !== key) main.focus({ preventScroll: true });
  if (was) scrollTo(0, 0);
}

/** Tells the open view, and the parts that are there in every view. */
function tell(event, data) {
  shown?.told?.(event, data);
  dial.told(event, data, app);
  if (event === "approvals" || event === "again") count_waiting();
}

async function count_waiting() {
  const badge = document.getElementById("waiting");
  try {
    const { waiting, is_frozen } = await api("/api/web/approvals");
    badge.hidden = !waiting.length && !is_frozen;
    badge.textContent = waiting.length || (is_frozen ? "!" : "");
    badge.setAttribute("aria-label", waiting.length ? `${waiting.length} waiting` : "stopped");
  } catch {
    badge.hidden = true;
  }
}

/** Listens while the page is looked at, or a call is up; then reads again what it missed. */
function listen() {
  if (!app.me) return;
  if (document.hidden && !is_in_call()) {
    events?.close();
    events = null;
    return;
  }
  if (events && events.readyState !== EventSource.CLOSED) return;
  const line = document.getElementById("line");
  events = new EventSource("/api/web/events");
  let is_first = retry === 0 && !listen.has_been;
  listen.has_been = true;
  events.addEventListener("hello", () => {
    retry = 0;
    line.className = "";
    line.textContent = "";
    if (!is_first) tell("again", null);
    is_first = false;
  });
  for (const name of ["said", "delta", "done", "failed", "working", "caption", "approvals", "calls", "phones", "again"]) {
    events.addEventListener(name, (event) => tell(name, JSON.parse(event.data)));
  }
  events.onerror = async () => {
    line.className = "bad";
    line.textContent = "reconnecting …";
    if (events?.readyState !== EventSource.CLOSED) return;
    // The server refused: is it the session, or is it away?
    try {
      await api("/api/web/me");
    } catch (error) {
      if (error.status === 401) return app.me && signed_out("This browser was signed out.");
    }
    retry = Math.min(retry + 1, 6);
    setTimeout(listen, 500 * 2 ** retry);
  };
}

addEventListener("unhandledrejection", (event) => toast(event.reason?.message ?? "Something went wrong."));
