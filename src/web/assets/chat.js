// The conversation with an agent, on whatever channel it goes on: written, spoken on the phone, sent as a voice note.

import { api, arrange, day, doing, fill, h, name, rich, time, toast } from "/assets/dom.js";
import { voice_button } from "/assets/voice.js";

const CHANNELS = {
  phone: "phone", web: "web", sip: "phone text", telegram: "Telegram", matrix: "Matrix", signal: "Signal", api: "program",
};
/** What became of a message that went out; that it was sent is taken for granted. */
const WENT = { waiting: "on its way", delivered: "delivered", displayed: "read", failed: "not delivered" };
const MOST = 60;
/** What is being written; it waits while another view is shown. */
let draft = "";

export const chat = { title: "Chat", show };

function show(main, app) {
  const may = app.me.agents.filter((each) => each.may);
  let agent = localStorage.getItem("agent") ?? may[0]?.name;
  if (!may.some((each) => each.name === agent)) agent = may[0]?.name;
  let rows = [];
  let has_more = false;
  /** Of what is shown; none until it was read. */
  let conversation = null;
  /** Something came before it was known whose it is. */
  let has_missed = false;
  let is_left = false;
  const waiting = new Map();
  const streams = new Map();
  /** What stands in the log, by row and day. */
  const nodes = new Map();

  const log = h("div", { class: "log", role: "log", "aria-label": "Messages" });
  const live = h("div", { class: "log live" });
  const earlier = h("button", { class: "quiet", hidden: true, onclick: doing(more) }, "Earlier messages");
  const scroll = h("div", { class: "scroll", tabIndex: 0, "aria-label": "Conversation" }, earlier, log, live);
  const text = h("textarea", {
    rows: 1, id: "text", placeholder: "Write to your assistant", "aria-label": "Message", maxLength: 8000, enterKeyHint: "send",
    value: draft,
    oninput: () => {
      draft = text.value;
      grow();
    },
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    },
  });
  const note = voice_button(async (blob) => {
    const id = name();
    const pending = { id, words: "Voice note …", is_note: true };
    const to = agent;
    waiting.set(id, pending);
    draw_live();
    try {
      await api(`/api/web/voice?id=${id}&agent=${encodeURIComponent(to)}`, blob, { type: blob.type });
      pending.words = "Voice note: being heard …";
    } catch (error) {
      waiting.delete(id);
      toast(error.message);
    }
    draw_live();
  });
  const form = h("form", { class: "write", onsubmit: (event) => { event.preventDefault(); send(); } },
    text, note.box,
    h("button", { class: "main", type: "submit", "aria-label": "Send" }, h("span", { "aria-hidden": "true" }, "➤")));
  const choice = may.length > 1 && h("label", { class: "choice" }, "With ",
    h("select", {
      onchange: (event) => {
        agent = event.target.value;
        localStorage.setItem("agent", agent);
        // Another conversation: nothing of the last one is left.
        conversation = null;
        rows = [];
        waiting.clear();
        streams.clear();
        nodes.clear();
        fill(log);
        draw_live();
        read();
      },
    }, may.map((each) => h("option", { value: each.name, selected: each.name === agent }, each.name))));
  fill(main, h("h1", { class: "unseen" }, "Chat"), choice, scroll, may.length ? form : h("p", { class: "card" },
    "Your account may not talk to an agent. What you would say to it, a call takes as a message."));
  if (may.length) read();
  if (draft) grow();
  if (matchMedia("(pointer: fine)").matches) text.focus({ preventScroll: true });

  function grow() {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, 180)}px`;
  }

  async function read() {
    const of = agent;
    const found = await api(`/api/web/chat?agent=${encodeURIComponent(of)}&most=${MOST}`);
    if (is_left || of !== agent) return;
    const is_first = conversation === null;
    const was_at_bottom = is_at_bottom();
    conversation = found.conversation;
    // What was looked for further back stays, unless more was said since than was read now; and what is shown but not kept.
    const from = found.messages[0]?.id ?? 0;
    const has_gap = !rows.some((row) => row.id >= from);
    const further = has_gap ? [] : rows.filter((row) => row.id > 0 && row.id < from);
    if (!further.length) has_more = found.messages.length >= MOST;
    rows = [...further, ...found.messages, ...rows.filter((row) => row.id < 0)];
    // What stood here before is no news to a reader.
    if (is_first) log.setAttribute("aria-busy", "true");
    draw();
    log.removeAttribute("aria-busy");
    if (is_first || was_at_bottom) bottom();
    if (has_missed) {
      has_missed = false;
      await read();
    }
  }

  async function more() {
    const [of, before] = [agent, rows.find((row) => row.id > 0)?.id];
    if (before === undefined) return;
    const found = await api(`/api/web/chat?agent=${encodeURIComponent(of)}&most=${MOST}&before=${before}`);
    if (is_left || of !== agent) return;
    has_more = found.messages.length >= MOST;
    const height = scroll.scrollHeight;
    rows = [...found.messages, ...rows];
    draw();
    scroll.scrollTop += scroll.scrollHeight - height;
  }

  async function send() {
    const words = text.value.trim();
    if (!words) return;
    const [id, to] = [name(), agent];
    text.value = draft = "";
    grow();
    waiting.set(id, { id, words });
    draw_live();
    bottom();
    for (let n = 0; ; n += 1) {
      try {
        await api("/api/web/chat", { id, agent: to, text: words });
        setTimeout(() => !is_left && waiting.has(id) && read().then(() => { waiting.delete(id); draw_live(); }), 3000);
        return;
      } catch (error) {
        // The same id: if the first one did arrive, this one is it.
        if (error.status === 0 && n < 3) {
          await new Promise((later) => setTimeout(later, 1000 * 2 ** n));
          continue;
        }
        waiting.delete(id);
        draw_live();
        draft ||= words;
        if (!text.value) text.value = draft;
        return toast(error.message);
      }
    }
  }

  function draw() {
    earlier.hidden = !has_more;
    if (!rows.length) {
      nodes.clear();
      fill(log, welcome(app));
      draw_live();
      return;
    }
    const children = [];
    let last_day = null;
    for (const row of rows) {
      const today = day(row.at_unix_ms);
      if (today !== last_day) children.push(kept(`day ${row.id}`, today, () => h("h2", { class: "day" }, today)));
      last_day = today;
      children.push(kept(row.id, JSON.stringify(row), () => message(row)));
    }
    arrange(log, children);
    draw_live();
  }

  /** The element of a row or a day: as it stands there, with the changes it needs. */
  function kept(key, text, make) {
    const known = nodes.get(key);
    if (known?.text === text) return known.element;
    const element = known ? changed(known.element, make()) : make();
    nodes.set(key, { text, element });
    return element;
  }

  function draw_live() {
    fill(live,
      [...waiting.values()].map((each) => h("div", { class: "message caller pending" }, h("div", { class: "bubble" }, h("p", {}, each.words)))),
      [...streams.entries()].map(([turn, stream]) => h("div", { class: "message assistant", "data-turn": turn },
        h("div", { class: "bubble streaming" }, stream.text ? rich(stream.text) : h("p", { class: "dots", "aria-label": "The answer is being made" }, h("i"), h("i"), h("i"))),
        stream.working && h("div", { class: "about" }, stream.working))));
  }

  function is_at_bottom() {
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  }

  function bottom() {
    scroll.scrollTop = scroll.scrollHeight;
  }

  function told(event, data) {
    if (event === "again") {
      streams.clear();
      return void read();
    }
    if (data?.conversation && data.conversation !== conversation) {
      has_missed ||= conversation === null;
      return;
    }
    const was_at_bottom = is_at_bottom();
    if (event === "said") {
      if (rows.some((row) => row.id === data.id)) {
        rows = rows.map((row) => (row.id === data.id ? data : row));
      } else {
        rows.push(data);
      }
      if (data.role === "caller") {
        const mine = [...waiting.values()].find((each) => (data.voice ? each.is_note : each.words === data.text));
        if (mine) waiting.delete(mine.id);
      }
      draw();
    } else if (event === "delta") {
      const stream = streams.get(data.turn) ?? { text: "", working: "" };
      stream.text += data.text;
      stream.working = "";
      streams.set(data.turn, stream);
      draw_live();
    } else if (event === "working") {
      const stream = streams.get(data.turn) ?? { text: "", working: "" };
      stream.working = data.words;
      streams.set(data.turn, stream);
      draw_live();
    } else if (event === "done" || event === "failed") {
      streams.delete(data.turn);
      if (event === "failed") {
        toast(data.words);
        // Nothing will come of a note that could not be heard.
        for (const each of waiting.values()) if (each.is_note) waiting.delete(each.id);
      }
      if (event === "done" && !rows.some((row) => row.id === data.message)) read();
      draw_live();
    }
    if (was_at_bottom) bottom();
  }

  return {
    told,
    leave: () => {
      is_left = true;
      note.drop();
    },
  };
}

/** A message as it is now, in the element that stands there: a recording that is being played goes on. */
function changed(element, fresh) {
  const [before, now] = [element, fresh].map((each) => each.querySelector("audio"));
  if (!before || before.src !== now?.src) return fresh;
  element.className = fresh.className;
  while (before.nextSibling) before.nextSibling.remove();
  before.after(...[...now.parentElement.childNodes].filter((each) => each !== now));
  element.lastElementChild.replaceWith(fresh.lastElementChild);
  return element;
}

/** One message, with the channel it came or went by. */
function message(row) {
  const is_cut = row.heard !== null && row.heard !== undefined && row.heard !== row.text;
  return h("div", { class: `message ${row.role}` },
    h("div", { class: "bubble" },
      row.voice && h("audio", { controls: true, preload: "none", src: `/api/voice/${row.voice}` }),
      rich(row.text),
      is_cut && h("p", { class: "about" }, `You heard: “${row.heard}”`)),
    h("div", { class: "about" },
      h("span", { class: "channel" }, CHANNELS[row.channel] ?? row.channel), " ", time(row.at_unix_ms),
      row.channel !== "web" && WENT[row.delivery] && ` · ${WENT[row.delivery]}`,
      row.call && [" ", h("a", { href: `#calls/${row.call}` }, "the call")]));
}

/** When nothing has been said yet. */
function welcome(app) {
  const number = app.me.numbers.find((each) => each.to === "agent")?.number ?? "100";
  return h("section", { class: "welcome" },
    h("h2", {}, "Your assistant's line is up"),
    h("p", {}, "What you write here, say on the phone or send as a voice note is one conversation."),
    h("ol", {},
      h("li", {}, "Write below. “What time is it?” will do."),
      h("li", {}, "Or talk: ", h("a", { href: "#phone" }, "call from this browser"), `, number ${number}.`),
      h("li", {}, "Then ", h("a", { href: "#house/connect" }, "connect your phone"), ": a free softphone, three lines to type, or a code to scan.")),
    app.me.is_demo && h("p", { class: "about" },
      "For now the built-in demo answers: it tells the time, counts, sets timers. Your own agent is set in [agent] of offhook.toml."));
}
