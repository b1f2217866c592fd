// A voice note: one press records, the next one sends. Recorded by the browser as it likes best (WebM or Ogg with Opus,
// MP4 with AAC); the server takes them all.

import { h, lasting, toast } from "/assets/dom.js";

const KINDS = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"];
const MS_MAX = 5 * 60 * 1000;
/** Shorter ones are slips of the finger. */
const MS_MIN = 500;

/** Why there is no microphone, in words; empty: there may be one. */
export function no_microphone() {
  if (!isSecureContext) {
    return "Browsers give the microphone only to pages over https, or on the machine itself. `tailscale serve 8060` makes it https.";
  }
  if (!navigator.mediaDevices?.getUserMedia) return "This browser has no microphone for pages.";
  return "";
}

/** A microphone. */
function icon() {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "mic");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4");
  svg.append(path);
  return svg;
}

/** The button; `send` gets the recording. `drop` lets go of the microphone, and of what was recorded. */
export function voice_button(send) {
  let recorder = null;
  let is_asking = false;
  let is_gone = false;
  let started = 0;
  let timer = 0;
  const label = h("span", { class: "note-time" });
  const button = h("button", { type: "button", class: "note", "aria-label": "Record a voice note", onclick: press },
    icon(), label);
  const away = h("button", { type: "button", class: "note quiet", hidden: true, "aria-label": "Throw the voice note away", onclick: () => stop(false) }, "✕");
  const box = h("span", { class: "notes" }, away, button);

  async function press() {
    if (recorder) return stop(true);
    // The browser is asking a person; a second press is not a second recording.
    if (is_asking) return;
    const why = no_microphone();
    if (why || !window.MediaRecorder) return toast(why || "This browser can't record.");
    let stream;
    is_asking = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    } catch (error) {
      return toast(error.name === "NotAllowedError" ? "The browser was told not to give the microphone to this page." : "No microphone was found.");
    } finally {
      is_asking = false;
    }
    const let_go = () => stream.getTracks().forEach((track) => track.stop());
    // Another view is shown by now.
    if (is_gone) return let_go();
    const kind = KINDS.find((each) => MediaRecorder.isTypeSupported(each));
    const pieces = [];
    try {
      recorder = new MediaRecorder(stream, { mimeType: kind, audioBitsPerSecond: 32000 });
    } catch {
      let_go();
      return toast("This browser can't record.");
    }
    const own = recorder;
    own.ondataavailable = (event) => pieces.push(event.data);
    own.onstop = () => {
      let_go();
      // Ended by itself, as where the microphone is pulled out: what there is counts.
      const is_wanted = own.is_wanted ?? !is_gone;
      const ms = Date.now() - started;
      const type = (own.mimeType || kind || "audio/webm").split(";")[0];
      recorder = null;
      clearInterval(timer);
      draw();
      if (is_wanted && ms >= MS_MIN) send(new Blob(pieces, { type }));
    };
    started = Date.now();
    own.start(1000);
    timer = setInterval(() => {
      if (Date.now() - started > MS_MAX) stop(true);
      else draw();
    }, 250);
    draw();
  }

  function stop(is_wanted) {
    if (!recorder || recorder.state === "inactive") return;
    recorder.is_wanted = is_wanted;
    recorder.stop();
  }

  function drop() {
    is_gone = true;
    stop(false);
  }

  function draw() {
    const is_on = Boolean(recorder);
    button.classList.toggle("on", is_on);
    button.setAttribute("aria-label", is_on ? "Send the voice note" : "Record a voice note");
    button.setAttribute("aria-pressed", String(is_on));
    label.textContent = is_on ? lasting(Date.now() - started) : "";
    away.hidden = !is_on;
  }

  return { box, drop };
}
