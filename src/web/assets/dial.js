// The phone in the browser: dial pad, mute, hang up, how loud it is, and the words as they are spoken. The call itself is
// `phone.js`'s; it goes on while another view is shown.

import { api, fill, h, lasting, toast } from "/assets/dom.js";
import { no_microphone } from "/assets/voice.js";

export const dial = { title: "Phone", show, told };

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const LETTERS = { 2: "abc", 3: "def", 4: "ghi", 5: "jkl", 6: "mno", 7: "pqrs", 8: "tuv", 9: "wxyz", 0: "+" };
const WORDS = {
  connecting: "connecting …", ready: "ready", calling: "calling …", ringing: "it rings …", incoming: "calls you", talking: "talking", ended: "", offline: "not connected",
};
const CAPTIONS_MAX = 60;

let phone = null;
let state = { name: "offline", peer: "", why: "" };
let since = 0;
let is_muted = false;
let captions = [];
let levels = { in: 0, out: 0 };
let redraw = null;
let ring_asked = false;

export function is_in_call() {
  return ["calling", "ringing", "incoming", "talking"].includes(state.name);
}

/** The phone, made when it is first wanted. */
async function ready() {
  if (phone) return phone;
  const { Phone } = await import("/assets/phone.js");
  phone = new Phone({ onstate, oncaption, onlevel });
  return phone;
}

function onstate(given, detail) {
  const next = typeof given === "string" ? { name: given, ...detail } : { name: given.name ?? given.state, ...given };
  const was = state.name;
  state = { peer: state.peer, why: "", ...next };
  if (state.name === "talking" && was !== "talking") since = Date.now();
  if (["calling", "incoming"].includes(state.name) && was !== state.name) {
    captions = [];
    is_muted = false;
  }
  if (state.name === "ended" && state.why) toast(state.why);
  if (state.name === "incoming") {
    document.title = `☎ ${state.peer || "A call"} – Offhook`;
    location.hash = "phone";
  }
  draw();
}

function oncaption(caption) {
  // What is still being said is replaced by what was said.
  const last = captions.findLastIndex((each) => each.role === caption.role);
  if (last >= 0 && !captions[last].is_final) captions[last] = caption;
  else captions.push(caption);
  captions = captions.slice(-CAPTIONS_MAX);
  draw_captions();
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
  fill(bar, h("a", { href: "#phone" }, `☎ ${state.peer} `, h("span", { class: "clock" }, words())),
    state.name === "incoming" && h("button", { class: "main", onclick: () => phone.answer() }, "Answer"),
    h("button", { class: "danger", onclick: () => phone.hangup() }, state.name === "incoming" ? "Decline" : "Hang up"));
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
  const spoken = h("div", { class: "captions", role: "log", "aria-label": "Captions" });
  fill(meters, h("label", {}, "You", mine), h("label", {}, "They", theirs));
  fill(main, h("h1", {}, "Phone"),
    why && h("p", { class: "card bad-card" }, why),
    h("div", { class: "telephone" },
      h("div", { class: "card dialer" }, top, number, quick, pad, meters, actions),
      h("section", { class: "card words" }, h("h2", {}, "Captions"), spoken)));

  draw_captions = () => {
    fill(spoken, captions.length
      ? captions.map((each) => h("p", { class: `caption ${each.role} ${each.is_final ? "" : "soft"}` },
        h("b", {}, each.role === "caller" ? "You" : "They"), " ", each.text))
      : h("p", { class: "about" }, "What is said stands here while it is said."));
    spoken.scrollTop = spoken.scrollHeight;
  };
  draw_levels = () => {
    mine.value = is_muted ? 0 : levels.in;
    theirs.value = levels.out;
  };
  redraw = () => {
    const is_up = is_in_call();
    fill(top, is_up ? [h("b", {}, state.peer || number.value), " ", h("span", { class: "clock" }, words())] : state.why || WORDS[state.name] || "");
    number.hidden = is_up;
    quick.hidden = is_up;
    meters.hidden = state.name !== "talking";
    fill(actions,
      !is_up && h("button", { class: "main round", disabled: Boolean(why), onclick: () => start(number.value) }, "Call"),
      state.name === "incoming" && h("button", { class: "main round", onclick: () => phone.answer() }, "Answer"),
      state.name === "talking" && h("button", {
        class: "round", "aria-pressed": String(is_muted),
        onclick: () => {
          is_muted = !is_muted;
          phone.mute(is_muted);
          redraw();
        },
      }, is_muted ? "Unmute" : "Mute"),
      is_up && h("button", { class: "danger round", onclick: () => phone.hangup() }, state.name === "incoming" ? "Decline" : "Hang up"));
    draw_captions();
    draw_levels();
  };

  async function start(to) {
    to = to.trim();
    if (!to) return number.focus();
    try {
      state = { name: "connecting", peer: to, why: "" };
      redraw();
      await (await ready()).call(to);
    } catch (error) {
      state = { name: "offline", peer: "", why: error.message };
      redraw?.();
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
