"""The test sets, as wav files with transcripts: the figures of README.md are word error rates on these.

  python testsets.py DIR [WORDNET]

The first six are the same clips since the first model: do not touch their order of random draws. No sentence of three words
or more that is in them is ever trained on (`textgen.held_out`).

  seen_clean, seen_ulaw, seen_ulaw_loss5   200 sentences, training voices; telephone band and µ-law; 5 % of packets lost
  unseen_clean, unseen_ulaw                the same by flite's rms, a voice that is never trained on
  silence                                  60 clips of silence, noise, hum, clicks
  random_ulaw                              100 sequences of one to six common words, µ-law
  open_ulaw                                100 sequences of words that the grammar does not have, µ-law
  pause_ulaw                               60 sentences with a pause of 0.5 to 1.2 s inside, µ-law
  sounds                                   60 clips of line tones, keys, music, and the faint rest of our own voice
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import soundfile as sf

import audio
import textgen
import voices
from audio import SR, to_rate
from corpus import WORDNET, Corpus

MIX = [("flite:slt", 18), ("flite:awb", 15), ("flite:kal16", 7), ("flite:kal", 4), ("festival:kal_diphone", 6),
       ("festival:ked_diphone", 9), ("festival:cmu_us_slt_arctic_hts", 7), ("espeak", 34)]
VARIANTS = ["", "", "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Annie", "linda", "steph",
            "adam", "edward", "Andy"]


def pick(rng):
    v, w = zip(*MIX)
    v = v[rng.choice(len(v), p=np.array(w) / sum(w))]
    if v != "espeak":
        return v
    a, b = rng.choice(voices.ACCENTS), rng.choice(VARIANTS)
    return "espeak:" + a + ("+" + b if b else "")


def synth(jobs, rng):
    """[(voice, text)] -> [samples or None], each engine as a program of its own and at its own voice's usual settings."""
    with tempfile.TemporaryDirectory() as d:
        scm, files = [], []
        for i, (v, t) in enumerate(jobs):
            f, t = os.path.join(d, "%d.wav" % i), voices.spoken(t)
            files.append(f)
            if v.startswith("flite:"):
                subprocess.run(["flite", "-voice", v[6:], "--setf", "duration_stretch=%.2f" % rng.uniform(.85, 1.15),
                                "-t", t, "-o", f], check=True)
            elif v.startswith("festival:"):
                scm.append('(Parameter.set \'Duration_Stretch %.2f)(voice_%s)(utt.save.wave (utt.synth (Utterance Text "%s")) "%s" '
                           "'riff)" % (rng.uniform(.85, 1.1), v[9:], t, f))
            else:
                subprocess.run(["espeak-ng", "-v", v[7:], "-p", str(rng.integers(25, 75)), "-s", str(rng.integers(135, 200)),
                                "-w", f, t], check=True, stderr=subprocess.DEVNULL)
        if scm:
            p = os.path.join(d, "all.scm")
            open(p, "w").write("\n".join(scm))
            subprocess.run(["festival", "-b", p], stderr=subprocess.DEVNULL)
        out = []
        for f in files:
            try:
                x, sr = sf.read(f, dtype="float32")
                out.append(voices.trimmed(to_rate(x, sr, SR), None, 0)[0])
            except Exception:
                out.append(None)
        return out


def said(sents, rng, voice=None):
    jobs = []
    for s in sents:
        jobs.append((voice or pick(rng), s))
        if len(s.split()) >= 4:
            rng.random()            # a draw that once decided on pauses
    return [(x, s, v) for x, (v, s) in zip(synth(jobs, rng), jobs) if x is not None]


def held_sentences(g, n, most):
    out, seen = [], []
    while len(out) < n:
        s, _ = g.sentence()
        if textgen.held_out(s) and len(s.split()) > 2:
            out.append(s)
            if s not in seen and len(seen) < most:
                seen.append(s)
    return seen


def write(d, rows):
    os.makedirs(d, exist_ok=True)
    with open(os.path.join(d, "transcripts.tsv"), "w") as t:
        for i, (x, s, v) in enumerate(rows):
            sf.write(os.path.join(d, "%03d.wav" % i), np.clip(x, -1, 1), SR, subtype="PCM_16")
            t.write("%03d.wav\t%s\t%s\n" % (i, v, s))


def padded(x):
    return np.concatenate([np.zeros(3200, np.float32), x * (.5 / np.abs(x).max()), np.zeros(4800, np.float32)])


def main(out, wordnet=WORDNET, n=200):
    p = lambda k: os.path.join(out, k)
    rng, g = np.random.default_rng(777), textgen.Gen(777)
    tel = lambda rows, loss=0: [(audio.telephone(x, rng, loss), s, v) for x, s, v in rows]
    sents = held_sentences(g, 4 * n, n)
    clean = [(padded(x), s, v) for x, s, v in said(sents, rng)]
    unseen = [(padded(x), s, v) for x, s, v in said(sents, rng, voices.HELD_OUT)]
    write(p("seen_clean"), clean)
    write(p("seen_ulaw"), tel(clean))
    write(p("seen_ulaw_loss5"), tel(clean, .05))
    write(p("unseen_clean"), unseen)
    write(p("unseen_ulaw"), tel(unseen))
    write(p("silence"), [(audio.silence_clip(rng), "", "none") for _ in range(60)])

    rng, g = np.random.default_rng(778), textgen.Gen(778)
    draw = lambda words: textgen.Gen.cap(" ".join(rng.choice(words) for _ in range(rng.integers(1, 7)))) + "."
    fresh = lambda make, k: [s for s in (make() for _ in range(40 * k)) if textgen.held_out(s) or len(s.split()) < 3][:k]
    write(p("random_ulaw"), tel([(padded(x), s, v) for x, s, v in said(fresh(lambda: draw(textgen.COMMON), n // 2), rng)]))
    rows = []
    for s in [s for s in held_sentences(g, 3 * n, n) if 4 <= len(s.split()) <= 10][:60]:
        w, v = s.split(), pick(rng)
        i = rng.integers(1, len(w) - 1)
        a, b = synth([(v, " ".join(w[:i])), (v, " ".join(w[i:]))], rng)
        if a is not None and b is not None:
            rows.append((padded(np.concatenate([a, np.zeros(int(SR * rng.uniform(.5, 1.2)), np.float32), b])), s, v))
    write(p("pause_ulaw"), tel(rows))
    own = voices.flite().speak("slt", "I can call you back in ten minutes if you like.")[0]
    rows = []
    while len(rows) < 60:
        k = rng.integers(0, 3)
        m = int(SR * rng.uniform(.7, 4))
        x = audio.tones(m, rng) if k == 0 else audio.music(m, rng) if k == 1 else own[:m]
        top = -50 if k == 2 else rng.uniform(-35, -6)
        x = x / (np.abs(x).max() + 1e-6) * 10 ** (top / 20) + audio.noise(len(x), "pink", rng) * 10 ** (-65 / 20)
        rows.append((audio.telephone(x.astype(np.float32), rng), "", ("tones", "music", "echo")[k]))
    write(p("sounds"), rows)
    common = {w.lower() for s in textgen.COMMON for w in s.split()}
    rare = [w for w in Corpus(0, wordnet).words if w not in common and len(w) > 3]
    write(p("open_ulaw"), tel([(padded(x), s, v) for x, s, v in said(fresh(lambda: draw(rare), n // 2), rng)]))


if __name__ == "__main__":
    main(*sys.argv[1:3])
