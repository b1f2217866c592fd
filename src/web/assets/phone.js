// A phone in the browser: SIP over a WebSocket of the page's own origin (RFC 7118), sound over WebRTC. The server lets the
// socket in by a ticket that whoever is signed in gets, so there is no password here. One call at a time.
//
// States: offline, connecting, ready, calling, ringing, incoming, talking, ended (then ready again).

const EXPIRES_S = 300;
const PING_MS = 25000;
const RETRY_MS = [1000, 2000, 4000, 8000, 15000, 30000];
const LEVEL_MS = 100;
const LOST_MS = 15000;
/** How long answers to an INVITE may still come again, 64 T1 of RFC 3261 and some more. */
const ECHO_MS = 40000;
/** What is owed to the server while its line is broken. */
const OWED_MAX = 8;
const ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO";
const WORDS = {
  403: "not allowed", 404: "nobody has this number", 408: "no answer", 480: "not there", 486: "busy", 487: "",
  488: "no common way to talk", 503: "not possible at the moment", 600: "busy", 603: "declined",
};

const random = (length = 16) =>
  Array.from(crypto.getRandomValues(new Uint8Array(length)), (octet) => (octet % 36).toString(36)).join("");
const branch = () => `z9hG4bK${random()}`;
const tag_of = (value) => /;\s*tag=([^;\s]+)/i.exec(value ?? "")?.[1];
const uri_of = (value) => /<([^>]+)>/.exec(value ?? "")?.[1] ?? (value ?? "").split(";")[0].trim();

const new_line = (peer) => ({ peer, number: 1, tag: random(), routes: [] });
const head = ({ from, to, id }, number, method) =>
  [`From: ${from}`, `To: ${to}`, `Call-ID: ${id}`, `CSeq: ${number} ${method}`];
const routes_of = (message) => (message.headers["record-route"] ?? []).flatMap((value) => value.split(/,\s*(?=<)/));

/** What stands escaped in a URI; as it is where that is no good. */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** One SIP message: first line, headers by lower-case name (a list each), body. */
function read(text) {
  const end = text.indexOf("\r\n\r\n");
  const head = end < 0 ? text : text.slice(0, end);
  const [first, ...lines] = head.replace(/\r\n[ \t]+/g, " ").split("\r\n");
  const headers = {};
  for (const line of lines) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).trim().toLowerCase();
    (headers[name] ??= []).push(line.slice(at + 1).trim());
  }
  const get = (name) => headers[name]?.[0] ?? "";
  const [number, method] = get("cseq").split(/\s+/);
  const answer = /^SIP\/2\.0 (\d{3}) ?(.*)$/.exec(first);
  return {
    headers, get, body: end < 0 ? "" : text.slice(end + 4), number: Number(number), method,
    status: answer ? Number(answer[1]) : 0, reason: answer?.[2] ?? "", asked: answer ? "" : first.split(" ")[0],
  };
}

async function ticket() {
  const got = await fetch("/api/web/phone", { method: "POST", headers: { "x-offhook": "1" } });
  if (!got.ok) throw new Error(got.status === 401 ? "not signed in" : "the server has no place for this phone");
  return got.json();
}

export class Phone {
  /** `ticket`: gives `{ticket, user, domain}`; the page's own route unless said otherwise. */
  constructor({ onstate, onlevel, ticket: from } = {}) {
    Object.assign(this, { onstate, onlevel, from: from ?? ticket });
    this.state = "offline";
    this.tries = 0;
    this.instance = `${random(8)}.invalid`;
    this.waiting = new Map();
    this.owed = [];
    this.connect();
  }

  async call(number) {
    if (this.line) throw new Error("a call is up");
    // From here on there is a call: a second press finds it.
    const line = (this.line = new_line(number));
    this.tell("calling");
    try {
      await this.registered();
      if (this.line !== line) return;
      line.target = `sip:${encodeURIComponent(number)}@${this.domain}`;
      line.to = `<${line.target}>`;
      line.from = `<sip:${this.user}@${this.domain}>;tag=${random()}`;
      line.id = `${random()}@${this.instance}`;
      await this.open_sound(line);
      if (this.line !== line) return;
      await line.pc.setLocalDescription(await line.pc.createOffer());
    } catch (error) {
      // Over already: that was said.
      if (this.line !== line) return;
      this.over(line, error.message);
      throw error;
    }
    if (this.line === line) this.invite(line);
  }

  async answer() {
    const line = this.line;
    // The browser may be asking for the microphone: a second press is not a second answer.
    if (!line || this.state !== "incoming" || line.is_answering) return;
    line.is_answering = true;
    try {
      await this.open_sound(line);
      if (this.line !== line) return;
      const sdp = await this.describe(line, line.invite.body);
      if (this.line !== line) return;
      this.reply(line.invite, 200, "OK", sdp, line);
      line.is_up = true;
      this.tell("talking");
    } catch (error) {
      if (this.line !== line) return;
      this.reply(line.invite, 480, "Temporarily Unavailable", "", line);
      this.over(line, error.message);
    }
  }

  hangup() {
    const line = this.line;
    if (!line) return;
    if (this.state === "incoming") this.reply(line.invite, 603, "Decline", "", line);
    else if (line.is_up) this.request(line, "BYE");
    else if (line.is_sent) {
      // RFC 3261 section 9.1: not before the other side has said anything at all.
      line.is_given_up = true;
      if (line.is_heard) this.cancel(line);
    }
    this.over(line, "");
  }

  mute(is_on) {
    for (const track of this.line?.mine?.getAudioTracks() ?? []) track.enabled = !is_on;
  }

  dtmf(digit) {
    const line = this.line;
    const sender = line?.pc?.getSenders().find((each) => each.dtmf)?.dtmf;
    if (sender?.canInsertDTMF) sender.insertDTMF(sender.toneBuffer + digit, 160, 70);
    else if (line?.is_up) this.request(line, "INFO", `Signal=${digit}\r\nDuration=160\r\n`, "application/dtmf-relay");
  }

  /** For good: ends the call, and takes the phone away. */
  close() {
    if (this.is_closed) return;
    this.is_closed = true;
    this.hangup();
    if (this.is_registered) this.register(0);
    const { socket } = this;
    setTimeout(() => socket?.close(), 200);
    clearTimeout(this.again);
    clearTimeout(this.renewal);
    clearInterval(this.pings);
  }

  async connect() {
    if (!this.line) this.tell("connecting");
    try {
      const { ticket: key, user, domain } = await this.from();
      if (this.is_closed) return;
      Object.assign(this, { user, domain });
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}/sip?ticket=${encodeURIComponent(key)}`, "sip");
      this.socket = socket;
      socket.onopen = () => (this.is_closed ? socket.close() : this.register(EXPIRES_S));
      socket.onmessage = ({ data }) => typeof data === "string" && data.trim() && this.hear(read(data));
      socket.onclose = () => this.socket === socket && this.lost("the connection broke");
    } catch (error) {
      this.lost(error.message);
    }
  }

  lost(why) {
    if (this.is_closed) return;
    clearInterval(this.pings);
    clearTimeout(this.renewal);
    this.is_registered = false;
    this.waiting.clear();
    // A call that stands goes on: its sound has a way of its own.
    if (this.line && !this.line.is_up) this.over(this.line, why);
    if (!this.line) this.tell("offline", why);
    const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    this.again = setTimeout(() => this.connect(), wait);
  }

  register(expires) {
    this.registration ??= { id: `${random()}@${this.instance}`, number: 0, tag: random() };
    const { id, tag } = this.registration;
    const me = `<sip:${this.user}@${this.domain}>`;
    const headers = [
      ...head({ from: `${me};tag=${tag}`, to: me, id }, ++this.registration.number, "REGISTER"),
      `Contact: ${this.contact()};expires=${expires}`, `Allow: ${ALLOW}`,
    ];
    this.ask("REGISTER", `sip:${this.domain}`, headers, "", "", (answer) => {
      if (answer.status < 200 || !expires) return;
      if (answer.status >= 300) {
        if (!this.line) this.tell("offline", WORDS[answer.status] || answer.reason);
        return void this.socket.close();
      }
      this.tries = 0;
      const is_back = !this.is_registered;
      this.is_registered = true;
      clearInterval(this.pings);
      this.pings = setInterval(() => this.send("\r\n\r\n"), PING_MS);
      clearTimeout(this.renewal);
      this.renewal = setTimeout(() => this.register(EXPIRES_S), (EXPIRES_S * 1000) / 2);
      if (!this.line) this.tell("ready");
      for (const done of this.ready_waiters?.splice(0) ?? []) done();
      if (is_back) this.back();
    });
  }

  /** On a new line: ends what was hung up meanwhile, and says where the call that stands is reached now. */
  back() {
    for (const say of this.owed.splice(0)) say();
    const line = this.line;
    if (!line?.is_up) return;
    this.request(line, "UPDATE", "", "", (answer) => {
      // RFC 3261 section 12.2.1.2: the other side knows nothing of it any more.
      if ([408, 481].includes(answer.status)) this.over(line, "the call was over");
    });
  }

  registered() {
    if (this.is_registered) return Promise.resolve();
    return new Promise((done, fail) => {
      (this.ready_waiters ??= []).push(done);
      setTimeout(() => {
        this.ready_waiters = this.ready_waiters.filter((each) => each !== done);
        fail(new Error("not connected"));
      }, 10000);
    });
  }

  contact() {
    return `<sip:${this.user}@${this.instance};transport=ws>`;
  }

  is_open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(text) {
    if (this.is_open()) this.socket.send(text);
  }

  write(first, via, headers, body, type) {
    const size = new TextEncoder().encode(body).length;
    const kind = body ? [`Content-Type: ${type}`] : [];
    const all = [first, ...via, ...headers, "User-Agent: Offhook page", ...kind, `Content-Length: ${size}`];
    this.send(`${all.join("\r\n")}\r\n\r\n${body}`);
  }

  /** A request of ours; `then` hears every answer to it. */
  ask(method, uri, headers, body, type, then, mark = branch()) {
    if (then) this.waiting.set(mark, then);
    const via = `Via: SIP/2.0/${location.protocol === "https:" ? "WSS" : "WS"} ${this.instance};branch=${mark};rport`;
    this.write(`${method} ${uri} SIP/2.0`, [via, "Max-Forwards: 70"], headers, body, type);
    return mark;
  }

  hear(message) {
    if (message.status) {
      const mark = /;\s*branch=([^;\s]+)/.exec(message.get("via"))?.[1];
      // An answer to a CANCEL has the mark of its INVITE, and says nothing of it.
      if (message.method !== "CANCEL") this.waiting.get(mark)?.(message);
      // An INVITE's may come again; it is forgotten with its call.
      if (message.status >= 200 && message.method !== "INVITE" && message.method !== "CANCEL") this.waiting.delete(mark);
      return;
    }
    const line = this.line;
    const is_ours = line && message.get("call-id") === line.id;
    switch (message.asked) {
      case "INVITE":
        return is_ours ? this.asked_again(line, message) : this.rung(message);
      case "ACK":
        if (is_ours && line.is_late && message.body) this.hear_answer(line, message.body, "answer");
        return;
      case "CANCEL":
        this.reply(message, is_ours ? 200 : 481, "");
        if (is_ours && this.state === "incoming") {
          this.reply(line.invite, 487, "Request Terminated", "", line);
          this.over(line, "missed");
        }
        return;
      case "BYE":
        this.reply(message, is_ours ? 200 : 481, "");
        if (is_ours) this.over(line, "");
        return;
      case "OPTIONS":
      case "INFO":
        return this.reply(message, 200, "OK");
      default:
        return this.reply(message, 405, "Method Not Allowed");
    }
  }

  reply(request, status, reason, sdp = "", line = null) {
    const copied = ["via", "from", "call-id", "cseq", "record-route"].flatMap((name) =>
      (request.headers[name] ?? []).map((value) => `${name}: ${value}`));
    const own = tag_of(request.get("to")) || status === 100 ? "" : `;tag=${line?.tag ?? random()}`;
    const headers = [...copied, `To: ${request.get("to")}${own}`, `Contact: ${this.contact()}`, `Allow: ${ALLOW}`];
    this.write(`SIP/2.0 ${status} ${reason || "OK"}`, [], headers, sdp, "application/sdp");
  }

  invite(line) {
    line.is_sent = true;
    // The ACK has the number of its INVITE, whatever was asked since: RFC 3261 section 13.2.2.4.
    line.invited = line.number;
    const headers = [...head(line, line.number, "INVITE"), `Contact: ${this.contact()}`, `Allow: ${ALLOW}`];
    line.mark = this.ask("INVITE", line.target, headers, line.pc.localDescription.sdp, "application/sdp", (answer) => this.answered(line, answer));
  }

  cancel(line) {
    this.ask("CANCEL", line.target, head(line, line.number, "CANCEL"), "", "", null, line.mark);
  }

  answered(line, answer) {
    const { status } = answer;
    if (status < 200) {
      line.is_heard = true;
      if (line.is_given_up) return this.cancel(line);
      // What is played before somebody answers is heard as well.
      if (answer.body) this.hear_answer(line, answer.body, "pranswer");
      if (status !== 100) this.tell("ringing");
      return;
    }
    if (status >= 300) {
      line.to = answer.get("to");
      this.ask("ACK", line.target, head(line, line.number, "ACK"), "", "", null, line.mark);
      this.waiting.delete(line.mark);
      return this.over(line, WORDS[status] ?? answer.reason);
    }
    const is_first = !line.is_up;
    line.is_up = true;
    line.to = answer.get("to");
    line.remote = uri_of(answer.get("contact")) || line.target;
    line.routes = routes_of(answer).reverse();
    this.request(line, "ACK");
    if (line.is_given_up) return void (is_first && this.request(line, "BYE"));
    if (!is_first) return;
    this.hear_answer(line, answer.body, "answer").then(() => this.line === line && this.tell("talking"));
  }

  async hear_answer(line, sdp, type) {
    try {
      if (line.pc.signalingState !== "stable") await line.pc.setRemoteDescription({ type, sdp });
    } catch (error) {
      if (type === "pranswer") return;
      if (line.is_up) this.request(line, "BYE");
      this.over(line, `no common way to talk: ${error.message}`);
    }
  }

  /** A request inside the call. The one that ends it waits for the line to come back. */
  request(line, method, body = "", type = "", then = null) {
    if (method === "BYE" && !this.is_open()) {
      if (this.owed.length < OWED_MAX) this.owed.push(() => this.request(line, "BYE"));
      return;
    }
    const number = method === "ACK" ? line.invited : ++line.number;
    const routes = line.routes.map((route) => `Route: ${route}`);
    const headers = [...head(line, number, method), ...routes, `Contact: ${this.contact()}`];
    this.ask(method, line.remote, headers, body, type, then);
  }

  rung(invite) {
    if (this.line) return this.reply(invite, 486, "Busy Here");
    const from = invite.get("from");
    const name = /^"((?:[^"\\]|\\.)*)"/.exec(from)?.[1] || plain(/sips?:([^@;>]+)@/.exec(from)?.[1] ?? "");
    const line = (this.line = new_line(name));
    Object.assign(line, {
      invite, id: invite.get("call-id"), from: `${invite.get("to")};tag=${line.tag}`, to: from, remote: uri_of(invite.get("contact")),
      routes: routes_of(invite),
    });
    this.reply(invite, 180, "Ringing", "", line);
    this.tell("incoming");
  }

  /** Something changes inside the call: hold, another phone at the other end. */
  async asked_again(line, invite) {
    if (!line.is_up) return this.reply(invite, 491, "Request Pending", "", line);
    try {
      line.remote = uri_of(invite.get("contact")) || line.remote;
      this.reply(invite, 200, "OK", await this.describe(line, invite.body), line);
    } catch {
      this.reply(invite, 488, "Not Acceptable Here", "", line);
    }
  }

  /** Our description: an answer to theirs, or an offer where they gave none and answer in the ACK. */
  async describe(line, theirs) {
    const { pc } = line;
    line.is_late = !theirs;
    if (theirs) await pc.setRemoteDescription({ type: "offer", sdp: theirs });
    await pc.setLocalDescription(await (theirs ? pc.createAnswer() : pc.createOffer()));
    return pc.localDescription.sdp;
  }

  async open_sound(line) {
    line.mine = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    if (this.line !== line) return this.close_sound(line);
    // The server answers our checks wherever they come from: no other servers, and no waiting for candidates.
    const pc = (line.pc = new RTCPeerConnection());
    line.player = new Audio();
    line.player.autoplay = true;
    pc.ontrack = ({ track }) => {
      const theirs = new MediaStream([track]);
      line.player.srcObject = theirs;
      line.player.play().catch(() => {});
      this.measure(line, "out", theirs);
    };
    pc.onconnectionstatechange = () => {
      clearTimeout(line.fading);
      if (pc.connectionState === "failed") this.gone(line);
      if (pc.connectionState === "disconnected") line.fading = setTimeout(() => this.gone(line), LOST_MS);
    };
    for (const track of line.mine.getAudioTracks()) pc.addTrack(track, line.mine);
    this.measure(line, "in", line.mine);
    line.meter = setInterval(() => this.onlevel?.({ in: line.in?.() ?? 0, out: line.out?.() ?? 0 }), LEVEL_MS);
  }

  gone(line) {
    if (this.line !== line) return;
    if (line.is_up) this.request(line, "BYE");
    this.over(line, "the sound broke off");
  }

  measure(line, name, stream) {
    line.audio ??= new AudioContext();
    const analyser = line.audio.createAnalyser();
    analyser.fftSize = 1024;
    line.audio.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    // Decibels, from a whisper to as loud as it gets, as 0 to 1.
    line[name] = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
      return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 55));
    };
  }

  close_sound(line) {
    clearInterval(line.meter);
    clearTimeout(line.fading);
    for (const track of line.mine?.getTracks() ?? []) track.stop();
    line.pc?.close();
    line.audio?.close().catch(() => {});
    if (line.player) line.player.srcObject = null;
  }

  over(line, why) {
    if (this.line !== line) return;
    this.close_sound(line);
    this.tell("ended", why);
    this.line = null;
    if (line.mark) setTimeout(() => this.waiting.delete(line.mark), ECHO_MS);
    if (this.is_registered) this.tell("ready");
    else if (!this.is_closed) this.tell("connecting");
  }

  tell(state, why = "") {
    this.state = state;
    this.onstate?.({ name: state, peer: this.line?.peer ?? "", why });
  }
}
