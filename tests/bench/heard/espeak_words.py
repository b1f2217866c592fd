"""Speaks lines with espeak-ng's library and says where each word begins, for the bench next to this file.

Owns the foreign interface; runs as a process of its own and is no part of the program.
Usage: python3 espeak_words.py VOICE WORDS_PER_MINUTE < lines
For each line of input: `RATE_HZ WORDS SAMPLES`, one line of `START_SAMPLE:FIRST_LETTER` for each word event, then the
samples as raw 16-bit little-endian.
"""

import ctypes
import sys

voice, speed = sys.argv[1], int(sys.argv[2])
lib = ctypes.CDLL("libespeak-ng.so.1")


class Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_longlong),
    ]


SYNCHRONOUS, WORD, LIST_END, UTF8, RATE = 2, 1, 0, 1, 1
Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
)
samples, words = bytearray(), []


def take(wav, count, events):
    if wav and count > 0:
        samples.extend(ctypes.string_at(wav, count * 2))
    at = 0
    while events[at].type != LIST_END:
        if events[at].type == WORD:
            words.append((events[at].audio_position, events[at].text_position - 1))
        at += 1
    return 0


callback = Callback(take)
rate_hz = lib.espeak_Initialize(SYNCHRONOUS, 0, None, 0)
lib.espeak_SetSynthCallback(callback)
lib.espeak_SetVoiceByName(voice.encode())
lib.espeak_SetParameter(RATE, speed, 0)
for line in sys.stdin:
    text = line.strip().encode("ascii", "ignore")
    samples.clear()
    words.clear()
    lib.espeak_Synth(text + b"\0", len(text) + 1, 0, 1, 0, UTF8, None, None)
    lib.espeak_Synchronize()
    head = f"{rate_hz} {len(words)} {len(samples) // 2}\n"
    marks = " ".join(f"{ms * rate_hz // 1000}:{letter}" for ms, letter in words) + "\n"
    sys.stdout.buffer.write(head.encode() + marks.encode() + bytes(samples))
    sys.stdout.buffer.flush()
