"""The clients of notes.sh: times each note through the API, then through whisper.cpp where that is installed.

usage: notes.py HOME MODEL ROUNDS
"""

import array
import io
import json
import statistics
import sys
import time
import urllib.request
import wave

home, model, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
base = "http://127.0.0.1:8297/v1"
token = open(f"{home}/audio-token").read().strip()
# Each round says other sentences: what was heard before would not be decoded again.
SENTENCES = [
    "Please remind me to call the dentist tomorrow morning.",
    "The train to the coast leaves at half past nine.",
    "I left the keys of the garage on the kitchen table.",
    "Can you turn off the lights in the living room?",
    "We need milk, bread and two bottles of water.",
    "My flight lands late on Friday evening.",
    "Tell my sister that the party begins at seven.",
    "The meeting with the bank was moved to Monday.",
    "How long does the drive to the airport take?",
]
ANSWER = "I will remind you tomorrow morning at eight. Is there anything else I can do for you?"


def ask(path, body, kind):
    request = urllib.request.Request(f"{base}/{path}", body)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read()


def speak(text, form):
    wish = {"input": text, "response_format": form}
    return ask("audio/speech", json.dumps(wish).encode(), "application/json")


def transcribe(note):
    head = '--X\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nverbose_json\r\n'
    head += '--X\r\nContent-Disposition: form-data; name="file"; filename="note.ogg"\r\n\r\n'
    body = head.encode() + note + b"\r\n--X--\r\n"
    return json.loads(ask("audio/transcriptions", body, "multipart/form-data; boundary=X"))


def pcm_16k(text):
    with wave.open(io.BytesIO(speak(text, "wav"))) as sound:
        samples = array.array("h", sound.readframes(sound.getnframes()))
    # 24 kHz to 16 kHz: of three samples two, the second from its neighbours.
    out = array.array("f")
    for n in range(0, len(samples) - 2, 3):
        out.append(samples[n] / 32768)
        out.append((samples[n + 1] + samples[n + 2]) / 65536)
    return out


def row(name, times, lengths):
    shares = [time / length for time, length in zip(times, lengths)]
    print(f"{name:44} median {statistics.median(shares):.3f} x, worst {max(shares):.3f} x its length")
    return statistics.median(shares)


notes, lengths, heard, to_words, to_answer = [], [], [], [], []
for n in range(rounds):
    text = " ".join(SENTENCES[(n * 4 + k) % len(SENTENCES)] for k in range(4))
    notes.append((text, speak(text, "opus")))
for text, note in notes:
    begin = time.monotonic()
    answer = transcribe(note)
    words = time.monotonic()
    speak(f"{ANSWER} You said {len(to_words) + 1} things.", "opus")
    done = time.monotonic()
    lengths.append(answer["duration"])
    heard.append(answer["segments"])
    to_words.append(words - begin)
    to_answer.append(done - begin)
print(f"{rounds} notes of {min(lengths):.1f} to {max(lengths):.1f} s")
ours = row("Offhook: note -> words", to_words, lengths)
row("Offhook: note -> words -> spoken answer", to_answer, lengths)

try:
    from pywhispercpp.model import Model
except ImportError:
    print("SKIPPED whisper.cpp: pywhispercpp is not installed (OFFHOOK_WHISPER)")
    sys.exit()

import numpy

peer = Model(model, n_threads=1, print_progress=False, print_realtime=False, redirect_whispercpp_logs_to=None)
times = []
for (text, _), segments in zip(notes, heard):
    pcm = numpy.frombuffer(pcm_16k(text), dtype=numpy.float32)
    begin = time.monotonic()
    for segment in segments:
        part = pcm[int(segment["start"] * 16000) : int(segment["end"] * 16000)]
        peer.transcribe(numpy.pad(part, (1600, 16000)), single_segment=True, no_context=True)
    times.append(time.monotonic() - begin)
theirs = row("whisper.cpp, the same pieces -> words", times, lengths)
print(f"ours is {ours / theirs:.2f} x whisper.cpp's time, decoding of Opus and HTTP included")
