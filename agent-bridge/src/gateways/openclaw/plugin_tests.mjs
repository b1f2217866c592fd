// Our companion plugin against a stand-in for OpenClaw's transcript: `node plugin_tests.mjs PATH-TO-index.js`. The stand-in
// appends as OpenClaw 2026.9.6 does: a group in one go, and not at all where some of it is new and some is not.

import assert from "node:assert/strict";
import * as modules from "node:module";
import { pathToFileURL } from "node:url";

if (modules.register === undefined || "".isWellFormed === undefined) {
  console.log("skipped: this Node is too old for OpenClaw");
  process.exit(0);
}

const module = (source) => `data:text/javascript,${encodeURIComponent(source)}`;
const sdk = module(`
  export const appendSessionTranscriptMessagesByIdentity = (group) => globalThis.transcript.append(group);
  export const readVisibleSessionTranscriptMessageEntries = () => globalThis.transcript.visible();
`);
modules.register(module(`
  export const resolve = (name, context, next) =>
    name.startsWith("openclaw/") ? { url: ${JSON.stringify(sdk)}, shortCircuit: true } : next(name, context);
`));
const { default: plugin } = await import(pathToFileURL(process.argv[2]));

let clock = 0;
Date.now = () => clock;

class Transcript {
  entries = [];
  perRow = 0;

  add(message, parentId = this.entries.at(-1)?.entryId ?? null) {
    // What follows the parent is in a branch that nobody sees.
    this.entries.length = this.entries.findIndex((entry) => entry.entryId === parentId) + 1;
    this.count = (this.count ?? 0) + 1;
    const { role, idempotencyKey } = message;
    this.entries.push({ entryId: `e${this.count}`, parentId, role, message, ...(idempotencyKey ? { idempotencyKey } : {}) });
  }

  visible() {
    return [...this.entries];
  }

  append({ messages }) {
    const before = this.visible();
    const done = messages.map(({ message, prepareMessageAfterIdempotencyCheck: prepare, parentId }) => {
      if (this.entries.some((entry) => entry.idempotencyKey === message.idempotencyKey)) return false;
      clock += this.perRow;
      const prepared = prepare(message);
      if (prepared !== undefined) this.add(prepared, parentId);
      return prepared && true;
    });
    if (!done.every((isNew) => isNew) && done.some((isNew) => isNew !== false)) {
      this.entries = before;
      throw new Error("not all of the group");
    }
    return done.map((appended) => ({ appended }));
  }

  said() {
    return this.entries.map(({ role, message }) => `${role}: ${message.content.map(({ text }) => text).join("")}`);
  }
}

const text = (role, words, more) => ({ role, content: [{ type: "text", text: words }], ...more });
const row = (role, words) => ({ role, text: words });

function begin() {
  globalThis.transcript = new Transcript();
  globalThis.transcript.add(text("user", "Tea?", { idempotencyKey: "r1:user" }));
  globalThis.transcript.add(text("assistant", "Yes, tea, or soup."));
  return globalThis.transcript;
}

const methods = {};
plugin.register({
  runtime: { agent: { session: { getSessionEntry: () => ({ sessionId: "s" }) } } },
  registerGatewayMethod: (name, work) => (methods[name] = work),
});

async function append(more) {
  const params = { sessionKey: "agent:main:voice:phone1", idempotencyKey: "N-0", withinMs: 1_000, ...more };
  let answer;
  await methods["offhook.append"]({ params, respond: (ok, result, error) => (answer = ok ? result : error.details.code) });
  return answer;
}

const heard = [row("assistant", "Yes,"), row("user", "And cake?"), row("assistant", "There is cake.")];
const expected = ["user: Tea?", "assistant: Yes,", "user: And cake?", "assistant: There is cake."];

// The answer to a hand-over is lost, and it is asked for again by its name; then with a turn more.
let transcript = begin();
for (let times = 0; times < 2; times++) {
  assert.notEqual(typeof (await append({ replaces: "r1", rows: heard })), "string", `time ${times}`);
  assert.deepEqual(transcript.said(), expected);
}
assert.deepEqual(await append({ replaces: "r1", rows: [...heard, row("user", "Thank you.")] }), { appended: 1 });
assert.deepEqual(transcript.said(), [...expected, "user: Thank you."]);
// By another name it is another one, and somebody has spoken since.
assert.equal(await append({ replaces: "r1", rows: heard, idempotencyKey: "M-0" }), "OFFHOOK_MOVED_ON");

// The time runs out between two rows: the first one was in time, and so are all.
transcript = begin();
transcript.perRow = 600;
assert.deepEqual(await append({ replaces: "r1", rows: heard }), { appended: 3 });
assert.deepEqual(transcript.said(), expected);

// It has run out before the first one: none is written.
transcript = begin();
transcript.perRow = 1_000;
assert.equal(await append({ replaces: "r1", rows: heard }), "OFFHOOK_NOT_APPENDED");
assert.deepEqual(transcript.said(), ["user: Tea?", "assistant: Yes, tea, or soup."]);
