"""Asks the same questions by SIP and from a browser, in turns, and prints how long the answers took."""
import json
import pathlib
import re
import statistics
import subprocess
import sys
import wave

QUESTIONS = ["What time is it", "Turn the office lamp up", "What is six times twelve", "Set a timer for ten minutes",
             "How warm is the kitchen", "Read me the news"]
# Until the greeting is over, and until an answer is.
BEFORE_S, BETWEEN_S = 7, 9
RATE = 48000


def speak(offhook, folder):
    """Each question as a WAV file, and all of them as one microphone would hear them."""
    clips, whole = [], b"\0\0" * RATE * BEFORE_S
    for n, text in enumerate(QUESTIONS):
        clip = folder / f"q{n}.wav"
        subprocess.run([offhook, "--home", folder, "speak", text, "--voice", "flite:rms", "-o", clip], check=True, capture_output=True)
        with wave.open(str(clip)) as file:
            rate, frames = file.getframerate(), file.readframes(file.getnframes())
        clips.append(clip)
        samples = [frames[at:at + 2] for at in range(0, len(frames), 2)]
        whole += b"".join(sample * (RATE // rate) for sample in samples) + b"\0\0" * RATE * BETWEEN_S
    with wave.open(str(folder / "all.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(whole)
    return clips


def by_sip(offhook, folder, clips):
    command = [offhook, "--home", folder, "call", "100", "--json"]
    for clip in clips:
        command += ["--wav", clip]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [turn["latency_ms"] for turn in report["turns"] if turn.get("latency_ms") is not None]


def by_browser(folder, tree, token):
    seconds = BEFORE_S + len(QUESTIONS) * (BETWEEN_S + 2)
    command = ["node", tree / "tests/interop/page/phone.mjs", "chromium", "http://127.0.0.1:8298", token, "phone1", folder / "all.wav",
               tree / "src/web/assets/phone.js", folder / "profile", "call:100", "until:talking", f"gap:{seconds}", "stats", "hangup"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"^GAPS (.*)$", said, re.M), re.search(r"^STATS (.*)$", said, re.M)
    if not all(found):
        sys.exit(f"the browser did not get through:\n{said}")
    return json.loads(found[0][1]), json.loads(found[1][1])["buffer_ms"]


def main():
    offhook, folder, tree, rounds = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
    token = re.search(r'^api_token = "(.*)"', (folder / "secrets.toml").read_text(), re.M)[1]
    clips = speak(offhook, folder)
    sip, browser, buffers = [], [], []
    for _ in range(rounds):
        sip += by_sip(offhook, folder, clips)
        gaps, buffer_ms = by_browser(folder, tree, token)
        browser += gaps
        buffers.append(buffer_ms)
    for name, all_ms in ("SIP", sip), ("browser", browser):
        print(f"{name:<8} {len(all_ms):>3} answers, p50 {statistics.median(all_ms):.0f} ms, {min(all_ms):.0f} to {max(all_ms):.0f}")
    print(f"the browser's jitter buffer held sound for {statistics.mean(buffers):.0f} ms")
    print(f"difference of the medians: {statistics.median(browser) - statistics.median(sip):.0f} ms")


main()
