// The browser phone in a real Chromium, played through a list of steps: a person at the page, without the page around it.
// Arguments: CHROMIUM BASE TOKEN ACCOUNT SOUND SCRIPT FOLDER STEP… where SOUND is the wav its microphone hears (from the
// first use on, once), SCRIPT is phone.js, FOLDER is for its profile. Steps: `call:NUMBER`, `answer`, `hangup`, `dtmf:KEY`,
// `mute`, `until:STATE`, `sleep:SECONDS`, `drop` (its socket breaks), `back` (waits until it is registered again), `stats`, `gap:SECONDS` (watches for so long; then the
// milliseconds from the last sound of each thing said at the microphone to the first sound of what follows from the other
// side, as they leave the jitter buffer). Each state and figure is a line on stdout.
// Chromium is spoken to over its debugging pipe (Chrome DevTools Protocol); nothing else is needed.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

const [chromium, base, token, account, sound, script, folder, ...steps] = process.argv.slice(2);
const STATE_MAX_MS = 30000;

const browser = spawn(chromium, [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
  "--remote-debugging-pipe", `--user-data-dir=${folder}`, "--autoplay-policy=no-user-gesture-required",
  "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${sound}%noloop`,
], { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
let said = "";
browser.stderr.on("data", (data) => (said = (said + data).slice(-4000)));
browser.on("exit", (code) => fail(`chromium ended with ${code}: ${said}`));

function fail(why) {
  console.log(`FAILED ${why}`);
  browser.kill("SIGKILL");
  process.exit(1);
}

let number = 0;
const waiting = new Map();
const states = [];
let hear = () => {};
let rest = "";
browser.stdio[4].on("data", (data) => {
  const parts = (rest + data).split("\0");
  rest = parts.pop();
  for (const part of parts) {
    const message = JSON.parse(part);
    const done = waiting.get(message.id);
    waiting.delete(message.id);
    done?.(message);
    if (message.method === "Runtime.bindingCalled") told(message.params.payload);
    if (message.method === "Runtime.exceptionThrown") console.log(`ERROR ${JSON.stringify(message.params.exceptionDetails).slice(0, 600)}`);
  }
});

function told(payload) {
  const state = JSON.parse(payload);
  console.log(`STATE ${Date.now()} ${state.name} ${state.peer} ${state.why}`.trim());
  states.push(state.name);
  hear();
}

let page;
function ask(method, params = {}) {
  const id = ++number;
  browser.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: page })}\0`);
  return new Promise((done) => waiting.set(id, done)).then(({ result, error }) => {
    if (error) fail(`${method}: ${error.message}`);
    return result;
  });
}

async function run(expression) {
  const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** The state has been there since the last step that waited. */
function until(wanted) {
  return new Promise((done) => {
    const limit = setTimeout(() => fail(`no state ${wanted}, only ${states.join(" ")}`), STATE_MAX_MS);
    hear = () => {
      const at = states.indexOf(wanted);
      if (at < 0) return;
      states.splice(0, at + 1);
      clearTimeout(limit);
      hear = () => {};
      done();
    };
    hear();
  });
}

async function pass() {
  const got = await fetch(`${base}/api/phone`, {
    method: "POST", headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }, body: JSON.stringify({ account }),
  });
  if (!got.ok) fail(`no pass: ${got.status}`);
  return got.json();
}

const STATS = `(async () => {
  const all = [...(await phone.line.pc.getStats()).values()];
  const of = (type) => all.find((each) => each.type === type && each.kind !== "video") ?? {};
  // A call that is handed on goes on under another source: its packets count together, the rest is the latest one's.
  const sources = all.filter((each) => each.type === "inbound-rtp" && each.kind !== "video");
  const into = sources.reduce((a, b) => ((b.lastPacketReceivedTimestamp ?? 0) > (a.lastPacketReceivedTimestamp ?? 0) ? b : a), {});
  const sum = (what) => sources.reduce((all, each) => all + (each[what] ?? 0), 0);
  const [out, pair] = [of("outbound-rtp"), all.find((each) => each.type === "candidate-pair" && each.nominated) ?? {}];
  const codec = all.find((each) => each.id === out.codecId) ?? {};
  const transport = of("transport");
  return {
    received: sum("packetsReceived"), lost: sum("packetsLost"), heard: sum("totalAudioEnergy"), jitter_ms: (into.jitter ?? 0) * 1000,
    sent: out.packetsSent ?? 0, codec: codec.mimeType, dtls: transport.dtlsState, srtp: transport.srtpCipher, tls: transport.tlsVersion,
    round_trip_ms: (pair.currentRoundTripTime ?? 0) * 1000, buffer_ms: (1000 * (into.jitterBufferDelay ?? 0)) / (into.jitterBufferEmittedCount || 1),
  };
})()`;

// Looks every few milliseconds at both sounds, as docs/figures.md defines voice: 10 ms of at least -45 dBFS.
const GAP = (ms) => `(async () => {
  const { line } = phone;
  const listen = (stream) => {
    const analyser = line.audio.createAnalyser();
    analyser.fftSize = 512;
    line.audio.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    return () => (analyser.getFloatTimeDomainData(samples), Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length) > 0.0056);
  };
  const [own, theirs] = [listen(line.mine), listen(line.player.srcObject)];
  const gaps = [];
  let said = 0, heard = 0;
  for (const end = performance.now() + ${ms}; performance.now() < end; await new Promise((done) => setTimeout(done, 4))) {
    const now = performance.now();
    const is_theirs = theirs();
    if (own()) said = now;
    else if (is_theirs && said > heard && now - said > 100) gaps.push(Math.round(now - said));
    if (is_theirs) heard = now;
  }
  return gaps;
})()`;

const step = {
  gap: async (seconds) => console.log(`GAPS ${JSON.stringify(await run(GAP(Number(seconds) * 1000)))}`),
  call: (to) => run(`void phone.call(${JSON.stringify(to)}).catch(() => {})`),
  answer: () => run("void phone.answer()"),
  hangup: () => run("phone.hangup()"),
  dtmf: (key) => run(`phone.dtmf(${JSON.stringify(key)})`),
  mute: () => run("phone.mute(true)"),
  drop: () => run("new Promise((done) => { phone.socket.addEventListener('close', () => done()); phone.socket.close(); })"),
  back: () => run("phone.registered()"),
  sleep: (seconds) => sleep(Number(seconds) * 1000),
  until,
  stats: async () => console.log(`STATS ${JSON.stringify(await run(STATS))}`),
};

const { targetInfos } = await ask("Target.getTargets");
const { targetId } = targetInfos.find((each) => each.type === "page") ?? (await ask("Target.createTarget", { url: "about:blank" }));
page = (await ask("Target.attachToTarget", { targetId, flatten: true })).sessionId;
await ask("Page.enable");
await ask("Runtime.enable");
// The page that is served here allows no script; this one is put in by hand.
await ask("Page.setBypassCSP", { enabled: true });
await ask("Runtime.addBinding", { name: "told" });
await ask("Page.navigate", { url: `${base}/healthz` });
await sleep(500);
const source = Buffer.from(readFileSync(script)).toString("base64");
try {
  await run(`(async () => {
    const { Phone } = await import("data:text/javascript;base64,${source}");
    window.passes = ${JSON.stringify([await pass(), await pass(), await pass()])};
    window.phone = new Phone({
      ticket: async () => window.passes.shift(),
      onstate: (state) => told(JSON.stringify(state)),
      onlevel: ({ in: own, out }) => { window.loudest = [Math.max(window.loudest?.[0] ?? 0, own), Math.max(window.loudest?.[1] ?? 0, out)]; },
    });
  })()`);
  await until("ready");
  for (const each of steps) {
    const at = each.indexOf(":");
    const [name, value] = at < 0 ? [each, ""] : [each.slice(0, at), each.slice(at + 1)];
    console.log(`STEP ${each}`);
    await step[name](value);
  }
  console.log(`LEVELS ${JSON.stringify(await run("window.loudest ?? [0, 0]"))}`);
} catch (error) {
  fail(error.message);
}
console.log("DONE");
browser.removeAllListeners("exit");
browser.kill("SIGKILL");
process.exit(0);
