// The phone in the browser: dial pad, mute, hang up, how loud it is, and the words as they are spoken. The call itself is
// `phone.js`'s; it goes on while another view is shown.

import { api, arrange, fill, h, lasting, toast } from "/assets/dom.js";
import { no_microphone } from "/assets/voice.js";

export const dial = { title: "Phone", show, told, close };

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const LETTERS = { 2: "abc", 3: "def", 4: "ghi", 5: "jkl", 6: "mno", 7: "pqrs", 8: "tuv", 9: "wxyz", 0: "+" };
const WORDS = {
  connecting: "connecting …", ready: "ready", calling: "calling …", ringing: "it rings …", incoming: "calls you", talking: "talking", ended: "", offline: "not connected",
};
const CAPTIONS_MAX = 60;
/** What is being said is taken away where nothing more was heard of it. */
const CAPTION_MS = 10000;

let phone = null;
let state = { name: "offline", peer: "", why: "" };
let since = 0;
let is_muted = false;
/** What was said, each with its element; and by role what is being said. */
let captions = [];
let spoken_now = {};
let levels = { in: 0, out: 0 };
let redraw = null;
let ring_asked = false;
let is_starting = false;
/** The page's title while it rings. */
let title = null;

export function is_in_call() {
  return ["calling", "ringing", "incoming", "talking"].includes(state.name);
}

/** The phone, made when it is first wanted. */
async function ready() {
  if (phone) return phone;
  const { Phone } = await import("/assets/phone.js");
  // Whoever asked first meanwhile has made it.
  phone ??= new Phone({ onstate, onlevel });
  return phone;
}

function onstate(given, detail) {
  const next = typeof given === "string" ? { name: given, ...detail } : { name: given.name ?? given.state, ...given };
  const was = state.name;
  state = { peer: state.peer, why: "", ...next };
  if (state.name === "talking" && was !== "talking") since = Date.now();
  if (["calling", "incoming"].includes(state.name) && was !== state.name) {
    captions = [];
    spoken_now = {};
    is_muted = false;
  }
  if (state.name === "ended") {
    spoken_now = {};
    if (state.why) toast(state.why);
  }
  // It rings over every view: whoever is writing or recording goes on until they answer.
  if (state.name === "incoming") {
    title ??= document.title;
    document.title = `☎ ${state.peer || "A call"} – Offhook`;
  } else if (title) {
    if (document.title.startsWith("☎")) document.title = title;
    title = null;
  }
  draw();
}

function oncaption({ role: by, text, is_final }) {
  const role = by === "caller" ? by : "assistant";
  // What is still being said is replaced by what was said.
  if (is_final) {
    captions = [...captions, words_of(role, text)].slice(-CAPTIONS_MAX);
    delete spoken_now[role];
  } else if (text) {
    spoken_now[role] ??= words_of(role, "", "soft");
    const shown = spoken_now[role];
    shown.lastChild.data = text;
    clearTimeout(shown.timer);
    shown.timer = setTimeout(() => {
      if (spoken_now[role] !== shown) return;
      delete spoken_now[role];
      draw_captions();
    }, CAPTION_MS);
  } else {
    delete spoken_now[role];
  }
  draw_captions();
}

function words_of(role, text, kind = "") {
  const words = h("p", { class: `caption ${role} ${kind}` }, h("b", {}, role === "caller" ? "You" : "They"), " ");
  words.append(document.createTextNode(text));
  return words;
}

/** Nobody is signed in any more: the call ends, and the phone is gone. */
function close() {
  phone?.close();
  phone = null;
  ring_asked = false;
  state = { name: "offline", peer: "", why: "" };
  draw();
}

function onlevel(given, out) {
  levels = typeof given === "object" ? { ...levels, ...given } : { in: given ?? 0, out: out ?? levels.out };
  draw_levels();
}

function told(event, data) {
  if (event === "caption" && is_in_call()) oncaption(data);
}

function draw() {
  draw_bar();
  redraw?.();
}

let draw_captions = () => {};
let draw_levels = () => {};

/** Over every view while a call is up. */
function draw_bar() {
  const bar = document.getElementById("bar");
  const is_up = is_in_call();
  bar.hidden = !is_up || location.hash === "#phone";
  if (!is_up) return;
  fill(bar, h("a", { href: "#phone", role: state.name === "incoming" ? "alert" : null }, `☎ ${state.peer} `, clock()),
    state.name === "incoming" && h("button", { class: "main", onclick: answer }, "Answer"),
    h("button", { class: "danger", onclick: () => phone.hangup() }, state.name === "incoming" ? "Decline" : "Hang up"));
}

function answer() {
  location.hash = "phone";
  phone.answer();
}

/** Not read out with each second. */
function clock() {
  return h("span", { class: "clock", role: "timer" }, words());
}

function words() {
  return state.name === "talking" ? lasting(Date.now() - since) : WORDS[state.name] ?? state.name;
}

addEventListener("hashchange", draw_bar);
addEventListener("beforeunload", (event) => is_in_call() && event.preventDefault());
setInterval(() => {
  if (state.name !== "talking") return;
  for (const each of document.querySelectorAll(".clock")) each.textContent = words();
}, 1000);

function show(main, app) {
  const why = no_microphone();
  const number = h("input", {
    type: "tel", class: "number", "aria-label": "Number or name", placeholder: "Number", autocomplete: "off", maxLength: 64,
    onkeydown: (event) => {
      if (event.key === "Enter") start(number.value);
    },
  });
  const pad = h("div", { class: "pad", role: "group", "aria-label": "Keys" }, KEYS.map((key) => h("button", {
    type: "button",
    "aria-label": { "*": "star", "#": "hash" }[key] ?? key,
    onclick: () => {
      if (state.name === "talking") phone.dtmf(key);
      else number.value += key;
    },
    "data-letters": LETTERS[key] ?? " ",
  }, key)));
  const top = h("div", { class: "status", role: "status" });
  const actions = h("div", { class: "buttons center" });
  const quick = h("div", { class: "quick" });
  const meters = h("div", { class: "meters" });
  const mine = h("meter", { min: 0, max: 1, low: 0.02, "aria-label": "Your microphone" });
  const theirs = h("meter", { min: 0, max: 1, "aria-label": "The other side" });
  const said = h("div", { role: "log", "aria-label": "Captions" });
  // Changes with each word: not read out.
  const now = h("div");
  const nothing = h("p", { class: "about" }, "What is said stands here while it is said.");
  const spoken = h("div", { class: "captions" }, nothing, said, now);
  const button = (kind, words, onclick) => h("button", { class: `${kind} round`, onclick }, words);
  const call = button("main", "Call", () => start(number.value));
  const take = button("main", "Answer", answer);
  const mute = button("", "Mute", () => {
    is_muted = !is_muted;
    phone.mute(is_muted);
    redraw();
  });
  const end = button("danger", "Hang up", () => phone.hangup());
  call.disabled = Boolean(why);
  fill(actions, call, take, mute, end);
  fill(meters, h("label", {}, "You", mine), h("label", {}, "They", theirs));
  fill(main, h("h1", {}, "Phone"),
    why && h("p", { class: "card bad-card" }, why),
    h("div", { class: "telephone" },
      h("div", { class: "card dialer" }, top, number, quick, pad, meters, actions),
      h("section", { class: "card words" }, h("h2", {}, "Captions"), spoken)));

  draw_captions = () => {
    const being_said = Object.values(spoken_now);
    nothing.hidden = captions.length + being_said.length > 0;
    arrange(said, captions);
    arrange(now, being_said);
    spoken.scrollTop = spoken.scrollHeight;
  };
  draw_levels = () => {
    mine.value = is_muted ? 0 : levels.in;
    theirs.value = levels.out;
  };
  redraw = () => {
    const is_up = is_in_call();
    fill(top, is_up ? [h("b", {}, state.peer || number.value), " ", clock()] : state.why || WORDS[state.name] || "");
    number.hidden = is_up;
    quick.hidden = is_up;
    meters.hidden = state.name !== "talking";
    // The same buttons all the time, so that a finger or the keyboard does not lose them.
    call.hidden = is_up;
    take.hidden = state.name !== "incoming";
    mute.hidden = state.name !== "talking";
    mute.setAttribute("aria-pressed", String(is_muted));
    mute.textContent = is_muted ? "Unmute" : "Mute";
    end.hidden = !is_up;
    end.textContent = state.name === "incoming" ? "Decline" : "Hang up";
    draw_captions();
    draw_levels();
  };

  async function start(to) {
    to = to.trim();
    if (!to) return number.focus();
    // A second press is not a second call.
    if (is_starting || is_in_call()) return;
    is_starting = true;
    try {
      if (!phone) state = { name: "connecting", peer: to, why: "" };
      redraw();
      await (await ready()).call(to);
    } catch (error) {
      state = { name: phone?.state ?? "offline", peer: "", why: error.message };
      redraw?.();
    } finally {
      is_starting = false;
    }
  }

  const known = { agent: "the assistant", echo: "echo test", readback: "hearing test", message: "leave a message" };
  const row = (to, what) => h("button", { class: "quiet", onclick: () => { number.value = to; start(to); } }, h("b", {}, to), ` ${what}`);
  fill(quick, app.me.numbers.slice(0, 6).map((each) => row(each.number, known[each.to] ?? each.to)));
  api("/api/web/house").then((found) => {
    const others = [...new Set((found.phones ?? []).map((each) => each.user))].filter((each) => each !== app.me.person);
    quick.append(...others.slice(0, 8).map((each) => row(each, "")));
  }, () => {});
  redraw();
  // Whoever comes here wants to be reached as well; without a microphone there is nothing to answer with.
  if (!why && !ring_asked) {
    ring_asked = true;
    ready().catch((error) => {
      state = { name: "offline", peer: "", why: `The phone did not start: ${error.message}` };
      redraw?.();
    });
  }
  return {
    leave: () => {
      redraw = null;
      draw_captions = () => {};
      draw_levels = () => {};
      draw_bar();
    },
  };
}
