"""Makes the training clips: `python generate.py FOLDER CLIPS SEED`.

Each clip is one voice on one line saying four turns. `turns.tsv` gets one line per clip: file, voice, then marks of the
form KIND:SAMPLE, in order: `begin` a turn starts here, `hold` and `shift` a pause starts here, after which the
same turn goes on or has ended. Samples at 16 kHz, at the last sound before the pause.
"""
import os
import sys

import numpy as np
import soundfile as sf

import sound
import texts
import voices
from voices import SR

FINAL = {"question": "?"}


def turn(voice, kind, template, words, rng, rate):
    """[(sound, ends_turn)], or None where the voice lost count of its words."""
    parts, kinds = texts.pieces(texts.fill(template, words, rng))
    flat = [w for p in parts for w in p]
    spoken = speak_with(voice, flat, FINAL.get(kind, "."), rng)
    if spoken is None:
        return None
    x, ends = spoken
    places, done = [], 0
    for part in parts:
        done += len(part)
        places.append(int(ends[done - 1]))
    # People pause at some of the places only.
    chosen = [i for i in range(len(parts) - 1) if rng.random() < (.45 if len(parts) > 2 else .7)]
    out, start = [], 0
    for i in chosen:
        piece = x[start:places[i]]
        start = places[i]
        if len(piece) < .25 * SR:
            return None
        style = rng.random()
        filler = flat[sum(len(p) for p in parts[:i + 1]) - 1] in ("um", "uh", "er")
        if filler:
            piece = sound.stretch_tail(piece, 160, rng.uniform(1.3, 3), rng)
        elif style < .5:
            piece = sound.stretch_tail(piece, rng.uniform(140, 300), rng.uniform(1.1, 2), rng)
        elif style > .8:
            # Broken off and said as if it were all: the voice falls, and more comes none the less.
            again = speak_with(voice, [w for p in parts[:i + 1] for w in p], "," if style > .9 else ".", rng)
            if again is not None and not out:
                piece = again[0]
        out.append((sound.fade(sound.trimmed(piece), rng), False))
    last = x[start:]
    if len(last) < .15 * SR:
        return None
    out.append((sound.fade(sound.trimmed(last), rng), True))
    return [(sound.warp(p, rate), end) for p, end in out]


def speak_with(voice, words, end, rng):
    try:
        return voices.speak(voice, words, end, rng)
    except (OSError, ValueError, IndexError):
        return None


def clip(voice, rng):
    kinds = list(texts.TRAIN)
    weight = np.array([5, 4, 3, 2, 2, 3, 2, 2], float)
    rate = rng.uniform(.88, 1.13)
    out, marks, at = [], [], 0

    def silence(ms):
        nonlocal at
        out.append(np.zeros(int(ms * SR / 1000), np.float32))
        at += len(out[-1])

    turns = 0
    for _ in range(20):
        if turns == 4:
            break
        kind = kinds[rng.choice(len(kinds), p=weight / weight.sum())]
        made = turn(voice, kind, str(rng.choice(texts.TRAIN[kind])), texts.TRAIN_WORDS, rng, rate)
        if made is None:
            continue
        turns += 1
        marks.append("begin:%d" % at)
        silence(rng.uniform(200, 600))
        for piece, ends in made:
            out.append(piece)
            at += len(piece)
            marks.append("%s:%d" % ("shift" if ends else "hold", at))
            silence(600 if ends else rng.uniform(400, 1200))
    x = np.concatenate(out)
    x = sound.telephone(x, rng, rng.uniform(-32, -12), rng.choice([99, 45, 30, 22, 15]), rng.random() < .7)
    return sound.up(x), marks


def main(folder, clips, seed):
    os.makedirs(folder, exist_ok=True)
    voice_list = voices.TRAIN
    with open(os.path.join(folder, "turns.tsv"), "w") as table:
        for i in range(clips):
            rng = np.random.default_rng([seed, i])
            voice = voice_list[i % len(voice_list)]
            if voice.startswith("espeak"):
                voice = str(rng.choice(voices.EVERY_ESPEAK))
            pcm, marks = clip(voice, rng)
            name = "%05d.wav" % i
            sf.write(os.path.join(folder, name), pcm, SR, subtype="PCM_16")
            table.write("\t".join([name, voice] + marks) + "\n")
            table.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
