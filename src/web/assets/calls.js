// Calls: the list, one of them with its words, and where the time of each turn went, as a picture.

import { api, doing, fill, h, lasting, refill, rich, time } from "/assets/dom.js";

export const calls = { title: "Calls", show };

function show(main, app, [id]) {
  return id ? one(main, id) : all(main, app);
}

function all(main, app) {
  const notices = h("div");
  const list = h("div", { "aria-busy": "true" });
  fill(main, h("h1", {}, "Calls"), notices, list);

  async function read() {
    const [found, left] = await Promise.all([api("/api/web/calls"), api("/api/web/notices")]);
    draw_notices(left.notices);
    list.removeAttribute("aria-busy");
    if (!found.calls.length) {
      refill(list, null, () => h("div", { class: "card" },
        h("p", {}, "No calls yet. Dial 100 on a connected phone, or ", h("a", { href: "#phone" }, "call from this browser"), "."),
        h("p", { class: "about" }, "Each call will stand here with its words, and with a picture of where the time went.")));
      return;
    }
    refill(list, found.calls, () => h("ul", { class: "rows" }, found.calls.map((call) => h("li", {},
      h("a", { class: "row", href: `#calls/${call.id}` },
        h("span", { class: `result ${call.ended_unix_ms ? call.result : "up"}`, "aria-hidden": "true" }),
        h("span", { class: "grow" },
          h("b", {}, app.me.is_owner ? `${call.user} → ${call.number}` : `→ ${call.number}`),
          h("span", { class: "about" }, call.ended_unix_ms ? call.reason || call.result : "going on now")),
        h("span", { class: "right about" }, time(call.started_unix_ms), h("br"),
          call.ended_unix_ms ? lasting(call.ended_unix_ms - call.started_unix_ms) : "now",
          call.turns ? ` · ${call.turns} turn${call.turns === 1 ? "" : "s"}` : ""))))));
  }

  function draw_notices(rows) {
    refill(notices, rows, () => rows.length > 0 && h("section", { class: "card" },
      h("h2", {}, "Messages for you"),
      rows.map((row) => h("div", { class: "notice" },
        h("div", { class: "grow" }, rich(row.text), row.why && h("p", { class: "about" }, row.why), h("p", { class: "about" }, time(row.at_unix_ms))),
        h("button", {
          class: "quiet",
          onclick: doing(async () => {
            await api(`/api/web/notices/${row.id}/read`, undefined, { method: "POST" });
            await read();
          }),
        }, "Read")))));
  }

  read();
  return { told: (event) => ["calls", "again"].includes(event) && read() };
}

function one(main, id) {
  const body = h("div", { "aria-busy": "true" });
  fill(main, h("p", {}, h("a", { href: "#calls" }, "← All calls")), body);

  async function read() {
    let call;
    try {
      call = await api(`/api/web/calls/${encodeURIComponent(id)}`);
    } catch (error) {
      refill(body, error.message, () => h("p", { class: "card bad" }, error.message));
      return;
    }
    body.removeAttribute("aria-busy");
    refill(body, call, () => [
      h("h1", {}, `${call.user} → ${call.number}`),
      h("dl", { class: "facts" },
        fact("When", time(call.started_unix_ms)),
        fact("Lasted", call.ended_unix_ms ? lasting(call.ended_unix_ms - call.started_unix_ms) : "it goes on"),
        fact("Ended", call.reason || call.result),
        fact("Phone", call.phone),
        fact("Codec", call.codec),
        call.guesses > 0 && fact("Asked early", `${call.hits} of ${call.guesses} right, ${call.saved_ms} ms saved`)),
      h("h2", {}, "What was said"),
      call.said.length
        ? h("div", { class: "log" }, call.said.map((row) => h("div", { class: `message ${row.role}` },
          h("div", { class: "bubble" }, rich(row.text), row.heard !== null && h("p", { class: "about" }, "You cut this short.")),
          h("div", { class: "about" }, time(row.at_unix_ms)))))
        : h("p", { class: "about" }, "Nothing, or words are not kept ([store] transcripts)."),
      call.turn_list.length > 0 && [
        h("h2", {}, "Where the time went"),
        h("p", { class: "about" }, "Each bar begins when its stage could begin. 0 is your last voice; the first packet of the answer ends the wait."),
        call.turn_list.map((turn) => picture(call, turn)),
      ],
    ]);
  }

  read();
  return { told: (event) => ["calls", "again"].includes(event) && read() };
}

function fact(name, value) {
  return value ? h("div", {}, h("dt", {}, name), h("dd", {}, value)) : null;
}

function picture(call, turn) {
  const { committed_ms, first_packet_ms, guessed_ms } = turn.stages;
  const early = guessed_ms !== null && committed_ms !== null && guessed_ms < committed_ms;
  const words = first_packet_ms === null ? "nothing was said" : `first sound after ${first_packet_ms} ms`;
  const by = [turn.gateway, turn.model].filter(Boolean).join(", ");
  // As wide as there is room, so that its figures stay readable on a phone.
  const width = Math.min(720, document.getElementById("main").clientWidth - 34);
  return h("figure", { class: "card turn" },
    h("figcaption", {},
      h("b", {}, `Turn ${turn.n}: ${words}`),
      early && h("span", { class: "about" }, ` · asked ${committed_ms - guessed_ms} ms early`),
      turn.caller_text && h("p", { class: "about" }, `“${turn.caller_text}”`),
      (by || turn.tools.length > 0) && h("p", { class: "about" }, by, turn.tools.length > 0 && ` · used ${turn.tools.join(", ")}`)),
    h("img", { src: `/api/web/calls/${encodeURIComponent(call.id)}/turns/${turn.n}?width=${width}`, alt: stages(turn.stages), loading: "lazy" }));
}

/** The picture in words. */
function stages(given) {
  const names = { transcribed_ms: "heard", guessed_ms: "asked early", committed_ms: "taken as finished", first_text_ms: "first words of the agent", first_sound_ms: "voice", first_packet_ms: "first packet" };
  const parts = Object.entries(names).filter(([key]) => given[key] !== null && given[key] !== undefined);
  return `Stages: ${parts.map(([key, words]) => `${words} at ${given[key]} ms`).join(", ")}`;
}
