"""Makes the cases that strategies are scored on: `python cases.py FOLDER SEED`.

Voices and templates that the rule was not fitted on. Each clip is one turn at 8 kHz, µ-law in a wav file. cases.tsv has
one line per clip: file, kind, voice, what the line asked before, end of the turn and the whole text, then two cells per
pause: "AT+LENGTH" in milliseconds and the text so far. A clip ends 100 ms after its turn.
"""
import os
import struct
import sys

import numpy as np

import sound
import texts
import voices
from voices import SR

SHARES = {"request": 20, "unfinished": 16, "filler": 12, "digits": 14, "letters": 8, "answer": 12, "command": 12,
          "question": 14, "two": 10}


def encode(pcm):
    """G.711 µ-law, by its segments."""
    x = pcm.astype(np.int32) >> 2
    sign = x < 0
    x = np.minimum(np.abs(x) + 33, 8158 + 33)
    segment = np.clip(np.floor(np.log2(x)).astype(int) - 5, 0, 7)
    step = (x >> (segment + 1)) & 15
    code = (segment << 4) | step
    return (~(code | np.where(sign, 0x80, 0)) & 0xff).astype(np.uint8)


def write(path, pcm):
    body = encode(pcm).tobytes()
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 7, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", len(body))
    with open(path, "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body)


def turn(voice, kind, template, rng):
    parts, kinds = texts.pieces(texts.fill(template, texts.CASES_WORDS, rng))
    flat = [w for p in parts for w in p]
    final = "?" if kind == "question" else "."
    stops = [i for i, k in enumerate(kinds) if k == "stop"]
    chosen = [i for i in range(len(kinds)) if i in stops or rng.random() < .6]
    if kinds and not chosen:
        chosen = [int(rng.integers(len(kinds)))]
    pieces = []
    if stops:
        # Two sentences, each said to its end.
        for part in parts:
            spoken = voices.speak(voice, texts.bare(part), ".", rng)
            if spoken is None:
                return None
            pieces.append(spoken[0])
    else:
        spoken = voices.speak(voice, flat, final, rng)
        if spoken is None:
            return None
        x, ends = spoken
        start, done = 0, 0
        for i, part in enumerate(parts):
            done += len(part)
            if i in chosen:
                at = int(ends[done - 1])
                piece = x[start:at]
                start = at
                if part[-1] in ("um", "uh"):
                    piece = sound.stretch_tail(piece, 160, rng.uniform(1.4, 2.6), rng)
                elif kind == "unfinished" or rng.random() < .5:
                    piece = sound.stretch_tail(piece, 220, rng.uniform(1.2, 1.9), rng)
                pieces.append(piece)
        pieces.append(x[start:])
    if min(len(p) for p in pieces) < .12 * SR:
        return None
    out, pauses, at = [np.zeros(int(.1 * SR), np.float32)], [], .1 * SR
    done = 0
    said = []
    for n, piece in enumerate(pieces):
        piece = sound.fade(sound.trimmed(piece), rng)
        out.append(piece)
        at += len(piece)
        upto = len(parts) if n == len(pieces) - 1 else chosen[n] + 1
        for part in parts[done:upto]:
            said += texts.bare(part)
        done = upto
        text = " ".join(said)
        if n < len(pieces) - 1:
            length = int(round(np.exp(rng.uniform(np.log(300), np.log(1500))) / 20) * 20)
            pauses.append((int(at / 16), length, text))
            out.append(np.zeros(length * 16, np.float32))
            at += length * 16
    out.append(np.zeros(int(.1 * SR), np.float32))
    x = np.concatenate(out)
    pcm = sound.telephone(x, rng, rng.uniform(-28, -16), rng.choice([99, 40, 30]), True)
    return pcm, pauses, int(at / 16), " ".join(said)


def main(folder, seed):
    os.makedirs(folder, exist_ok=True)
    rows, number, seen = [], 0, set()
    for kind, share in SHARES.items():
        made, tries = 0, 0
        while made < share and tries < 20 * share:
            tries += 1
            rng = np.random.default_rng([seed, list(SHARES).index(kind), tries])
            voice = voices.CASES[int(rng.integers(len(voices.CASES)))]
            template = texts.CASES[kind][tries % len(texts.CASES[kind])]
            try:
                out = turn(voice, kind, template, rng)
            except (OSError, ValueError, IndexError):
                out = None
            if out is None or (out[3], voice) in seen:
                continue
            pcm, pauses, end, text = out
            seen.add((text, voice))
            name = "%s-%02d.wav" % (kind, made)
            write(os.path.join(folder, name), pcm)
            cells = [name, kind, voice, texts.ASKED.get(template, texts.ASKED.get(kind, "")), str(end), text]
            for at, length, so_far in pauses:
                cells += ["%d+%d" % (at, length), so_far]
            rows.append(cells)
            made += 1
    with open(os.path.join(folder, "cases.tsv"), "w") as table:
        for row in rows:
            table.write("\t".join(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
