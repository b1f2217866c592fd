// Offhook's companion plugin for OpenClaw: appends rows to the transcript of a phone call as they were really spoken, where
// OpenClaw's model sees them. It registers no hook and no tool, opens nothing, and keeps no state: OpenClaw may instantiate
// this module more than once. Whoever calls it has the scope operator.write, and could send messages there anyway.

import {
  appendSessionTranscriptMessagesByIdentity,
  readVisibleSessionTranscriptMessageEntries,
} from "openclaw/plugin-sdk/session-transcript-runtime";

// The same as in package.json and openclaw.plugin.json. Offhook uses versions of the major number that it knows.
const VERSION = "1.0.0";
const ROWS_MAX = 8;
const TEXT_BYTES_MAX = 16 * 1024;
const WITHIN_MS_MAX = 10_000;
// The voice conversations that Offhook makes; others only where the owner's config names them.
const VOICE_KEY = /^agent:([a-z0-9_.+-]{1,64}):voice:[a-z0-9_.+-]{1,64}$/;
const OWN_KEY = /^agent:([^:\s]{1,64}):\S{1,128}$/;
const ID = /^[A-Za-z0-9-]{1,64}$/;

class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function check(holds, code, message) {
  if (!holds) throw new Refusal(code, message);
}

function checkedRow(row) {
  check(row !== null && typeof row === "object", "OFFHOOK_ROWS", "a row must be an object");
  const { role, text } = row;
  check(role === "user" || role === "assistant", "OFFHOOK_ROWS", "a row's role must be user or assistant");
  check(typeof text === "string" && text.trim() !== "", "OFFHOOK_ROWS", "a row's text must be a string with words in it");
  check(Buffer.byteLength(text) <= TEXT_BYTES_MAX, "OFFHOOK_ROWS", `a row's text must not exceed ${TEXT_BYTES_MAX} bytes`);
  check(text.isWellFormed(), "OFFHOOK_ROWS", "a row's text must be well-formed");
  return { role, text };
}

function checked(params, ownSessions) {
  check(params !== null && typeof params === "object", "OFFHOOK_PARAMS", "params must be an object");
  const { sessionKey, idempotencyKey, replaces, withinMs, rows } = params;
  check(typeof sessionKey === "string", "OFFHOOK_SESSION", "sessionKey must be a string");
  const isOwn = Array.isArray(ownSessions) && ownSessions.includes(sessionKey);
  const agentId = (isOwn ? OWN_KEY : VOICE_KEY).exec(sessionKey)?.[1];
  check(agentId, "OFFHOOK_SESSION", "not a voice session, and not among plugins.entries.offhook.config.sessions");
  check(typeof idempotencyKey === "string" && ID.test(idempotencyKey), "OFFHOOK_PARAMS", "idempotencyKey must be a short name");
  check(replaces === undefined || (typeof replaces === "string" && ID.test(replaces)), "OFFHOOK_PARAMS", "replaces must be the name of a run");
  check(Number.isInteger(withinMs) && withinMs > 0 && withinMs <= WITHIN_MS_MAX, "OFFHOOK_PARAMS", "withinMs must be a number of milliseconds");
  check(Array.isArray(rows) && rows.length > 0 && rows.length <= ROWS_MAX, "OFFHOOK_ROWS", `rows must be a list of 1 to ${ROWS_MAX}`);
  return { sessionKey, agentId, idempotencyKey, replaces, withinMs, rows: rows.map(checkedRow) };
}

function textOf(message) {
  if (typeof message.content === "string") return message.content;
  const parts = Array.isArray(message.content) ? message.content : [];
  return parts.map((part) => (part?.type === "text" ? part.text : "")).join("");
}

function callsTool(message) {
  return Array.isArray(message.content) && message.content.some((part) => /^(toolCall|toolUse|functionCall)$/.test(part?.type));
}

// The row after which the heard words stand instead of the reply of this run, and what of the reply stands before that row
// because a tool was called after it. The replaced rows are kept in a branch that no model sees.
function joint(entries, run) {
  const asked = entries.findLastIndex((entry) => entry.role === "user");
  check(asked >= 0 && entries[asked].idempotencyKey === `${run}:user`, "OFFHOOK_MOVED_ON", "that reply is not the last one");
  const isPlain = ({ role, message }) => role === "assistant" && !callsTool(message);
  const last = asked + 1 + entries.slice(asked + 1).findLastIndex((entry) => !isPlain(entry));
  for (const { message } of entries.slice(last + 1)) {
    const of = message.openclawAbort?.runId ?? message.__openclaw?.runId ?? run;
    check(of === run, "OFFHOOK_MOVED_ON", "somebody else has spoken there");
  }
  const before = entries.slice(asked + 1, last + 1).filter((entry) => entry.role === "assistant");
  const next = entries[last + 1];
  return { parentId: next ? next.parentId : undefined, said: before.map((entry) => textOf(entry.message)).join("").trim() };
}

function message(row, idempotencyKey, now) {
  const common = { role: row.role, content: [{ type: "text", text: row.text }], timestamp: now, idempotencyKey };
  if (row.role === "user") return common;
  const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
  const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, totalTokens: 0, cost };
  // Not provider "openclaw": rows of that name are for display, and no model sees them.
  return { ...common, api: "offhook", provider: "offhook", model: "spoken", stopReason: "stop", usage };
}

async function append(api, params) {
  const began = Date.now();
  const asked = checked(params, api.pluginConfig?.sessions);
  const { sessionKey, agentId } = asked;
  const sessionId = api.runtime.agent.session.getSessionEntry({ agentId, sessionKey })?.sessionId;
  check(sessionId, "OFFHOOK_SESSION", "there is no such session yet");
  const target = { agentId, sessionKey, sessionId };
  const nameOf = (n) => `offhook:${asked.idempotencyKey}:${n}`;
  // What was written under this name stands there, even if nobody heard of it: no joint is looked for then, and only the rest
  // is written.
  let entries = await readVisibleSessionTranscriptMessageEntries(target);
  const there = new Set(entries.map((entry) => entry.idempotencyKey));
  let parentId;
  if (asked.replaces !== undefined && !there.has(nameOf(0))) {
    let found = joint(entries, asked.replaces);
    // OpenClaw writes what it had of an aborted reply a moment after the abort.
    for (let tries = 1; tries < 5 && found.parentId === undefined; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      entries = await readVisibleSessionTranscriptMessageEntries(target);
      found = joint(entries, asked.replaces);
    }
    parentId = found.parentId;
    const [first] = asked.rows;
    check(first.role === "assistant", "OFFHOOK_ROWS", "only the assistant's words replace a reply");
    if (first.text.startsWith(found.said)) first.text = first.text.slice(found.said.length).trim() || "…";
    else if (found.said.startsWith(first.text)) first.text = "…";
  }
  // Too late they would stand behind the next question. All rows are written, or none: the first one decides.
  let isInTime;
  const inTime = (prepared) => ((isInTime ??= Date.now() - began < asked.withinMs) ? prepared : undefined);
  const messages = asked.rows
    .map((row, n) => ({
      message: message(row, nameOf(n), Date.now()),
      idempotencyLookup: "scan",
      prepareMessageAfterIdempotencyCheck: inTime,
      ...(n === 0 && parentId !== undefined ? { parentId } : {}),
    }))
    .filter((row) => !there.has(row.message.idempotencyKey));
  if (messages.length === 0) return { appended: 0 };
  const appended = await appendSessionTranscriptMessagesByIdentity({ ...target, messages });
  return { appended: appended.length };
}

// Nothing that a caller sends is thrown through to OpenClaw.
async function answer(api, respond, work) {
  try {
    respond(true, await work());
  } catch (error) {
    const isRefusal = error instanceof Refusal;
    if (!isRefusal) api.logger?.warn?.(`offhook: rows were not appended: ${error?.message ?? error}`);
    const code = isRefusal ? error.code : "OFFHOOK_NOT_APPENDED";
    const says = isRefusal ? error.message : "the rows were not appended";
    respond(false, undefined, { code: "INVALID_REQUEST", message: `offhook: ${says}`, details: { code } });
  }
}

export default {
  id: "offhook",
  name: "Offhook",
  description: "Keeps the transcript of a phone call true to what was heard",
  register(api) {
    const scope = { scope: "operator.write" };
    api.registerGatewayMethod("offhook.version", ({ respond }) => answer(api, respond, async () => ({ version: VERSION })), scope);
    api.registerGatewayMethod("offhook.append", ({ params, respond }) => answer(api, respond, () => append(api, params)), scope);
  },
};
