"""Speech with the ends of its words, from Debian's flite, festival and espeak-ng, each run as a process.

Every function gives 16 kHz float32 and the sample after each word, or None where the words cannot be placed.
"""
import difflib
import os
import re
import subprocess
import tempfile

import numpy as np
import soundfile as sf
from scipy.signal import resample_poly

SR = 16000
VARIANTS = "f1 f2 f3 f4 m1 m2 m3 m4 m5 m6 m7 Annie Linda Steph Adam Edward Alex Belinda Michael Lee".split()
ACCENTS = "en-us en-us en-gb en-gb-x-rp en-gb-scotland en-us-nyc".split()
TRAIN = (["flite:slt"] * 5 + ["flite:awb"] * 5 + ["flite:kal16"] * 2 + ["festival:kal_diphone"] * 2
         + ["festival:cmu_us_slt_arctic_hts"] * 2
         + ["espeak:%s+%s" % (ACCENTS[i % len(ACCENTS)], v) for i, v in enumerate(VARIANTS)][::2])
EVERY_ESPEAK = ["espeak:%s+%s" % (ACCENTS[i % len(ACCENTS)], v) for i, v in enumerate(VARIANTS)]
CASES = ["flite:rms"] * 5 + ["festival:ked_diphone"] * 2 + ["espeak:en-029+Andy", "espeak:en-gb-x-gbclan+Zac",
                                                         "espeak:en-us+Alicia", "espeak:en-gb+David"]
PHONES = {}


def load(path):
    x, rate = sf.read(path, dtype="float32")
    if rate != SR:
        g = np.gcd(rate, SR)
        x = resample_poly(x, SR // g, rate // g).astype(np.float32)
    return x


def speak(voice, words, end, rng):
    """words may carry a comma; end is the final mark of the sentence."""
    engine, name = voice.split(":")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.wav")
        stretch = rng.uniform(.85, 1.2)
        if engine == "flite":
            return flite(name, words, end, stretch, path)
        if engine == "festival":
            return festival(name, words, end, stretch, path)
        return espeak(name, words, end, stretch, rng, path)


def flite(name, words, end, stretch, path):
    text = " ".join(words) + end
    out = subprocess.run(["flite", "-voice", name, "--setf", "duration_stretch=%.2f" % stretch, "-psdur", "-t", text,
                          "-o", path], capture_output=True, text=True).stdout.split()
    phones = [p.rsplit(":", 1) for p in out]
    phones = [(p, float(t)) for p, t in phones]
    want, owner = [], []
    for i, w in enumerate(words):
        for p in word_phones(w.strip(",.?")):
            want.append(p)
            owner.append(i)
    got = [p for p, _ in phones]
    ends = np.zeros(len(words))
    for block in difflib.SequenceMatcher(None, want, got, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            ends[owner[block.a + k]] = max(ends[owner[block.a + k]], phones[block.b + k][1])
    # A last phone that was said otherwise: up to where the next word's first found phone starts.
    if (ends == 0).any() or (np.diff(ends) <= 0).any():
        return None
    x = load(path)
    return x, (ends * SR).astype(int)


def word_phones(word):
    if word not in PHONES:
        out = subprocess.run(["flite", "-voice", "kal", "-ps", "-t", word, "-o", "none"], capture_output=True, text=True)
        PHONES[word] = [p for p in out.stdout.split() if p != "pau"]
    return PHONES[word]


def festival(name, words, end, stretch, path):
    text = re.sub(r'["\\]', "", " ".join(words) + end)
    scheme = ("(voice_%s)(Parameter.set 'Duration_Stretch %.2f)(set! u (utt.synth (Utterance Text \"%s\")))"
              "(mapcar (lambda (w) (format t \"%%s %%f\\n\" (item.name w) (item.feat w \"word_end\")))"
              " (utt.relation.items u 'Word))(utt.save.wave u \"%s\" 'riff)" % (name, stretch, text, path))
    with open(path + ".scm", "w") as f:
        f.write(scheme)
    out = subprocess.run(["festival", "-b", path + ".scm"], capture_output=True, text=True).stdout
    rows = [line.rsplit(" ", 1) for line in out.strip().splitlines()]
    rows = [(w, float(t)) for w, t in rows if w not in "'s"]
    if len(rows) != len(words):
        return None
    return load(path), np.array([int(t * SR) for _, t in rows])


def espeak(name, words, end, stretch, rng, path):
    """Rendered with gaps between the words, whose sound is that of the whole sentence; then the gaps are closed."""
    text = " ".join(words) + end
    subprocess.run(["espeak-ng", "-v", name, "-g", "22", "-p", str(int(rng.integers(30, 70))),
                    "-s", str(int(165 / stretch)), "-w", path, text], check=True, stderr=subprocess.DEVNULL)
    x = load(path)
    level = np.convolve(np.abs(x), np.ones(80) / 80, "same")
    quiet = level < 1e-3
    edges = np.flatnonzero(np.diff(np.r_[0, quiet.astype(np.int8), 0]))
    runs = [(a, b) for a, b in zip(edges[::2], edges[1::2]) if b - a > .15 * SR]
    inner = [(a, b) for a, b in runs if a > 0 and b < len(x) - .02 * SR]
    if len(inner) != len(words) - 1:
        return None
    out, ends, at = [], [], runs[0][1] if runs and runs[0][0] == 0 else 0
    total = 0
    for i, (a, b) in enumerate(inner):
        # A comma's pause stays out as well; the caller makes the pauses.
        out.append(x[at:a + 160])
        total += len(out[-1])
        ends.append(total - 80)
        at = max(a + 160, b - 160)
    out.append(x[at:])
    y = np.concatenate(out)
    loud = np.flatnonzero(np.abs(y) > 2e-3)
    ends.append(int(loud[-1]) if len(loud) else len(y))
    return y, np.array(ends)
