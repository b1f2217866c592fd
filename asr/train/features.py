"""Training examples from shards: clips cut up and joined, paused, stretched, bent, and buried in noise.

All of it works on log-mel powers, where it costs a millisecond or two per clip, so that one synthesised clip serves many
times. What a network sees is scaled as whisper.cpp scales it (`audio.scaled`).
"""
import glob
import json
import os

import numpy as np

import audio
import textgen

QUIET = -10.0


class Shards:
    """All shards of a folder, memory-mapped; `refresh` takes up new ones."""

    def __init__(self, d):
        self.d, self.have, self.clips, self.empty, self.voices = d, set(), [], [], {}
        self.refresh()

    def refresh(self):
        for f in sorted(glob.glob(os.path.join(self.d, "shards", "*.json"))):
            if f in self.have:
                continue
            self.have.add(f)
            mel = np.load(f[:-5] + ".npy", mmap_mode="r")
            for at, n, voice, pieces in json.load(open(f)):
                c = (mel, at, n, voice, pieces)
                if pieces:
                    self.voices.setdefault(voice, []).append(c)
                    self.clips.append(c)
                elif n > 20:
                    self.empty.append(c)


def load(c, line, a=0, b=None):
    mel, at, n = c[:3]
    b = n if b is None else b
    return mel[at + a:at + b, 80 * line:80 * line + 80].astype(np.float32)


def upper(w):
    return w[:1].upper() + w[1:]


def lower(w):
    """A word that stood first in its sentence, inside another one; proper names among them cannot be told and stay."""
    return w[0].lower() + w[1:] if w.lower() in LOWER else w


LOWER = {w.lower() for w in textgen.COMMON} | {"can", "could", "turn", "switch", "set", "what", "what's", "where", "there"}


def spliced(shards, c, line, rng):
    """Stretches of words of one speaker's sentences in a row: new word sequences for nothing."""
    same = shards.voices[c[3]]
    mels, words = [], []
    for _ in range(rng.integers(2, 5)):
        d = same[rng.integers(len(same))]
        p = d[4]
        k = min(len(p), int(rng.integers(1, 4)))
        i = int(rng.integers(0, len(p) - k + 1))
        mels.append((load(d, line, p[i - 1][1] if i else 0, p[i + k - 1][1]), None))
        t = " ".join(x[0] for x in p[i:i + k]).split()
        words += [w.rstrip(".?") for w in ([lower(t[0])] + t[1:] if i == 0 else t)]
        if sum(len(m) for m, _ in mels) > 260 or len(words) > 7:
            break
    words[0] = upper(words[0])
    words[-1] += "."
    return [m for m, _ in mels], words


def loudness(x):
    """log10 of the mean power in the loudest third."""
    return np.log10(np.mean(10 ** np.sort(x.mean(1))[-max(1, len(x) // 3):]) + 1e-12)


def faint(shards, c, rng):
    """The rest of our own voice that comes back: peaks at -46 to -58 dB below full scale, where no caller is. An example
    without words."""
    line = int(rng.random() < .6)
    wide, m = load(c, 0), load(c, line)
    a = int(rng.integers(0, max(1, len(m) - 30)))
    m = m + (loudness(wide) - loudness(m) - rng.uniform(4, 5.2))  # clips are kept with peaks at -6 dB
    m = m[a:a + int(rng.integers(30, 400))]
    hiss = m.max() - rng.uniform(1.5, 6) + rng.normal(0, .25, m.shape)
    if line:
        hiss[:, 66:] = QUIET
    m = np.maximum(np.logaddexp(m * 2.3026, hiss * 2.3026) / 2.3026, QUIET)
    s, pad = audio.scaled(m)
    return s.astype(np.float32), pad, []


def example(shards, c, rng):
    """(log-mel as the network sees it, padding value, words)."""
    line = int(rng.random() < .6)
    words = " ".join(p[0] for p in c[4]).split()
    parts = None
    if words:
        if rng.random() < .3:
            parts, words = spliced(shards, c, line, rng)
        elif len(c[4]) > 1 and rng.random() < .14:              # pauses inside
            ends, a, parts = [p[1] for p in c[4]], 0, []
            cut = sorted(set(rng.choice(len(ends) - 1, min(len(ends) - 1, 1 if rng.random() < .8 else 2))))
            for i in cut + [len(ends) - 1]:
                parts += [load(c, line, a, ends[i])]
                if i < len(ends) - 1:
                    parts += [np.full((rng.integers(30, 125), 80), QUIET, np.float32)]
                a = ends[i]
    parts = parts or [load(c, line)]
    lead = rng.integers(4, 26) if rng.random() < .87 else rng.integers(26, 140)
    tail = rng.integers(2, 20) if rng.random() < .87 else rng.integers(20, 120)
    gap = lambda n: np.full((n, 80), QUIET, np.float32)
    m = np.concatenate([gap(lead)] + parts + [gap(tail)])
    if words and rng.random() < .5:
        m = stretch(m, rng.uniform(.85, 1.15))
    if words and rng.random() < .5:
        m = bend(m, rng.uniform(.87, 1.15))
    if words and rng.random() < .2:
        m = ring(m, rng)
    if words and rng.random() < .25:                            # the handset's or the room's colour
        m = m + np.interp(np.arange(80), [0, 20, 40, 60, 79], rng.uniform(-.6, .6, 5)).astype(np.float32)
    if words and rng.random() < .6:
        m = noisy(m, shards, line, rng)
    elif rng.random() < .5:                                     # hiss of the line, steady
        m = np.logaddexp(m * 2.3026, (m.max() - rng.uniform(3.5, 7) + rng.normal(0, .25, m.shape)) * 2.3026) / 2.3026
    if words and rng.random() < .12:
        m = lossy(m, rng)
    m = np.maximum(m + rng.uniform(-1.6, .4), QUIET)             # a line was softer by up to 22 dB before
    s, pad = audio.scaled(m)
    if words:
        s = masked(s, pad, rng)
    return s.astype(np.float32), pad, words


def stretch(m, by):
    n = int(len(m) / by)
    t = np.linspace(0, len(m) - 1, n)
    i = t.astype(int)
    f = (t - i)[:, None].astype(np.float32)
    return m[i] * (1 - f) + m[np.minimum(i + 1, len(m) - 1)] * f


def bend(m, by):
    """Another length of the vocal tract: the mel axis bent below about 5 kHz."""
    b = np.arange(80)
    t = np.where(b < 60, b * by, 60 * by + (b - 60) * (79 - 60 * by) / 19).clip(0, 79)
    i = np.minimum(t.astype(int), 78)
    f = (t - i).astype(np.float32)
    return m[:, i] * (1 - f) + m[:, i + 1] * f


def ring(m, rng):
    """Room: each band's power rings on and dies away 60 dB in 0.15 to 0.6 s."""
    a = 10 ** (-6 / (100 * rng.uniform(.15, .6)))
    g = rng.uniform(.02, .15)
    p = 10 ** m
    r, out = np.zeros(80, np.float32), np.empty_like(p)
    for t in range(len(p)):
        out[t] = p[t] + g * r
        r = a * r + (1 - a) * 4 * p[t]
    return np.log10(np.maximum(out, 1e-10))


def noisy(m, shards, line, rng):
    """Noise, tones, music or babble underneath, 3 to 35 dB below the voice."""
    if rng.random() < .3 and len(shards.clips) > 8:
        n = np.full((len(m), 80), QUIET, np.float32)
        for _ in range(rng.integers(1, 5)):
            v = load(shards.clips[rng.integers(len(shards.clips))], line)
            n = np.logaddexp(n * 2.3, np.resize(np.roll(v, rng.integers(len(v)), 0), n.shape) * 2.3) / 2.3
        lo = 10
    elif shards.empty and rng.random() < .6:
        n = np.resize(load(shards.empty[rng.integers(len(shards.empty))], line), m.shape)
        lo = 6
    else:
        tilt = np.interp(np.arange(80), [0, 40, 79], rng.uniform(-1, 1, 3))
        n = tilt + rng.normal(0, .25, m.shape)
        if line:
            n[:, 66:] = QUIET
        lo = 3
    n = n + (loudness(m) - rng.uniform(lo, 35) / 10 - loudness(n))
    return (np.logaddexp(m * 2.3026, n * 2.3026) / 2.3026).astype(np.float32)


def lossy(m, rng):
    """Lost packets of 20 ms, silent or filled with what came before."""
    m, conceal, rate = m.copy(), rng.random() < .5, rng.uniform(.01, .08)
    for t in np.flatnonzero(rng.random(len(m) // 2) < rate) * 2:
        m[t:t + 3] = m[t - 1] - .3 if conceal and t else QUIET
    return m


def masked(s, pad, rng):
    """Bands and moments hidden."""
    for _ in range(2):
        if rng.random() < .35:
            f = rng.integers(0, 70)
            s[:, f:f + rng.integers(1, 10)] = pad
        if rng.random() < .3 and len(s) > 60:
            t = rng.integers(0, len(s) - 20)
            s[t:t + rng.integers(1, 10)] = pad
    return s
