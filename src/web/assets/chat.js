// The conversation with an agent, on whatever channel it goes on: written, spoken on the phone, sent as a voice note.

import { api, day, doing, fill, h, name, rich, time, toast } from "/assets/dom.js";
import { voice_button } from "/assets/voice.js";

const CHANNELS = {
  phone: "phone", web: "web", sip: "phone text", telegram: "Telegram", matrix: "Matrix", signal: "Signal", api: "program",
};
const MOST = 60;

export const chat = { title: "Chat", show };

function show(main, app) {
  const may = app.me.agents.filter((each) => each.may);
  let agent = localStorage.getItem("agent") ?? may[0]?.name;
  if (!may.some((each) => each.name === agent)) agent = may[0]?.name;
  let rows = [];
  let has_more = false;
  let conversation = null;
  const waiting = new Map();
  const streams = new Map();

  const log = h("div", { class: "log", role: "log", "aria-label": "Messages" });
  const live = h("div", { class: "log live" });
  const earlier = h("button", { class: "quiet", hidden: true, onclick: doing(more) }, "Earlier messages");
  const scroll = h("div", { class: "scroll", tabIndex: 0, "aria-label": "Conversation" }, earlier, log, live);
  const text = h("textarea", {
    rows: 1, id: "text", placeholder: "Write to your assistant", "aria-label": "Message", maxLength: 8000, enterKeyHint: "send",
    oninput: grow,
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
    waiting.set(id, pending);
    draw_live();
    try {
      await api(`/api/web/voice?id=${id}&agent=${encodeURIComponent(agent)}`, blob, { type: blob.type });
      pending.words = "Voice note: being heard …";
    } catch (error) {
      waiting.delete(id);
      toast(error.message);
    }
    draw_live();
  });
  const form = h("form", { class: "write", onsubmit: (event) => { event.preventDefault(); send(); } },
    text, note,
    h("button", { class: "main", type: "submit", "aria-label": "Send" }, h("span", { "aria-hidden": "true" }, "➤")));
  const choice = may.length > 1 && h("label", { class: "choice" }, "With ",
    h("select", {
      onchange: (event) => {
        agent = event.target.value;
        localStorage.setItem("agent", agent);
        read();
      },
    }, may.map((each) => h("option", { value: each.name, selected: each.name === agent }, each.name))));
  fill(main, h("h1", { class: "unseen" }, "Chat"), choice, scroll, may.length ? form : h("p", { class: "card" },
    "Your account may not talk to an agent. What you would say to it, a call takes as a message."));
  if (may.length) read();
  if (matchMedia("(pointer: fine)").matches) text.focus({ preventScroll: true });

  function grow() {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, 180)}px`;
  }

  async function read() {
    const found = await api(`/api/web/chat?agent=${encodeURIComponent(agent)}&most=${MOST}`);
    conversation = found.conversation;
    rows = found.messages;
    has_more = found.messages.length >= MOST;
    if (conversation && found.running) {
      for (const each of found.running) streams.set(each.turn, { text: each.text ?? "", working: "" });
    }
    draw();
    bottom();
  }

  async function more() {
    const before = rows[0]?.id;
    const found = await api(`/api/web/chat?agent=${encodeURIComponent(agent)}&most=${MOST}&before=${before}`);
    has_more = found.messages.length >= MOST;
    const height = scroll.scrollHeight;
    rows = [...found.messages, ...rows];
    draw();
    scroll.scrollTop += scroll.scrollHeight - height;
  }

  async function send() {
    const words = text.value.trim();
    if (!words) return;
    const id = name();
    text.value = "";
    grow();
    waiting.set(id, { id, words });
    draw_live();
    bottom();
    for (let n = 0; ; n += 1) {
      try {
        await api("/api/web/chat", { id, agent, text: words });
        waiting.get(id) && (waiting.get(id).is_sent = true);
        setTimeout(() => waiting.has(id) && read().then(() => { waiting.delete(id); draw_live(); }), 3000);
        return;
      } catch (error) {
        // The same id: if the first one did arrive, this one is it.
        if (error.status === 0 && n < 3) {
          await new Promise((later) => setTimeout(later, 1000 * 2 ** n));
          continue;
        }
        waiting.delete(id);
        draw_live();
        if (!text.value) text.value = words;
        return toast(error.message);
      }
    }
  }

  function draw() {
    earlier.hidden = !has_more;
    if (!rows.length) {
      fill(log, welcome(app));
      return;
    }
    let last_day = null;
    fill(log, rows.map((row) => {
      const today = day(row.at_unix_ms);
      const heading = today !== last_day && h("h2", { class: "day" }, today);
      last_day = today;
      return [heading, message(row)];
    }));
    draw_live();
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
    const was_at_bottom = is_at_bottom();
    if (data?.conversation && conversation && data.conversation !== conversation) return;
    if (event === "said") {
      if (rows.some((row) => row.id === data.id)) {
        rows = rows.map((row) => (row.id === data.id ? data : row));
      } else {
        rows.push(data);
      }
      if (data.role === "caller") {
        const mine = [...waiting.values()].find((each) => each.words === data.text || data.voice);
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

  return { told };
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
