// The house: what waits for a yes; phones, trunks, bans, ears, voice, agents, channels, people, and signed-in browsers.

import { ago, api, arrange, doing, fill, h, lasting, refill, time, toast } from "/assets/dom.js";
import { connect } from "/assets/connect.js";

export const approvals = { title: "Approvals", show: show_approvals };
export const house = { title: "House", show: show_house };

const KINDS = { exec: "run a command", plugin: "use a plugin", tool: "use a tool" };

function show_approvals(main, app) {
  const stopped = h("div");
  // New ones are read out; what stands there is not read out again.
  const asked = h("div", { "aria-live": "polite", "aria-relevant": "additions" });
  const nothing = h("div", { class: "card", hidden: true },
    h("p", {}, "Nothing waits for your yes."),
    h("p", { class: "about" }, "When your agent wants to do something risky, it stands here, and you are asked on the phone if a call is up. Silence is a no."));
  const stop = h("div", { hidden: true },
    h("button", {
      class: "danger",
      onclick: doing(async () => {
        await api("/api/web/approvals/stop", undefined, { method: "POST" });
        await read();
      }),
    }, "Stop everything"),
    h("p", { class: "about" }, "Refuses all that waits and all that comes, until it is lifted."));
  fill(main, h("h1", {}, "Approvals"), stopped, asked, nothing, stop);
  const cards = new Map();

  async function read() {
    const found = await api("/api/web/approvals");
    // A PIN that is being typed stays.
    refill(stopped, [found.is_frozen, found.may_lift], () => found.is_frozen && h("div", { class: "card bad-card", role: "alert" },
      h("h2", {}, "Everything is stopped"),
      h("p", {}, "Nothing risky is allowed, on no channel, until the stop is lifted."),
      found.may_lift ? lift(read) : h("p", { class: "about" }, "The owner can lift it.")));
    const waiting = found.waiting.map((each) => {
      if (!cards.has(each.id)) cards.set(each.id, request(each));
      const card = cards.get(each.id);
      card.yes.disabled = !found.may_allow || found.is_frozen;
      card.over.textContent = ago(each.expires_unix_ms);
      return card.element;
    });
    for (const id of cards.keys()) if (!found.waiting.some((each) => each.id === id)) cards.delete(id);
    arrange(asked, waiting);
    nothing.hidden = waiting.length > 0;
    stop.hidden = found.is_frozen;
  }

  function request(each) {
    const yes = h("button", { class: "main", onclick: deciding(each.id, true) }, "Approve once");
    const over = h("span");
    const element = h("article", { class: "card approval", "data-id": each.id },
      h("p", { class: "about" }, `Your agent would like to ${KINDS[each.kind] ?? each.kind}`, each.place && ` at ${each.place}`, ":"),
      h("pre", {}, h("code", {}, each.what)),
      h("p", { class: "about" }, each.session, " · asked ", time(each.asked_unix_ms), " · over ", over),
      h("div", { class: "buttons" }, yes, h("button", { onclick: deciding(each.id, false) }, "Deny")));
    return { element, yes, over };
  }

  function deciding(id, allow) {
    return doing(async () => {
      await api("/api/web/approvals", { id, allow });
      toast(allow ? "Approved, this once." : "Denied.");
      await read();
    });
  }

  read();
  const ticks = setInterval(read, 15000);
  return { told: (event) => ["approvals", "again"].includes(event) && read(), leave: () => clearInterval(ticks) };
}

function lift(read) {
  const pin = h("input", { type: "password", inputMode: "numeric", autocomplete: "off", maxLength: 8, "aria-label": "Your PIN" });
  const ask = h("label", { hidden: true }, "Your PIN ", pin);
  return h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        await api("/api/web/approvals/lift", { pin: pin.value });
        await read();
      } catch (error) {
        ask.hidden = error.status !== 428 && !pin.value;
        pin.value = "";
        if (error.status === 428) pin.focus();
        toast(error.message);
      }
    },
  }, ask, h("button", { type: "submit" }, "Lift the stop"));
}

function show_house(main, app, [part]) {
  const phone = connect(app);
  const health = new Map();
  const standing = h("div");
  const version = h("p", { class: "about" });
  const registered = h("div");
  const banned = h("div");
  const signed_in = h("div");
  const people = app.me.is_owner && people_card(read);
  const bans = h("section", { class: "card", hidden: true }, h("h2", {}, "Bans"), banned);
  // Made once: what is being typed, and the button a finger is on, stay while the rest is drawn again.
  const body = h("div", { hidden: true },
    h("section", { class: "card" },
      h("h2", {}, "How it is"), standing, version,
      app.me.is_owner && h("button", {
        onclick: doing(async () => {
          const { agents } = await api("/api/web/agents/check", undefined, { method: "POST" });
          agents.forEach((each) => health.set(each.name, each));
          await read();
        }),
      }, "Check the agents")),
    h("section", { class: "card" }, h("h2", {}, "Registered phones"), registered),
    phone.card, people && people.card, bans,
    h("section", { class: "card" },
      h("h2", {}, "Signed-in browsers"), signed_in,
      h("p", { class: "about" }, `Signed in as ${app.me.person} (${app.me.level})${app.me.by === "proxy" ? ", by your reverse proxy" : ""}.`)));
  const box = h("div", { "aria-busy": "true" }, body);
  fill(main, h("h1", {}, "House"), box);
  let is_first = true;

  async function read() {
    const [found, signed, linked] = await Promise.all([
      api("/api/web/house"),
      api("/api/web/sessions"),
      people ? api("/api/web/people").catch(() => null) : null,
    ]);
    box.removeAttribute("aria-busy");
    body.hidden = false;
    const rows = states(found, linked, health);
    refill(standing, rows, () => rows.map((row) => state(...row)));
    version.textContent = `Version ${found.version}, up ${lasting(found.uptime_s * 1000)}`;
    refill(registered, [found.phones, found.accounts], () => phones(found));
    if (people) people.draw(linked);
    bans.hidden = !found.bans;
    refill(banned, found.bans ?? [], () => ban_rows(found.bans ?? [], read));
    refill(signed_in, signed.sessions.map((each) => [each, ago(each.seen_unix_ms)]), () => browsers(signed.sessions, app));
    if (is_first && part === "connect") phone.card.scrollIntoView();
    is_first = false;
  }

  read();
  const ticks = setInterval(read, 30000);
  return { told: (event) => ["phones", "calls", "again"].includes(event) && read(), leave: () => clearInterval(ticks) };
}

/** How everything stands: verdict, name, words. */
function states(found, linked, health) {
  const engines = { ready: "good", warming: "wait", failed: "bad" }[found.engines.state];
  const not_ready = { warming: "warming up", failed: "failed: see the log" }[found.engines.state];
  return [
    [engines, "Ears", found.engines.model || not_ready],
    [engines, "Voice", found.engines.voice || not_ready],
    [found.signalling ? "good" : "bad", "Telephone", found.signalling ? `${count(found.calls?.length ?? 0, "call")} up` : "does not answer: see the log"],
    ...(found.agents ?? []).map((each) => {
      const checked = health.get(each.name);
      const words = [each.demo ? "built-in demo" : [each.model || each.gateway, each.address].filter(Boolean).join(" at "), each.standing, checked?.words];
      return [checked ? (checked.is_well ? "good" : "bad") : "", each.name === "agent" ? "Agent" : `Agent ${each.name}`, words.filter(Boolean).join(" · ")];
    }),
    ...(found.trunks ?? []).map((each) => [!each.address || /refused|no /.test(each.registration) ? "bad" : "good", `Trunk ${each.name}`,
      [each.registration, each.account !== "none" && each.account].filter(Boolean).join(" · ")]),
    ...(linked?.channels ?? []).map((each) => ["", `Channel ${each.name}`, each.standing]),
  ];
}

function count(n, what) {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

const VERDICTS = { good: "well", bad: "not well", wait: "starting", "": "" };

function state(verdict, name, words) {
  return h("div", { class: "state" },
    h("span", { class: `dot ${verdict}`, role: "img", "aria-label": VERDICTS[verdict] || "not checked" }),
    h("b", {}, name), h("span", {}, words));
}

function phones(found) {
  return [
    found.phones?.length
      ? h("ul", { class: "rows" }, found.phones.map((each) => h("li", { class: "row" },
        h("span", { class: "grow" }, h("b", {}, each.user), h("span", { class: "about" }, each.user_agent ?? "")),
        h("span", { class: "right about" }, each.transport.toUpperCase(), h("br"), each.address))))
      : h("p", {}, "No phone is registered. Connect one below; it takes a minute."),
    found.accounts?.length > 0 && h("p", { class: "about" }, `Accounts: ${found.accounts.join(", ")}`),
  ];
}

/** The card, and what draws it: the form is made once. */
function people_card(read) {
  const code = h("input", { "aria-label": "Code", placeholder: "Code", autocomplete: "off", maxLength: 16, required: true });
  const person = h("select", { "aria-label": "Person" });
  const linked = h("div");
  const card = h("section", { class: "card", hidden: true },
    h("h2", {}, "People and channels"),
    h("p", { class: "about" }, "Who writes to the assistant for the first time on Telegram, Matrix or Signal gets a code. Enter it here to say who that is."),
    h("form", {
      class: "inline",
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const made = await api("/api/web/people/link", { code: code.value.trim(), person: person.value });
          toast(`${made.channel} ${made.id} is ${person.value} now.`);
          code.value = "";
          await read();
        } catch (error) {
          toast(error.message);
        }
      },
    }, code, person, h("button", { type: "submit" }, "Approve")),
    linked);

  function draw(people) {
    card.hidden = !people;
    if (!people) return;
    const chosen = person.value;
    refill(person, people.people, () => people.people.map((each) => h("option", { value: each, selected: each === chosen }, each)));
    refill(linked, people.identities, () => people.identities.length > 0 && h("ul", { class: "rows" }, people.identities.map((each) => h("li", { class: "row" },
      h("span", { class: "grow" }, h("b", {}, each.person), h("span", { class: "about" }, `${each.channel} ${each.id}`)),
      h("button", {
        class: "quiet",
        "aria-label": `Unlink ${each.channel} ${each.id} from ${each.person}`,
        onclick: doing(async () => {
          await api("/api/web/people/unlink", { channel: each.channel, id: each.id });
          await read();
        }),
      }, "Unlink")))));
  }
  return { card, draw };
}

function ban_rows(rows, read) {
  if (!rows.length) return h("p", {}, "Nobody is banned. Addresses that guess passwords come here by themselves.");
  return h("ul", { class: "rows" }, rows.map((each) => h("li", { class: "row" },
    h("span", { class: "grow" }, h("b", {}, each.address), h("span", { class: "about" }, `${each.why} · until `, time(each.until_unix_ms))),
    h("button", {
      class: "quiet",
      "aria-label": `Lift the ban of ${each.address}`,
      onclick: doing(async () => {
        await api("/api/web/bans/lift", { address: each.address });
        await read();
      }),
    }, "Lift"))));
}

function browsers(rows, app) {
  return rows.length > 0 && h("ul", { class: "rows" }, rows.map((each) => h("li", { class: "row" },
    h("span", { class: "grow" }, h("b", {}, browser(each.browser)), h("span", { class: "about" }, each.is_this ? "this one" : `last here ${ago(each.seen_unix_ms)}`)),
    h("button", {
      class: "quiet",
      "aria-label": `Sign out ${browser(each.browser)}`,
      onclick: doing(async () => {
        await api(each.is_this ? "/api/web/logout" : `/api/web/sessions/${each.name}/end`, undefined, { method: "POST" });
        if (each.is_this) app.signed_out("");
        else app.tell("again", null);
      }),
    }, "Sign out"))));
}

/** A browser's name and system out of its User-Agent. */
function browser(text) {
  const name = [["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([part]) => text.includes(part))?.[1];
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"]].find(([part]) => text.includes(part))?.[1];
  return [name ?? (text.slice(0, 40) || "A browser"), system].filter(Boolean).join(" on ");
}
